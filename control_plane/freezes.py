"""Freeze windows: kept here, and asked for at each proposal, decision and start of an action.

Adding one takes the lock on the clusters that an action's start takes too: once it is added, nothing starts without having seen
it.
"""

import builtins
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError
from sqlalchemy import or_, select, update

from control_plane.audit import Entry, record
from control_plane.clock import Clock, utc_now
from control_plane.database import Database, Session
from control_plane.errors import Conflict, Forbidden, Invalid, NotFound
from control_plane.principals import Principal
from control_plane.tables.base import DEFAULT_TENANT
from control_plane.tables.fleet import ClusterRow
from control_plane.tables.safety import FreezeRow
from control_plane.typed import typed
from control_plane.wakeups import LISTS
from protocol.approval import Role
from protocol.base import Value
from protocol.freeze import WINDOW, Once, Weekly, frozen_until, open_until
from protocol.ids import is_id, new_id
from protocol.text import one_line

MOST = 200
"""Windows that are not over; a list that nobody reads protects nobody."""
_LOOKED_AT_FOR = timedelta(days=30)
"""How long a window that is over is still read with the others: a clock that went ahead, and back, finds it again."""


class Freeze(Value):
    id: str
    cluster: str | None
    """None: all clusters of the tenant."""
    cluster_name: str
    window: Once | Weekly
    reason: str
    created_by_name: str
    created_at: datetime
    open_until: datetime | None = None
    """When it closes, if it is open now."""


class OpenFreeze(Value):
    """Nothing may be changed before `until`, over all windows that follow each other."""

    until: datetime
    reason: str

    def words(self, cluster: str) -> str:
        why = f" ({self.reason})" if self.reason else ""
        return (
            f"cluster {cluster} is frozen until {self.until:%Y-%m-%d %H:%M} UTC{why}: no change runs before that, unless "
            "somebody breaks the glass"
        )


async def open_freeze(session: Session, tenant: str, cluster: str, now: datetime) -> OpenFreeze | None:
    """The freeze that holds this cluster now, as this transaction sees it."""
    return (await open_freezes(session, tenant, (cluster,), now)).get(cluster)


async def open_freezes(session: Session, tenant: str, clusters: Iterable[str], now: datetime) -> dict[str, OpenFreeze]:
    wanted = set(clusters)
    if not wanted:
        return {}
    rows = (await session.scalars(_standing(tenant).where(_about(wanted)).order_by(FreezeRow.created_at, FreezeRow.id))).all()
    windows = [(row, WINDOW.validate_json(row.window)) for row in rows]
    found: dict[str, OpenFreeze] = {}
    for cluster in wanted:
        mine = [(row, window) for row, window in windows if row.cluster in (None, cluster)]
        until = frozen_until((window for _, window in mine), now)
        if until is not None:
            why = next((row.reason for row, window in mine if open_until(window, now) is not None and row.reason), "")
            found[cluster] = OpenFreeze(until=until, reason=why)
    return found


