"""Turns inside a transaction: queued in order of arrival, claimed and ended by compare-and-set, one running at a time.

Whoever changes a turn holds the row of its conversation.
"""

from datetime import datetime
from typing import Any, Literal, cast

from sqlalchemy import Table, bindparam, func, select, update
from sqlalchemy.orm import aliased

from control_plane import log
from control_plane.database import Session
from control_plane.errors import Forbidden, Invalid, NotFound, Superseded, TooMany
from control_plane.principals import Principal
from control_plane.readers import may_operate, may_read
from control_plane.tables.conversations import ConversationRow, TurnRow
from control_plane.wakeups import WORK
from protocol.base import Value
from protocol.events import AgentEvent, Language, TurnCancelled, UserMessage
from protocol.ids import is_id, new_id
from protocol.redaction import Redacted, redact
from protocol.text import clean, one_line

MAX_QUESTION = 20_000
MAX_QUEUED = 20

TurnState = Literal["queued", "running", "finished", "failed", "cancelled"]
OPEN = ("queued", "running")


class Turn(Value):
    id: str
    conversation: str
    state: TurnState
    asked_by: str
    may_propose: bool = True
    """False for the concluding turn after an action."""
    cancel_requested: bool = False
    cancelled_by_name: str = ""
    language: Language = "en"
    attempt: int = 0
    """How often it was claimed: over 1 it is taken up again after a crash."""
    fence: int = 0
    """Of a claim: what is appended with it is refused once the turn, or another of the conversation, was claimed again."""
    created_at: datetime


def question(text: str) -> Redacted:
    """Cleaned, and without secrets: the log keeps it and a model reads it; also how many there were. Raises Invalid when
    nothing is left, or too much."""
    text = clean(text).strip()
    if not text:
        raise Invalid("the message is empty; write what you want to know")
    if len(text) > MAX_QUESTION:
        raise Invalid(f"the message has {len(text):,} characters, {MAX_QUESTION:,} is the most; send the part that matters")
    return redact(text)


async def queue(
    session: Session,
    conversation: ConversationRow,
    principal: Principal,
    message: UserMessage,
    *,
    client_id: str | None,
    may_propose: bool,
    now: datetime,
) -> Turn:
    """Append the message and queue its turn. The caller holds the conversation's row. Raises TooMany."""
    if client_id is not None:
        same = TurnRow.conversation == conversation.id, TurnRow.asked_by == principal.account, TurnRow.client_id == client_id
        asked_before = await session.scalar(select(TurnRow).where(*same))
        if asked_before is not None:
            return read_turn(asked_before)
    waiting = select(func.count()).where(TurnRow.conversation == conversation.id, TurnRow.state == "queued")
    if (await session.scalar(waiting) or 0) >= MAX_QUEUED:
        raise TooMany(f"{MAX_QUEUED} messages wait here already; wait for an answer, or stop some")
    turn = TurnRow(
        id=new_id(),
        tenant_id=conversation.tenant_id,
        conversation=conversation.id,
        cluster=conversation.cluster,
        number=conversation.last_seq + 1,
        state="queued",
        asked_by=principal.account,
        client_id=client_id,
        may_propose=may_propose,
        cancel_requested=False,
        cancelled_by_name="",
        language=message.language,
        attempt=0,
        created_at=now,
    )
    session.add(turn)
    conversation.title = conversation.title or one_line(message.text, 80)
    await session.flush()
    await log.append(session, conversation.id, message, at=now, turn=turn.id)
    session.wake(WORK, turn.id.encode())
    return read_turn(turn)


async def find(session: Session, turn: str) -> TurnRow:
    """Raises NotFound."""
    row = await session.get(TurnRow, turn) if is_id(turn) else None
    if row is None:
        raise NotFound(f"there is no turn {one_line(turn, 40)!r}")
    return row


async def claim(session: Session, turn: str, *, now: datetime) -> Turn | None:
    row, _ = await _locked(session, turn)
    told = {"this_turn": turn, "this_conversation": row.conversation, "this_number": row.number, "now": now}
    claimed: Any = (await session.execute(_CLAIM, told)).one_or_none()
    if claimed is None:
        return None
    fence = await session.scalar(_FENCE, {"this_conversation": row.conversation})
    log.wake_readers(session, row.conversation)
    return read_turn(claimed).model_copy(update={"fence": fence})


