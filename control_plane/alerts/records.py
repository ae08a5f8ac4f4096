"""Rows of groups and alerts, read as values."""

import json
from collections.abc import Iterable, Sequence
from typing import cast

from sqlalchemy import func, select

from control_plane.alerts.merging import ordered
from control_plane.alerts.values import Alert, Group, Severity, State
from control_plane.database import Session
from control_plane.errors import NotFound
from control_plane.principals import Principal
from control_plane.tables.alerts import AlertGroupRow, AlertRow
from control_plane.tables.fleet import ClusterRow
from protocol.approval import Role
from protocol.text import one_line

SHOWN = 50
"""Alerts of a group that are told with it; the rest is counted."""


async def groups_of(session: Session, rows: Sequence[AlertGroupRow], *, shown: int = SHOWN) -> tuple[Group, ...]:
    """In the order of `rows`, each with its alerts."""
    if not rows:
        return ()
    named = select(ClusterRow.id, ClusterRow.name).where(ClusterRow.id.in_({row.cluster for row in rows}))
    names = {row.id: row.name for row in await session.execute(named)}
    ids = [row.id for row in rows]
    counted = select(AlertRow.alert_group, AlertRow.state, func.count()).where(AlertRow.alert_group.in_(ids))
    counts: dict[tuple[str, str], int] = {}
    for group, state, count in await session.execute(counted.group_by(AlertRow.alert_group, AlertRow.state)):
        counts[group, state] = count
    # "firing" comes before "resolved"
    place = func.row_number().over(partition_by=AlertRow.alert_group, order_by=(AlertRow.state, AlertRow.starts_at.desc()))
    placed = select(AlertRow.id, place.label("place")).where(AlertRow.alert_group.in_(ids)).subquery()
    wanted = select(AlertRow).join(placed, placed.c.id == AlertRow.id).where(placed.c.place <= shown)
    members: dict[str, list[Alert]] = {}
    for row in await session.scalars(wanted):
        members.setdefault(row.alert_group, []).append(alert_of(row))
    return tuple(
        group_of(
            row,
            names.get(row.cluster, row.cluster),
            members.get(row.id, ()),
            firing=counts.get((row.id, "firing"), 0),
            resolved=counts.get((row.id, "resolved"), 0),
        )
        for row in rows
    )


def alert_of(row: AlertRow) -> Alert:
    return Alert(
        fingerprint=row.fingerprint,
        state=cast(State, row.state),
        name=row.name,
        severity=cast(Severity, row.severity),
        namespace=row.namespace,
        labels=json.loads(row.labels),
        annotations=json.loads(row.annotations),
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        fired=row.fired,
    )


def group_of(row: AlertGroupRow, cluster_name: str, alerts: Iterable[Alert], *, firing: int, resolved: int) -> Group:
    return Group(
        id=row.id,
        generation=row.generation,
        source=row.source,
        cluster=row.cluster,
        cluster_name=cluster_name,
        namespace=row.namespace,
        severity=cast(Severity, row.severity),
        title=row.title,
        labels=json.loads(row.labels),
        state=cast(State, row.state),
        revision=row.revision,
        told=row.told,
        route=row.route,
        in_digest=row.in_digest,
        conversation=row.conversation,
        opened_at=row.opened_at,
        updated_at=row.updated_at,
        resolved_at=row.resolved_at,
        acknowledged_by=row.acknowledged_by,
        acknowledged_by_name=row.acknowledged_by_name,
        acknowledged_at=row.acknowledged_at,
        silenced_by_name=row.silenced_by_name,
        silenced_until=row.silenced_until,
        silenced_until_resolved=row.silenced_until_resolved,
        wrong_by_name=row.wrong_by_name,
        wrong_reason=row.wrong_reason,
        wrong_at=row.wrong_at,
        alerts=ordered(alerts),
        firing=firing,
        resolved=resolved,
    )


def role_over(row: AlertGroupRow, principal: Principal) -> Role | None:
    """Over the group's namespace; over the whole cluster where it has none. None: it is as if it were not there."""
    return principal.role_in(row.cluster, row.namespace or None) if row.tenant_id == principal.tenant else None


def not_found(group: str) -> NotFound:
    return NotFound(f"there is no alert group {one_line(group, 40)!r}, or it is not yours to read")
