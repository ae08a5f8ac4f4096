"""Approvals: the record, the state machine by compare-and-set, the sweep. Two views show it; nobody else keeps it."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, or_, select

from control_plane import transitions
from control_plane.accounts import principal_in
from control_plane.clock import Clock, utc_now
from control_plane.database import Database, Session
from control_plane.errors import Conflict, Forbidden, NotFound, ServiceError
from control_plane.principals import Principal
from control_plane.proposals import open_approval, sound
from control_plane.settings import Settings
from control_plane.tables.approvals import ApprovalRow, DecisionRow
from control_plane.tables.conversations import LogEntryRow, TurnRow
from control_plane.transitions import By
from protocol.approval import ApprovalState, Decision, Quorum, Refusal, Role, Trigger, role_at_least, weigh
from protocol.base import Value
from protocol.ids import is_id, new_id
from protocol.remediation import Plan
from protocol.text import one_line

ENDED = frozenset({ApprovalState.SUCCEEDED, ApprovalState.FAILED, ApprovalState.ROLLED_BACK, ApprovalState.UNKNOWN})
"""What an action ends in: its conversation is owed a conclusion, and a healed one a case."""
OWED_FOR = timedelta(hours=24)


def conclusion_of(approval: str) -> str:
    """The client id of the turn that concludes from an action: the same for every attempt to ask for it."""
    return f"conclude:{approval}"


class Approval(Value):
    id: str
    cluster: str
    cluster_name: str
    conversation: str | None
    turn: str | None
    namespace: str
    plan: Plan
    command_line: str
    """The action in kubectl's words, from the structured plan."""
    undo_line: str
    state: ApprovalState
    version: int
    """Bumped by each transition; the compare of the compare-and-set."""
    quorum: Quorum
    four_eyes: bool
    requester: str
    requester_name: str
    why: str
    case_code: str = ""
    """Catalogue code of the root cause that it is meant to heal."""
    decisions: tuple[Decision, ...] = ()
    expires_at: datetime
    created_at: datetime
    decided_at: datetime | None = None
    decided_by_name: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    outcome: str = ""
    """For people: what happened in the end."""