async def end(
    session: Session, turn: str, state: TurnState, event: AgentEvent, *, now: datetime, fence: int | None = None
) -> None:
    """Raises Superseded when the turn was claimed again since `fence`."""
    row, conversation = await _locked(session, turn)
    if fence is not None and conversation.fence != fence:
        raise Superseded(f"another replica has taken up turn {turn}; it goes on there")
    await _end(session, row, state, event, now=now)


async def stop(session: Session, turn: str, principal: Principal, *, now: datetime) -> None:
    """Raises NotFound, Forbidden."""
    row, conversation = await _locked(session, turn)
    await session.refresh(row)
    if not may_read(conversation, principal):
        raise NotFound(f"there is no turn {one_line(turn, 40)!r}")
    if row.asked_by != principal.account and not may_operate(conversation, principal):
        raise Forbidden("only who asked, or an operator of this cluster, can stop this turn")
    if row.state == "queued":
        await _end(session, row, "cancelled", TurnCancelled(by_name=principal.name), now=now)
    elif row.state == "running" and not row.cancel_requested:
        row.cancel_requested = True
        row.cancelled_by_name = principal.name
        session.wake(WORK, turn.encode())
        log.wake_readers(session, row.conversation)


async def startable(session: Session, limit: int) -> tuple[str, ...]:
    """The oldest queued turn of each conversation in which none runs."""
    other = aliased(TurnRow)
    in_the_way = select(other.id).where(
        other.conversation == TurnRow.conversation,
        (other.state == "running") | ((other.state == "queued") & (other.number < TurnRow.number)),
    )
    query = select(TurnRow.id).where(TurnRow.state == "queued", ~in_the_way.exists())
    return tuple(await session.scalars(query.order_by(TurnRow.created_at, TurnRow.id).limit(limit)))


async def running(session: Session) -> tuple[str, ...]:
    query = select(TurnRow.id).where(TurnRow.state == "running")
    return tuple(await session.scalars(query.order_by(TurnRow.created_at, TurnRow.id)))


def read_turn(row: TurnRow) -> Turn:
    return Turn(
        id=row.id,
        conversation=row.conversation,
        state=cast(TurnState, row.state),
        asked_by=row.asked_by,
        may_propose=row.may_propose,
        cancel_requested=row.cancel_requested,
        cancelled_by_name=row.cancelled_by_name,
        language=cast(Language, row.language),
        attempt=row.attempt,
        created_at=row.created_at,
    )


async def _locked(session: Session, turn: str) -> tuple[TurnRow, ConversationRow]:
    """From now on nobody else can change it. What is told of the turn may be from before: only what never changes counts."""
    row = await find(session, turn)
    return row, await log.lock(session, row.conversation)


async def _end(session: Session, row: TurnRow, state: TurnState, event: AgentEvent, *, now: datetime) -> None:
    if await session.scalar(_END, {"this_turn": row.id, "state": state, "ended_at": now}) is not None:
        await log.append(session, row.conversation, event, at=now, turn=row.id)
        session.wake(WORK, row.id.encode())


# Made once: to build a statement anew takes as long as to run it.
_turns, _others = cast(Table, TurnRow.__table__), cast(Table, TurnRow.__table__).alias()
_conversations = cast(Table, ConversationRow.__table__)
_in_the_way = select(_others.c.id).where(
    _others.c.conversation == bindparam("this_conversation"),
    _others.c.id != bindparam("this_turn"),
    (_others.c.state == "running") | ((_others.c.number < bindparam("this_number")) & _others.c.state.in_(OPEN)),
)
_CLAIM = (
    update(_turns)
    .where(_turns.c.id == bindparam("this_turn"), _turns.c.state.in_(OPEN), ~_in_the_way.exists())
    .values(state="running", attempt=_turns.c.attempt + 1, started_at=func.coalesce(_turns.c.started_at, bindparam("now")))
    .returning(*_turns.c)
)
_FENCE = (
    update(_conversations)
    .where(_conversations.c.id == bindparam("this_conversation"))
    .values(fence=_conversations.c.fence + 1)
    .returning(_conversations.c.fence)
)
_END = update(_turns).where(_turns.c.id == bindparam("this_turn"), _turns.c.state.in_(OPEN)).returning(_turns.c.id)
