"""Alert groups of the control plane as what messages show."""

from bot.slack.blocks.alert import AlertLine, AlertView
from control_plane.alerts.values import Alert, Group

_KNOWN = frozenset({"alertname", "severity", "cluster"})
"""Labels that the message says in words."""


def view_of(group: Group, *, cause: str = "", following: bool = False) -> AlertView:
    """`cause` is what the thread's diagnosis said, in a sentence. `following`: the bot answers there without a mention."""
    return AlertView(
        id=group.id,
        title=group.title,
        severity=group.severity,
        state=group.state,
        cluster_name=group.cluster_name,
        namespace=group.namespace,
        opened_at=group.opened_at,
        updated_at=group.updated_at,
        resolved_at=group.resolved_at,
        labels={name: value for name, value in group.labels.items() if name not in _KNOWN},
        firing=group.firing,
        resolved=group.resolved,
        alerts=tuple(_line(alert, group) for alert in group.alerts),
        acknowledged_by_name=group.acknowledged_by_name,
        acknowledged_at=group.acknowledged_at,
        silenced_by_name=group.silenced_by_name,
        silenced_until=group.silenced_until,
        silenced_until_resolved=group.silenced_until_resolved,
        wrong_by_name=group.wrong_by_name,
        wrong_reason=group.wrong_reason,
        wrong_at=group.wrong_at,
        source=group.source,
        cause=cause,
        following=following,
    )


def _line(alert: Alert, group: Group) -> AlertLine:
    own = {name: value for name, value in alert.labels.items() if name not in _KNOWN and group.labels.get(name) != value}
    return AlertLine(
        name=alert.name,
        state=alert.state,
        severity=alert.severity,
        starts_at=alert.starts_at,
        ends_at=alert.ends_at,
        namespace=alert.namespace,
        summary=alert.summary,
        labels=own,
        fired=alert.fired,
    )
