"""What Slack sent, kept before it is acknowledged, and handed out lane by lane.

`keep` is called by whichever replica receives; the rest by the one that works. A lane (a thread, a person) is handled one
after the other, in the order of what people did; lanes don't wait for each other. An item is handled at least once: whoever
handles it makes what it does repeatable, as the item's id says which one it is.
"""

import json
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any

import orjson
from prometheus_client import Counter, Histogram
from sqlalchemy import and_, delete, func, or_, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from control_plane.clock import Clock, utc_now
from control_plane.database import Database, Session
from control_plane.errors import Invalid
from control_plane.leases import Lease
from control_plane.slack.backlog import Backlog, backlog
from control_plane.slack.lead import require_lead
from control_plane.tables.base import DEFAULT_TENANT
from control_plane.tables.slack import SlackInboxRow
from control_plane.wakeups import SLACK, Wakeups, wakes
from protocol.base import Value
from protocol.canonical import sha256_hex
from protocol.text import one_line

KEPT = Counter("opsthread_slack_kept", "What Slack sent, by whether it was new or a redelivery", ["kind", "delivery"])
ENDED = Counter("opsthread_slack_handled", "What came from Slack, by how it ended", ["end"])
SECONDS = Histogram(
    "opsthread_slack_handled_seconds",
    "From what Slack sent being kept until it was handled",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300),
)

MOST_ATTEMPTS = 5
"""An item that was begun so often and never done has failed."""
LONGEST_PAUSE = timedelta(minutes=15)
"""Nobody asks for more between two attempts."""
MOST_BYTES = 64_000
"""Of a payload, once it is trimmed to what we use."""
KEEP_DONE = timedelta(days=7)
"""Slack repeats a delivery within the hour; a deduplication that holds for days costs little."""
KEEP_FAILED = timedelta(days=30)


class Incoming(Value):
    team: str
    kind: str
    lane: str
    """What is handled one after the other: `<channel>:<thread>`, or `user:<id>`."""
    position: str
    """Slack's own time of it, as `1712345678.000100`: a lane is handled in this order. "" where Slack gives none: the time at
    which it is kept."""
    payload: dict[str, Any]
    dedupe: str
    """What makes it one of its kind in the team: an event_id; of an interaction its message, action, time and user."""

    @property
    def id(self) -> str:
        return sha256_hex(_json([self.team, self.kind, self.dedupe]))


class Received(Value):
    id: str
    team: str
    kind: str
    lane: str
    position: str
    payload: dict[str, Any]
    attempts: int
    """How often it was begun."""
    received_at: datetime
    note: str = ""
    """Why the last attempt did not succeed."""

    @property
    def worn_out(self) -> bool:
        """It was begun as often as it may be: tell whom it is from, and call `failed`."""
        return self.attempts >= MOST_ATTEMPTS


