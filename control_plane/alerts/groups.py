"""Groups of alerts: taken in one transaction each POST, shown to who may see them, acknowledged, silenced, said to be wrong.

`revision` counts what a surface shows; who shows a group notes what it has shown by `told`.
"""

import builtins
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta

from sqlalchemy import select, update

from control_plane import log
from control_plane.alerts.arriving import Taken, take
from control_plane.alerts.records import groups_of, not_found, role_over
from control_plane.alerts.values import Group, Report, Silence, State
from control_plane.audit import SYSTEM, Entry, record
from control_plane.clock import Clock, utc_now
from control_plane.database import Database, Session
from control_plane.errors import Conflict, Forbidden, Invalid
from control_plane.principals import Principal
from control_plane.reach import reaches
from control_plane.readers import may_read
from control_plane.roles import principal_in
from control_plane.tables.alerts import AlertGroupRow, AlertRow
from control_plane.tables.conversations import ConversationRow, LogEntryRow
from control_plane.tables.fleet import ClusterRow
from control_plane.typed import typed
from control_plane.wakeups import ALERTS, LISTS, WORK, LocalWakeups, Wakeups, wakes
from protocol.approval import Role, role_at_least
from protocol.events import DiagnosisMade
from protocol.ids import is_id
from protocol.text import one_line

SILENCES: Mapping[str, timedelta] = {"1h": timedelta(hours=1), "4h": timedelta(hours=4)}
REASON_CHARS = 1_000
UNHEARD = timedelta(days=7)
"""Alertmanager repeats itself every few hours."""


_Change = Callable[[AlertGroupRow, Principal, datetime], dict[str, str] | None]
"""Changes the row, and gives what the audit is to know; None when nothing has changed."""


