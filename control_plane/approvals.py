"""Approvals: the record, the state machine by compare-and-set, the sweep. Two views show it; nobody else keeps it."""

from datetime import datetime

from control_plane.principals import Principal
from protocol.approval import ApprovalState, Decision, Quorum, Trigger
from protocol.base import Value
from protocol.remediation import Plan


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
    started_at: datetime | None = None
    finished_at: datetime | None = None
    outcome: str = ""
    """For people: what happened in the end."""


class Approvals:
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
        object. The same plan hash pending in the same conversation gives the approval that is there. Raises Forbidden
        (role, scope), Conflict (kill switch), Invalid (hash does not match)."""
        ...

    async def get(self, approval: str, principal: Principal | None = None) -> Approval: ...

    async def list(
        self,
        principal: Principal,
        *,
        states: tuple[ApprovalState, ...] | None = None,
        conversation: str | None = None,
        limit: int = 50,
    ) -> tuple[Approval, ...]: ...

    async def decide(self, approval: str, decision: Decision, principal: Principal) -> Approval:
        """One person's word, weighed with their role as it stands now. Raises Forbidden with protocol.approval.Refusal's
        code and words, Conflict "already decided by X at T", NotFound. Idempotent for the same person and verdict once
        decided by them."""
        ...

    def may_decide(self, approval: Approval, principal: Principal) -> str | None:
        """Why this person's approval would not count (words for the card), or None."""
        ...

    async def move(
        self, approval: str, trigger: Trigger, *, from_version: int | None = None, outcome: str = "", by: str = "system"
    ) -> Approval:
        """One row of the table by compare-and-set, with its audit row and its log event, in one transaction.
        Raises Conflict when somebody was faster, NotAllowed when the table has no row."""
        ...

    async def withdraw(self, approval: str, principal: Principal, reason: str = "") -> Approval: ...

    async def startable(self) -> tuple[str, ...]:
        """Approved ones, for the sweep: each is started as durable action `action:<id>`."""
        ...

    async def running(self) -> tuple[str, ...]: ...

    async def expire_due(self, now: datetime) -> tuple[str, ...]:
        """Pending and approved ones whose time is over become expired."""
        ...
