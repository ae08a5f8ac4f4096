"""Reports into rows, inside one transaction: each group under its own lock, in the order of their keys.

Two replicas that take the same report at once make one group of it: the row of a group is inserted unless it is there, and then
locked; what its alerts become is decided under that lock.
"""

import json
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite

from control_plane.alerts.merging import begins_anew, merged, namespace_of, severity_now, state_of
from control_plane.alerts.records import alert_of
from control_plane.alerts.values import Alert, Report, State
from control_plane.database import Session
from control_plane.tables.alerts import AlertGroupRow, AlertRow
from control_plane.tables.base import DEFAULT_TENANT
from control_plane.wakeups import ALERTS, LISTS, WORK
from protocol.base import Value
from protocol.canonical import sha256_hex
from protocol.ids import new_id
from protocol.text import one_line

MOST_ALERTS = 500
"""Of a group that are kept; what comes on top is left out and counted."""


class Taken(Value):
    groups: tuple[str, ...]
    """Their ids, in the order of their keys."""
    changed: int
    """How many of them say something new."""
    left_out: int = 0


async def take(session: Session, reports: Iterable[Report], *, dialect: str, now: datetime) -> Taken:
    groups: list[str] = []
    changed = left_out = 0
    for key, report in sorted(((key_of(report), report) for report in reports), key=lambda pair: pair[0]):
        row, new, more = await _take_one(session, key, report, dialect, now)
        groups.append(row.id)
        changed += new
        left_out += more
    if changed:
        for subject in (ALERTS, LISTS, WORK):
            session.wake(subject)
    return Taken(groups=tuple(groups), changed=changed, left_out=left_out)


def key_of(report: Report) -> str:
    return sha256_hex(json.dumps([report.source, report.cluster, report.key]).encode())


async def _take_one(session: Session, key: str, report: Report, dialect: str, now: datetime) -> tuple[AlertGroupRow, bool, int]:
    """The group's row, whether it says something new, and how many alerts were left out."""
    row = await _latest(session, key) or await _made(session, key, 1, report, dialect, now)
    rows = await _alerts(session, row)
    became = _becoming(report, rows, now)
    if begins_anew(row.resolved_at, _state(rows, became, report), now):
        fresh = {name: alert.model_copy(update={"fired": 1}) for name, alert in became.items()}
        row = await _made(session, key, row.generation + 1, report, dialect, now)
        rows = await _alerts(session, row)
        became = _becoming(report, rows, now) if rows else fresh
    kept = _within(became, rows)
    left_out = len(became) - len(kept)
    await _heard(session, report, rows, kept, now)
    state = _state(rows, kept, report)
    if not kept and row.revision > 0 and state == row.state:
        return row, False, left_out
    for name, alert in kept.items():
        _write(session, row, rows.get(name), alert, now)
    _show(row, report, [*({n: alert_of(r) for n, r in rows.items()} | kept).values()], state, now)
    await session.flush()
    return row, True, left_out


def _becoming(report: Report, rows: dict[str, AlertRow], now: datetime) -> dict[str, Alert]:
    """What is new, by fingerprint."""
    found: dict[str, Alert] = {}
    for told in report.alerts:
        row = rows.get(told.fingerprint)
        known = found.get(told.fingerprint) or (alert_of(row) if row is not None else None)
        became = merged(known, row.last_seen_at if row is not None else now, told, now)
        if became is not None:
            found[told.fingerprint] = became
    return found


def _within(became: dict[str, Alert], rows: dict[str, AlertRow]) -> dict[str, Alert]:
    """What is known already, and of the rest as many as there is room for."""
    room = max(0, MOST_ALERTS - len(rows))
    strangers = set([name for name in became if name not in rows][room:])
    return {name: alert for name, alert in became.items() if name not in strangers}


def _state(rows: dict[str, AlertRow], became: dict[str, Alert], report: Report) -> State:
    every = {name: alert_of(row) for name, row in rows.items()} | became
    return state_of(every.values(), more_firing=report.more_firing)


