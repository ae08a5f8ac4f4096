"""The log of a conversation inside somebody's transaction: how an event commits together with the change it tells of."""

from datetime import datetime

import orjson
from sqlalchemy import select, update

from control_plane.database import Session
from control_plane.errors import NotFound
from control_plane.tables.conversations import ConversationRow, LogEntryRow
from control_plane.wakeups import LISTS
from protocol import subjects
from protocol.base import PROTOCOL_VERSION
from protocol.events import AgentEvent, LogEntry, Wake, read_event
from protocol.ids import is_id
from protocol.text import one_line


async def append(session: Session, conversation: str, event: AgentEvent, *, at: datetime, turn: str | None = None) -> LogEntry:
    """Take the next seq under the conversation's row lock, store the event, and wake its readers after the commit.

    Raises NotFound. A rolled-back transaction gives its seq back, so there are no gaps."""
    taken = (
        await session.execute(
            update(ConversationRow)
            .where(ConversationRow.id == conversation)
            .values(last_seq=ConversationRow.last_seq + 1, updated_at=at)
            .returning(ConversationRow.last_seq, ConversationRow.tenant_id, ConversationRow.cluster)
            .execution_options(synchronize_session=False)
        )
    ).one_or_none()
    if taken is None:
        raise NotFound(f"there is no conversation {conversation!r}")
    seq, tenant, cluster = taken
    entry = LogEntry(conversation=conversation, seq=seq, turn=turn, at=at, event=event)
    session.add(
        LogEntryRow(
            tenant_id=tenant,
            conversation=conversation,
            seq=seq,
            cluster=cluster,
            turn=turn,
            at=at,
            v=entry.v,
            kind=event.type,
            event=event.model_dump_json(),
        )
    )
    wake_readers(session, conversation, seq)
    return entry


def wake_readers(session: Session, conversation: str, seq: int = 0) -> None:
    session.wake(subjects.conversation(conversation), Wake(seq=seq).model_dump_json().encode())
    session.wake(LISTS)


async def lock(session: Session, conversation: str) -> ConversationRow:
    """Whoever queues, claims or ends a turn holds this, one at a time. Raises NotFound."""
    locked = select(ConversationRow).where(ConversationRow.id == conversation).with_for_update()
    row = await session.scalar(locked.execution_options(populate_existing=True)) if is_id(conversation) else None
    if row is None:
        raise NotFound(f"there is no conversation {one_line(conversation, 40)!r}")
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