class Approvals:
    def __init__(self, database: Database, settings: Settings, *, clock: Clock = utc_now) -> None:
        self._db = database
        self._settings = settings
        self._clock = clock

    async def open(
        self,
        plan: Plan,
        *,
        requester: Principal,
        cluster: str,
        conversation: str | None,
        turn: str | None,
        why: str,
        case_code: str = "",
    ) -> Approval:
        """Store the frozen plan and append approval_requested, in one transaction; supersedes a pending one for the same
        object, of the same conversation or requester. The same plan hash pending in the same conversation gives the approval
        that is there. `cluster` is its id. Raises Forbidden (role, scope, policy), Conflict (kill switch; a change of the
        object under way; an open question of somebody else about it), TooMany (three open ones of this conversation's
        turns), Invalid (the plan does not hold together)."""
        plan = sound(plan, cluster)
        async with self._db.transaction() as session:
            row = await open_approval(
                session,
                plan,
                await principal_in(session, requester.account),
                conversation=conversation,
                turn=turn,
                why=why,
                case_code=case_code,
                settings=self._settings,
                now=self._clock(),
            )
            return await _with_decisions(session, row)

    async def get(self, approval: str, principal: Principal | None = None) -> Approval:
        """Raises NotFound for what the principal may not see (the same as for what is not there)."""
        async with self._db.read() as session:
            row = await session.get(ApprovalRow, approval) if is_id(approval) else None
            if row is None or (principal is not None and _role(row, principal) is None):
                raise _not_found(approval)
            return await _with_decisions(session, row)

    async def list(
        self,
        principal: Principal,
        *,
        states: tuple[ApprovalState, ...] | None = None,
        conversation: str | None = None,
        limit: int = 50,
    ) -> tuple[Approval, ...]:
        """Newest first; only what the principal may see."""
        if conversation is not None and not is_id(conversation):
            return ()
        query = select(ApprovalRow).where(ApprovalRow.tenant_id == principal.tenant)
        if states is not None:
            query = query.where(ApprovalRow.state.in_([state.value for state in states]))
        if conversation is not None:
            query = query.where(ApprovalRow.conversation == conversation)
        query = query.order_by(ApprovalRow.created_at.desc(), ApprovalRow.id.desc())
        seen: list[ApprovalRow] = []
        async with self._db.read() as session:
            rows = await session.stream_scalars(query.execution_options(yield_per=200))
            async for row in rows:
                if _role(row, principal) is not None:
                    seen.append(row)
                if len(seen) >= limit:
                    break
            await rows.close()
            decisions = await _decisions(session, [row.id for row in seen])
            return tuple(_approval(row, decisions[row.id]) for row in seen)

    async def decide(self, approval: str, decision: Decision, principal: Principal) -> Approval:
        """One person's word, weighed with their role as it stands now. Raises Forbidden with protocol.approval.Refusal's
        code and words, Conflict "already decided by X at T", NotFound. Idempotent for the same person and verdict once
        decided by them.

        Who, when, and how fresh is taken from the principal, the clock and the session, never from `decision`."""
        now = self._clock()
        async with self._db.transaction() as session:
            row = await transitions.locked(session, approval)
            found = await principal_in(session, principal.account, fresh=principal.fresh_sign_in)
            word = decision.model_copy(
                update={
                    "by": found.account,
                    "by_name": found.name,
                    "at": now,
                    "fresh_sign_in": found.fresh_sign_in and decision.door == "web",
                    "reason": one_line(decision.reason, 1000),
                }
            )
            result = await _decide(session, row, word, found, now)
            if isinstance(result, ApprovalRow):
                return await _with_decisions(session, result)
        # Raised out here, so that what was found on the way (its time is over) is committed.
        raise result

    def may_decide(self, approval: Approval, principal: Principal) -> str | None:
        """Why this person's approval would not count (words for the card), or None."""
        if approval.state is not ApprovalState.PENDING:
            return f"It is {approval.state} already."
        if approval.expires_at <= self._clock():
            return "Its time is over. Ask for the change again."
        if approval.plan.cannot_run is not None:
            return f"It can't run: {approval.plan.cannot_run}"
        role = principal.role_in(approval.cluster, approval.namespace or None)
        if role is None:
            return f"Your roles do not cover {approval.plan.body.action.target}."
        word = Decision(
            by=principal.account,
            by_name=principal.name,
            verdict="approve",
            plan_hash=approval.plan.plan_hash,
            at=self._clock(),
            door="web",
            fresh_sign_in=principal.fresh_sign_in,
        )
        weighed = weigh(
            word,
            role=role,
            requester=approval.requester,
            plan_hash=approval.plan.plan_hash,
            quorum=approval.quorum,
            earlier=approval.decisions,
        )
        return weighed.message if isinstance(weighed, Refusal) else None

    async def move(
        self, approval: str, trigger: Trigger, *, from_version: int | None = None, outcome: str = "", by: str = "system"
    ) -> Approval:
        """One row of the table by compare-and-set, with its audit row and its log event, in one transaction.
        Raises Conflict when somebody was faster, when it starts too late (code expired) or under a kill switch (code
        kill_switch), NotAllowed when the table has no row."""
        async with self._db.transaction() as session:
            now = self._clock()
            if trigger is Trigger.START:
                row = await transitions.locked_to_start(session, approval, now)
            else:
                row = await transitions.locked(session, approval)
            if from_version is not None and row.version != from_version:
                raise Conflict(f"approval {approval} is {row.state} at version {row.version} now; look at it again")
            moved = await transitions.move(session, row, trigger, by=By(by), now=now, outcome=outcome)
            return await _with_decisions(session, moved)

    async def withdraw(self, approval: str, principal: Principal, reason: str = "") -> Approval:
        """By who asked for it, or by an admin of its scope; before it runs. Raises NotFound, Forbidden, Conflict."""
        async with self._db.transaction() as session:
            row = await transitions.locked(session, approval)
            found = await principal_in(session, principal.account)
            role = _role(row, found)
            if role is None:
                raise _not_found(approval)
            if found.account != row.requester and not role_at_least(role, Role.ADMIN):
                raise Forbidden(f"only {row.requester_name}, who asked for it, or an admin can withdraw this")
            if row.state not in (ApprovalState.PENDING, ApprovalState.APPROVED):
                raise _decided(row)
            by = By(found.account, found.name)
            moved = await transitions.move(session, row, Trigger.WITHDRAW, by=by, now=self._clock(), outcome=reason)
            return await _with_decisions(session, moved)

    async def startable(self) -> tuple[str, ...]:
        """Approved ones, for the sweep: each is started as durable action `action:<id>`."""
        return await self._in_state(ApprovalState.APPROVED, ApprovalRow.expires_at > self._clock())

    async def running(self) -> tuple[str, ...]:
        return await self._in_state(ApprovalState.RUNNING)

    async def unconcluded(self) -> tuple[str, ...]:
        """Ended in the last 24 hours, of a conversation, and something that follows is missing: the concluding turn, or the
        case of a healed one. A process may have ended in between, or the conversation's queue was full."""
        turn = select(TurnRow.id).where(
            TurnRow.conversation == ApprovalRow.conversation, TurnRow.client_id == conclusion_of("") + ApprovalRow.id
        )
        case = select(LogEntryRow.seq).where(
            LogEntryRow.conversation == ApprovalRow.conversation,
            LogEntryRow.kind == "case_stored",
            LogEntryRow.event.contains(ApprovalRow.id, autoescape=False),
        )
        query = select(ApprovalRow.id).where(
            ApprovalRow.state.in_([state.value for state in ENDED]),
            ApprovalRow.conversation.is_not(None),
            ApprovalRow.finished_at > self._clock() - OWED_FOR,
            or_(~turn.exists(), and_(ApprovalRow.state == ApprovalState.SUCCEEDED.value, ~case.exists())),
        )
        async with self._db.read() as session:
            return tuple(await session.scalars(query.order_by(ApprovalRow.finished_at, ApprovalRow.id)))

    async def expire_due(self, now: datetime) -> tuple[str, ...]:
        """Pending and approved ones whose time is over become expired."""
        open_states = (ApprovalState.PENDING.value, ApprovalState.APPROVED.value)
        due = select(ApprovalRow.id).where(ApprovalRow.state.in_(open_states), ApprovalRow.expires_at <= now)
        async with self._db.read() as session:
            ids = (await session.scalars(due.order_by(ApprovalRow.id))).all()
        expired: list[str] = []
        for approval in ids:
            async with self._db.transaction() as session:
                row = await transitions.locked(session, approval)
                if row.state in open_states:  # somebody may have been faster
                    await transitions.move(session, row, Trigger.TIME, by=By(), now=now)
                    expired.append(approval)
        return tuple(expired)

    async def cancel_open(self, session: Session, cluster: str, by: str, reason: str) -> None:
        """Inside the kill switch's transaction: pending and approved approvals of the cluster become cancelled."""
        await transitions.cancel_open(session, cluster, by=By(by), reason=reason, now=self._clock())

    async def _in_state(self, state: ApprovalState, *more: ColumnElement[bool]) -> tuple[str, ...]:
        query = select(ApprovalRow.id).where(ApprovalRow.state == state.value, *more)
        async with self._db.read() as session:
            return tuple(await session.scalars(query.order_by(ApprovalRow.created_at, ApprovalRow.id)))


