"""What messages shall look like: desired state, one waiting row a key, served in order within a channel.

Anybody puts, in the transaction of what it tells of. One replica sends: it takes a row by `sending`, calls Slack, and says what
came of it. A row that stays `sending` when the lead changes hands is uncertain: a call may have reached Slack. So is one whose
answer got lost. The post's id travels in the message's metadata, so that the sender can look before it posts again.
"""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime, timedelta

import structlog
from prometheus_client import Counter, Histogram
from sqlalchemy import Select, and_, case, delete, func, or_, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from control_plane.clock import Clock, utc_now
from control_plane.database import Database, Session
from control_plane.errors import Invalid
from control_plane.leases import Lease
from control_plane.slack.backlog import Backlog, backlog
from control_plane.slack.content import Content, FileRef
from control_plane.slack.lead import require_lead
from control_plane.slack.posts import Post, post_of, reserved, unreserve
from control_plane.tables.base import DEFAULT_TENANT
from control_plane.tables.slack import SlackOutboxRow, SlackPostRow, SlackThreadRow
from control_plane.wakeups import SLACK_OUTBOX, Wakeups, wakes
from protocol.base import Value
from protocol.canonical import canonical_json
from protocol.text import one_line

__all__ = ["Content", "FileRef", "Outbox", "Outgoing", "drop_of", "forget_outbox"]

log = structlog.get_logger(__name__)
ENDED = Counter("opsthread_slack_messages", "What Slack was to show, by how it ended", ["end"])
SECONDS = Histogram(
    "opsthread_slack_message_seconds",
    "From when a message was due to look so until Slack has it",
    buckets=(0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800),
)

MOST_BYTES = 200_000
"""Of a content. Slack takes about 13 kB of blocks; more is a fault of who builds them."""
MOST_KEY = 120
KEEP_ENDED = timedelta(days=3)
LONGEST_PAUSE = timedelta(minutes=15)
"""Nobody asks for more between two attempts."""
_RACES = 5
_OPEN = ("waiting", "sending")
_TS = re.compile(r"[0-9]+\.[0-9]+")
_WAITING = text("state = 'waiting'")
"""The condition of the unique index, word by word: a parameter is not recognised once PostgreSQL has a prepared statement."""


class Outgoing(Value):
    number: int
    team: str
    channel: str
    thread: str | None
    """Id of our Thread; its thread_ts is looked up at sending."""
    thread_ts: str | None = None
    """None: no thread, or one whose first message this will be."""
    key: str
    content: Content
    state: str
    attempts: int
    """How often it was taken for sending."""
    created_at: datetime
    note: str = ""
    post: Post | None = None
    """The message that shows it, in the channel where it is. None while it only waits, and for what is ephemeral."""
    uncertain: bool = False
    """An earlier call may have posted it although we don't know its ts: look for `post.id` before posting."""


