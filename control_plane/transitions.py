"""The approval state machine on rows: each transition is one UPDATE that compares id, state and version, and commits
together with its audit row and its event in the conversation's log.

Rows are locked in one order, so that PostgreSQL never finds two transactions waiting for each other: the cluster, then
approvals, then conversations, then the head of the audit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, or_, select, update

from control_plane import log
from control_plane.audit import SYSTEM, Entry, record
from control_plane.clock import CLOCKS_APART
from control_plane.database import Session
from control_plane.errors import Conflict, NotFound
from control_plane.freezes import open_freeze
from control_plane.tables.approvals import ApprovalRow
from control_plane.tables.fleet import ClusterRow
from control_plane.typed import typed
from control_plane.wakeups import LISTS, WORK
from protocol.approval import TERMINAL, ApprovalState, Trigger, next_state
from protocol.events import ActionFinished, ActionStarted, AgentEvent, ApprovalDecided
from protocol.ids import is_id
from protocol.text import one_line

_ENDS_AN_ACTION = frozenset({Trigger.CHECK_PASSED, Trigger.CHECK_FAILED, Trigger.UNDONE, Trigger.UNANSWERED})

WITHOUT_REASON = "rejected"
"""The outcome of a rejection that says no reason."""
IN_NO_TIME = "it was approved, and did not begin in time"
SET_BACK = "the server's clock was set back since this was asked for"
_WORDS = {
    Trigger.TIME: "nobody decided in time",
    Trigger.NEWER_PLAN: "a newer plan for the same object took its place",
    Trigger.KILL_SWITCH: "the cluster's kill switch was turned on",
    Trigger.REJECTION: WITHOUT_REASON,
    Trigger.WITHDRAW: "withdrawn",
}


@dataclass(frozen=True)
class By:
    """Who moved it. `name` is empty for what nobody did."""

    account: str = SYSTEM
    name: str = ""
    door: str = ""


async def locked(session: Session, approval: str) -> ApprovalRow:
    """The row as it is once nobody else can change it. Raises NotFound."""
    wanted = select(ApprovalRow).where(ApprovalRow.id == approval).with_for_update()
    row = await session.scalar(wanted.execution_options(populate_existing=True)) if is_id(approval) else None
    if row is None:
        raise NotFound(f"there is no approval {one_line(approval, 40)!r}, or it is not yours to read")
    return row


async def move(
    session: Session,
    row: ApprovalRow,
    trigger: Trigger,
    *,
    by: By,
    now: datetime,
    outcome: str = "",
    also: Mapping[str, object] | None = None,
    told: Mapping[str, str] | None = None,
) -> ApprovalRow:
    """`also` are further columns of the same statement, `told` further words for the audit. Raises NotAllowed when the table
    has no such row, Conflict when somebody was faster."""
    before = ApprovalState(row.state)
    after = next_state(before, trigger)
    outcome = typed(outcome, 2000) or _words(row, trigger, now)
    moved = await session.scalar(
        update(ApprovalRow)
        .where(ApprovalRow.id == row.id, ApprovalRow.state == before.value, ApprovalRow.version == row.version)
        .values(version=row.version + 1, state=after.value, **_times(trigger, after, by, now, outcome), **(also or {}))
        .returning(ApprovalRow)
        .execution_options(populate_existing=True, synchronize_session=False)
    )
    if moved is None:
        raise Conflict(f"approval {row.id} was changed by somebody else just now; look at it again")
    detail = {"from": before.value, "to": after.value, "trigger": trigger.value, "plan_hash": moved.plan_hash}
    record(
        session,
        Entry(
            actor=by.account,
            actor_name=by.name,
            door=by.door,
            action=_audit_action(trigger),
            subject=f"approval:{moved.id}",
            at=now,
            cluster=moved.cluster,
            namespace=moved.namespace,
            detail=detail | ({"outcome": outcome} if outcome else {}) | dict(told or {}),
        ),
    )
    if moved.conversation is not None:
        await log.append(session, moved.conversation, _event(moved, trigger, by, now, outcome), at=now, turn=moved.turn)
    session.wake(LISTS)
    if trigger in (Trigger.QUORUM, Trigger.REJECTION):
        session.wake(WORK, moved.id.encode())
    return moved


async def cancel_open(session: Session, cluster: str, *, by: By, reason: str, now: datetime) -> int:
    """The kill switch: every pending and approved approval of the cluster. Returns how many there were."""
    open_states = [state.value for state in (ApprovalState.PENDING, ApprovalState.APPROVED)]
    rows = await session.scalars(
        select(ApprovalRow)
        .where(ApprovalRow.cluster == cluster, ApprovalRow.state.in_(open_states))
        .order_by(ApprovalRow.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    found = rows.all()
    for row in found:
        await move(session, row, Trigger.KILL_SWITCH, by=by, now=now, outcome=reason)
    return len(found)


async def cluster_at_rest(session: Session, cluster: str, *, alone: bool = False) -> ClusterRow:
    """The cluster, whose kill switch is off and can't be turned before this transaction ends; with `alone`, no other
    transaction that asks so either goes on before. Raises NotFound, Conflict."""
    wanted = select(ClusterRow).where(ClusterRow.id == cluster).with_for_update(read=not alone)
    row = await session.scalar(wanted.execution_options(populate_existing=True)) if is_id(cluster) else None
    if row is None:
        raise NotFound(f"there is no cluster {one_line(cluster, 40)!r}")
    if row.kill_switch:
        why = f" ({one_line(row.kill_switch_reason, 200)})" if row.kill_switch_reason else ""
        raise Conflict(
            f"the kill switch of cluster {row.name} is on{why}: nothing may be changed there until an admin turns it off",
            code="kill_switch",
        )
    return row


def over(row: ApprovalRow, now: datetime) -> bool:
    """Its time is over. A clock that was set back since it was asked for says nothing about that, so it is over then, too."""
    return row.expires_at <= now or row.created_at > now + CLOCKS_APART


def is_over(now: datetime) -> ColumnElement[bool]:
    """`over` in SQL."""
    return or_(ApprovalRow.expires_at <= now, ApprovalRow.created_at > now + CLOCKS_APART)


async def locked_to_start(session: Session, approval: str, now: datetime) -> ApprovalRow:
    """Like `locked`, for an approval whose action is to start. Raises Conflict under a kill switch, in a freeze window (but
    with a broken glass) and when it is late."""
    row = await session.get(ApprovalRow, approval) if is_id(approval) else None
    if row is not None and row.state == ApprovalState.APPROVED:
        await cluster_at_rest(session, row.cluster)
    row = await locked(session, approval)
    if row.state == ApprovalState.APPROVED and over(row, now):
        if row.expires_at > now:
            raise Conflict(
                f"approval {row.id}: the server's clock was set back since this was asked for; propose the change again",
                code="expired",
            )
        raise Conflict(f"approval {row.id} expired at {row.expires_at:%H:%M:%S} UTC; propose the change again", code="expired")
    if row.state == ApprovalState.APPROVED and row.break_glass is None:
        freeze = await open_freeze(session, row.tenant_id, row.cluster, now)
        if freeze is not None:
            raise Conflict(freeze.words(row.cluster_name), code="frozen")
    return row


def _words(row: ApprovalRow, trigger: Trigger, now: datetime) -> str:
    if trigger is Trigger.TIME and row.expires_at > now:
        return SET_BACK
    if trigger is Trigger.TIME and row.state == ApprovalState.APPROVED:
        return IN_NO_TIME
    return _WORDS.get(trigger, "")


def _times(trigger: Trigger, after: ApprovalState, by: By, now: datetime, outcome: str) -> dict[str, object]:
    values: dict[str, object] = {}
    if trigger is Trigger.START:
        values["started_at"] = now
    elif trigger in _ENDS_AN_ACTION:
        values["finished_at"] = now
    elif trigger is not Trigger.PARTIAL:
        values |= {"decided_at": now, "decided_by_name": by.name}
    if after in TERMINAL:
        values["outcome"] = outcome
    return values


def _event(row: ApprovalRow, trigger: Trigger, by: By, now: datetime, outcome: str) -> AgentEvent:
    state = ApprovalState(row.state)
    if trigger is Trigger.START:
        return ActionStarted(approval=row.id)
    if trigger in _ENDS_AN_ACTION:
        took_s = (now - row.started_at).total_seconds() if row.started_at is not None else 0.0
        return ActionFinished(approval=row.id, state=state, message=outcome, took_s=took_s)
    return ApprovalDecided(approval=row.id, state=state, by_name=by.name, reason=outcome)


def _audit_action(trigger: Trigger) -> str:
    if trigger is Trigger.START:
        return "approval.started"
    return "approval.finished" if trigger in _ENDS_AN_ACTION else "approval.decided"
