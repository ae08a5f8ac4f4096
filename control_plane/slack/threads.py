"""A thread is a conversation: which is which, and up to where its log has become messages."""

import re
from collections.abc import Collection
from datetime import datetime
from hashlib import sha256
from typing import Any, Literal, cast

from sqlalchemy import Select, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from control_plane.clock import Clock, utc_now
from control_plane.conversations import Conversations
from control_plane.database import Database, Session
from control_plane.errors import Conflict, NotFound
from control_plane.leases import Lease
from control_plane.principals import Principal
from control_plane.slack.lead import require_lead
from control_plane.tables.base import DEFAULT_TENANT
from control_plane.tables.conversations import ConversationRow, TurnRow
from control_plane.tables.slack import SlackOutboxRow, SlackPostRow, SlackThreadRow
from control_plane.turns import OPEN
from control_plane.wakeups import LISTS
from protocol.base import Value
from protocol.events import Language
from protocol.ids import new_id
from protocol.text import one_line

ThreadKind = Literal["channel", "direct", "assistant", "alert"]


class Thread(Value):
    id: str
    team: str
    channel: str
    thread_ts: str | None
    """None until its first message, which is ours, has been posted."""
    conversation: str
    kind: ThreadKind
    follow: bool
    language: Language
    started_by: str
    """Slack's id of a person; "" for us."""
    recipient: str
    """Who asked last: streams in channels name a recipient."""
    rendered: int
    """Up to which entry of the log the outbox has what is to be shown."""
    created_at: datetime


class Behind(Value):
    """A thread whose conversation says more than its messages."""

    thread: Thread
    last_seq: int


class _Beaten(Exception):
    """Somebody else's thread is there already."""