class Outbox:
    def __init__(self, database: Database, wakeups: Wakeups, *, clock: Clock = utc_now) -> None:
        self._db = database
        self._wakeups = wakeups
        self._clock = clock

    async def put(
        self,
        session: Session,
        *,
        team: str,
        channel: str,
        thread: str | None,
        key: str,
        content: Content,
        not_before: datetime | None = None,
    ) -> None:
        """In the caller's transaction. Takes the place of a row that waits for the same key, and its turn. Raises Invalid when
        it is too large."""
        if not key or len(key) > MOST_KEY:
            raise Invalid(f"{one_line(key, 60)!r} is no key of a message: 1 to {MOST_KEY} characters")
        plain = canonical_json(content.model_dump(mode="json"))
        if len(plain) > MOST_BYTES:
            raise Invalid(f"the content of {one_line(key, 120)} has {len(plain)} bytes, over {MOST_BYTES}; cap it before")
        now = self._clock()
        due = not_before or now
        row = {
            "tenant_id": DEFAULT_TENANT,
            "team": team,
            "channel": channel,
            "thread": thread,
            "key": key,
            "content": plain.decode(),
            "state": "waiting",
            "attempts": 0,
            "not_before": due,
            "created_at": now,
            "note": "",
        }
        insert = postgresql.insert if self._db.dialect == "postgresql" else sqlite.insert
        new = insert(SlackOutboxRow).values(row)
        # A pause that Slack has asked for holds for newer content too.
        paused = and_(SlackOutboxRow.attempts > 0, SlackOutboxRow.not_before > new.excluded.not_before)
        replaced = {
            "channel": new.excluded.channel,
            "thread": new.excluded.thread,
            "content": new.excluded.content,
            "not_before": case((paused, SlackOutboxRow.not_before), else_=new.excluded.not_before),
            # What is scheduled for later holds up nothing, whatever its earlier content went through.
            "attempts": case((~paused, 0), else_=SlackOutboxRow.attempts) if due > now else SlackOutboxRow.attempts,
        }
        await session.execute(
            new.on_conflict_do_update(
                index_elements=[SlackOutboxRow.team, SlackOutboxRow.key],
                index_where=_WAITING,
                set_=replaced,
            )
        )
        session.wake(SLACK_OUTBOX)

    async def put_now(
        self,
        *,
        team: str,
        channel: str,
        thread: str | None,
        key: str,
        content: Content,
        not_before: datetime | None = None,
    ) -> None:
        """In a transaction of its own."""
        async with self._db.transaction() as session:
            await self.put(session, team=team, channel=channel, thread=thread, key=key, content=content, not_before=not_before)

    async def thread_of(self, team: str, key: str) -> str | None:
        """The thread that a message is put into, or was lately."""
        query = select(SlackOutboxRow.thread).where(SlackOutboxRow.team == team, SlackOutboxRow.key == key)
        async with self._db.read() as session:
            return await session.scalar(query.order_by(SlackOutboxRow.number.desc()).limit(1))

    async def due(self, limit: int = 200) -> tuple[Outgoing, ...]:
        """The first open row of each channel, oldest first, when it waits and its time has come. One that was tried and
        pauses holds up its channel, and so does one that is being sent; one that is only scheduled for later doesn't."""
        now = self._clock()
        # Longer than any pause: the clock was set back since. Nothing waits until it has caught up.
        ahead = now + LONGEST_PAUSE
        set_back = or_(SlackOutboxRow.created_at > ahead, and_(SlackOutboxRow.attempts > 0, SlackOutboxRow.not_before > ahead))
        scheduled = and_(SlackOutboxRow.attempts == 0, SlackOutboxRow.not_before > now, ~set_back)
        first = func.min(SlackOutboxRow.number)
        heads = (
            select(first.label("number"))
            .where(SlackOutboxRow.state.in_(_OPEN), ~and_(SlackOutboxRow.state == "waiting", scheduled))
            .group_by(SlackOutboxRow.team, SlackOutboxRow.channel)
            .subquery()
        )
        query = (
            _with_thread()
            .join(heads, heads.c.number == SlackOutboxRow.number)
            .where(SlackOutboxRow.state == "waiting", or_(SlackOutboxRow.not_before <= now, set_back))
            .order_by(SlackOutboxRow.number)
        )
        async with self._db.read() as session:
            return tuple(_outgoing(row, ts) for row, ts in (await session.execute(query.limit(limit))).all())

    async def sending(self, number: int, lease: Lease) -> Outgoing | None:
        """Right before the call to Slack: takes the row as it is NOW (newer content may have replaced what `due` gave), and
        reserves its post. None when it does not wait any more. Raises LeaseLost."""
        now = self._clock()
        async with self._db.transaction() as session:
            await require_lead(session, lease)
            row = await session.get(SlackOutboxRow, number, with_for_update=True)
            if row is None or row.state != "waiting":
                return None
            row.state, row.attempts = "sending", row.attempts + 1
            taken = _outgoing(row, await _thread_ts(session, row.thread))
            if taken.content.ephemeral_to:
                return taken
            post, new = await reserved(session, row.team, row.key, row.channel, row.thread, at=now)
            return taken.model_copy(update={"post": post, "uncertain": not new and not post.ts})

    async def resume(self, number: int, lease: Lease) -> Outgoing | None:
        """A row that was left `sending`, by the leader before or by a task of ours that failed: as it is now, uncertain when
        its post has no ts. None when it is not being sent any more. Raises LeaseLost."""
        now = self._clock()
        async with self._db.transaction() as session:
            await require_lead(session, lease)
            row = await session.get(SlackOutboxRow, number, with_for_update=True)
            if row is None or row.state != "sending":
                return None
            row.attempts += 1
            left = _outgoing(row, await _thread_ts(session, row.thread))
            if left.content.ephemeral_to:
                return left.model_copy(update={"uncertain": True})
            post, _ = await reserved(session, row.team, row.key, row.channel, row.thread, at=now)
            return left.model_copy(update={"post": post, "uncertain": not post.ts})

    async def sent(self, number: int, ts: str, shown: str, lease: Lease) -> None:
        """Slack has it: ends the row, and its post is there for certain, in one transaction. The first message of a thread that
        has none opens it. `shown` is Content.hash of what was sent. Raises LeaseLost."""
        now = self._clock()
        async with self._db.transaction() as session:
            await require_lead(session, lease)
            # Only what was taken: a row that still waits may hold newer content than its caller has seen.
            row = await self._ended(session, number, "done", "", ("sending",))
            if row is None:
                return
            content = Content.model_validate_json(row.content)
            mine = (SlackPostRow.team == row.team, SlackPostRow.key == row.key)
            if content.delete:
                await session.execute(delete(SlackPostRow).where(*mine))
            elif not content.ephemeral_to:
                there = {
                    "ts": ts,
                    "shown": shown,
                    "updated_at": now,
                    "posted_at": func.coalesce(SlackPostRow.posted_at, now),
                }
                await session.execute(update(SlackPostRow).where(*mine).values(there))
                await _opens(session, row.thread, ts, now)

    async def again(
        self, number: int, after_s: float, note: str, lease: Lease, *, uncertain: bool = False, counts: bool = True
    ) -> None:
        """It did not work, and is tried again after so long; what was put meanwhile takes its place. `uncertain`: Slack may
        have it all the same. Otherwise it is certain that it has not. Without `counts` it is no attempt more: Slack has not
        looked at it. Raises LeaseLost."""
        for race in range(_RACES):
            try:
                await self._again(number, after_s, note, lease, uncertain, counts)
                return
            except IntegrityError:  # somebody has just put newer content under the same key
                if race == _RACES - 1:
                    raise

    async def failed(self, number: int, note: str, lease: Lease, *, uncertain: bool = False) -> None:
        """For good. What waits behind it goes on. Raises LeaseLost."""
        async with self._db.transaction() as session:
            await require_lead(session, lease)
            row = await self._ended(session, number, "failed", note)
            if row is not None and not uncertain:
                await unreserve(session, row.team, row.key)

    async def dropped(self, number: int, lease: Lease, note: str = "") -> None:
        """It is not to be shown any more. Raises LeaseLost."""
        async with self._db.transaction() as session:
            await require_lead(session, lease)
            await self._ended(session, number, "dropped", note)

    async def uncertain(self) -> tuple[Outgoing, ...]:
        """Rows that are being sent, in order. At the beginning of a lead: what the leader before may or may not have sent;
        later also what a failed task has left, which holds up its channel. `resume` each that nobody of ours is sending; one
        that is uncertain is looked for by `post.id`; then `sent` or `again`."""
        query = _with_thread().where(SlackOutboxRow.state == "sending").order_by(SlackOutboxRow.number)
        async with self._db.read() as session:
            found = [_outgoing(row, ts) for row, ts in (await session.execute(query)).all()]
            posts = [await post_of(session, one.team, one.key) for one in found]
        return tuple(
            one.model_copy(update={"post": post, "uncertain": post is None or not post.ts})
            for one, post in zip(found, posts, strict=True)
        )

    async def backlog(self) -> Backlog:
        now, row = self._clock(), SlackOutboxRow
        async with self._db.read() as session:
            return await backlog(
                session,
                waits=and_(row.state.in_(_OPEN), or_(row.attempts > 0, row.not_before <= now)),
                since=row.created_at,
                state=row.state,
                ended=row.ended_at,
                now=now,
            )

    async def watch(self) -> AsyncGenerator[None]:
        """At once, whenever something may be due, and every 5 s."""
        async with aclosing(wakes(self._wakeups, SLACK_OUTBOX)) as bells:
            async for _ in bells:
                yield None

    async def _again(self, number: int, after_s: float, note: str, lease: Lease, uncertain: bool, counts: bool) -> None:
        async with self._db.transaction() as session:
            await require_lead(session, lease)
            row = await session.get(SlackOutboxRow, number, with_for_update=True)
            if row is None or row.state not in _OPEN:
                return
            newer = await session.scalar(
                select(SlackOutboxRow)
                .where(SlackOutboxRow.team == row.team, SlackOutboxRow.key == row.key, SlackOutboxRow.number != number)
                .where(SlackOutboxRow.state == "waiting")
                .with_for_update()
            )
            if newer is not None:
                row.content, row.channel, row.thread = newer.content, newer.channel, newer.thread
                newer.state, newer.ended_at, newer.note = "dropped", self._clock(), f"its content went into {number}"
                await session.flush()  # before the other one waits again: one of them at a time
            row.state, row.note = "waiting", one_line(note, 500)
            row.attempts = row.attempts if counts else max(1, row.attempts - 1)
            row.not_before = self._clock() + timedelta(seconds=after_s)
            if not uncertain:
                await unreserve(session, row.team, row.key)
            session.wake(SLACK_OUTBOX)

    async def _ended(
        self, session: Session, number: int, state: str, note: str, from_states: tuple[str, ...] = _OPEN
    ) -> SlackOutboxRow | None:
        row = await session.get(SlackOutboxRow, number, with_for_update=True)
        if row is None or row.state not in from_states:
            return None
        now = self._clock()
        row.state, row.note, row.ended_at = state, one_line(note, 500), now
        session.wake(SLACK_OUTBOX)
        # At the first attempt not_before is when it was due; later it is when a pause was over.
        _count(state, now - (row.not_before if row.attempts == 1 else row.created_at))
        return row


