"""Soaks: a verified fix is on probation, and is looked at again after each of some times. The rows of it.

`waiting` until every look found the fix holding (`held`), the trouble back (`relapsed`), the object gone or changed by others
(`void`), or nobody could tell for too long (`unconfirmed`). One replica at a time looks: it takes a lease by compare-and-set.
The end is written together with the case's outcome, the votes for weights, the conversation's log and the audit.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, TypeAlias, cast

from prometheus_client import Counter
from sqlalchemy import or_, select, update

from control_plane import cases, log, weights
from control_plane.audit import SYSTEM, Entry, record
from control_plane.clock import Clock, utc_now
from control_plane.database import Database, Session
from control_plane.settings import Settings
from control_plane.tables.cases import SoakRow
from control_plane.tables.conversations import TurnRow
from control_plane.wakeups import WORK
from knowledge.cases.case import Case, Outcome
from knowledge.diagnosis.catalogue import CATALOGUE
from knowledge.weights import Vote, remedy_key
from protocol.base import Value
from protocol.events import CaseEnded, CaseStored
from protocol.text import one_line

SoakState: TypeAlias = Literal["waiting", "held", "relapsed", "void", "unconfirmed"]
End: TypeAlias = Literal["held", "relapsed", "void", "unconfirmed"]

ENDED = Counter("opsthread_soaks", "Soaks of verified fixes by how they ended", ["end"])
LEASE = timedelta(minutes=2)
RETRY_FIRST, RETRY_MOST = timedelta(minutes=5), timedelta(hours=1)
OWED_FOR = timedelta(hours=24)
PATIENCE = timedelta(hours=12)
"""How long after a look was due it is tried again, before nobody can tell."""
LOOKS_AT_LEAST = 3
"""And how often: who slept that long finds a cluster that wakes up after it."""

_OUTCOMES: dict[End, Outcome | None] = {"held": "held", "relapsed": "relapsed", "void": None, "unconfirmed": None}
_VOTES: dict[End, int] = {"held": 1, "relapsed": -1, "void": 0, "unconfirmed": 0}


class Soak(Value):
    approval: str
    case: str
    cluster: str
    namespace: str
    conversation: str | None
    turn: str | None
    object: str
    code: str
    mark: str
    state: SoakState
    step: int
    steps: int
    """How many looks there are in all."""
    fixed_at: datetime
    due_at: datetime
    attempts: int
    version: int
    message: str = ""


class NewSoak(Value):
    """A healed incident: its case, and what must stay well."""

    approval: str
    case: Case
    conversation: str
    turn: str | None
    object: str
    fixed_at: datetime


def relapse_of(approval: str) -> str:
    """The client id of the turn that looks again after a relapse."""
    return f"relapse:{approval}"


class Soaks:
    def __init__(self, database: Database, settings: Settings, *, clock: Clock = utc_now) -> None:
        self._db = database
        self._clock = clock
        self._after = tuple(timedelta(minutes=minutes) for minutes in settings.soak_minutes)

    async def begin(self, new: NewSoak) -> Case | None:
        """Store the case and put its fix on probation, in one transaction with the note in the log. Each once: the second time
        nothing happens. None when somebody has had the case forgotten."""
        async with self._db.transaction() as session:
            now = self._clock()
            tenant = (await log.lock(session, new.conversation)).tenant_id
            row = await cases.write(
                session, new.case, origin="action", tenant=tenant, now=now, replace=False, approval=new.approval
            )
            if row is not None and await session.get(SoakRow, new.approval) is None and self._after:
                session.add(
                    SoakRow(
                        approval=new.approval, tenant_id=tenant, case=new.case.id, cluster=new.case.cluster,
                        namespace=new.case.namespace, conversation=new.conversation, turn=new.turn, object=new.object,
                        code=new.case.code, mark="", state="waiting", step=0, fixed_at=new.fixed_at,
                        due_at=new.fixed_at + self._after[0], attempts=0, version=1, message="",
                    )
                )  # fmt: skip
            stored = Case.model_validate_json(row.case) if row is not None else None
            event = CaseStored(case=new.case.id, title=one_line(stored.title if stored is not None else new.object, 200))
            await log.append_once(session, new.conversation, event, event.case, at=now, turn=new.turn)
            return stored

    async def get(self, approval: str) -> Soak | None:
        async with self._db.read() as session:
            row = await session.get(SoakRow, approval)
        return self._soak(row) if row is not None else None

    async def of_case(self, case: str, *, tenant: str) -> Soak | None:
        query = select(SoakRow).where(SoakRow.tenant_id == tenant, SoakRow.case == case)
        async with self._db.read() as session:
            row = await session.scalar(query)
        return self._soak(row) if row is not None else None

    async def claim_due(self, limit: int = 10) -> tuple[Soak, ...]:
        """Those whose look is due (or whose mark was never read) and that nobody looks at; they are ours for LEASE."""
        now = self._clock()
        free = or_(SoakRow.lease_until.is_(None), SoakRow.lease_until < now)
        due = or_(SoakRow.due_at <= now, SoakRow.mark == "")
        query = select(SoakRow.approval, SoakRow.version).where(SoakRow.state == "waiting", free, due)
        async with self._db.read() as session:
            found = (await session.execute(query.order_by(SoakRow.due_at, SoakRow.approval).limit(limit))).all()
        claimed: list[Soak] = []
        for approval, version in found:
            async with self._db.transaction() as session:
                row = await self._compare_and_set(session, approval, version, lease_until=now + LEASE)
                if row is not None:
                    claimed.append(self._soak(row))
        return tuple(claimed)

    async def unanswered(self) -> tuple[Soak, ...]:
        """Relapses of the last day whose thread has not been reopened: a process may have ended in between, or the queue of the
        conversation was full."""
        turn = select(TurnRow.id).where(
            TurnRow.conversation == SoakRow.conversation, TurnRow.client_id == relapse_of("") + SoakRow.approval
        )
        query = select(SoakRow).where(
            SoakRow.state == "relapsed",
            SoakRow.conversation.is_not(None),
            SoakRow.ended_at > self._clock() - OWED_FOR,
            ~turn.exists(),
        )
        async with self._db.read() as session:
            return tuple(self._soak(row) for row in await session.scalars(query.order_by(SoakRow.ended_at)))

    async def remember(self, soak: Soak, mark: str) -> None:
        """What the object is told by, read at the beginning; the lease is given back."""
        async with self._db.transaction() as session:
            await self._compare_and_set(session, soak.approval, soak.version, mark=one_line(mark, 400), lease_until=None)

    async def passed(self, soak: Soak, message: str) -> bool:
        """This look found it well: the next is due, or it has held. False when somebody was faster."""
        if soak.step + 1 >= len(self._after):
            return await self.end(soak, "held", message)
        async with self._db.transaction() as session:
            row = await self._compare_and_set(
                session, soak.approval, soak.version, step=soak.step + 1, attempts=0, lease_until=None,
                due_at=soak.fixed_at + self._after[soak.step + 1], message=one_line(message, 600),
            )  # fmt: skip
            return row is not None

    async def unknown(self, soak: Soak, message: str) -> bool:
        """This look could not tell: again later, until patience is over."""
        now = self._clock()
        over = now >= soak.fixed_at + self._after[min(soak.step, len(self._after) - 1)] + PATIENCE
        if over and soak.attempts + 1 >= LOOKS_AT_LEAST:
            return await self.end(soak, "unconfirmed", message)
        later = now + min(RETRY_MOST, RETRY_FIRST * 2 ** min(soak.attempts, 6))
        # Before a look is due only the mark is wanted: that must not hold the look itself back.
        held_back = {"due_at": later, "lease_until": None} if soak.due_at <= now else {"lease_until": min(later, soak.due_at)}
        async with self._db.transaction() as session:
            row = await self._compare_and_set(
                session, soak.approval, soak.version, attempts=soak.attempts + 1, message=one_line(message, 600), **held_back
            )
            return row is not None

    async def end(self, soak: Soak, end: End, message: str) -> bool:
        """Case, weights, log and audit in one transaction. False when somebody was faster."""
        message = one_line(message, 600)
        async with self._db.transaction() as session:
            now = self._clock()
            if soak.conversation is not None:
                await log.lock(session, soak.conversation)
            row = await self._compare_and_set(
                session, soak.approval, soak.version, state=end, lease_until=None, ended_at=now, message=message
            )
            if row is None:
                return False
            case = await _learn(session, soak, end, row.tenant_id, now)
            await _tell(session, soak, end, message, case, now)
            detail = {"end": end, "object": soak.object, "message": message}
            record(
                session,
                Entry(
                    SYSTEM, "soak.ended", f"approval:{soak.approval}", now, cluster=soak.cluster,
                    namespace=soak.namespace or None, detail=detail, tenant=row.tenant_id,
                ),
            )  # fmt: skip
        ENDED.labels(end).inc()
        return True

    async def _compare_and_set(self, session: Session, approval: str, version: int, **values: object) -> SoakRow | None:
        return await session.scalar(
            update(SoakRow)
            .where(SoakRow.approval == approval, SoakRow.version == version, SoakRow.state == "waiting")
            .values(version=version + 1, **values)
            .returning(SoakRow)
            .execution_options(populate_existing=True, synchronize_session=False)
        )

    def _soak(self, row: SoakRow) -> Soak:
        return Soak(
            approval=row.approval, case=row.case, cluster=row.cluster, namespace=row.namespace, conversation=row.conversation,
            turn=row.turn, object=row.object, code=row.code, mark=row.mark, state=cast(SoakState, row.state), step=row.step,
            steps=len(self._after), fixed_at=row.fixed_at, due_at=row.due_at, attempts=row.attempts, version=row.version,
            message=row.message,
        )  # fmt: skip


async def _learn(session: Session, soak: Soak, end: End, tenant: str, now: datetime) -> Case | None:
    """The case's outcome, and the votes that follow; None where nothing is learnt, or the case was forgotten."""
    outcome = _OUTCOMES[end]
    if outcome:
        await weights.locked(session, tenant)  # before the case: an import takes the two in this order
    case = await cases.set_outcome(session, soak.case, outcome, tenant=tenant, now=now) if outcome else None
    if case is not None and _VOTES[end]:
        votes = _votes(soak.code, _remedy_of(case), _VOTES[end])
        await weights.vote(session, f"soak:{soak.approval}", votes, by="", tenant=tenant, now=now)
    return case


async def _tell(session: Session, soak: Soak, end: End, message: str, case: Case | None, now: datetime) -> None:
    """Into the log. A relapse stands where it happened, at the end; what held belongs to the turn that it was fixed in."""
    if soak.conversation is None:
        return
    event = CaseEnded(
        case=soak.case, approval=soak.approval, end=end, object=soak.object, code=soak.code, message=message,
        title=one_line(case.title if case is not None else soak.object, 200), after_s=(now - soak.fixed_at).total_seconds(),
    )  # fmt: skip
    await log.append(session, soak.conversation, event, at=now, turn=soak.turn if end != "relapsed" else None)
    session.wake(WORK, soak.approval.encode())


def _votes(code: str, remedy: str, value: int) -> Sequence[Vote]:
    """A fix that held speaks for its cause and its remedy; one that did not, against the remedy: the cause may be right."""
    votes: list[Vote] = []
    if code in CATALOGUE and value > 0:
        votes.append(Vote("cause", code, value))
    key = remedy_key(code, remedy)
    if code in CATALOGUE and key:
        votes.append(Vote("remedy", key, value))
    return votes


def _remedy_of(case: Case) -> str:
    return next((tag.removeprefix("remedy:") for tag in case.tags if tag.startswith("remedy:")), "")
