"""The approval state machine as a table, and the quorum rule. DESIGN.md's section on flows is this table in words."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Literal

from protocol.base import Message, Utc, Value
from protocol.remediation import Risk


class ApprovalState(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"
    UNKNOWN = "unknown"


class Trigger(StrEnum):
    """What moves an approval."""

    PARTIAL = "partial"  # a decision that does not reach the quorum
    QUORUM = "quorum"
    REJECTION = "rejection"
    TIME = "time"
    WITHDRAW = "withdraw"  # requester or admin
    KILL_SWITCH = "kill_switch"
    NEWER_PLAN = "newer_plan"  # an edit, or a newer plan for the same object
    START = "start"  # the action, after its re-check
    RECHECK_FAILED = "recheck_failed"  # role, scope, plan or object no longer hold
    CHECK_PASSED = "check_passed"
    CHECK_FAILED = "check_failed"  # refused, or the check failed without an undo
    UNDONE = "undone"
    UNANSWERED = "unanswered"


_S = ApprovalState
_T = Trigger

TRANSITIONS: dict[tuple[ApprovalState, Trigger], ApprovalState] = {
    (_S.PENDING, _T.PARTIAL): _S.PENDING,
    (_S.PENDING, _T.QUORUM): _S.APPROVED,
    (_S.PENDING, _T.REJECTION): _S.REJECTED,
    (_S.PENDING, _T.TIME): _S.EXPIRED,
    (_S.PENDING, _T.WITHDRAW): _S.CANCELLED,
    (_S.PENDING, _T.KILL_SWITCH): _S.CANCELLED,
    (_S.PENDING, _T.NEWER_PLAN): _S.SUPERSEDED,
    (_S.APPROVED, _T.START): _S.RUNNING,
    (_S.APPROVED, _T.RECHECK_FAILED): _S.CANCELLED,
    (_S.APPROVED, _T.TIME): _S.EXPIRED,
    (_S.APPROVED, _T.WITHDRAW): _S.CANCELLED,
    (_S.APPROVED, _T.KILL_SWITCH): _S.CANCELLED,
    (_S.RUNNING, _T.CHECK_PASSED): _S.SUCCEEDED,
    (_S.RUNNING, _T.CHECK_FAILED): _S.FAILED,
    (_S.RUNNING, _T.UNDONE): _S.ROLLED_BACK,
    (_S.RUNNING, _T.UNANSWERED): _S.UNKNOWN,
}

TERMINAL = frozenset(s for s in ApprovalState if not any(source is s for source, _ in TRANSITIONS))


class NotAllowed(Exception):
    """The table has no such transition. Carries the state that the approval is in."""

    def __init__(self, state: ApprovalState, trigger: Trigger) -> None:
        super().__init__(f"an approval that is {state} cannot take {trigger}")
        self.state = state
        self.trigger = trigger


def next_state(state: ApprovalState, trigger: Trigger) -> ApprovalState:
    """Raises NotAllowed when the table has no row."""
    try:
        return TRANSITIONS[state, trigger]
    except KeyError:
        raise NotAllowed(state, trigger) from None


class Role(StrEnum):
    """Each holds what the one before holds: ask and read; propose and approve low; approve medium and high; administer."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"


ROLE_ORDER = (Role.VIEWER, Role.OPERATOR, Role.APPROVER, Role.ADMIN)


def role_at_least(role: Role, needed: Role) -> bool:
    return ROLE_ORDER.index(role) >= ROLE_ORDER.index(needed)


class Quorum(Value):
    """Who must say yes."""

    needed: int
    role: Role
    requester_may: bool
    """May the requester's own approval count?"""
    fresh_sign_in_for_last: bool = False
    """The last approval needs the web with a fresh sign-in."""


QUORUM: dict[Risk, Quorum] = {
    Risk.LOW: Quorum(needed=1, role=Role.OPERATOR, requester_may=True),
    Risk.MEDIUM: Quorum(needed=1, role=Role.APPROVER, requester_may=False),
    Risk.HIGH: Quorum(needed=2, role=Role.APPROVER, requester_may=False, fresh_sign_in_for_last=True),
}


def quorum_for(risk: Risk, *, four_eyes: bool = True) -> Quorum:
    """The quorum for a risk. `four_eyes` False is the practice mode for one person (`--solo`); cards say so.

    Raises KeyError for Risk.NONE: reads have no approvals.
    """
    rule = QUORUM[risk]
    if four_eyes:
        return rule
    return Quorum(needed=1, role=rule.role, requester_may=True, fresh_sign_in_for_last=False)