async def _decide(
    session: Session, row: ApprovalRow, word: Decision, principal: Principal, now: datetime
) -> ApprovalRow | ServiceError:
    role = _role(row, principal)
    if role is None:
        return _not_found(row.id)
    earlier = (await _decisions(session, [row.id]))[row.id]
    if row.state != ApprovalState.PENDING:
        again = any(d.by == word.by and d.verdict == word.verdict and d.plan_hash == word.plan_hash for d in earlier)
        return row if again else _decided(row)
    if row.expires_at <= now:
        moved = await transitions.move(session, row, Trigger.TIME, by=By(), now=now)
        return Forbidden(f"This expired at {moved.expires_at:%H:%M:%S} UTC. Ask for the change again.", code="expired")
    plan = Plan.model_validate_json(row.plan)
    if not plan.verify_hash() or plan.plan_hash != row.plan_hash:
        return Forbidden(
            "The stored plan is not what its hash says. It can't be approved; ask for the change again.", code="plan_changed"
        )
    if word.verdict == "approve" and plan.cannot_run is not None:
        return Forbidden(f"This can't run: {plan.cannot_run}", code="cannot_run")
    quorum = Quorum.model_validate_json(row.quorum)
    weighed = weigh(word, role=role, requester=row.requester, plan_hash=plan.plan_hash, quorum=quorum, earlier=earlier)
    if isinstance(weighed, Refusal):
        return Forbidden(weighed.message, code=weighed.code)
    session.add(
        DecisionRow(
            id=new_id(),
            tenant_id=row.tenant_id,
            approval=row.id,
            cluster=row.cluster,
            account=word.by,
            verdict=word.verdict,
            at=now,
            decision=word.model_dump_json(),
        )
    )
    await session.flush()
    by = By(word.by, word.by_name, word.door)
    return await transitions.move(session, row, weighed, by=by, now=now, outcome=word.reason)