async def drop_of(session: Session, team: str, why: str, now: datetime) -> int:
    """The workspace is closed to us: what it was to show is not. Returns how many rows that were."""
    mine = (SlackOutboxRow.team == team, SlackOutboxRow.state.in_(_OPEN))
    dropped = update(SlackOutboxRow).where(*mine).values(state="dropped", note=one_line(why, 500), ended_at=now)
    gone = await session.scalars(dropped.returning(SlackOutboxRow.number).execution_options(synchronize_session=False))
    return len(gone.all())


async def forget_outbox(session: Session, now: datetime, limit: int) -> int:
    """For retention: at most `limit` of what ended long ago. Returns how many went."""
    ended = (SlackOutboxRow.state.not_in(_OPEN), SlackOutboxRow.ended_at < now - KEEP_ENDED)
    old = select(SlackOutboxRow.number).where(*ended).limit(limit)
    forgotten = delete(SlackOutboxRow).where(SlackOutboxRow.number.in_(old)).returning(SlackOutboxRow.number)
    return len((await session.scalars(forgotten.execution_options(synchronize_session=False))).all())


def _count(end: str, took: timedelta) -> None:
    ENDED.labels(end).inc()
    if end == "done":
        SECONDS.observe(max(0.0, took.total_seconds()))


def _with_thread() -> Select[SlackOutboxRow, str | None]:
    return select(SlackOutboxRow, SlackThreadRow.thread_ts).outerjoin(
        SlackThreadRow, SlackThreadRow.id == SlackOutboxRow.thread
    )


