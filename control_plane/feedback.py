"""Feedback: a person's word about an answer. Everybody's is kept; only an approver's moves weights, once an answer."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, TypeAlias, cast

from sqlalchemy import select

from control_plane import log, weights
from control_plane.audit import Entry, record
from control_plane.clock import Clock, utc_now
from control_plane.database import Database, Session
from control_plane.errors import Conflict, Forbidden, Invalid, NotFound, TooMany
from control_plane.principals import Principal
from control_plane.readers import may_read, weakest_role
from control_plane.roles import principal_in
from control_plane.tables.cases import FeedbackRow
from control_plane.tables.conversations import ConversationRow, LogEntryRow, TurnRow
from control_plane.turns import OPEN
from knowledge.diagnosis.catalogue import CATALOGUE
from knowledge.weights import Vote
from protocol.approval import Role, role_at_least
from protocol.base import Value
from protocol.diagnosis import RootCause
from protocol.events import DiagnosisMade, ModelMessage
from protocol.ids import is_id, new_id
from protocol.redaction import redact
from protocol.text import cap, clean, one_line

Verdict: TypeAlias = Literal["right", "wrong"]

MOST_CHANGES = 20
"""How often one person may say something else about one answer."""
NOTE_LIMIT = 1000


class FeedbackGiven(Value):
    turn: str
    account: str
    account_name: str
    verdict: Verdict
    code: str
    """What the answer had said; "" when it had named no cause."""
    actual: str = ""
    note: str = ""
    counted: bool
    """Does it move weights?"""
    at: datetime


class Feedback:
    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._db = database
        self._clock = clock

    async def give(
        self,
        conversation: str,
        turn: str,
        principal: Principal,
        verdict: Verdict,
        *,
        actual: str = "",
        note: str = "",
        door: str = "",
    ) -> FeedbackGiven:
        """Kept, instead of what the same person said before about this answer. Raises NotFound, Invalid, Conflict (the turn has
        not ended), TooMany."""
        if actual and actual not in CATALOGUE:
            raise Invalid(f"{one_line(actual, 60)!r} is no root cause of the catalogue; see GET /api/v1/root-causes")
        if actual and verdict == "right":
            raise Invalid("an answer that was right has no other actual cause; say wrong, or leave it out")
        async with self._db.transaction() as session:
            row = await log.lock(session, conversation)
            principal = await principal_in(session, principal.account, now=self._clock())  # the role counts as it stands now
            asked = await session.get(TurnRow, turn) if is_id(turn) else None
            if not may_read(row, principal):
                raise NotFound(f"there is no conversation {one_line(conversation, 40)!r}, or it is not yours to read")
            if asked is None or asked.conversation != conversation:
                raise NotFound(f"there is no turn {one_line(turn, 40)!r} in this conversation")
            if asked.state in OPEN:
                raise Conflict("this turn has not ended yet; say it when there is an answer", code="running")
            role = weakest_role(row, principal)
            if role is None:
                raise Forbidden("you have no role here any more")
            said = await _answer(session, turn)
            if said is None:
                raise Invalid("this turn has no answer to be right or wrong about")
            kept = await self._keep(session, principal, row.id, row.cluster, turn, role, door)
            kept.verdict, kept.actual = verdict, actual if actual != said.code else ""
            kept.code, kept.note = said.code, cap(redact(clean(note)).text.strip(), NOTE_LIMIT)
            # The conclusion of an action, too, is an answer: but about a fix, whose outcome the soak sees for itself.
            kept.counted = role_at_least(role, Role.APPROVER)
            votes = _votes(kept) if kept.counted else []
            await session.flush()
            source = f"feedback:{turn}:{principal.account}"
            await weights.vote(session, source, votes, by=principal.account, tenant=principal.tenant, now=kept.updated_at)
            detail = {"verdict": verdict, "code": said.code, "actual": kept.actual, "counted": str(kept.counted).lower()}
            record(
                session,
                Entry(
                    principal.account, "feedback.given", f"turn:{turn}", kept.updated_at, actor_name=principal.name, door=door,
                    cluster=row.cluster, detail=detail, tenant=principal.tenant,
                ),
            )  # fmt: skip
            return _given(kept)

    async def mine(self, conversation: str, principal: Principal) -> tuple[FeedbackGiven, ...]:
        """What this person has said about the answers of a conversation."""
        query = select(FeedbackRow).where(FeedbackRow.conversation == conversation, FeedbackRow.account == principal.account)
        async with self._db.read() as session:
            return tuple(_given(row) for row in await session.scalars(query.order_by(FeedbackRow.created_at)))

    async def seen_by(self, conversation: str, principal: Principal) -> tuple[FeedbackGiven, ...]:
        """Everybody's for an approver of the whole conversation; for others what they have said themselves. Raises NotFound."""
        async with self._db.read() as session:
            row = await session.get(ConversationRow, conversation) if is_id(conversation) else None
            if row is None or not may_read(row, principal):
                raise NotFound(f"there is no conversation {one_line(conversation, 40)!r}, or it is not yours to read")
            role = weakest_role(row, principal)
        if role is not None and role_at_least(role, Role.APPROVER):
            return await self.of_conversation(conversation)
        return await self.mine(conversation, principal)

    async def of_conversation(self, conversation: str) -> tuple[FeedbackGiven, ...]:
        """Everybody's. Whoever asks has checked that the conversation may be read."""
        query = select(FeedbackRow).where(FeedbackRow.conversation == conversation)
        async with self._db.read() as session:
            return tuple(_given(row) for row in await session.scalars(query.order_by(FeedbackRow.created_at)))

    async def _keep(
        self, session: Session, principal: Principal, conversation: str, cluster: str, turn: str, role: Role, door: str
    ) -> FeedbackRow:
        now = self._clock()
        query = select(FeedbackRow).where(FeedbackRow.turn == turn, FeedbackRow.account == principal.account)
        row = await session.scalar(query)
        if row is None:
            row = FeedbackRow(
                id=new_id(), tenant_id=principal.tenant, conversation=conversation, turn=turn, cluster=cluster,
                account=principal.account, account_name=principal.name, role=role.value, said=0, created_at=now,
                code="", actual="", note="", verdict="", counted=False,
            )  # fmt: skip
            session.add(row)
        if row.said >= MOST_CHANGES:
            raise TooMany(f"you have said something about this answer {row.said} times; the last word stands")
        row.said += 1
        row.role, row.door, row.updated_at = role.value, door, now
        return row