def _role(row: ApprovalRow, principal: Principal) -> Role | None:
    """Over the target's namespace; a cluster-scoped target needs a role over the whole cluster."""
    if row.tenant_id != principal.tenant:
        return None
    return principal.role_in(row.cluster, row.namespace or None)


async def _with_decisions(session: Session, row: ApprovalRow) -> Approval:
    return _approval(row, (await _decisions(session, [row.id]))[row.id])


async def _decisions(session: Session, approvals: Iterable[str]) -> dict[str, tuple[Decision, ...]]:
    found: dict[str, list[Decision]] = {approval: [] for approval in approvals}
    if found:
        query = select(DecisionRow).where(DecisionRow.approval.in_(found)).order_by(DecisionRow.at, DecisionRow.id)
        for row in await session.scalars(query):
            found[row.approval].append(Decision.model_validate_json(row.decision))
    return {approval: tuple(decisions) for approval, decisions in found.items()}


def _approval(row: ApprovalRow, decisions: tuple[Decision, ...]) -> Approval:
    return Approval(
        id=row.id,
        cluster=row.cluster,
        cluster_name=row.cluster_name,
        conversation=row.conversation,
        turn=row.turn,
        namespace=row.namespace,
        plan=Plan.model_validate_json(row.plan),
        command_line=row.command_line,
        undo_line=row.undo_line,
        state=ApprovalState(row.state),
        version=row.version,
        quorum=Quorum.model_validate_json(row.quorum),
        four_eyes=row.four_eyes,
        requester=row.requester,
        requester_name=row.requester_name,
        why=row.why,
        case_code=row.case_code,
        decisions=decisions,
        expires_at=row.expires_at,
        created_at=row.created_at,
        decided_at=row.decided_at,
        decided_by_name=row.decided_by_name,
        started_at=row.started_at,
        finished_at=row.finished_at,
        outcome=row.outcome,
    )


def _decided(row: ApprovalRow) -> Conflict:
    who = f" by {row.decided_by_name}" if row.decided_by_name else ""
    when = f" at {row.decided_at:%H:%M:%S} UTC" if row.decided_at is not None else ""
    return Conflict(f"already decided{who}{when}: it is {row.state}", code="decided")


def _not_found(approval: str) -> NotFound:
    return NotFound(f"there is no approval {one_line(approval, 40)!r}, or it is not yours to see")
