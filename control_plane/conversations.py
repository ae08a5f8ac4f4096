"""Conversations, their turns and their log. The log is append-only; `seq` is taken under the conversation's row lock."""

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Literal

import structlog
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import ColumnElement, Select, bindparam, func, select

from control_plane import log, turns
from control_plane.clock import Clock, utc_now
from control_plane.database import Database
from control_plane.errors import Invalid, NotFound
from control_plane.fleet import Fleet
from control_plane.leases import Guard, unguarded
from control_plane.principals import Principal
from control_plane.reach import first_namespace, reaches
from control_plane.readers import may_read, scope_of_new
from control_plane.tables.approvals import ApprovalRow
from control_plane.tables.conversations import ConversationRow, LogEntryRow, TurnRow
from control_plane.turns import Turn
from control_plane.typed import typed
from control_plane.wakeups import LISTS, WORK, Wakeups, messages_or_silence, wakes
from protocol import subjects
from protocol.approval import ApprovalState
from protocol.base import Value
from protocol.commands import ScopeLimit
from protocol.events import AgentEvent, Language, Live, LogEntry, UserMessage, Wake
from protocol.ids import is_id, new_id
from protocol.text import one_line

__all__ = ["Conversation", "Conversations", "Door", "Turn"]

Door = Literal["web", "slack", "rest", "cli", "action", "alert"]

_CLIENT_ID = re.compile(r"[!-~]{1,100}")
_LIVE: TypeAdapter[Live] = TypeAdapter(Live)
_trace = structlog.get_logger(__name__)


class Conversation(Value):
    id: str
    title: str
    cluster: str
    scope: ScopeLimit
    """Fixed at the start: cluster and namespaces. Readers must hold all of it."""
    created_by: str
    created_by_name: str
    created_at: datetime
    updated_at: datetime
    last_seq: int
    busy: bool = False
    """A turn is queued or running."""
    open_approvals: int = 0


