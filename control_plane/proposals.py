"""Opening an approval: a plan is judged once more here, whatever the runner and the agent said, before it is stored."""

import json
from datetime import datetime, timedelta

from sqlalchemy import func, select

from control_plane import log, transitions
from control_plane.audit import Entry, record
from control_plane.database import Session
from control_plane.errors import Conflict, Forbidden, Invalid, TooMany
from control_plane.freezes import OpenFreeze, open_freeze
from control_plane.principals import Principal, narrower
from control_plane.readers import may_read
from control_plane.settings import Settings
from control_plane.tables.approvals import ApprovalRow
from control_plane.tables.conversations import ConversationRow, TurnRow
from control_plane.tables.fleet import ClusterRow
from control_plane.transitions import By
from control_plane.wakeups import LISTS
from protocol.approval import ApprovalState, Role, Trigger, quorum_for
from protocol.commands import ScopeLimit
from protocol.events import ApprovalRequested
from protocol.ids import new_id
from protocol.kubectl.render import describe_remediation
from protocol.policy import Decided, PolicyContext, judge
from protocol.redaction import redact
from protocol.remediation import RISK_ORDER, Plan, Remediation, Risk
from protocol.risk import remediation_risk, undo_misfit
from protocol.text import cap, clean, one_line

MOST_OPEN = 3
"""Open approvals that the turns of one conversation may have asked for: people decide, and can't about a flood."""
_UNDER_WAY = (ApprovalState.APPROVED, ApprovalState.RUNNING)


async def open_approval(
    session: Session,
    plan: Plan,
    requester: Principal,
    *,
    conversation: str | None,
    turn: str | None,
    why: str,
    case_code: str,
    settings: Settings,
    now: datetime,
) -> ApprovalRow:
    """Raises Forbidden (role, scope, policy), Conflict (kill switch, an action under way, somebody else's open question about
    the object), Invalid (a plan that does not hold together), TooMany (open questions of this conversation's turns)."""
    # Alone: two plans for one object must see each other.
    cluster = await transitions.cluster_at_rest(session, plan.body.cluster, alone=True)
    scope = await _conversation_scope(session, conversation, turn, requester, cluster)
    freeze = await open_freeze(session, cluster.tenant_id, cluster.id, now)
    role = _judge(plan, requester, scope, frozen=freeze is not None)
    there = await _make_room(session, plan, conversation, requester, now)
    if there is not None:
        return there
    if conversation is not None and turn is not None:
        await _within_budget(session, conversation, settings, now)
    row = _row(plan, requester, cluster, settings, now)
    row.conversation, row.turn = conversation, turn
    row.why, row.case_code = cap(clean(redact(why).text), 4000), one_line(case_code, 100)
    session.add(row)
    await session.flush()
    record(session, _audit_entry(row, plan, role, freeze, now))
    if conversation is not None:
        await log.append(session, conversation, ApprovalRequested(approval=row.id), at=now, turn=turn)
    session.wake(LISTS)
    return row


def sound(plan: Plan, cluster: str) -> Plan:
    """The plan with the risk that it has by our own table, if that is higher. Raises Invalid when it does not hold together."""
    body = plan.body
    if not plan.verify_hash():
        raise Invalid("the plan is not what its hash says; prepare it again", code="plan_changed")
    if body.cluster != cluster:
        raise Invalid(f"the plan is for cluster {body.cluster}, not for {cluster}; prepare it again")
    misfit = undo_misfit(body.action, body.undo)
    if misfit is not None:
        raise Invalid(f"the plan's undo does not fit: {misfit}")
    if plan.risk is Risk.NONE:
        raise Invalid("a plan that changes something has a risk; prepare it again")
    ours, _ = remediation_risk(body.action, has_undo=body.undo is not None, replicas=plan.blast_radius.replicas_before)
    return plan.model_copy(update={"risk": max(plan.risk, ours, key=RISK_ORDER.index)})


async def _conversation_scope(
    session: Session, conversation: str | None, turn: str | None, requester: Principal, cluster: ClusterRow
) -> ScopeLimit:
    """What may be proposed from there: no more than its scope, and nothing by a turn without the right to propose."""
    seen = requester.scope_limit(cluster.id)
    if conversation is None:
        return seen
    row = await session.get(ConversationRow, conversation)
    if row is None or row.cluster != cluster.id or not may_read(row, requester):
        raise Forbidden(
            f"the conversation {one_line(conversation, 40)!r} is not about this cluster, or not yours", code="scope"
        )
    if turn is not None:
        asked = await session.get(TurnRow, turn)
        if asked is None or asked.conversation != conversation or not asked.may_propose:
            raise Forbidden("this turn may not propose a change; ask for it in a new message")
    return narrower(seen, ScopeLimit.model_validate_json(row.scope))