class Inbox:
    def __init__(self, database: Database, wakeups: Wakeups, *, clock: Clock = utc_now) -> None:
        self._db = database
        self._wakeups = wakeups
        self._clock = clock

    async def keep(self, item: Incoming) -> bool:
        """False: it was there already, done or not. Once this returns it survives; Slack may be told so. Raises Unavailable,
        Invalid when the payload was not trimmed."""
        payload = _json(item.payload)
        if len(payload) > MOST_BYTES:
            raise Invalid(f"an item of {len(payload)} bytes from Slack is over {MOST_BYTES}; trim it to what is used")
        now = self._clock()
        row = {
            "tenant_id": DEFAULT_TENANT,
            "id": item.id,
            "team": one_line(item.team, 32),
            "kind": one_line(item.kind, 32),
            "lane": one_line(item.lane, 200),
            "position": one_line(item.position, 40) or f"{now.timestamp():.6f}",
            "payload": payload.decode(),
            "state": "waiting",
            "attempts": 0,
            "not_before": now,
            "received_at": now,
            "note": "",
        }
        insert = postgresql.insert if self._db.dialect == "postgresql" else sqlite.insert
        async with self._db.transaction() as session:
            new = insert(SlackInboxRow).values(row).on_conflict_do_nothing().returning(SlackInboxRow.id)
            kept = await session.scalar(new) is not None
            if kept:
                session.wake(SLACK)
        KEPT.labels(one_line(item.kind, 32), "new" if kept else "again").inc()
        return kept

    async def due(
        self, limit: int = 50, *, besides: Collection[tuple[str, str]] = (), without: Collection[str] = ()
    ) -> tuple[Received, ...]:
        """The first waiting of each lane, oldest first; of a lane whose first waits for its time, nothing. `besides` are lanes,
        as (team, lane), that are being worked on; `without` are teams that have their share already."""
        rank = func.row_number().over(
            partition_by=(SlackInboxRow.team, SlackInboxRow.lane),
            order_by=(SlackInboxRow.position, SlackInboxRow.received_at, SlackInboxRow.id),
        )
        waiting = select(SlackInboxRow.id, rank.label("rank")).where(SlackInboxRow.state == "waiting")
        if besides:
            waiting = waiting.where(tuple_(SlackInboxRow.team, SlackInboxRow.lane).not_in(list(besides)))
        if without:
            waiting = waiting.where(SlackInboxRow.team.not_in(list(without)))
        heads = waiting.subquery()
        now = self._clock()
        # Longer than any pause: the clock was set back since.
        due = or_(SlackInboxRow.not_before <= now, SlackInboxRow.not_before > now + LONGEST_PAUSE)
        query = (
            select(SlackInboxRow)
            .join(heads, heads.c.id == SlackInboxRow.id)
            .where(heads.c.rank == 1, due)
            .order_by(SlackInboxRow.received_at, SlackInboxRow.position, SlackInboxRow.id)
        )
        async with self._db.read() as session:
            return tuple(map(_received, await session.scalars(query.limit(limit))))

    async def get(self, item: str) -> Received | None:
        """Whatever has become of it, as long as it is kept."""
        async with self._db.read() as session:
            row = await session.get(SlackInboxRow, item)
            return _received(row) if row is not None else None

    async def begin(self, item: str, lease: Lease) -> Received | None:
        """Before it is handled: counts the attempt, so that one that kills the process wears out as well. None when it does
        not wait any more. One that is begun although it was worn out, and ends nothing again, has failed. Raises LeaseLost."""
        waits = (SlackInboxRow.id == item, SlackInboxRow.state == "waiting")
        begun = (
            update(SlackInboxRow)
            .where(*waits)
            .values(attempts=SlackInboxRow.attempts + 1)
            .returning(SlackInboxRow)
            .execution_options(synchronize_session=False)
        )
        async with self._db.transaction() as session:
            await require_lead(session, lease)
            row = await session.scalar(begun)
            if row is None:
                return None
            if row.attempts > MOST_ATTEMPTS + 1:
                killed = {
                    "state": "failed",
                    "ended_at": self._clock(),
                    "note": f"begun {row.attempts - 1} times, and never ended",
                }
                await session.execute(update(SlackInboxRow).where(SlackInboxRow.id == item).values(killed))
                session.wake(SLACK)
                return None
            return _received(row)

    async def done(self, item: str, note: str = "", *, lease: Lease | None = None) -> None:
        await self._end(item, "done", note, lease)

    async def failed(self, item: str, note: str, *, lease: Lease | None = None) -> None:
        """For good: its lane goes on without it."""
        await self._end(item, "failed", note, lease)

    async def again(
        self, item: str, after_s: float, note: str, *, lease: Lease | None = None, patience: timedelta = timedelta(0)
    ) -> bool:
        """Its lane waits so long for it. False: it was begun too often and has failed instead. With `patience` it is begun as
        often as it takes, until so long after it came: what it needs was away, which says nothing about the item."""
        async with self._db.transaction() as session:
            if lease is not None:
                await require_lead(session, lease)
            row = await session.get(SlackInboxRow, item, with_for_update=True)
            if row is None or row.state != "waiting":
                return True
            row.note = one_line(note, 500)
            if row.attempts >= MOST_ATTEMPTS and self._clock() - row.received_at < patience:
                row.attempts = MOST_ATTEMPTS - 1
            if row.attempts >= MOST_ATTEMPTS:
                row.state, row.ended_at = "failed", self._clock()
                ENDED.labels("failed").inc()
                session.wake(SLACK)
                return False
            row.not_before = self._clock() + timedelta(seconds=after_s)
            return True

    async def homes(self, since: datetime, limit: int = 500) -> tuple[tuple[str, str], ...]:
        """(team, user) of whoever has opened the Home tab since then, the latest first."""
        query = (
            select(SlackInboxRow.team, SlackInboxRow.lane)
            .where(SlackInboxRow.kind == "home", SlackInboxRow.received_at > since)
            .group_by(SlackInboxRow.team, SlackInboxRow.lane)
            .order_by(func.max(SlackInboxRow.received_at).desc())
        )
        async with self._db.read() as session:
            rows = await session.execute(query.limit(limit))
            return tuple((team, lane.removeprefix(f"{team}/")) for team, lane in rows)

    async def beside(self, team: str, lane: str) -> str:
        """The channel that was open beside the assistant's thread of this lane last; "" for none."""
        kinds = ("assistant_started", "assistant_looks")
        query = select(SlackInboxRow.payload).where(
            SlackInboxRow.team == team, SlackInboxRow.lane == lane, SlackInboxRow.kind.in_(kinds)
        )
        newest = (SlackInboxRow.position.desc(), SlackInboxRow.received_at.desc())
        async with self._db.read() as session:
            payload = await session.scalar(query.order_by(*newest).limit(1))
        told: dict[str, dict[str, str]] = orjson.loads(payload) if payload else {}
        return told.get("context", {}).get("channel_id", "")

    async def backlog(self) -> Backlog:
        """A pause before another attempt counts as waiting."""
        row = SlackInboxRow
        async with self._db.read() as session:
            return await backlog(
                session,
                waits=row.state == "waiting",
                since=row.received_at,
                state=row.state,
                ended=row.ended_at,
                now=self._clock(),
            )

    async def watch(self) -> AsyncGenerator[None]:
        """At once, whenever something may be due, and every 5 s."""
        async with aclosing(wakes(self._wakeups, SLACK)) as bells:
            async for _ in bells:
                yield None

    async def _end(self, item: str, state: str, note: str, lease: Lease | None) -> None:
        ended = {"state": state, "note": one_line(note, 500), "ended_at": self._clock()}
        async with self._db.transaction() as session:
            if lease is not None:
                await require_lead(session, lease)
            waits = (SlackInboxRow.id == item, SlackInboxRow.state == "waiting")
            moved = update(SlackInboxRow).where(*waits).values(ended).returning(SlackInboxRow.received_at)
            since = await session.scalar(moved.execution_options(synchronize_session=False))
        if since is not None:
            ENDED.labels(state).inc()
            SECONDS.observe(max(0.0, (self._clock() - since).total_seconds()))


async def forget_inbox(session: Session, now: datetime, limit: int) -> int:
    """For retention: at most `limit` of what ended long ago. Returns how many went."""
    done = and_(SlackInboxRow.state == "done", SlackInboxRow.ended_at < now - KEEP_DONE)
    failed = and_(SlackInboxRow.state == "failed", SlackInboxRow.ended_at < now - KEEP_FAILED)
    old = select(SlackInboxRow.id).where(or_(done, failed)).limit(limit)
    forgotten = delete(SlackInboxRow).where(SlackInboxRow.id.in_(old)).returning(SlackInboxRow.id)
    return len((await session.scalars(forgotten.execution_options(synchronize_session=False))).all())


def _json(value: dict[str, Any] | list[str]) -> bytes:
    """What is no Unicode (half of a pair, which Slack's JSON can hold) becomes a question mark: a broken character must not
    keep the item out. Raises ValueError for NaN."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")


def _received(row: SlackInboxRow) -> Received:
    return Received(
        id=row.id,
        team=row.team,
        kind=row.kind,
        lane=row.lane,
        position=row.position,
        payload=orjson.loads(row.payload),
        attempts=row.attempts,
        received_at=row.received_at,
        note=row.note,
    )