class Conversations:
    def __init__(
        self, database: Database, wakeups: Wakeups, fleet: Fleet, *, clock: Clock = utc_now, guard: Guard = unguarded
    ) -> None:
        """`guard` refuses, inside a claim's transaction, a replica that others have taken over from."""
        self._db = database
        self._guard = guard
        self._wakeups = wakeups
        self._fleet = fleet
        self._clock = clock

    async def create(
        self, principal: Principal, *, cluster: str, namespaces: tuple[str, ...] | None = None, title: str = ""
    ) -> Conversation:
        """Scope is what the principal sees, narrowed to `namespaces`. Raises NotFound, Forbidden."""
        row = await self.prepared(principal, cluster=cluster, namespaces=namespaces, title=title)
        async with self._db.transaction() as session:
            session.add(row)
            session.wake(LISTS)
        return _conversation(row, 0, 0)

    async def prepared(
        self, principal: Principal, *, cluster: str, namespaces: tuple[str, ...] | None = None, title: str = ""
    ) -> ConversationRow:
        """A new conversation that is not stored yet: for who adds it to a transaction of their own, which wakes LISTS. Raises
        as `create`."""
        found = await self._fleet.get(cluster, principal)
        scope = scope_of_new(principal, found.id, found.name, namespaces)
        now = self._clock()
        return ConversationRow(
            id=new_id(),
            tenant_id=principal.tenant,
            title=typed(title, 200),
            cluster=found.id,
            scope=scope.model_dump_json(),
            first_namespace=first_namespace(scope),
            created_by=principal.account,
            created_by_name=principal.name,
            created_at=now,
            updated_at=now,
            last_seq=0,
        )

    async def get(self, conversation: str, principal: Principal | None = None) -> Conversation:
        """Raises NotFound for what the principal may not read (the same as for what is not there)."""
        if not is_id(conversation):
            raise _not_found(conversation)
        async with self._db.read() as session:
            found = (await session.execute(_THIS, {"this_conversation": conversation})).one_or_none()
        if found is None:
            raise _not_found(conversation)
        row, open_turns, open_approvals = found
        if principal is not None and not may_read(row, principal):
            raise _not_found(conversation)
        return _conversation(row, open_turns, open_approvals)

    async def list(
        self, principal: Principal, *, limit: int = 50, before: str | None = None
    ) -> tuple[tuple[Conversation, ...], str | None]:
        """Newest first, with the next cursor. Raises Invalid for a cursor that is not one."""
        limit = max(1, min(limit, 200))
        readable: list[Conversation] = []
        cursor = before
        async with self._db.read() as session:
            while True:
                query = _with_counts().where(ConversationRow.tenant_id == principal.tenant, *_older_than(cursor))
                query = query.where(reaches(principal, ConversationRow.cluster, ConversationRow.first_namespace))
                query = query.order_by(ConversationRow.updated_at.desc(), ConversationRow.id.desc())
                page = (await session.execute(query.limit(limit + 1))).all()
                for found in page:
                    row, open_turns, open_approvals = found
                    if may_read(row, principal):
                        if len(readable) == limit:
                            return tuple(readable), cursor
                        readable.append(_conversation(row, open_turns, open_approvals))
                    cursor = f"{row.updated_at.isoformat()}~{row.id}"
                if len(page) <= limit:
                    return tuple(readable), None

    async def ask(
        self,
        conversation: str,
        principal: Principal,
        text: str,
        *,
        door: Door,
        language: Language,
        client_id: str | None = None,
        may_propose: bool = True,
    ) -> Turn:
        """Append user_message and queue a turn in one transaction, then wake the runtime. `client_id` makes a repeat of the
        same POST give the same turn. Raises Invalid (empty, over 20,000 characters), TooMany (over 20 queued)."""
        asked = turns.question(text)
        if client_id is not None and _CLIENT_ID.fullmatch(client_id) is None:
            raise Invalid("a client_id has 1 to 100 printable ASCII characters; make a random one for each message")
        message = UserMessage(
            text=asked.text,
            by=principal.account,
            by_name=principal.name,
            door=door,
            language=language,
            redacted=asked.count,
        )
        async with self._db.transaction() as session:
            row = await log.lock(session, conversation)
            if not may_read(row, principal):
                raise _not_found(conversation)
            return await turns.queue(
                session, row, principal, message, client_id=client_id, may_propose=may_propose, now=self._clock()
            )

    async def append(self, conversation: str, event: AgentEvent, *, turn: str | None = None) -> LogEntry:
        """The only way into the log. Publishes a wake-up after the commit. Raises NotFound."""
        async with self._db.transaction() as session:
            return await log.append(session, conversation, event, at=self._clock(), turn=turn)

    async def append_all(self, claim: Turn, events: Sequence[AgentEvent]) -> bool:
        """What belongs together, in one transaction, by who holds the claim that `claim_turn` gave: Superseded when somebody
        has claimed the turn since. Has somebody pressed Stop? `events` is not empty. Raises NotFound."""
        async with self._db.transaction() as session:
            at, fence = self._clock(), claim.fence or None
            await log.append_all(session, claim.conversation, events, at=at, turn=claim.id, fence=fence)
            return bool(await session.scalar(_STOP, {"this_turn": claim.id}))

    async def log(self, conversation: str, *, after: int = 0, limit: int = 1000) -> tuple[LogEntry, ...]:
        query = select(LogEntryRow).where(LogEntryRow.conversation == conversation, LogEntryRow.seq > after)
        async with self._db.read() as session:
            return tuple(map(log.read_entry, await session.scalars(query.order_by(LogEntryRow.seq).limit(limit))))

    async def turn_log(self, turn: str) -> tuple[LogEntry, ...]:
        async with self._db.read() as session:
            return tuple(map(log.read_entry, await session.scalars(_OF_TURN, {"this_turn": turn})))

    async def turn(self, turn: str) -> Turn:
        """Raises NotFound."""
        async with self._db.read() as session:
            return turns.read_turn(await turns.find(session, turn))

    async def stop_requested(self, turn: str) -> bool:
        """Has somebody pressed Stop? False for a turn that is not there."""
        async with self._db.read() as session:
            return bool(await session.scalar(_STOP, {"this_turn": turn}))

    async def claim_turn(self, turn: str) -> Turn | None:
        """queued → running when no other turn of the conversation runs and none that is older waits; running stays running
        (re-entry after a crash: `attempt` says so). None when it is not its time or it has ended. Raises NotFound."""
        async with self._db.transaction() as session:
            await self._guard(session)
            return await turns.claim(session, turn, now=self._clock())

    async def end_turn(
        self,
        turn: str,
        state: Literal["finished", "failed", "cancelled"],
        event: AgentEvent,
        *,
        claim: Turn | None = None,
    ) -> None:
        """Append the closing event and end the turn in one transaction. A turn that has ended stays as it is: the same
        call again, after a crash, appends nothing. With the Turn that `claim_turn` gave, only as long as nobody has claimed it
        since: Superseded then. Raises NotFound."""
        fence = claim.fence if claim is not None and claim.fence else None
        async with self._db.transaction() as session:
            await turns.end(session, turn, state, event, now=self._clock(), fence=fence)

    async def startable_turns(self, limit: int = 50) -> tuple[str, ...]:
        """The oldest queued turn of each conversation in which none runs; the sweep starts those."""
        async with self._db.read() as session:
            return await turns.startable(session, limit)

    async def running_turns(self) -> tuple[str, ...]:
        async with self._db.read() as session:
            return await turns.running(session)

    async def request_cancel(self, turn: str, principal: Principal) -> None:
        """Stop: the runtime cancels at the next model or tool boundary; a turn that still waits ends at once. For who asked,
        and for operators. Nothing happens to a turn that has ended. Raises NotFound, Forbidden."""
        async with self._db.transaction() as session:
            await turns.stop(session, turn, principal, now=self._clock())

    async def publish_live(self, conversation: str, live: Live) -> None:
        """Live text and progress, over NATS; lost when nobody listens."""
        await self._wakeups.publish(subjects.conversation(conversation), live.model_dump_json().encode())

    async def watch(self, conversation: str) -> AsyncGenerator[Live]:
        """Wake-ups and live text, beginning with a Wake that says where the log stands. Polls the table every 5 s besides:
        a lost wake-up costs 5 s, never an event."""
        seen = -1
        async with aclosing(messages_or_silence(self._wakeups, subjects.conversation(conversation))) as messages:
            async for message in messages:
                live = _read_live(message) if message is not None else await self._news(conversation, seen)
                if live is None:
                    continue
                if isinstance(live, Wake):
                    seen = max(seen, live.seq)
                yield live

    async def watch_work(self) -> AsyncGenerator[None]:
        """At once, whenever there may be work for the runtime (a question, a decision, a stop), and every 5 s."""
        async with aclosing(wakes(self._wakeups, WORK)) as bells:
            async for _ in bells:
                yield None

    async def watch_lists(self) -> AsyncGenerator[None]:
        """At once, whenever some conversation or approval has changed, and every 5 s: then read the lists again."""
        async with aclosing(wakes(self._wakeups, LISTS)) as bells:
            async for _ in bells:
                yield None

    async def _news(self, conversation: str, seen: int) -> Wake | None:
        async with self._db.read() as session:
            seq = await session.scalar(select(ConversationRow.last_seq).where(ConversationRow.id == conversation))
        return Wake(seq=seq) if seq is not None and seq > seen else None