def _write(session: Session, group: AlertGroupRow, row: AlertRow | None, alert: Alert, now: datetime) -> None:
    if row is None:
        row = AlertRow(
            id=new_id(),
            tenant_id=group.tenant_id,
            alert_group=group.id,
            fingerprint=alert.fingerprint,
            first_seen_at=now,
        )
        session.add(row)
    row.state, row.name, row.severity, row.namespace = alert.state, alert.name, alert.severity, alert.namespace
    row.labels, row.annotations = _json(alert.labels), _json(alert.annotations)
    row.starts_at, row.ends_at, row.fired, row.last_seen_at = alert.starts_at, alert.ends_at, alert.fired, now


def _show(row: AlertGroupRow, report: Report, alerts: list[Alert], state: State, now: datetime) -> None:
    reopened = row.revision > 0 and row.state == "resolved" and state == "firing"
    row.title, row.labels = one_line(report.title, 300) or "alert", _json(report.labels)
    row.severity, row.namespace = severity_now(alerts), namespace_of(alerts)
    row.revision, row.updated_at = row.revision + 1, now
    if state == "resolved" and (row.state == "firing" or row.resolved_at is None):
        row.resolved_at = now
        # Who silenced it stays written: nobody is told that it is over.
        row.silenced_until, row.silenced_until_resolved = None, False
    if state == "firing":
        row.resolved_at = None
    if reopened:
        row.acknowledged_by, row.acknowledged_by_name, row.acknowledged_at, row.silenced_by_name = "", "", None, ""
        if row.conversation is None:
            row.route, row.in_digest = None, False  # where it goes is decided anew
    row.state = state


async def _heard(session: Session, report: Report, rows: dict[str, AlertRow], became: dict[str, Alert], now: datetime) -> None:
    """A repeat says that it still is as it was. One that is out of order says nothing."""
    same = [
        row.id
        for told in report.alerts
        if told.fingerprint not in became
        and (row := rows.get(told.fingerprint)) is not None
        and (row.state, row.starts_at) == (told.state, told.starts_at)
    ]
    if same:
        heard = update(AlertRow).where(AlertRow.id.in_(same)).values(last_seen_at=now)
        await session.execute(heard.execution_options(synchronize_session=False))


async def _latest(session: Session, key: str) -> AlertGroupRow | None:
    query = select(AlertGroupRow).where(AlertGroupRow.tenant_id == DEFAULT_TENANT, AlertGroupRow.key == key)
    return await session.scalar(query.order_by(AlertGroupRow.generation.desc()).limit(1).with_for_update())


async def _made(session: Session, key: str, generation: int, report: Report, dialect: str, now: datetime) -> AlertGroupRow:
    """Locked; somebody else's, when they were faster. A fresh one says nothing yet (revision 0)."""
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    values = {
        "id": new_id(), "tenant_id": DEFAULT_TENANT, "key": key, "generation": generation, "source": report.source,
        "cluster": report.cluster, "namespace": "", "severity": "warning", "title": "", "labels": "{}", "state": "resolved",
        "revision": 0, "told": 0, "in_digest": False, "opened_at": now, "updated_at": now, "acknowledged_by": "",
        "acknowledged_by_name": "", "silenced_by_name": "", "silenced_until_resolved": False, "wrong_by_name": "",
        "wrong_reason": "",
    }  # fmt: skip
    await session.execute(insert(AlertGroupRow).values(values).on_conflict_do_nothing())
    same = (AlertGroupRow.tenant_id == DEFAULT_TENANT, AlertGroupRow.key == key, AlertGroupRow.generation == generation)
    return (await session.scalars(select(AlertGroupRow).where(*same).with_for_update())).one()


async def _alerts(session: Session, row: AlertGroupRow) -> dict[str, AlertRow]:
    found = await session.scalars(select(AlertRow).where(AlertRow.alert_group == row.id))
    return {alert.fingerprint: alert for alert in found}


def _json(value: dict[str, str]) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
