"""A group of alerts as a channel may see it. Pure."""

from bot.slack.blocks.alert import AlertLine, AlertView
from control_plane.alerts.intake import title_of
from control_plane.alerts.merging import severity_now
from control_plane.alerts.values import Alert, Group
from protocol.commands import ScopeLimit


def view_of(group: Group, over: ScopeLimit, *, cause: str = "", following: bool = False) -> AlertView | None:
    """With the alerts of the namespaces that the channel reaches alone, and without what was said about all of them; None when
    it reaches none of them."""
    seen = tuple(alert for alert in group.alerts if sees(over, alert.namespace))
    whole = len(seen) == len(group.alerts)
    if group.alerts and not seen:
        return None
    firing = group.firing if whole else sum(1 for alert in seen if alert.state == "firing")
    resolved = group.resolved if whole else len(seen) - firing
    return AlertView(
        id=group.id,
        title=group.title if whole else title_of(seen, {}),
        severity=group.severity if whole else severity_now(seen),
        state=group.state,
        cluster_name=group.cluster_name,
        namespace=group.namespace,
        opened_at=group.opened_at,
        updated_at=group.updated_at,
        labels=group.labels if whole else {},
        firing=firing,
        resolved=resolved,
        alerts=tuple(_line(alert, group) for alert in seen),
        resolved_at=group.resolved_at,
        acknowledged_by_name=group.acknowledged_by_name,
        acknowledged_at=group.acknowledged_at,
        silenced_by_name=group.silenced_by_name,
        silenced_until=group.silenced_until,
        silenced_until_resolved=group.silenced_until_resolved,
        wrong_by_name=group.wrong_by_name,
        wrong_reason=group.wrong_reason if whole else "",
        wrong_at=group.wrong_at,
        source=group.source,
        cause=cause,
        following=following,
    )


def sees(over: ScopeLimit, namespace: str) -> bool:
    """What is of no namespace is the whole cluster's."""
    return over.namespaces is None or namespace in over.namespaces


def _line(alert: Alert, group: Group) -> AlertLine:
    return AlertLine(
        name=alert.name,
        state=alert.state,
        severity=alert.severity,
        starts_at=alert.starts_at,
        ends_at=alert.ends_at,
        namespace=alert.namespace,
        summary=alert.summary,
        labels={name: value for name, value in alert.labels.items() if group.labels.get(name) != value and name != "alertname"},
        fired=alert.fired,
    )