class Freezes:
    """Who administers a whole cluster freezes it; who administers everything freezes everything. Each change is audited."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._db = database
        self._clock = clock

    async def add(
        self, principal: Principal, *, cluster: str | None, window: Once | Weekly | dict[str, Any], reason: str
    ) -> Freeze:
        """`cluster` is its id; None is all of them. Raises Invalid (window, reason, over already), Forbidden, NotFound,
        Conflict."""
        parsed, now = _window(window), self._clock()
        if isinstance(parsed, Once) and parsed.ends_at <= now:
            raise Invalid("this window is over already")
        why = typed(reason, 500)
        if not why:
            raise Invalid("a freeze needs a reason: people read it on every card that it holds")
        async with self._db.transaction() as session:
            names = await _locked_clusters(session, principal.tenant, cluster)
            _require(principal, cluster, names)
            if await _not_over(session, principal.tenant, now) >= MOST:
                raise Conflict(f"there are {MOST} freeze windows already; end some that are no longer needed")
            row = FreezeRow(
                id=new_id(),
                tenant_id=principal.tenant,
                cluster=cluster,
                window=parsed.model_dump_json(),
                reason=why,
                created_by=principal.account,
                created_by_name=principal.name,
                created_at=now,
            )
            session.add(row)
            detail = {"window": row.window, "reason": why}
            record(session, Entry(principal.account, "freeze.added", f"freeze:{row.id}", now, cluster=cluster, detail=detail))
            session.wake(LISTS)
            return _freeze(row, names, now)

    async def end(self, freeze: str, principal: Principal) -> None:
        """Take it away, open or not. Raises NotFound, Forbidden; Conflict when somebody was faster."""
        now = self._clock()
        async with self._db.transaction() as session:
            row = await session.get(FreezeRow, freeze) if is_id(freeze) else None
            if row is None or row.tenant_id != principal.tenant or not _sees(principal, row):
                raise NotFound(f"there is no freeze window {one_line(freeze, 40)!r}")
            _require(principal, row.cluster, await _names(session, principal.tenant))
            ended = await session.scalar(
                update(FreezeRow)
                .where(FreezeRow.id == row.id, FreezeRow.ended_at.is_(None))
                .values(ended_at=now, ended_by=principal.account)
                .returning(FreezeRow.id)
            )
            if ended is None:
                raise Conflict("this freeze window was taken away already")
            entry = Entry(principal.account, "freeze.ended", f"freeze:{row.id}", now, cluster=row.cluster)
            record(session, entry)
            session.wake(LISTS)

    async def list(self, principal: Principal) -> tuple[Freeze, ...]:
        """Those that stand, of clusters of which the principal sees something; what is over is left out."""
        now = self._clock()
        async with self._db.read() as session:
            names = await _names(session, principal.tenant)
            rows = await session.scalars(_standing(principal.tenant).order_by(FreezeRow.created_at, FreezeRow.id))
            found = [_freeze(row, names, now) for row in rows if _sees(principal, row)]
        return tuple(one for one in found if not (isinstance(one.window, Once) and one.window.ends_at <= now))

    async def open(self, clusters: Iterable[str], tenant: str = DEFAULT_TENANT) -> dict[str, OpenFreeze]:
        """By cluster id, of those that are frozen now."""
        async with self._db.read() as session:
            return await open_freezes(session, tenant, clusters, self._clock())


def _window(window: Once | Weekly | dict[str, Any]) -> Once | Weekly:
    if isinstance(window, Once | Weekly):
        return window
    try:
        return WINDOW.validate_python(window)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise Invalid(f"this is no freeze window: {one_line(first['msg'].removeprefix('Value error, '), 200)}") from None


def _standing(tenant: str) -> Any:
    return select(FreezeRow).where(FreezeRow.tenant_id == tenant, FreezeRow.ended_at.is_(None))


async def _not_over(session: Session, tenant: str, now: datetime) -> int:
    """How many stand that are not over. What was over long ago is closed on the way, as of its own end."""
    count = 0
    for row in await session.scalars(_standing(tenant)):
        window = WINDOW.validate_json(row.window)
        if not isinstance(window, Once) or window.ends_at > now:
            count += 1
        elif window.ends_at < now - _LOOKED_AT_FOR:
            row.ended_at = window.ends_at
    return count


def _about(clusters: builtins.set[str]) -> Any:
    return or_(FreezeRow.cluster.is_(None), FreezeRow.cluster.in_(clusters))


async def _locked_clusters(session: Session, tenant: str, cluster: str | None) -> dict[str, str]:
    """The clusters that a new window is about, locked so that no action starts meanwhile. Raises NotFound."""
    wanted = select(ClusterRow).where(ClusterRow.tenant_id == tenant).order_by(ClusterRow.id).with_for_update()
    if cluster is not None:
        wanted = wanted.where(ClusterRow.id == cluster)
    found = {row.id: row.name for row in await session.scalars(wanted)}
    if cluster is not None and not found:
        raise NotFound(f"there is no cluster {one_line(cluster, 40)!r}")
    return found


async def _names(session: Session, tenant: str) -> dict[str, str]:
    return {row.id: row.name for row in await session.scalars(select(ClusterRow).where(ClusterRow.tenant_id == tenant))}


def _require(principal: Principal, cluster: str | None, names: dict[str, str]) -> None:
    if cluster is None and not principal.admin:
        raise Forbidden("freezing all clusters is for admins over everything; ask one of them, or freeze one cluster")
    if cluster is not None and principal.role_in(cluster, None) is not Role.ADMIN:
        raise Forbidden(f"this needs the role admin over the whole cluster {names.get(cluster, cluster)}")


def _sees(principal: Principal, row: FreezeRow) -> bool:
    return row.cluster is None or principal.sees_some_of(row.cluster)


def _freeze(row: FreezeRow, names: dict[str, str], now: datetime) -> Freeze:
    window = WINDOW.validate_json(row.window)
    return Freeze(
        id=row.id,
        cluster=row.cluster,
        cluster_name=names.get(row.cluster, row.cluster) if row.cluster is not None else "",
        window=window,
        reason=row.reason,
        created_by_name=row.created_by_name,
        created_at=row.created_at,
        open_until=open_until(window, now),
    )