class _Answer(Value):
    code: str


async def _answer(session: Session, turn: str) -> _Answer | None:
    """The cause that the turn ended with: the newest diagnosis' first. None when nothing was answered."""
    query = select(LogEntryRow).where(LogEntryRow.turn == turn, LogEntryRow.kind.in_(("diagnosis", "model_message")))
    entries = [log.read_entry(row).event for row in await session.scalars(query.order_by(LogEntryRow.seq))]
    made = [event.diagnosis for event in entries if isinstance(event, DiagnosisMade)]
    if not made and not any(isinstance(event, ModelMessage) and event.text.strip() for event in entries):
        return None
    causes: Iterable[RootCause] = made[-1].root_causes if made else ()
    return _Answer(code=next((cause.code for cause in causes), ""))


def _votes(row: FeedbackRow) -> list[Vote]:
    votes: list[Vote] = []
    if row.code in CATALOGUE:
        votes.append(Vote("cause", row.code, 1 if row.verdict == "right" else -1, row.account))
    if row.actual and row.actual != row.code:
        votes.append(Vote("cause", row.actual, 1, row.account))
    return votes


def _given(row: FeedbackRow) -> FeedbackGiven:
    return FeedbackGiven(
        turn=row.turn,
        account=row.account,
        account_name=row.account_name,
        verdict=cast(Verdict, row.verdict),
        code=row.code,
        actual=row.actual,
        note=row.note,
        counted=row.counted,
        at=row.updated_at,
    )