# Made once, for each turn asks them.
_OF_TURN = select(LogEntryRow).where(LogEntryRow.turn == bindparam("this_turn")).order_by(LogEntryRow.seq)
_STOP = select(TurnRow.cancel_requested).where(TurnRow.id == bindparam("this_turn"))


def _with_counts() -> Select[ConversationRow, int, int]:
    open_turns = select(func.count()).where(TurnRow.conversation == ConversationRow.id, TurnRow.state.in_(turns.OPEN))
    open_approvals = select(func.count()).where(
        ApprovalRow.conversation == ConversationRow.id, ApprovalRow.state == ApprovalState.PENDING.value
    )
    return select(ConversationRow, open_turns.scalar_subquery(), open_approvals.scalar_subquery())


_THIS = _with_counts().where(ConversationRow.id == bindparam("this_conversation"))


def _older_than(cursor: str | None) -> tuple[ColumnElement[bool], ...]:
    if cursor is None:
        return ()
    at, _, row_id = cursor.partition("~")
    try:
        updated_at = datetime.fromisoformat(at)
        if updated_at.tzinfo is None or not is_id(row_id):
            raise ValueError("not ours")
    except ValueError:
        raise Invalid(f"{one_line(cursor, 60)!r} is not a cursor of this list; begin without one") from None
    same_time = (ConversationRow.updated_at == updated_at) & (ConversationRow.id < row_id)
    return ((ConversationRow.updated_at < updated_at) | same_time,)


def _conversation(row: ConversationRow, open_turns: int, open_approvals: int) -> Conversation:
    return Conversation(
        id=row.id,
        title=row.title,
        cluster=row.cluster,
        scope=ScopeLimit.model_validate_json(row.scope),
        created_by=row.created_by,
        created_by_name=row.created_by_name,
        created_at=row.created_at,
        updated_at=row.updated_at,
        last_seq=row.last_seq,
        busy=open_turns > 0,
        open_approvals=open_approvals,
    )


def _read_live(message: bytes) -> Live | None:
    try:
        return _LIVE.validate_json(message)
    except ValidationError:
        # A newer replica may say more than we know. The log is not lost: it is polled.
        _trace.debug("unknown live message", size=len(message))
        return None


def _not_found(conversation: str) -> NotFound:
    return NotFound(f"there is no conversation {one_line(conversation, 40)!r}, or it is not yours to read")
