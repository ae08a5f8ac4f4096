"""Messages of ours in Slack, by what they show: at most one for each key, which is what makes a post an update later."""

from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from control_plane.clock import Clock, utc_now
from control_plane.database import Database, Session
from control_plane.leases import Lease
from control_plane.slack.lead import require_lead
from control_plane.tables.base import DEFAULT_TENANT
from control_plane.tables.slack import SlackPostRow
from protocol.base import Value
from protocol.ids import new_id

KEEP_ALONE = timedelta(days=90)


class Post(Value):
    id: str
    """Also the nonce in the message's metadata."""
    team: str
    key: str
    channel: str
    thread: str | None
    """Id of our Thread."""
    ts: str = ""
    """"" while it has not been posted for certain."""
    streaming: bool = False
    """A stream was opened for it and has not been closed for certain."""
    shown: str = ""
    """Content.hash of what Slack has; "" when that is not known."""
    posted_at: datetime | None = None
    updated_at: datetime


class Posts:
    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._db = database
        self._clock = clock

    async def get(self, team: str, key: str) -> Post | None:
        async with self._db.read() as session:
            return await post_of(session, team, key)

    async def by_id(self, post: str) -> Post | None:
        """By the nonce in a message's metadata, or in a button."""
        async with self._db.read() as session:
            row = await session.get(SlackPostRow, post)
            return _post(row) if row is not None else None

    async def at(self, team: str, channel: str, ts: str) -> Post | None:
        """Which message of ours this is."""
        query = select(SlackPostRow).where(
            SlackPostRow.team == team, SlackPostRow.channel == channel, SlackPostRow.ts == ts, SlackPostRow.ts != ""
        )
        async with self._db.read() as session:
            row = await session.scalar(query.limit(1))
            return _post(row) if row is not None else None

    async def reserve(self, team: str, key: str, channel: str, thread: str | None, *, lease: Lease) -> Post:
        """Before the first call to Slack about it. The same again gives the one that is there. Raises LeaseLost."""
        async with self._db.transaction() as session:
            await require_lead(session, lease)
            post, _ = await reserved(session, team, key, channel, thread, at=self._clock())
            return post

    async def release(self, post: str, *, lease: Lease) -> None:
        """Slack has refused it for certain, or was not asked: nobody need look for it. One with a ts stays. As `reserve`."""
        mine = (SlackPostRow.id == post, SlackPostRow.ts == "", SlackPostRow.streaming.is_(False))
        async with self._db.transaction() as session:
            await require_lead(session, lease)
            await session.execute(delete(SlackPostRow).where(*mine))

    async def posted(self, post: str, ts: str, shown: str = "", *, lease: Lease) -> None:
        """It is there for certain: posted, or found again by its nonce."""
        now = self._clock()
        async with self._db.transaction() as session:
            await require_lead(session, lease)
            row = await session.get(SlackPostRow, post, with_for_update=True)
            if row is not None:
                row.ts, row.shown, row.posted_at, row.updated_at = ts, shown, row.posted_at or now, now

    async def streaming(self, post: str, ts: str, *, lease: Lease) -> None:
        """A stream was opened, and this is its message."""
        now = self._clock()
        async with self._db.transaction() as session:
            await require_lead(session, lease)
            row = await session.get(SlackPostRow, post, with_for_update=True)
            if row is not None:
                row.ts, row.streaming, row.shown, row.updated_at = ts, True, "", now
                row.posted_at = row.posted_at or now

    async def stream_ended(self, post: str, *, lease: Lease) -> None:
        """Closed, or known to have died."""
        async with self._db.transaction() as session:
            await require_lead(session, lease)
            ended = {"streaming": False, "updated_at": self._clock()}
            await session.execute(update(SlackPostRow).where(SlackPostRow.id == post).values(ended))

    async def streams_open(self) -> tuple[Post, ...]:
        """Oldest first. At the beginning of a lead these are orphans."""
        query = select(SlackPostRow).where(SlackPostRow.streaming).order_by(SlackPostRow.updated_at, SlackPostRow.id)
        async with self._db.read() as session:
            return tuple(map(_post, await session.scalars(query)))

    async def of_thread(self, thread: str, prefix: str = "") -> tuple[Post, ...]:
        """Those in a thread whose key begins so, oldest first."""
        query = select(SlackPostRow).where(SlackPostRow.thread == thread, SlackPostRow.key.startswith(prefix, autoescape=True))
        async with self._db.read() as session:
            return tuple(
                map(_post, await session.scalars(query.order_by(SlackPostRow.posted_at, SlackPostRow.ts, SlackPostRow.id)))
            )

    async def keyed(self, key: str) -> tuple[Post, ...]:
        """Of every workspace: an approval's cards, wherever they are."""
        async with self._db.read() as session:
            query = select(SlackPostRow).where(SlackPostRow.key == key).order_by(SlackPostRow.team)
            return tuple(map(_post, await session.scalars(query)))


async def post_of(session: Session, team: str, key: str) -> Post | None:
    row = await session.scalar(select(SlackPostRow).where(SlackPostRow.team == team, SlackPostRow.key == key))
    return _post(row) if row is not None else None


async def reserved(
    session: Session, team: str, key: str, channel: str, thread: str | None, *, at: datetime
) -> tuple[Post, bool]:
    """(the post of this key, is it new?)"""
    row = {
        "tenant_id": DEFAULT_TENANT,
        "id": new_id(),
        "team": team,
        "key": key,
        "channel": channel,
        "thread": thread,
        "ts": "",
        "streaming": False,
        "shown": "",
        "updated_at": at,
    }
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    new = await session.scalar(insert(SlackPostRow).values(row).on_conflict_do_nothing().returning(SlackPostRow.id))
    found = await session.scalar(select(SlackPostRow).where(SlackPostRow.team == team, SlackPostRow.key == key))
    if found is None:
        raise RuntimeError(f"the post {key} of {team} vanished while it was reserved")
    return _post(found), new is not None


async def unreserve(session: Session, team: str, key: str) -> None:
    """Slack has refused it for certain, so that nobody need look for it."""
    mine = (SlackPostRow.team == team, SlackPostRow.key == key, SlackPostRow.ts == "", SlackPostRow.streaming.is_(False))
    await session.execute(delete(SlackPostRow).where(*mine))


async def forget_posts(session: Session, now: datetime, limit: int) -> int:
    """For retention: at most `limit` of what is in no thread, such as digests, and was changed long ago; the others go with
    their conversation. Returns how many went."""
    alone = (SlackPostRow.thread.is_(None), SlackPostRow.streaming.is_(False), SlackPostRow.updated_at < now - KEEP_ALONE)
    old = select(SlackPostRow.id).where(*alone).limit(limit)
    forgotten = delete(SlackPostRow).where(SlackPostRow.id.in_(old)).returning(SlackPostRow.id)
    return len((await session.scalars(forgotten.execution_options(synchronize_session=False))).all())


def _post(row: SlackPostRow) -> Post:
    return Post(
        id=row.id,
        team=row.team,
        key=row.key,
        channel=row.channel,
        thread=row.thread,
        ts=row.ts,
        streaming=row.streaming,
        shown=row.shown,
        posted_at=row.posted_at,
        updated_at=row.updated_at,
    )
