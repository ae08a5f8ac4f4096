"""What follows the end of an action: the case is stored and its fix put on probation, the agent is asked to conclude. A
rejection is followed by a turn that has its reason. Each once, also on re-entry.

What did not come to be (the queue was full, the process gone) the sweep finds by its absence. The index of the cases follows
the rows by itself.
"""

import structlog

from agent_runtime.turns.conclusion import question
from control_plane.approvals import Approval, conclusion_of
from control_plane.cases import OF_APPROVAL
from control_plane.errors import ServiceError
from control_plane.services import ControlPlane
from control_plane.soaks import NewSoak
from knowledge.cases import Case
from protocol.approval import ApprovalState
from protocol.diagnosis import Diagnosis
from protocol.events import DiagnosisMade, LogEntry
from protocol.objects import ObjectRef
from protocol.text import one_line

log = structlog.get_logger(__name__)


async def afterwards(plane: ControlPlane, approval: Approval) -> None:
    if approval.conversation is None:
        return
    turn = await plane.conversations.turn_log(approval.turn) if approval.turn else ()
    try:
        if approval.state is ApprovalState.SUCCEEDED:
            await plane.soaks.begin(probation_of(approval, case_of(approval, turn), approval.conversation))
    finally:
        await _conclude(plane, approval)


def probation_of(approval: Approval, case: Case, conversation: str) -> NewSoak:
    """What must stay well: what was changed; where that was a pod that is gone by now, what its cause was found on. Pure."""
    target = approval.plan.body.action.target
    watched = case.object if approval.plan.body.action.type == "delete_pod" and case.object else str(target)
    return NewSoak(
        approval=approval.id,
        case=case,
        conversation=conversation,
        turn=approval.turn,
        object=watched,
        fixed_at=approval.finished_at or approval.created_at,
    )


def case_of(approval: Approval, entries: tuple[LogEntry, ...]) -> Case:
    """A healed incident as a case. Its id is the approval's, so that storing it twice is storing it once. It is read by whoever
    sees the approval's namespace, so nothing of another one is in it. Pure."""

    def belongs(about: ObjectRef) -> bool:
        return approval.namespace in ("", about.namespace)

    found = _diagnosis(approval, entries)
    causes = [cause for cause in found.root_causes if belongs(cause.object)] if found else []
    cause = next((cause for cause in causes if cause.code == approval.case_code), causes[0] if causes else None)
    target = str(approval.plan.body.action.target)
    told = cause.explanation if cause else approval.why or approval.command_line
    took = None
    if approval.started_at and approval.finished_at:
        took = round((approval.finished_at - approval.started_at).total_seconds())
    return Case(
        id=f"{OF_APPROVAL}{approval.id}",
        title=one_line(told, 200),
        cluster=approval.cluster,
        namespace=approval.namespace,
        symptoms=tuple(f"{s.code} on {s.object}: {s.title}" for s in found.symptoms if belongs(s.object)) if found else (),
        code=cause.code if cause else approval.case_code,
        object=str(cause.object) if cause else target,
        explanation=cause.explanation if cause else approval.why,
        evidence=tuple(e.excerpt for e in cause.evidence if belongs(e.object)) if cause else (),
        fix=approval.command_line,
        outcome="provisional",
        opened_at=approval.created_at,
        took_s=took,
        tags=(f"remedy:{approval.plan.body.action.type}",),
    )


def _diagnosis(approval: Approval, entries: tuple[LogEntry, ...]) -> Diagnosis | None:
    """The newest of the turn that names the root cause that the plan was meant for, else the newest with one."""
    made = [e.event.diagnosis for e in entries if isinstance(e.event, DiagnosisMade) and e.event.diagnosis.root_causes]
    meant = [d for d in made if any(cause.code == approval.case_code for cause in d.root_causes)]
    return (meant or made or [None])[-1]


async def _conclude(plane: ControlPlane, approval: Approval) -> None:
    """A turn as the requester, without the right to propose. The same client id makes it one, however often it is asked."""
    if approval.conversation is None:
        return
    try:
        requester = await plane.accounts.principal(approval.requester)
        language = (await plane.conversations.turn(approval.turn)).language if approval.turn else "en"
        await plane.conversations.ask(
            approval.conversation,
            requester,
            question(approval, language),
            door="action",
            language=language,
            client_id=conclusion_of(approval.id),
            may_propose=False,
        )
    except ServiceError as error:
        # The result itself is in the log already; only the agent's words about it are missing.
        log.warning("the concluding turn could not be asked for", approval=approval.id, why=error.message)