class Alerts:
    """Who sees a group's namespace sees it (the whole cluster, where its alerts are of several). To acknowledge and to silence
    needs an operator of it, for others rely on it; anybody who sees it may say that it is wrong."""

    def __init__(self, database: Database, wakeups: Wakeups | None = None, *, clock: Clock = utc_now) -> None:
        self._db = database
        self._wakeups = wakeups or LocalWakeups()
        self._clock = clock

    async def take(self, reports: Iterable[Report]) -> Taken:
        """All of them, or none. The same again changes nothing. Raises Unavailable: then send it again."""
        async with self._db.transaction() as session:
            return await take(session, reports, dialect=self._db.dialect, now=self._clock())

    async def cluster_names(self, tenant: str = "default") -> dict[str, str]:
        """Ids by name and by id: what an alert's label `cluster` may say."""
        async with self._db.read() as session:
            rows = await session.execute(select(ClusterRow.id, ClusterRow.name).where(ClusterRow.tenant_id == tenant))
            return {said: row.id for row in rows for said in (row.name, row.id)}

    async def list(
        self, principal: Principal, *, state: State | None = None, cluster: str | None = None, limit: int = 50
    ) -> tuple[Group, ...]:
        """Changed last first; only what the principal may see."""
        query = select(AlertGroupRow).where(
            AlertGroupRow.tenant_id == principal.tenant, reaches(principal, AlertGroupRow.cluster, AlertGroupRow.namespace)
        )
        if state is not None:
            query = query.where(AlertGroupRow.state == state)
        if cluster is not None:
            query = query.where(AlertGroupRow.cluster == cluster)
        query = query.order_by(AlertGroupRow.updated_at.desc(), AlertGroupRow.id)
        async with self._db.read() as session:
            seen: builtins.list[AlertGroupRow] = []
            rows = await session.stream_scalars(query.execution_options(yield_per=200))
            async for row in rows:
                if role_over(row, principal) is not None:
                    seen.append(row)
                if len(seen) >= max(1, min(limit, 200)):
                    break
            await rows.close()
            return await _as_seen(session, await groups_of(session, seen, shown=5), principal)

    async def get(self, group: str, principal: Principal | None = None) -> Group:
        """Raises NotFound for what the principal may not see (the same as for what is not there)."""
        async with self._db.read() as session:
            row = await session.get(AlertGroupRow, group) if is_id(group) else None
            if row is None or (principal is not None and role_over(row, principal) is None):
                raise not_found(group)
            found = await groups_of(session, [row])
            return (found if principal is None else await _as_seen(session, found, principal))[0]

    async def of_conversation(self, conversation: str) -> Group | None:
        """The group whose thread this is. Whoever asks has checked that the conversation may be read."""
        async with self._db.read() as session:
            row = await session.scalar(select(AlertGroupRow).where(AlertGroupRow.conversation == conversation))
            return (await groups_of(session, [row]))[0] if row is not None else None

    async def acknowledge(
        self, group: str, principal: Principal, on: bool = True, *, door: str = "", source: str = ""
    ) -> Group:
        """Somebody has it in hand, or no longer. Who was first stays. Raises NotFound, Forbidden, Conflict (resolved)."""

        def change(row: AlertGroupRow, by: Principal, now: datetime) -> dict[str, str] | None:
            if not on:
                before, row.acknowledged_by, row.acknowledged_by_name = row.acknowledged_by, "", ""
                row.acknowledged_at = None
                return {} if before else None
            _require_firing(row)
            if row.acknowledged_by:
                return None
            row.acknowledged_by, row.acknowledged_by_name, row.acknowledged_at = by.account, by.name, now
            return {}

        action = "alert.acknowledged" if on else "alert.unacknowledged"
        return await self._change(group, principal, Role.OPERATOR, action, change, door, source)

    async def silence(self, group: str, principal: Principal, until: Silence, *, door: str = "", source: str = "") -> Group:
        """Its message goes on being edited, and nothing else happens: no thread, no question, no line in a digest. It ends by
        time, or when the group is resolved. "off" ends it now. Raises NotFound, Forbidden, Conflict (resolved)."""

        def change(row: AlertGroupRow, by: Principal, now: datetime) -> dict[str, str] | None:
            if until == "off":
                silenced = bool(row.silenced_by_name)
                _unsilence(row)
                return {} if silenced else None
            _require_firing(row)
            row.silenced_by_name = by.name
            end = now + SILENCES[until] if until in SILENCES else None
            row.silenced_until, row.silenced_until_resolved = end, end is None
            return {"until": end.isoformat() if end is not None else "resolved"}

        action = "alert.unsilenced" if until == "off" else "alert.silenced"
        return await self._change(group, principal, Role.OPERATOR, action, change, door, source)

    async def wrong(self, group: str, principal: Principal, reason: str, *, door: str = "", source: str = "") -> Group:
        """The alert is wrong, or what the thread says of it. The last word stands. Raises NotFound, Invalid (no reason)."""
        said = typed(reason, REASON_CHARS)
        if not said:
            raise Invalid("say in a few words what is wrong about it; others read that under the alert")

        def change(row: AlertGroupRow, by: Principal, now: datetime) -> dict[str, str] | None:
            if row.wrong_by_name == by.name and row.wrong_reason == said:
                return None
            row.wrong_by_name, row.wrong_reason, row.wrong_at = by.name, said, now
            return {"reason": said}

        return await self._change(group, principal, Role.VIEWER, "alert.said_wrong", change, door, source)

    async def open_thread(self, group: str, principal: Principal, *, door: str = "") -> Group:
        """A group of a digest gets its own thread after all, as soon as the runtime comes to it. Nothing happens where it has
        one. For anybody who sees it: they could as well ask. Raises NotFound, Conflict (resolved)."""

        def change(row: AlertGroupRow, by: Principal, now: datetime) -> dict[str, str] | None:
            del by, now
            if row.conversation is not None:
                return None
            _require_firing(row)
            row.in_digest, row.route = False, row.route or ""
            return {}

        return await self._change(group, principal, Role.VIEWER, "alert.thread_wanted", change, door)

    async def show_again(self, group: str) -> None:
        """Something beside the group that its message shows has changed."""
        async with self._db.transaction() as session:
            row = await session.get(AlertGroupRow, group, with_for_update=True) if is_id(group) else None
            if row is not None:
                row.revision += 1
                session.wake(ALERTS)

    async def end_silences(self) -> int:
        """Those whose time is over. Returns how many."""
        now = self._clock()
        due = select(AlertGroupRow.id).where(AlertGroupRow.silenced_until <= now)
        async with self._db.read() as session:
            ids = (await session.scalars(due)).all()
        ended = 0
        for group in ids:
            async with self._db.transaction() as session:
                row = await session.get(AlertGroupRow, group, with_for_update=True)
                if row is not None and row.silenced_until is not None and row.silenced_until <= now:
                    _unsilence(row)
                    _moved(session, row, now)
                    _audit(session, row, "alert.silence_ended", SYSTEM, "", now, {}, "")
                    ended += 1
        return ended

    async def end_unheard(self) -> int:
        """Groups that fire and of which nothing was heard for a week are over: whoever sent them is gone, or told their end
        when we could not be reached for too long. Returns how many."""
        now = self._clock()
        heard = select(AlertRow.id).where(AlertRow.alert_group == AlertGroupRow.id, AlertRow.last_seen_at > now - UNHEARD)
        lost = (AlertGroupRow.state == "firing", AlertGroupRow.updated_at < now - UNHEARD, ~heard.exists())
        async with self._db.transaction() as session:
            rows = (await session.scalars(select(AlertGroupRow).where(*lost).limit(100).with_for_update())).all()
            for row in rows:
                mine = (AlertRow.alert_group == row.id, AlertRow.state == "firing")
                await session.execute(update(AlertRow).where(*mine).values(state="resolved", ends_at=now))
                row.state, row.resolved_at = "resolved", now
                row.silenced_until, row.silenced_until_resolved = None, False
                _moved(session, row, now)
                _audit(session, row, "alert.unheard", SYSTEM, "", now, {}, "")
            return len(rows)

    async def changed(self, limit: int = 100) -> tuple[Group, ...]:
        """Those that say more than the surfaces have been given; longest waiting first."""
        query = select(AlertGroupRow).where(AlertGroupRow.revision > AlertGroupRow.told)
        async with self._db.read() as session:
            rows = (await session.scalars(query.order_by(AlertGroupRow.updated_at, AlertGroupRow.id).limit(limit))).all()
            return await groups_of(session, rows)

    async def in_digest(self, route: str, since: datetime, until: datetime) -> tuple[Group, ...]:
        """The lines of a route's digest: groups that came in this time and got no thread, without those that are silenced."""
        query = select(AlertGroupRow).where(
            AlertGroupRow.route == route,
            AlertGroupRow.in_digest,
            AlertGroupRow.opened_at >= since,
            AlertGroupRow.opened_at < until,
        )
        async with self._db.read() as session:
            rows = (await session.scalars(query.order_by(AlertGroupRow.opened_at, AlertGroupRow.id).limit(200))).all()
            return tuple(group for group in await groups_of(session, rows, shown=10) if not group.quiet)

    async def with_threads(self, since: datetime, limit: int = 200) -> tuple[Group, ...]:
        """Groups whose conversation has said something since; newest first."""
        query = (
            select(AlertGroupRow)
            .join(ConversationRow, ConversationRow.id == AlertGroupRow.conversation)
            .where(ConversationRow.updated_at > since)
            .order_by(ConversationRow.updated_at.desc())
        )
        async with self._db.read() as session:
            return await groups_of(session, (await session.scalars(query.limit(limit))).all())

    async def cause(self, group: Group) -> str:
        """What the newest diagnosis of its thread says, in a sentence; "" while there is none."""
        if group.conversation is None:
            return ""
        query = select(LogEntryRow).where(LogEntryRow.conversation == group.conversation, LogEntryRow.kind == "diagnosis")
        async with self._db.read() as session:
            row = await session.scalar(query.order_by(LogEntryRow.seq.desc()).limit(1))
        made = log.read_entry(row).event if row is not None else None
        if not isinstance(made, DiagnosisMade):
            return ""
        first = next(iter(made.diagnosis.root_causes), None)
        return first.explanation if first is not None else made.diagnosis.summary

    async def told(self, session: Session, group: str, revision: int) -> None:
        """In the transaction that hands this revision to a surface."""
        mine = (AlertGroupRow.id == group, AlertGroupRow.told < revision)
        told = update(AlertGroupRow).where(*mine).values(told=revision)
        await session.execute(told.execution_options(synchronize_session=False))

    async def watch(self) -> AsyncGenerator[None]:
        """At once, whenever a group has changed, and every 5 s."""
        async with aclosing(wakes(self._wakeups, ALERTS)) as bells:
            async for _ in bells:
                yield None

    async def _change(
        self, group: str, principal: Principal, needed: Role, action: str, change: _Change, door: str, source: str = ""
    ) -> Group:
        """The role counts as it stands in this transaction, whichever door it came by. `source` is where it was said: of Slack
        team, channel and message."""
        now = self._clock()
        async with self._db.transaction() as session:
            row = await session.get(AlertGroupRow, group, with_for_update=True) if is_id(group) else None
            by = await principal_in(session, principal.account, now=now)
            role = role_over(row, by) if row is not None else None
            if row is None or role is None:
                raise not_found(group)
            if not role_at_least(role, needed):
                if not row.namespace:
                    raise Forbidden(f"this needs the role {needed} over the whole cluster; you have {role}; ask an admin")
                raise Forbidden(f"this needs the role {needed} over namespace {row.namespace}; you have {role}; ask an admin")
            detail = change(row, by, now)
            if detail is not None:
                _moved(session, row, now)
                told = {"source": one_line(source, 100)} if source else {}
                _audit(session, row, action, by.account, by.name, now, detail | told, door)
            return (await _as_seen(session, await groups_of(session, [row]), by))[0]


