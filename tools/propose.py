"""propose_remediation: freezes a plan by the runner and opens an Approval about it. It changes nothing in a cluster."""

from typing import Any

from pydantic import TypeAdapter, ValidationError

from control_plane.approvals import Approval
from control_plane.errors import ServiceError
from protocol.approval import Quorum, Role, role_at_least
from protocol.commands import CommandResult, CommandStatus, PreparePlan
from protocol.kubectl import parse
from protocol.kubectl.calls import GrammarError, WriteCall
from protocol.remediation import UNDO_ONLY, Plan, Remediation
from protocol.text import one_line
from tools.answer import ToolAnswer, from_result, quoted, refused
from tools.context import ToolContext
from tools.reads import send
from tools.titles import title_of

_ACTION: TypeAdapter[Remediation] = TypeAdapter(Remediation)
PREPARE_DEADLINE_S = 30.0
CANNOT_RUN = "It cannot run here:"


class NotProposable(ValueError):
    """The words do not name one typed action. The message says what to write instead."""


async def propose(
    context: ToolContext, command: str = "", action: dict[str, Any] | None = None, why: str = "", code: str = ""
) -> ToolAnswer:
    action = action or {}
    title = title_of("propose_remediation", {"command": command, "action": action})
    try:
        remediation = action_of(command, action, context.only_namespace())
    except NotProposable as error:
        return refused(title, f"Nothing was proposed. {error}", CommandStatus.INVALID)
    reason = await _may_not(context, remediation)
    if reason:
        return refused(title, reason)
    context.progress("preparing the plan: dry run, undo, blast radius")
    result = await send(context, PreparePlan(action=remediation), deadline_s=PREPARE_DEADLINE_S)
    if not result.good or result.data is None:
        return from_result(title, result)
    return await _open(context, title, result, why=why, code=code)


def action_of(command: str, action: dict[str, Any], namespace: str | None) -> Remediation:
    """A kubectl line that writes, or the typed fields, as one Remediation. Pure. Raises NotProposable."""
    if bool(command.strip()) == bool(action):
        raise NotProposable("Give either `command` (a kubectl line that writes) or `action` (typed JSON), not both.")
    if action:
        return _typed(action)
    try:
        call = parse(command)
    except GrammarError as error:
        raise NotProposable(str(error)) from None
    if not isinstance(call, WriteCall):
        raise NotProposable("That line only reads: use the kubectl tool for it.")
    target = call.remediation.target
    if call.namespace_given or not target.namespace:
        return call.remediation
    if namespace is None:
        raise NotProposable("The line names no namespace: add -n NAMESPACE.")
    return call.remediation.model_copy(update={"target": target.model_copy(update={"namespace": namespace})})


def _typed(action: dict[str, Any]) -> Remediation:
    try:
        remediation = _ACTION.validate_python(action)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise NotProposable(f"`action` is not a known remediation: {where}: {one_line(first['msg'], 300)}") from None
    if remediation.type in UNDO_ONLY:
        raise NotProposable(f"{remediation.type} is only ever the undo of another action.")
    return remediation


async def _may_not(context: ToolContext, remediation: Remediation) -> str:
    """Why the asker may not propose this, in words; "" when they may."""
    if not context.turn.may_propose:
        return "Nothing was proposed: this turn concludes an action and may not propose another. Say what you see."
    target, cluster = remediation.target, context.conversation.cluster
    if target.namespace and not context.conversation.scope.allows(target.namespace):
        return f"Nothing was proposed: {target} is outside what this conversation is about. Start one with that scope."
    principal = await context.principal()
    role = principal.role_in(cluster, target.namespace or None)
    if role is None or not role_at_least(role, Role.OPERATOR):
        has = f"has the role {role}" if role else "has no role"
        return (
            f"Nothing was proposed: {principal.name} {has} there, and proposing needs {Role.OPERATOR}. "
            "Say what you would do, and that an operator has to ask for it."
        )
    return ""


async def _open(context: ToolContext, title: str, result: CommandResult, *, why: str, code: str) -> ToolAnswer:
    plan = result.plan()
    try:
        approval = await context.plane.approvals.open(
            plan,
            requester=await context.principal(),
            cluster=context.conversation.cluster,
            conversation=context.conversation.id,
            turn=context.turn.id,
            why=one_line(why, 600),
            case_code=one_line(code, 80),
        )
    except ServiceError as error:
        return refused(title, f"Nothing was proposed. {error.message}")
    return proposed(title, approval, command=result.id)


def proposed(title: str, approval: Approval, *, command: str | None = None) -> ToolAnswer:
    """What the model is told about an open approval. Pure."""
    plan: Plan = approval.plan
    facts = [f"Approval {approval.id} is {approval.state}. Nothing has changed in the cluster yet."]
    facts.append(f"Action: {quoted(one_line(approval.command_line, 300))}. Risk: {plan.risk}.")
    facts.append(f"Undo: {quoted(one_line(approval.undo_line, 300)) if plan.body.undo else 'none'}.")
    if plan.cannot_run:
        facts.append(f"{CANNOT_RUN} {quoted(one_line(plan.cannot_run, 300))}\nPeople see the card with the diff all the same.")
    else:
        facts.append(f"Who may approve: {who_may_approve(approval.quorum)}. It expires at {approval.expires_at:%H:%M:%S} UTC.")
    if approval.freeze is not None:
        facts.append(f"A freeze window holds it until {approval.freeze.until:%Y-%m-%d %H:%M} UTC; say so.")
    if plan.owner.reverts:
        facts.append(f"{plan.owner.kind} {quoted(one_line(plan.owner.name, 80))} would revert it; the card says so.")
    return ToolAnswer(title, body=plan.diff, note=" ".join(facts), command=command, approval=approval.id)


def who_may_approve(quorum: Quorum) -> str:
    people = "one person" if quorum.needed == 1 else f"{quorum.needed} different people"
    requester = "" if quorum.requester_may else ", not the one who asked"
    step_up = ", the last with a fresh sign-in on the web" if quorum.fresh_sign_in_for_last else ""
    return f"{people} with the role {quorum.role} or above{requester}{step_up}"