async def _thread_ts(session: Session, thread: str | None) -> str | None:
    if thread is None:
        return None
    return await session.scalar(select(SlackThreadRow.thread_ts).where(SlackThreadRow.id == thread))


async def _opens(session: Session, thread: str | None, ts: str, now: datetime) -> None:
    if thread is None or not _TS.fullmatch(ts):  # of a file Slack may tell no time at which it is shown
        return
    unopened = (SlackThreadRow.id == thread, SlackThreadRow.thread_ts.is_(None))
    try:
        async with session.begin_nested():
            await session.execute(update(SlackThreadRow).where(*unopened).values(thread_ts=ts, updated_at=now))
    except IntegrityError:
        # Somebody has asked under the message before we knew its ts: that is a thread of its own now. What follows of ours
        # opens another; the message itself was sent, which is what counts here.
        log.warning("a thread was begun under a message of ours before it was known", thread=thread)


def _outgoing(row: SlackOutboxRow, thread_ts: str | None) -> Outgoing:
    return Outgoing(
        number=row.number,
        team=row.team,
        channel=row.channel,
        thread=row.thread,
        thread_ts=thread_ts,
        key=row.key,
        content=Content.model_validate_json(row.content),
        state=row.state,
        attempts=row.attempts,
        created_at=row.created_at,
        note=row.note,
    )