async def _as_seen(session: Session, groups: Sequence[Group], principal: Principal) -> tuple[Group, ...]:
    """Without threads that show more than the principal may see: a thread may be of the whole cluster, for one namespace's
    alerts."""
    named = [group.conversation for group in groups if group.conversation is not None]
    if not named:
        return tuple(groups)
    rows = await session.scalars(select(ConversationRow).where(ConversationRow.id.in_(named)))
    readable = {row.id for row in rows if may_read(row, principal)}
    return tuple(
        group if group.conversation in readable else group.model_copy(update={"conversation": None}) for group in groups
    )


def _require_firing(row: AlertGroupRow) -> None:
    if row.state == "firing":
        return
    if row.resolved_at is None:
        raise Conflict("these alerts were resolved; there is nothing left to do about them", code="resolved")
    at = f"{row.resolved_at:%H:%M:%S}"
    raise Conflict(f"these alerts were resolved at {at} UTC; there is nothing left to do about them", code="resolved")


def _unsilence(row: AlertGroupRow) -> None:
    row.silenced_by_name, row.silenced_until, row.silenced_until_resolved = "", None, False


def _moved(session: Session, row: AlertGroupRow, now: datetime) -> None:
    row.revision += 1
    row.updated_at = now
    for subject in (ALERTS, LISTS, WORK):
        session.wake(subject)


def _audit(
    session: Session,
    row: AlertGroupRow,
    action: str,
    by: str,
    by_name: str,
    now: datetime,
    detail: Mapping[str, str],
    door: str,
) -> None:
    said = {"title": row.title, **detail}
    about = (by, action, f"alert:{row.id}", now, by_name, door, row.cluster, row.namespace or None)
    record(session, Entry(*about, detail=said, tenant=row.tenant_id))
