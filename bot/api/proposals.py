"""POST /api/v1/proposals: a write in kubectl's words, or a typed action, becomes a frozen plan and an open Approval."""

from fastapi import APIRouter, Response
from pydantic import Field

from bot.api.access import Caller, Me, Plane
from bot.api.approvals import ApprovalId, card, seen_by
from bot.api.commands import kubectl_call, run_read
from bot.api.language import Reader
from bot.api.stream import StreamsOf
from bot.api.views import View
from control_plane.approvals import Approval
from control_plane.errors import Conflict, Forbidden, Invalid, NotFound, ServiceError, Unavailable
from control_plane.fleet import Cluster
from control_plane.services import ControlPlane
from protocol.approval import Role, role_at_least
from protocol.base import Strict
from protocol.commands import CommandResult, CommandStatus, PreparePlan
from protocol.kubectl import WriteCall
from protocol.remediation import Plan, Remediation

router = APIRouter(prefix="/api/v1/proposals", tags=["proposals"])

PREPARE_S = 30.0
_ERRORS: dict[CommandStatus, type[ServiceError]] = {
    CommandStatus.DENIED: Forbidden,
    CommandStatus.FORBIDDEN: Forbidden,
    CommandStatus.NOT_FOUND: NotFound,
    CommandStatus.INVALID: Invalid,
    CommandStatus.FAILED: Conflict,
}


class Proposal(Strict):
    cluster_id: str = Field(max_length=200, description="Id or name")
    command: str = Field(default="", max_length=10_000, description="`kubectl scale deployment/web --replicas=3 -n shop`")
    action: Remediation | None = Field(default=None, description="Or the typed action")
    why: str = Field(default="", max_length=2000)
    conversation: str | None = Field(default=None, max_length=64)


@router.post("", status_code=201)
async def propose(body: Proposal, me: Me, plane: Plane, streams: StreamsOf, reader: Reader, response: Response) -> View:
    """Freeze the plan by a dry run, and open an approval about exactly it. Nothing is changed."""
    action = _action(body)
    cluster = await plane.fleet.get(body.cluster_id, me.principal)
    if body.conversation is not None:
        conversation = await plane.conversations.get(body.conversation, me.principal)
        if conversation.cluster != cluster.id:
            raise Invalid(f"The conversation is about another cluster than {cluster.name}.")
    _require_operator(me, cluster, action)
    approval = await plane.approvals.open(
        await _prepared(plane, me, cluster, action),
        requester=me.principal,
        cluster=cluster.id,
        conversation=body.conversation,
        turn=None,
        why=body.why or "Proposed by a person.",
    )
    streams.nudge()
    response.headers["Location"] = f"/api/v1/approvals/{approval.id}"
    return await card(plane, me, approval, reader)


@router.post("/again/{approval}", status_code=201)
async def propose_again(
    approval: ApprovalId, me: Me, plane: Plane, streams: StreamsOf, reader: Reader, response: Response
) -> View:
    """The same action as a new plan, from a fresh look at the object: for one that expired, was cancelled or did not help.
    You ask for it now, so where the risk needs somebody else's approval, yours does not count."""
    opened = await ask_again(plane, me, approval)
    streams.nudge()
    response.headers["Location"] = f"/api/v1/approvals/{opened.id}"
    return await card(plane, me, opened, reader)


async def ask_again(plane: ControlPlane, me: Caller, approval: str) -> Approval:
    """Raises Conflict for one that is still open or that healed what it was meant for."""
    before = await plane.approvals.get(approval, me.principal)
    if not seen_by(before, me)["you"]["may_ask_again"]:
        raise Conflict(f"this approval is {before.state}; only one that expired, was cancelled or failed is asked for again")
    cluster = await plane.fleet.get(before.cluster, me.principal)
    action = before.plan.body.action
    _require_operator(me, cluster, action)
    return await plane.approvals.open(
        await _prepared(plane, me, cluster, action),
        requester=me.principal,
        cluster=cluster.id,
        conversation=before.conversation,
        turn=before.turn,
        why=before.why,
        case_code=before.case_code,
    )


async def _prepared(plane: ControlPlane, me: Caller, cluster: Cluster, action: Remediation) -> Plan:
    result = await run_read(plane, me, cluster.id, PreparePlan(action=action), timeout_s=PREPARE_S)
    if not result.good:
        raise _failed(result)
    return result.plan()


def _require_operator(me: Caller, cluster: Cluster, action: Remediation) -> None:
    """Before anything reaches the cluster: preparing is a dry run of the write, with all that listens to writes there."""
    role = me.principal.role_in(cluster.id, action.target.namespace or None)
    if role is None or not role_at_least(role, Role.OPERATOR):
        has = f"yours is {role}" if role else f"you have none over {action.target}"
        raise Forbidden(f"Proposing a change needs the role {Role.OPERATOR}; {has}.")


def _action(body: Proposal) -> Remediation:
    if (body.action is None) == (not body.command):
        raise Invalid("Give either command (a kubectl line) or action (a typed one).")
    if body.action is not None:
        return body.action
    call = kubectl_call(body.command)
    if not isinstance(call, WriteCall):
        raise Invalid("That line only reads. Send it to POST /api/v1/commands.")
    if not call.namespace_given:
        raise Invalid("Name the namespace: -n <namespace>.")
    return call.remediation


def _failed(result: CommandResult) -> ServiceError:
    kind = _ERRORS.get(result.status, Unavailable)
    return kind(result.error or f"The plan could not be prepared: {result.status}.")
