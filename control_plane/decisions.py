"""A decision, weighed in its transaction: who says it as they stand now, what the plan is, and what holds the cluster back."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select

from control_plane import break_glass, log, transitions
from control_plane.approval_records import Approval, decided, decisions_of, not_found, quorum_of, role_over
from control_plane.database import Session
from control_plane.errors import Forbidden, NotSignedIn, ServiceError
from control_plane.freezes import open_freeze
from control_plane.principals import Principal
from control_plane.roles import principal_in
from control_plane.settings import Settings
from control_plane.sign_ins import is_person
from control_plane.tables.approvals import ApprovalRow, DecisionRow
from control_plane.transitions import By
from protocol.approval import (
    BREAK_GLASS,
    ApprovalState,
    Decision,
    Quorum,
    Refusal,
    Trigger,
    role_at_least,
    weigh,
)
from protocol.ids import is_id, new_id
from protocol.remediation import Plan
from protocol.text import one_line

RATE_OVER = timedelta(minutes=10)
_GOES_AHEAD = (ApprovalState.APPROVED.value, ApprovalState.RUNNING.value)


async def hold_cluster_of(session: Session, approval: str) -> None:
    """Before the approval's own lock, by the order of locks: breaking the glass counts the uses of the whole cluster. Raises
    Conflict under a kill switch, whatever the reason."""
    row = await session.get(ApprovalRow, approval) if is_id(approval) else None
    if row is not None and row.state == ApprovalState.PENDING:
        await transitions.cluster_at_rest(session, row.cluster, alone=True)


async def decide(
    session: Session, row: ApprovalRow, word: Decision, principal: Principal, *, settings: Settings, now: datetime
) -> ApprovalRow | ServiceError:
    """The row after it, or why it does not count."""
    if role_over(row, principal) is None:
        return not_found(row.id)
    if not await is_person(session, principal.account):
        return Forbidden("An account that stands for no person decides nothing.", code="not_a_person")
    earlier = (await decisions_of(session, [row.id]))[row.id]
    if row.state != ApprovalState.PENDING:
        again = any(d.by == word.by and d.verdict == word.verdict and d.plan_hash == word.plan_hash for d in earlier)
        return row if again else decided(row)
    if transitions.over(row, now):
        moved = await transitions.move(session, row, Trigger.TIME, by=By(), now=now)
        if moved.expires_at > now:
            return Forbidden(
                "The server's clock was set back since this was asked for. Ask for the change again.", code="expired"
            )
        return Forbidden(f"This expired at {moved.expires_at:%H:%M:%S} UTC. Ask for the change again.", code="expired")
    plan = Plan.model_validate_json(row.plan)
    if not plan.verify_hash() or plan.plan_hash != row.plan_hash:
        return Forbidden(
            "The stored plan is not what its hash says. It can't be approved; ask for the change again.", code="plan_changed"
        )
    if word.verdict == "approve" and plan.cannot_run is not None:
        return Forbidden(f"This can't run: {plan.cannot_run}", code="cannot_run")
    quorum = quorum_of(row, plan, settings)
    weighed = await _weighed(session, row, word, principal, plan, quorum, earlier, now)
    if weighed is Trigger.QUORUM:
        weighed = await _over_budget(session, row, settings, now) or weighed
    if isinstance(weighed, Refusal):
        return Forbidden(weighed.message, code=weighed.code)
    return await _take(session, row, word, weighed, quorum, now)


def would_refuse(approval: Approval, principal: Principal, now: datetime, *, break_glass: bool = False) -> Refusal | None:
    """For a card, from what it shows; the decision itself is weighed again. Pure."""
    early = _not_open(approval, now)
    if early is not None:
        return early
    role = principal.role_in(approval.cluster, approval.namespace or None)
    if role is None:
        return Refusal(code="scope", message=f"Your roles do not cover {approval.plan.body.action.target}.")
    if break_glass and not approval.break_glass_allowed:
        return Refusal(code="break_glass", message="Breaking the glass is switched off here.")
    word = Decision(
        by=principal.account,
        by_name=principal.name,
        verdict="approve",
        plan_hash=approval.plan.plan_hash,
        at=now,
        door="web",
        fresh_sign_in=principal.fresh_sign_in,
        reason="-",
        override_owner=True,
        break_glass=break_glass,
    )
    weighed = weigh(
        word,
        role=role,
        requester=approval.requester,
        plan_hash=approval.plan.plan_hash,
        quorum=BREAK_GLASS if break_glass else approval.quorum,
        earlier=() if break_glass else approval.decisions,
        frozen=approval.freeze.words(approval.cluster_name) if approval.freeze else "",
        owner_reverts=approval.plan.owner.reverts,
    )
    return weighed if isinstance(weighed, Refusal) else None


def _not_open(approval: Approval, now: datetime) -> Refusal | None:
    if approval.state is not ApprovalState.PENDING:
        return Refusal(code="decided", message=f"It is {approval.state} already.")
    if approval.expires_at <= now:
        return Refusal(code="expired", message="Its time is over. Ask for the change again.")
    if approval.plan.cannot_run is not None:
        return Refusal(code="cannot_run", message=f"It can't run: {approval.plan.cannot_run}")
    return None


async def _weighed(
    session: Session,
    row: ApprovalRow,
    word: Decision,
    principal: Principal,
    plan: Plan,
    quorum: Quorum,
    earlier: tuple[Decision, ...],
    now: datetime,
) -> Trigger | Refusal:
    role = role_over(row, principal)
    freeze = await open_freeze(session, row.tenant_id, row.cluster, now)
    breaks = word.break_glass and word.verdict == "approve"
    weighed = weigh(
        word,
        role=role or quorum.role,
        requester=row.requester,
        plan_hash=plan.plan_hash,
        quorum=BREAK_GLASS if breaks else quorum,
        earlier=() if breaks else await _still_good(session, row, earlier, quorum, now),
        frozen=freeze.words(row.cluster_name) if freeze is not None else "",
        owner_reverts=plan.owner.reverts,
    )
    if breaks and not isinstance(weighed, Refusal):
        return await break_glass.why_not(session, row, word, now) or weighed
    return weighed


async def _still_good(
    session: Session, row: ApprovalRow, earlier: tuple[Decision, ...], quorum: Quorum, now: datetime
) -> tuple[Decision, ...]:
    """An approval whose giver has lost the role since is none; the same look is taken again before the action starts."""
    good: list[Decision] = []
    for said in earlier:
        try:
            role = role_over(row, await principal_in(session, said.by, now=now))
        except NotSignedIn:
            continue
        if role is not None and role_at_least(role, quorum.role):
            good.append(said)
    return tuple(good)


async def _over_budget(session: Session, row: ApprovalRow, settings: Settings, now: datetime) -> Refusal | None:
    """How much one conversation may change, in all and in ten minutes. Under the conversation's lock: of two approvals at once
    the second one sees the first."""
    if row.conversation is None:
        return None
    await log.lock(session, row.conversation)
    went = (
        ApprovalRow.conversation == row.conversation,
        or_(ApprovalRow.state.in_(_GOES_AHEAD), ApprovalRow.started_at.is_not(None)),
    )
    done = await session.scalar(select(func.count()).where(*went)) or 0
    if done >= settings.changes_per_conversation:
        return Refusal(
            code="budget",
            message=f"This conversation has made {done} changes, which is the most. Look at what they did, and go on in a new "
            "conversation.",
        )
    lately = await session.scalar(select(func.count()).where(*went, ApprovalRow.decided_at > now - RATE_OVER)) or 0
    if lately >= settings.changes_in_ten_minutes:
        return Refusal(
            code="budget",
            message=f"This conversation has made {lately} changes in ten minutes, which is the most. Let them settle first.",
        )
    return None


async def _take(
    session: Session, row: ApprovalRow, word: Decision, trigger: Trigger, quorum: Quorum, now: datetime
) -> ApprovalRow:
    await _keep(session, row, word, now)
    also: Mapping[str, object] = {}
    breaks = word.break_glass and word.verdict == "approve"
    if breaks:
        used = break_glass.note(session, row, word, now, instead_of=f"{quorum.needed} x {quorum.role}")
        also = {"break_glass": used.model_dump_json(), "expires_at": min(row.expires_at, now + break_glass.GOOD_FOR)}
    by = By(word.by, word.by_name, word.door)
    told = {"shown": word.plan_hash, "source": one_line(word.source, 100)}
    if word.override_owner and word.verdict == "approve":
        told |= {"owner_overridden": word.reason}
    if breaks:
        told |= {"break_glass": word.reason}
    return await transitions.move(session, row, trigger, by=by, now=now, outcome=word.reason, also=also, told=told)


async def _keep(session: Session, row: ApprovalRow, word: Decision, now: datetime) -> None:
    """One word of each kind a person: who approved as one of two and then breaks the glass has said the latter. The audit has
    both."""
    same = DecisionRow.approval == row.id, DecisionRow.account == word.by, DecisionRow.verdict == word.verdict
    kept = await session.scalar(select(DecisionRow).where(*same))
    if kept is None:
        kept = DecisionRow(
            id=new_id(),
            tenant_id=row.tenant_id,
            approval=row.id,
            cluster=row.cluster,
            account=word.by,
            verdict=word.verdict,
        )
        session.add(kept)
    kept.at, kept.decision = now, word.model_dump_json()
    await session.flush()
