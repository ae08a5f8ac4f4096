"""Limits that all replicas count together, as rows: how often something is tried, how many live pages an account has open."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import ceil, floor

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from control_plane.clock import Clock, utc_now
from control_plane.database import Database
from control_plane.errors import TooMany
from control_plane.tables.base import DEFAULT_TENANT
from control_plane.tables.replicas import OpenStreamRow, RateCountRow
from protocol.ids import new_id
from protocol.text import one_line

GONE_AFTER = timedelta(seconds=90)
"""A live page that nobody has said to be open for so long belonged to a process that died."""


class Limits:
    def __init__(self, database: Database, *, holder: Callable[[], str], clock: Clock = utc_now) -> None:
        """`holder` tells this start of the process from others."""
        self._db = database
        self._holder = holder
        self._clock = clock

    async def take(self, key: str, *, limit: int, window_s: float) -> None:
        """Count one try of `key`. Raises TooMany, and counts nothing, when there were `limit` in the last `window_s` seconds.

        Two windows of fixed length stand for the sliding one: of the earlier, the share that it still covers counts."""
        key, now = one_line(key, 120), self._clock()
        window, gone_s = window_of(now, window_s)
        before = window - timedelta(seconds=window_s)
        async with self._db.transaction() as session:
            earlier = select(RateCountRow.count).where(RateCountRow.key == key, RateCountRow.at == before)
            room = left(limit, await session.scalar(earlier) or 0, gone_s / window_s)
            insert = postgresql.insert if self._db.dialect == "postgresql" else sqlite.insert
            one = insert(RateCountRow).values(tenant_id=DEFAULT_TENANT, key=key, at=window, count=1)
            counted = one.on_conflict_do_update(
                index_elements=[RateCountRow.key, RateCountRow.at],
                set_={"count": RateCountRow.count + 1},
                where=RateCountRow.count < room,
            ).returning(RateCountRow.count)
            taken = await session.scalar(counted) if room > 0 else None
            if taken == 1:  # a new window: what is older than the one before counts no more
                await session.execute(delete(RateCountRow).where(RateCountRow.key == key, RateCountRow.at < before))
        if taken is None:
            wait = ceil(window_s - gone_s) if room > 0 else ceil((window_s - gone_s) / 2)
            raise TooMany(f"Too many tries from here. Wait {max(1, wait)} seconds and try again.")

    async def open_stream(self, account: str, *, most: int) -> str:
        """Note a live page; its id is for `close_stream`. Raises TooMany when the account has that many on all replicas."""
        now = self._clock()
        row = OpenStreamRow(id=new_id(), account=account, holder=self._holder(), seen_at=now)
        count = select(func.count()).where(OpenStreamRow.account == account, ~_gone(now))
        async with self._db.transaction() as session:
            open_now = await session.scalar(count) or 0
            if open_now < most:
                session.add(row)
        if open_now >= most:
            raise TooMany(f"You have {open_now} live pages open. Close some tabs.")
        return row.id

    async def close_stream(self, stream: str) -> None:
        async with self._db.transaction() as session:
            await session.execute(delete(OpenStreamRow).where(OpenStreamRow.id == stream))

    async def still_open(self) -> None:
        """Every now and then: the pages of this process are still open, and those of processes that died are not."""
        now = self._clock()
        async with self._db.transaction() as session:
            mine = update(OpenStreamRow).where(OpenStreamRow.holder == self._holder()).values(seen_at=now)
            await session.execute(mine)
            await session.execute(delete(OpenStreamRow).where(_gone(now)))


def _gone(now: datetime) -> ColumnElement[bool]:
    """Not seen for too long, or seen by a clock that was set back since."""
    return or_(OpenStreamRow.seen_at <= now - GONE_AFTER, OpenStreamRow.seen_at >= now + GONE_AFTER)


def window_of(now: datetime, window_s: float) -> tuple[datetime, float]:
    """The beginning of the window that `now` is in, and how many of its seconds are gone. Pure."""
    seconds = now.timestamp()
    begun = floor(seconds / window_s) * window_s
    return datetime.fromtimestamp(begun, UTC), seconds - begun


def left(limit: int, earlier: int, gone: float) -> int:
    """How many this window may count at most, when the one before counted `earlier` and `gone` (0 to 1) of this one is over.
    Pure."""
    return limit - floor(earlier * (1 - gone))
