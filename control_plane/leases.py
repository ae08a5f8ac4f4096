"""Leases: who may do something alone, for a while, and a fence that tells a late holder from the one after it.

Times are the database's own on PostgreSQL, so that replicas whose clocks differ agree about what has ended.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import ColumnElement, CursorResult, func, literal, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from control_plane.clock import Clock, utc_now
from control_plane.database import Database, Session
from control_plane.tables.base import DEFAULT_TENANT, UtcTime
from control_plane.tables.replicas import LeaseRow


@dataclass(frozen=True, slots=True)
class Lease:
    name: str
    holder: str
    fence: int


@dataclass(frozen=True, slots=True)
class Claimant:
    """Who takes leases: one process."""

    holder: str
    """New with each start."""
    home: str = ""
    """Id of the data directory that the process holds. Whoever held a lease from the same one is dead: it is held by one."""
    told: str = ""
    kid: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """A lease as somebody else sees it."""

    name: str
    holder: str
    fence: int
    until: datetime
    live: bool
    told: str
    kid: str
    left: timedelta
    """Until it ends, by the clock that leases go by."""


class Leases:
    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._db = database
        self._clock = clock

    async def take(self, name: str, by: Claimant, ttl_s: float) -> Lease | None:
        """The lease, when it was free, had ended, or was held from the same data directory; None when another holds it.
        One statement: of two that try at once, one gets it."""
        now, until = self._times(ttl_s)
        values: dict[str, Any] = {
            "tenant_id": DEFAULT_TENANT,
            "name": name,
            "holder": by.holder,
            "fence": 1,
            "until": until,
            "home": by.home,
            "told": by.told[:300],
            "kid": by.kid,
            "taken_at": now,
        }
        insert = postgresql.insert if self._db.dialect == "postgresql" else sqlite.insert
        new = insert(LeaseRow).values(values)
        same_home = (LeaseRow.home == by.home) & (LeaseRow.home != "")
        taking = new.on_conflict_do_update(
            index_elements=[LeaseRow.name],
            set_={**{key: new.excluded[key] for key in values if key != "fence"}, "fence": LeaseRow.fence + 1},
            where=or_(LeaseRow.until <= now, LeaseRow.holder == by.holder, same_home),
        ).returning(LeaseRow.fence)
        async with self._db.transaction() as session:
            fence = await session.scalar(taking)
        return Lease(name, by.holder, fence) if fence is not None else None

    async def renew(self, lease: Lease, ttl_s: float) -> bool:
        """False when it was taken by another since. One that has ended and that nobody took goes on."""
        _, until = self._times(ttl_s)
        async with self._db.transaction() as session:
            renewed = await session.execute(update(LeaseRow).where(*_same(lease)).values(until=until))
            return cast(CursorResult[Any], renewed).rowcount == 1

    async def release(self, lease: Lease) -> None:
        """Ends it now. Nothing happens when another has it."""
        now, _ = self._times(0)
        async with self._db.transaction() as session:
            await session.execute(update(LeaseRow).where(*_same(lease)).values(until=now))

    async def look(self, prefix: str) -> tuple[Held, ...]:
        """Every lease whose name begins so, by name."""
        now, _ = self._times(0)
        query = select(LeaseRow, LeaseRow.until > now, now).where(LeaseRow.name.startswith(prefix, autoescape=True))
        async with self._db.read() as session:
            rows = (await session.execute(query.order_by(LeaseRow.name))).all()
        return tuple(
            Held(row.name, row.holder, row.fence, row.until, bool(live), row.told, row.kid, row.until - at)
            for row, live, at in rows
        )

    def _times(self, ttl_s: float) -> tuple[ColumnElement[datetime], ColumnElement[datetime]]:
        """(now, the end of a lease that begins now)"""
        ttl = timedelta(seconds=ttl_s)
        if self._db.dialect == "postgresql":
            now = func.clock_timestamp(type_=UtcTime())
            return now, cast(ColumnElement[datetime], func.clock_timestamp() + ttl)
        clock = self._clock()
        return literal(clock, UtcTime()), literal(clock + ttl, UtcTime())


Guard = Callable[[Session], Awaitable[None]]
"""Called inside a transaction that only a replica with a lease may commit; raises when it has lost it."""


async def unguarded(_session: Session) -> None:
    """Where there is one process, nobody takes over."""


async def still_held(session: Session, lease: Lease) -> bool:
    """Inside a transaction: until its end nobody can take the lease, so what it writes is written by the holder."""
    query = select(LeaseRow.fence).where(*_same(lease)).with_for_update(read=True)
    return await session.scalar(query) is not None


def _same(lease: Lease) -> Sequence[ColumnElement[bool]]:
    return LeaseRow.name == lease.name, LeaseRow.holder == lease.holder, LeaseRow.fence == lease.fence
