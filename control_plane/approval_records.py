"""An approval as people and actions see it: the row, the decisions, and what holds it back at this moment."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import select

from control_plane import break_glass
from control_plane.break_glass import BreakGlass
from control_plane.database import Session
from control_plane.errors import Conflict, NotFound
from control_plane.freezes import OpenFreeze, open_freezes
from control_plane.principals import Principal
from control_plane.roles import principals_in
from control_plane.settings import Settings
from control_plane.tables.approvals import ApprovalRow, DecisionRow
from protocol.approval import (
    BREAK_GLASS,
    ApprovalState,
    Decision,
    Quorum,
    Role,
    quorum_for,
    role_at_least,
    stricter,
)
from protocol.base import Value
from protocol.remediation import Plan
from protocol.text import one_line

ELECTORS_SHOWN = 8


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
    """As it holds now: never less than when it was asked for, and what the installation's four-eyes rule asks for today."""
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
    freeze: OpenFreeze | None = None
    """What is open for its cluster now, as long as it is not running."""
    break_glass: BreakGlass | None = None
    break_glass_allowed: bool = True
    """Does the cluster allow it at all?"""
    electors: tuple[str, ...] | None = None
    """Names of who could give the approval that is missing, the first few; None where nobody looked: in lists."""

    @property
    def yes(self) -> frozenset[str]:
        """Accounts whose approval counts."""
        said = {d.by for d in self.decisions if d.verdict == "approve" and d.plan_hash == self.plan.plan_hash}
        return frozenset(said if self.quorum.requester_may else said - {self.requester})

    @property
    def missing(self) -> int:
        """How many approvals it waits for."""
        return max(0, self.quorum.needed - len(self.yes)) if self.state is ApprovalState.PENDING else 0


def role_over(row: ApprovalRow, principal: Principal) -> Role | None:
    """Over the target's namespace; a cluster-scoped target needs a role over the whole cluster."""
    if row.tenant_id != principal.tenant:
        return None
    return principal.role_in(row.cluster, row.namespace or None)


def quorum_of(row: ApprovalRow, plan: Plan, settings: Settings) -> Quorum:
    """What must be said yes to it today: turning four-eyes on re-weighs what was asked for without."""
    if row.break_glass is not None:
        return BREAK_GLASS
    stored = Quorum.model_validate_json(row.quorum)
    return stricter(stored, quorum_for(plan.risk, four_eyes=settings.four_eyes))


async def record_of(session: Session, row: ApprovalRow, settings: Settings, now: datetime) -> Approval:
    """With who else could approve it."""
    people = await principals_in(session, now=now) if row.state == ApprovalState.PENDING else None
    return (await records_of(session, (row,), settings, now, people))[0]


async def records_of(
    session: Session,
    rows: Sequence[ApprovalRow],
    settings: Settings,
    now: datetime,
    people: tuple[Principal, ...] | None = None,
) -> tuple[Approval, ...]:
    """With what holds each of them now; a query a kind of thing, not one a row."""
    decisions = await decisions_of(session, [row.id for row in rows])
    waiting = [row for row in rows if row.state in (ApprovalState.PENDING, ApprovalState.APPROVED)]
    freezes: dict[str, OpenFreeze] = {}
    for tenant in {row.tenant_id for row in waiting}:
        freezes |= await open_freezes(session, tenant, {row.cluster for row in waiting if row.tenant_id == tenant}, now)
    pending = [row for row in waiting if row.state == ApprovalState.PENDING]
    allowed = await break_glass.allowed_in(session, {row.cluster for row in pending})
    return tuple(
        _record(row, settings, decisions[row.id], freezes.get(row.cluster), allowed.get(row.cluster, True), people)
        for row in rows
    )


async def decisions_of(session: Session, approvals: Iterable[str]) -> dict[str, tuple[Decision, ...]]:
    found: dict[str, list[Decision]] = {approval: [] for approval in approvals}
    if found:
        query = select(DecisionRow).where(DecisionRow.approval.in_(found)).order_by(DecisionRow.at, DecisionRow.id)
        for row in await session.scalars(query):
            found[row.approval].append(Decision.model_validate_json(row.decision))
    return {approval: tuple(decisions) for approval, decisions in found.items()}


def decided(row: ApprovalRow) -> Conflict:
    who = f" by {row.decided_by_name}" if row.decided_by_name else ""
    when = f" at {row.decided_at:%H:%M:%S} UTC" if row.decided_at is not None else ""
    return Conflict(f"already decided{who}{when}: it is {row.state}", code="decided")


def not_found(approval: str) -> NotFound:
    return NotFound(f"there is no approval {one_line(approval, 40)!r}, or it is not yours to see")


def _record(
    row: ApprovalRow,
    settings: Settings,
    decisions: tuple[Decision, ...],
    freeze: OpenFreeze | None,
    allowed: bool,
    people: tuple[Principal, ...] | None,
) -> Approval:
    plan = Plan.model_validate_json(row.plan)
    broken = BreakGlass.model_validate_json(row.break_glass) if row.break_glass is not None else None
    state = ApprovalState(row.state)
    waits = state in (ApprovalState.PENDING, ApprovalState.APPROVED)
    shown = Approval(
        id=row.id,
        cluster=row.cluster,
        cluster_name=row.cluster_name,
        conversation=row.conversation,
        turn=row.turn,
        namespace=row.namespace,
        plan=plan,
        command_line=row.command_line,
        undo_line=row.undo_line,
        state=state,
        version=row.version,
        quorum=quorum_of(row, plan, settings),
        four_eyes=row.four_eyes or settings.four_eyes,
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
        freeze=freeze if waits and broken is None else None,
        break_glass=broken,
        break_glass_allowed=allowed,
    )
    if state is not ApprovalState.PENDING or people is None:
        return shown
    return shown.model_copy(update={"electors": _electors(row, shown, people)})


def _electors(row: ApprovalRow, shown: Approval, people: tuple[Principal, ...]) -> tuple[str, ...]:
    names: list[str] = []
    for person in people:
        role = role_over(row, person)
        left_out = person.account in shown.yes or (person.account == row.requester and not shown.quorum.requester_may)
        if role is not None and role_at_least(role, shown.quorum.role) and not left_out:
            names.append(person.name)
    return tuple(sorted(names)[:ELECTORS_SHOWN])