class Threads:
    def __init__(self, database: Database, conversations: Conversations, *, clock: Clock = utc_now) -> None:
        self._db = database
        self._conversations = conversations
        self._clock = clock

    async def find(self, team: str, channel: str, ts: str) -> Thread | None:
        query = select(SlackThreadRow).where(
            SlackThreadRow.team == team, SlackThreadRow.channel == channel, SlackThreadRow.thread_ts == ts
        )
        return await self._one(query)

    async def of_conversation(self, conversation: str) -> Thread | None:
        return await self._one(select(SlackThreadRow).where(SlackThreadRow.conversation == conversation))

    async def get(self, thread: str) -> Thread | None:
        return await self._one(select(SlackThreadRow).where(SlackThreadRow.id == thread))

    async def direct_channel(self, team: str, user: str) -> str | None:
        """Where this person has asked the bot directly; None when they never did."""
        query = select(SlackThreadRow.channel).where(
            SlackThreadRow.team == team, SlackThreadRow.started_by == user, SlackThreadRow.kind.in_(("direct", "assistant"))
        )
        async with self._db.read() as session:
            return await session.scalar(query.order_by(SlackThreadRow.created_at.desc()).limit(1))

    async def start(
        self,
        *,
        team: str,
        channel: str,
        thread_ts: str | None,
        conversation: str,
        kind: ThreadKind,
        follow: bool = False,
        language: Language = "en",
        started_by: str = "",
        recipient: str = "",
        rendered: int = 0,
    ) -> Thread:
        """For a conversation that is there. When the thread is a conversation already, or the conversation a thread, gives
        that one: look at what you were given. Raises NotFound (conversation)."""
        new = self._new(team, channel, thread_ts, conversation, kind, follow, language, started_by, recipient, rendered)
        try:
            async with self._db.transaction() as session:
                await self._insert(session, new)
                return _thread(await _there(session, new))
        except IntegrityError:
            raise NotFound(f"there is no conversation {one_line(conversation, 40)!r}") from None

    async def start_with(
        self,
        principal: Principal,
        *,
        cluster: str,
        namespaces: tuple[str, ...] | None,
        title: str = "",
        team: str,
        channel: str,
        thread_ts: str | None,
        kind: ThreadKind,
        follow: bool = False,
        language: Language = "en",
        started_by: str = "",
        recipient: str = "",
        once: str = "",
    ) -> Thread:
        """A new conversation of `principal` and its thread, in one transaction: of two that race, both get the thread of the
        first, and no conversation is left over. `once`, such as the id of an item of the inbox, makes the same call again give
        the same thread where no thread_ts does. Raises NotFound (cluster), Forbidden (namespaces)."""
        if thread_ts is not None and (found := await self.find(team, channel, thread_ts)) is not None:
            return found
        chosen = new_id(lambda count: sha256(f"{team}/{once}".encode()).digest()[:count]) if once else ""
        if chosen and (found := await self.of_conversation(chosen)) is not None:
            return found
        made = await self._conversations.prepared(principal, cluster=cluster, namespaces=namespaces, title=title)
        made.id = chosen or made.id
        new = self._new(team, channel, thread_ts, made.id, kind, follow, language, started_by, recipient, 0)
        try:
            async with self._db.transaction() as session:
                session.add(made)
                await session.flush()
                if not await self._insert(session, new):
                    raise _Beaten
                session.wake(LISTS)
                return _thread(await _there(session, new))
        except (_Beaten, IntegrityError):  # the latter: the same `once` has made the conversation at the same time
            async with self._db.read() as session:
                return _thread(await _there(session, new))

    async def start_in(
        self,
        session: Session,
        *,
        team: str,
        channel: str,
        conversation: str,
        kind: ThreadKind,
        follow: bool = False,
        language: Language = "en",
    ) -> Thread:
        """A thread without a message yet, in the transaction that puts its first one: nothing can come before that. When the
        conversation is a thread already, gives that one. Raises Conflict when it was removed meanwhile."""
        new = self._new(team, channel, None, conversation, kind, follow, language, "", "", 0)
        await self._insert(session, new)
        return _thread(await _there(session, new))

    async def posted(self, thread: str, ts: str, *, lease: Lease) -> None:
        """Its first message is there. `Outbox.sent` does this by itself; here for a stream that opens a thread."""
        async with self._db.transaction() as session:
            await require_lead(session, lease)
            unopened = (SlackThreadRow.id == thread, SlackThreadRow.thread_ts.is_(None))
            await session.execute(update(SlackThreadRow).where(*unopened).values(thread_ts=ts, updated_at=self._clock()))

    async def follow(self, thread: str, on: bool) -> None:
        """Answer here without a mention, or not."""
        await self._set(thread, follow=on)

    async def recipient(self, thread: str, user: str) -> None:
        await self._set(thread, recipient=user)

    async def behind(self, limit: int = 200) -> tuple[Behind, ...]:
        """Whose conversations say more than their messages; longest untouched first."""
        query = (
            select(SlackThreadRow, ConversationRow.last_seq)
            .join(ConversationRow, ConversationRow.id == SlackThreadRow.conversation)
            .where(ConversationRow.last_seq > SlackThreadRow.rendered)
            .order_by(ConversationRow.updated_at, SlackThreadRow.id)
        )
        async with self._db.read() as session:
            return tuple(
                Behind(thread=_thread(row), last_seq=last) for row, last in (await session.execute(query.limit(limit))).all()
            )

    async def busy(self, limit: int = 200) -> tuple[Thread, ...]:
        """Those in which a question waits or is being answered: their live text is worth following."""
        asked = select(TurnRow.id).where(TurnRow.conversation == SlackThreadRow.conversation, TurnRow.state.in_(OPEN))
        query = select(SlackThreadRow).where(asked.exists()).order_by(SlackThreadRow.updated_at, SlackThreadRow.id)
        async with self._db.read() as session:
            return tuple(map(_thread, await session.scalars(query.limit(limit))))

    async def advance(self, session: Session, thread: str, from_seq: int, to_seq: int) -> None:
        """In the transaction that puts what the entries up to `to_seq` show. Raises Conflict when another has done so: then
        nothing of the transaction stays."""
        moved = await session.scalar(
            update(SlackThreadRow)
            .where(SlackThreadRow.id == thread, SlackThreadRow.rendered == from_seq)
            .values(rendered=to_seq, updated_at=self._clock())
            .returning(SlackThreadRow.id)
            .execution_options(synchronize_session=False)
        )
        if moved is None:
            raise Conflict(f"thread {thread} is not at entry {from_seq} any more; read it again")

    async def among(self, threads: Collection[str]) -> tuple[Thread, ...]:
        async with self._db.read() as session:
            rows = await session.scalars(select(SlackThreadRow).where(SlackThreadRow.id.in_(list(threads))))
            return tuple(map(_thread, rows))

    async def _one(self, query: Select[SlackThreadRow]) -> Thread | None:
        async with self._db.read() as session:
            row = await session.scalar(query)
            return _thread(row) if row is not None else None

    async def _set(self, thread: str, **values: bool | str) -> None:
        async with self._db.transaction() as session:
            await session.execute(
                update(SlackThreadRow).where(SlackThreadRow.id == thread).values(updated_at=self._clock(), **values)
            )

    def _new(
        self,
        team: str,
        channel: str,
        thread_ts: str | None,
        conversation: str,
        kind: ThreadKind,
        follow: bool,
        language: Language,
        started_by: str,
        recipient: str,
        rendered: int,
    ) -> dict[str, Any]:
        now = self._clock()
        return {
            "tenant_id": DEFAULT_TENANT,
            "id": new_id(),
            "team": team,
            "channel": channel,
            "thread_ts": thread_ts,
            "conversation": conversation,
            "kind": kind,
            "follow": follow,
            "language": language,
            "started_by": started_by,
            "recipient": recipient,
            "rendered": rendered,
            "created_at": now,
            "updated_at": now,
        }

    async def _insert(self, session: Session, new: dict[str, Any]) -> bool:
        insert = postgresql.insert if self._db.dialect == "postgresql" else sqlite.insert
        made = insert(SlackThreadRow).values(new).on_conflict_do_nothing().returning(SlackThreadRow.id)
        return await session.scalar(made) is not None