def _judge(plan: Plan, requester: Principal, scope: ScopeLimit, *, frozen: bool) -> Role:
    """A freeze window lets a question be asked; it holds the decision and the start."""
    body = plan.body
    role = requester.role_in(body.cluster, body.action.target.namespace or None)
    if role is None:
        raise Forbidden(f"your roles do not cover {body.action.target}; ask an admin", code="scope")
    verdict = judge(body.action, PolicyContext(scope=scope, role=role, frozen=frozen))
    if verdict.decision is Decided.DENY:
        raise Forbidden(verdict.reason)
    return role


async def _make_room(
    session: Session, plan: Plan, conversation: str | None, requester: Principal, now: datetime
) -> ApprovalRow | None:
    """The same question that is open there already; else None, once no other about this object is."""
    body = plan.body
    states = [ApprovalState.PENDING.value, *(state.value for state in _UNDER_WAY)]
    about_it = await session.scalars(
        select(ApprovalRow)
        .where(ApprovalRow.cluster == body.cluster, ApprovalRow.target == str(body.action.target))
        .where(ApprovalRow.state.in_(states))
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    for row in about_it.all():
        if row.expires_at <= now and row.state != ApprovalState.RUNNING.value:
            await transitions.move(session, row, Trigger.TIME, by=By(), now=now)
        elif row.state != ApprovalState.PENDING.value:
            raise Conflict(
                f"a change of {row.target} is {row.state} already (asked for by {row.requester_name}); wait for its end"
            )
        elif row.plan_hash == plan.plan_hash and row.conversation == conversation:
            return row
        elif not _same_story(row, conversation, requester):
            raise Conflict(
                f"{row.requester_name} has asked for a change of {row.target} already, and it waits for a decision: "
                f"{one_line(row.command_line, 200)} (approval {row.id}). Decide about that one first, or have it withdrawn",
                code="open_elsewhere",
            )
        else:
            by = By(requester.account, requester.name)
            await transitions.move(session, row, Trigger.NEWER_PLAN, by=by, now=now)
    return None


def _same_story(row: ApprovalRow, conversation: str | None, requester: Principal) -> bool:
    """Nobody makes another person's card, in another conversation, go away by asking for something else."""
    return row.requester == requester.account or (conversation is not None and row.conversation == conversation)


async def _within_budget(session: Session, conversation: str, settings: Settings, now: datetime) -> None:
    went = select(func.count()).where(ApprovalRow.conversation == conversation, ApprovalRow.started_at.is_not(None))
    done = await session.scalar(went) or 0
    if done >= settings.changes_per_conversation:
        raise TooMany(f"this conversation has used up its {done} changes; look at what they did, and go on in a new one")
    wanted = select(ApprovalRow.command_line).where(
        ApprovalRow.conversation == conversation,
        ApprovalRow.turn.is_not(None),
        ApprovalRow.state == ApprovalState.PENDING.value,
        ApprovalRow.expires_at > now,
    )
    waiting = (await session.scalars(wanted.order_by(ApprovalRow.created_at, ApprovalRow.id))).all()
    if len(waiting) >= MOST_OPEN:
        lines = "; ".join(one_line(line, 120) for line in waiting)
        raise TooMany(
            f"{len(waiting)} proposed changes of this conversation wait for a decision, and no more are opened until one of "
            f"them is decided or withdrawn: {lines}"
        )


def _row(plan: Plan, requester: Principal, cluster: ClusterRow, settings: Settings, now: datetime) -> ApprovalRow:
    body = plan.body
    minutes = settings.approval_minutes_high if plan.risk is Risk.HIGH else settings.approval_minutes
    return ApprovalRow(
        id=new_id(),
        tenant_id=requester.tenant,
        cluster=cluster.id,
        cluster_name=cluster.name,
        namespace=body.action.target.namespace,
        target=str(body.action.target),
        plan=plan.model_dump_json(),
        plan_hash=plan.plan_hash,
        command_line=_line(body.action),
        undo_line=_line(body.undo) if body.undo is not None else "",
        state=ApprovalState.PENDING.value,
        version=1,
        quorum=quorum_for(plan.risk, four_eyes=settings.four_eyes).model_dump_json(),
        four_eyes=settings.four_eyes,
        requester=requester.account,
        requester_name=requester.name,
        expires_at=now + timedelta(minutes=minutes),
        created_at=now,
        decided_by_name="",
        outcome="",
    )


def _line(action: Remediation) -> str:
    return redact(describe_remediation(action)).text


def _audit_entry(row: ApprovalRow, plan: Plan, role: Role, freeze: OpenFreeze | None, now: datetime) -> Entry:
    return Entry(
        actor=row.requester,
        actor_name=row.requester_name,
        action="approval.requested",
        subject=f"approval:{row.id}",
        at=now,
        cluster=row.cluster,
        namespace=row.namespace,
        detail={
            "plan_hash": row.plan_hash,
            "risk": plan.risk.value,
            "action": row.command_line,
            "undo": row.undo_line,
            "diff": plan.diff,
            "role": role.value,
            "quorum": json.dumps(json.loads(row.quorum), sort_keys=True),
            "frozen_until": freeze.until.isoformat() if freeze is not None else "",
            "cannot_run": plan.cannot_run or "",
        },
    )
