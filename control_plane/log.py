"""The log of a conversation inside somebody's transaction: how an event commits together with the change it tells of."""

from collections.abc import Sequence
from datetime import datetime
from typing import cast

import orjson
from sqlalchemy import Table, bindparam, insert, select, update

from control_plane.database import Session
from control_plane.errors import NotFound, Superseded
from control_plane.tables.conversations import ConversationRow, LogEntryRow
from control_plane.wakeups import LISTS
from protocol import subjects
from protocol.base import PROTOCOL_VERSION
from protocol.events import AgentEvent, LogEntry, Wake, read_event
from protocol.ids import is_id
from protocol.text import one_line

# Made once: to build a statement anew takes as long as to run it.
_conversations = cast(Table, ConversationRow.__table__)
_TAKE = (
    update(_conversations)
    .where(_conversations.c.id == bindparam("this_conversation"))
    .values(last_seq=_conversations.c.last_seq + bindparam("more"), updated_at=bindparam("now"))
    .returning(_conversations.c.last_seq, _conversations.c.tenant_id, _conversations.c.cluster)
)
_TAKE_FENCED = _TAKE.where(_conversations.c.fence == bindparam("claimed"))
_LOCK = (
    select(ConversationRow)
    .where(ConversationRow.id == bindparam("this_conversation"))
    .with_for_update()
    .execution_options(populate_existing=True)
)
_STORE = insert(cast(Table, LogEntryRow.__table__))


async def append(
    session: Session, conversation: str, event: AgentEvent, *, at: datetime, turn: str | None = None, fence: int | None = None
) -> LogEntry:
    """Take the next seq under the conversation's row lock, store the event, and wake its readers after the commit.

    Raises NotFound; Superseded, when a `fence` is given and the turn was claimed again since. A rolled-back transaction gives
    its seq back, so there are no gaps."""
    return (await append_all(session, conversation, (event,), at=at, turn=turn, fence=fence))[0]


async def append_all(
    session: Session,
    conversation: str,
    events: Sequence[AgentEvent],
    *,
    at: datetime,
    turn: str | None = None,
    fence: int | None = None,
) -> tuple[LogEntry, ...]:
    """As `append`, for what is one step of the story: neighbours in the log, all of them or none. `events` is not empty."""
    # The fence stands in the row that is locked: PostgreSQL looks at it again once it has waited for the lock.
    told = {"this_conversation": conversation, "more": len(events), "now": at}
    taking = (_TAKE, told) if fence is None else (_TAKE_FENCED, told | {"claimed": fence})
    taken = (await session.execute(*taking)).one_or_none()
    if taken is None:
        raise await _why_not(session, conversation)
    last, tenant, cluster = taken
    first = last - len(events) + 1
    entries = tuple(
        LogEntry(conversation=conversation, seq=first + n, turn=turn, at=at, event=event) for n, event in enumerate(events)
    )
    rows = [
        {
            "tenant_id": tenant,
            "conversation": conversation,
            "seq": entry.seq,
            "cluster": cluster,
            "turn": turn,
            "at": at,
            "v": entry.v,
            "kind": entry.event.type,
            "event": entry.event.model_dump_json(),
        }
        for entry in entries
    ]
    await session.execute(_STORE, rows)
    wake_readers(session, conversation, last)
    return entries


async def _why_not(session: Session, conversation: str) -> NotFound | Superseded:
    there = await session.scalar(select(ConversationRow.id).where(ConversationRow.id == conversation))
    if there is None:
        return NotFound(f"there is no conversation {conversation!r}")
    return Superseded(f"another replica has taken up the turn of conversation {conversation}; it goes on there")


async def append_once(
    session: Session, conversation: str, event: AgentEvent, named: str, *, at: datetime, turn: str | None = None
) -> None:
    """Like `append`, but not when the log has an event of this kind that holds `named`. The caller holds the conversation."""
    same = (
        LogEntryRow.conversation == conversation,
        LogEntryRow.kind == event.type,
        LogEntryRow.event.contains(named, autoescape=True),
    )
    if await session.scalar(select(LogEntryRow.seq).where(*same).limit(1)) is None:
        await append(session, conversation, event, at=at, turn=turn)


def wake_readers(session: Session, conversation: str, seq: int = 0) -> None:
    session.wake(subjects.conversation(conversation), Wake(seq=seq).model_dump_json().encode())
    session.wake(LISTS)


async def lock(session: Session, conversation: str) -> ConversationRow:
    """Whoever queues, claims or ends a turn holds this, one at a time. Raises NotFound."""
    row = await session.scalar(_LOCK, {"this_conversation": conversation}) if is_id(conversation) else None
    if row is None:
        raise NotFound(f"there is no conversation {one_line(conversation, 40)!r}, or it is not yours to read")
    return row


def read_entry(row: LogEntryRow) -> LogEntry:
    return LogEntry(
        v=row.v or PROTOCOL_VERSION,
        conversation=row.conversation,
        seq=row.seq,
        turn=row.turn,
        at=row.at,
        event=read_event(orjson.loads(row.event)),
    )