async def forget_thread_of(session: Session, conversation: str) -> None:
    """For retention: what Slack shows stays there, and is nobody's any more. A question under it begins a new conversation."""
    mine = select(SlackThreadRow.id).where(SlackThreadRow.conversation == conversation)
    await session.execute(delete(SlackOutboxRow).where(SlackOutboxRow.thread.in_(mine)))
    await session.execute(delete(SlackPostRow).where(SlackPostRow.thread.in_(mine)))
    await session.execute(delete(SlackThreadRow).where(SlackThreadRow.conversation == conversation))


def permalink(workspace_url: str, channel: str, ts: str, thread_ts: str | None = None) -> str:
    """Where a message is read in Slack, without asking Slack. "" when its workspace's address is not known. Pure."""
    if not workspace_url.startswith("https://") or _TS.fullmatch(ts) is None or _CHANNEL.fullmatch(channel) is None:
        return ""
    link = f"{workspace_url.rstrip('/')}/archives/{channel}/p{ts.replace('.', '')}"
    return f"{link}?thread_ts={thread_ts}&cid={channel}" if thread_ts and thread_ts != ts else link


_TS = re.compile(r"[0-9]{1,12}\.[0-9]{6}")
_CHANNEL = re.compile(r"[A-Z0-9]{1,32}")


async def _there(session: Session, new: dict[str, Any]) -> SlackThreadRow:
    """The thread of this place; else the one of this conversation."""
    place = select(SlackThreadRow).where(
        SlackThreadRow.team == new["team"],
        SlackThreadRow.channel == new["channel"],
        SlackThreadRow.thread_ts == new["thread_ts"],
    )
    row = await session.scalar(place) if new["thread_ts"] is not None else None
    row = row or await session.scalar(select(SlackThreadRow).where(SlackThreadRow.conversation == new["conversation"]))
    if row is None:
        raise Conflict(f"the thread of conversation {new['conversation']} was removed meanwhile; ask again")
    return row


def _thread(row: SlackThreadRow) -> Thread:
    return Thread(
        id=row.id,
        team=row.team,
        channel=row.channel,
        thread_ts=row.thread_ts,
        conversation=row.conversation,
        kind=cast(ThreadKind, row.kind),
        follow=row.follow,
        language=cast(Language, row.language),
        started_by=row.started_by,
        recipient=row.recipient,
        rendered=row.rendered,
        created_at=row.created_at,
    )