BREAK_GLASS = Quorum(needed=1, role=Role.APPROVER, requester_may=True, fresh_sign_in_for_last=True)
"""One person alone, who is surely that person: what holds when the glass is broken, whatever the risk."""


def stricter(one: Quorum, other: Quorum) -> Quorum:
    """What satisfies both. Four-eyes that is turned on holds for what was asked for before; turned off, it does not."""
    return Quorum(
        needed=max(one.needed, other.needed),
        role=one.role if role_at_least(one.role, other.role) else other.role,
        requester_may=one.requester_may and other.requester_may,
        fresh_sign_in_for_last=one.fresh_sign_in_for_last or other.fresh_sign_in_for_last,
    )


class Decision(Message):
    """One person's word about one plan."""

    by: str
    """Account id."""
    by_name: str
    verdict: Literal["approve", "reject"]
    plan_hash: str
    """The hash that the person saw; it must be the stored plan's."""
    at: Utc
    door: Literal["web", "slack", "rest", "cli"]
    fresh_sign_in: bool = False
    reason: str = ""
    override_owner: bool = False
    """Run it although its owner (Argo CD, Helm, an autoscaler) would revert it. It needs a reason."""
    break_glass: bool = False
    """Alone, or in a freeze window, because there is nobody else and no time. It needs a reason, and others are told."""
    source: str = ""
    """Where it came from, for the audit: the address of the browser or program."""


class Refusal(Value):
    """Why a decision does not count. `code` is stable; surfaces translate it."""

    code: Literal[
        "role",
        "requester",
        "twice",
        "plan_changed",
        "expired",
        "decided",
        "step_up",
        "scope",
        "cannot_run",
        "frozen",
        "owner",
        "budget",
        "break_glass",
    ]
    message: str


def weigh(
    decision: Decision,
    *,
    role: Role,
    requester: str,
    plan_hash: str,
    quorum: Quorum,
    earlier: Sequence[Decision],
    frozen: str = "",
    owner_reverts: bool = False,
) -> Trigger | Refusal:
    """What a decision does to a pending approval: a trigger for the table, or the reason why it does not count.

    Pure. The caller has already looked up the decider's role in the plan's scope at click time and the clock; whether the
    glass may be broken at all (`control_plane.break_glass`); and which freeze window is open, in words.
    """
    if decision.plan_hash != plan_hash:
        return Refusal(code="plan_changed", message="The plan is not the one you were shown. Read the new card.")
    if decision.verdict == "reject":
        if decision.by == requester:
            return Trigger.WITHDRAW
        if not role_at_least(role, Role.OPERATOR):
            return Refusal(code="role", message=f"Rejecting needs the role {Role.OPERATOR}; yours is {role}.")
        return Trigger.REJECTION
    if not role_at_least(role, quorum.role):
        return Refusal(code="role", message=f"Approving this needs the role {quorum.role}; yours is {role}.")
    if frozen and not decision.break_glass:
        return Refusal(code="frozen", message=frozen)
    if decision.break_glass and not decision.reason.strip():
        return Refusal(code="break_glass", message="Breaking the glass needs a reason; everybody who could approve reads it.")
    if owner_reverts and not (decision.override_owner and decision.reason.strip()):
        return Refusal(
            code="owner",
            message="The owner of this object would revert the change. Commit the patch instead, or say that you run it anyway "
            "as a temporary override, and why.",
        )
    if decision.by == requester and not quorum.requester_may:
        return Refusal(code="requester", message="You asked for this change, so somebody else has to approve it.")
    # Only what counted then and was about this plan counts now.
    yes = {d.by for d in earlier if d.verdict == "approve" and d.plan_hash == plan_hash}
    if not quorum.requester_may:
        yes.discard(requester)
    if decision.by in yes:
        return Refusal(code="twice", message="You have approved this already; a second person is needed.")
    if len(yes) + 1 < quorum.needed:
        return Trigger.PARTIAL
    if quorum.fresh_sign_in_for_last and not (decision.fresh_sign_in and decision.door == "web"):
        return Refusal(code="step_up", message="The last approval of a high-risk change needs a fresh sign-in on the web.")
    return Trigger.QUORUM
