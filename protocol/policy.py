"""The policy: one pure function, used by the control plane and, with the last word, by the runner.

Unknown means deny. Reads are allowed within the asker's scope; Secrets never. A write is never allowed: at best it may be
proposed for approval. The runner treats deny as final and verifies the grant of what it executes besides.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, get_args

from protocol import promql
from protocol.approval import Role, role_at_least
from protocol.base import Strict
from protocol.bus import RunnerMode
from protocol.commands import (
    CheckPlan,
    Command,
    Diagnose,
    Execute,
    GrantStatus,
    Kubectl,
    ListChanges,
    PreparePlan,
    PromQuery,
    ScopeLimit,
    SelfCheck,
)
from protocol.kubectl.calls import (
    ApiResourcesCall,
    Call,
    CanICall,
    ClusterInfoCall,
    DescribeCall,
    EventsCall,
    GetCall,
    LogsCall,
    NamedResource,
    RolloutHistoryCall,
    RolloutStatusCall,
    TopCall,
    VersionCall,
    WriteCall,
)
from protocol.objects import ObjectRef
from protocol.redaction import holds_secret
from protocol.remediation import CreateConfigMap, PatchConfigMap, Remediation, Risk, SetEnv
from protocol.risk import remediation_risk, undo_misfit
from protocol.text import hides

DEFAULT_NAMESPACE = "default"


class Decided(StrEnum):
    ALLOW = "allow"
    APPROVE = "approve"
    DENY = "deny"


class Verdict(Strict):
    """`reason` is for people: it names the token or rule and says what is allowed instead."""

    decision: Decided
    risk: Risk
    reason: str


class PolicyContext(Strict):
    """Everything that a verdict depends on besides the command itself."""

    scope: ScopeLimit
    """What the asker may see. It must be said: leaving it out must not mean everything."""
    mode: RunnerMode = RunnerMode()
    role: Role = Role.VIEWER
    default_namespace: str = DEFAULT_NAMESPACE
    """What a call without a namespace means. The runner must use the same one."""
    kill_switch: bool = False
    frozen: bool = False
    """A freeze window is open: a change may be asked for and not be run."""
    break_glass: bool = False
    """Somebody broke the glass for exactly this plan: a freeze window does not hold it, a kill switch does."""
    secrets_opt_in: tuple[str, ...] = ()
    """Namespaces in which names and key names of Secrets may be read; never values."""


def judge(command: Command | Call | Remediation, context: PolicyContext) -> Verdict:
    """The verdict on a command, a kubectl call or a proposed action. Pure; never raises; never allows a write."""
    rule = _RULES.get(type(command))
    return rule(command, context) if rule else _deny(f"{type(command).__name__} is not known to the policy")


def runner_may(mode: RunnerMode, action: Remediation) -> str | None:
    """Why a runner's own configuration refuses this action; None when it does not.

    The undo that belongs to an action is covered by the action's type: ask about the action."""
    if not mode.writes:
        return "this runner is read-only; install it with write rights to run changes"
    if action.type not in mode.remediations:
        return f"this runner runs no {action.type}; it runs: {', '.join(sorted(mode.remediations)) or 'nothing'}"
    if mode.namespaces is None:
        return None
    if not action.target.namespace:
        return f"this runner runs changes in some namespaces only, and {action.target} is in no namespace"
    if not mode.namespaces:
        return f"this runner runs changes in no namespace, so not in {action.target.namespace}"
    if action.target.namespace not in mode.namespaces:
        # Which others is not for everybody who reads this.
        return f"this runner runs changes in other namespaces only, not in {action.target.namespace}"
    return None


def _allow(reason: str = "a read within the scope") -> Verdict:
    return Verdict(decision=Decided.ALLOW, risk=Risk.NONE, reason=reason)


def _deny(reason: str, risk: Risk = Risk.NONE) -> Verdict:
    return Verdict(decision=Decided.DENY, risk=risk, reason=reason)


def _from(refusal: str | None) -> Verdict:
    return _deny(refusal) if refusal else _allow()


def _names(namespaces: tuple[str, ...]) -> str:
    return ", ".join(namespaces) or "no namespace"


# Scope


def _outside(context: PolicyContext, namespace: str | None, *, everywhere: bool = False) -> str | None:
    """Why the scope does not reach there; None when it does."""
    allowed = context.scope.namespaces
    if allowed is None:
        return None
    if everywhere:
        return f"all namespaces are outside your scope; allowed: {_names(allowed)}"
    effective = context.default_namespace if namespace is None else namespace
    if effective not in allowed:
        return f"the namespace {effective} is outside your scope; allowed: {_names(allowed)}"
    return None


def _whole_cluster(context: PolicyContext, what: str) -> str | None:
    allowed = context.scope.namespaces
    if allowed is None:
        return None
    return f"{what} belong to the whole cluster, outside your scope; allowed: objects in {_names(allowed)}"


def _object_outside(context: PolicyContext, target: ObjectRef) -> str | None:
    if target.namespace:
        return _outside(context, target.namespace)
    return _whole_cluster(context, f"{target.kind} objects")


# Reads in kubectl's words


def _is_secret(resource: NamedResource) -> bool:
    """By the API's plural in any group, so that no spelling and no made-up kind hides it."""
    return resource.type.plural in ("secrets", "secret") or resource.type.kind.lower() == "secret"


def _resources(resources: tuple[NamedResource, ...], call: Any, context: PolicyContext, *, names_only: bool) -> str | None:
    for resource in resources:
        if _is_secret(resource) and (refusal := _secret(call, context, names_only=names_only)):
            return refusal
        if refusal := _resource_outside(resource, call, context):
            return refusal
    return None


def _secret(call: Any, context: PolicyContext, *, names_only: bool) -> str | None:
    namespace = context.default_namespace if call.namespace is None else call.namespace
    if call.all_namespaces or namespace not in (*context.secrets_opt_in, *context.mode.secrets_opt_in):
        return "Secrets are not read; rules infer what they can from events. Names and keys can be opened by namespace"
    return None if names_only else "values of Secrets are never read; ask for -o name, a table or describe"


def _resource_outside(resource: NamedResource, call: Any, context: PolicyContext) -> str | None:
    if resource.type.namespaced:
        return _outside(context, call.namespace, everywhere=call.all_namespaces)
    if (resource.type.plural, resource.type.group) == ("namespaces", "") and resource.name:
        return _outside(context, resource.name)
    return _whole_cluster(context, resource.type.plural)


def _get(call: GetCall, context: PolicyContext) -> Verdict:
    names_only = call.output in ("table", "wide", "name") and not call.sort_by
    return _from(_resources(call.resources, call, context, names_only=names_only))


def _describe(call: DescribeCall, context: PolicyContext) -> Verdict:
    return _from(_resources(call.resources, call, context, names_only=True))


def _logs(call: LogsCall, context: PolicyContext) -> Verdict:
    return _from(_outside(context, call.namespace, everywhere=call.all_namespaces))


def _top(call: TopCall, context: PolicyContext) -> Verdict:
    if call.what == "nodes":
        return _from(_whole_cluster(context, "nodes"))
    return _from(_outside(context, call.namespace, everywhere=call.all_namespaces))


def _in_namespace(call: EventsCall | RolloutStatusCall | RolloutHistoryCall, context: PolicyContext) -> Verdict:
    return _from(_outside(context, call.namespace, everywhere=call.all_namespaces))


def _can_i(call: CanICall, context: PolicyContext) -> Verdict:
    # It tells what the runner may do, Secrets included, and shows nothing of them.
    return _from(_outside(context, call.namespace, everywhere=call.all_namespaces))


def _about_server(_call: VersionCall | ApiResourcesCall, _context: PolicyContext) -> Verdict:
    return _allow()


def _cluster_info(_call: ClusterInfoCall, context: PolicyContext) -> Verdict:
    return _from(_whole_cluster(context, "addresses of the control plane"))


# Other reads


def _kubectl(command: Kubectl, context: PolicyContext) -> Verdict:
    return judge(command.call, context)


def _prometheus(command: PromQuery, context: PolicyContext) -> Verdict:
    allowed = context.scope.namespaces
    if allowed is None:
        return _allow()
    try:
        promql.confine(command.expr, allowed)
    except promql.NotConfined as error:
        example = allowed[0] if allowed else "..."
        return _deny(f'{error}; every selector needs one, such as {{namespace="{example}"}}; allowed: {_names(allowed)}')
    return _allow()


def _looked_at(command: Diagnose | ListChanges, context: PolicyContext) -> Verdict:
    """Without a namespace or target the runner looks at what the request's scope holds, and no further."""
    if command.target is not None and (refusal := _object_outside(context, command.target)):
        return _deny(refusal)
    if command.namespace is not None and (refusal := _outside(context, command.namespace)):
        return _deny(refusal)
    return _allow()


def _self_check(_command: SelfCheck, context: PolicyContext) -> Verdict:
    return _from(_whole_cluster(context, "the runner's own rights and addresses"))


def _prepare(command: PreparePlan, context: PolicyContext) -> Verdict:
    return _from(_never(command.action) or _object_outside(context, command.action.target))


def _check(command: CheckPlan, context: PolicyContext) -> Verdict:
    return _from(_object_outside(context, command.body.action.target))


def _grant_status(_command: GrantStatus, _context: PolicyContext) -> Verdict:
    return _allow("what became of a grant")


# Writes


def _stopped(context: PolicyContext) -> str | None:
    if context.kill_switch:
        return "the kill switch of this cluster is on: nothing is changed until an admin turns it off"
    return None


def _frozen(context: PolicyContext) -> str | None:
    if context.frozen and not context.break_glass:
        return "a freeze window is open: nothing is changed until it ends"
    return None


def _never(action: Remediation) -> str | None:
    if action.type == "delete_configmap":
        return "deleting a ConfigMap is only ever the undo of having created it"
    text = _new_text(action)
    if hides(text):
        return (
            "the new values hold control, bidirectional or invisible characters, which a card does not show: what is approved "
            "must be what is seen. Write them without, or change the object by other means"
        )
    if holds_secret(text):
        return (
            "the new values hold what looks like a password, token or key; a card can't show it and a log must not keep it. "
            "Put it into a Secret by other means"
        )
    return None


def _new_text(action: Remediation) -> str:
    """The free text that an action would write."""
    match action:
        case SetEnv():
            values = dict(action.env)
        case PatchConfigMap() | CreateConfigMap():
            values = dict(action.data)
        case _:
            return ""
    return "\n".join(f"{name}: {value}" for name, value in values.items() if value)


def _proposal(action: Remediation, context: PolicyContext) -> Verdict:
    risk, why = remediation_risk(action, has_undo=True)
    refusal = _stopped(context) or _never(action) or _object_outside(context, action.target)
    if not refusal and not role_at_least(context.role, Role.OPERATOR):
        refusal = f"proposing a change needs the role {Role.OPERATOR}; yours is {context.role}"
    if refusal:
        return _deny(refusal, risk)
    hindrance = _frozen(context) or runner_may(context.mode, action)
    reason = f"{why}; it needs an approval" + (f". It can't run now: {hindrance}" if hindrance else "")
    return Verdict(decision=Decided.APPROVE, risk=risk, reason=reason)


def _write(call: WriteCall, context: PolicyContext) -> Verdict:
    return _proposal(in_namespace(call, context.default_namespace), context)


def in_namespace(call: WriteCall, default: str) -> Remediation:
    """The call's remediation; where the line named no namespace, in `default`."""
    action = call.remediation
    if call.namespace_given or not action.target.namespace:
        return action
    target = ObjectRef(kind=action.target.kind, namespace=default or DEFAULT_NAMESPACE, name=action.target.name)
    return action.model_copy(update={"target": target})


def _execute(command: Execute, context: PolicyContext) -> Verdict:
    """At best `approve`: the grant says that a person did, and the runner verifies it."""
    body = command.body
    undoing = command.grant.grant.purpose == "undo"
    # An undo brings back what was: a window that opens while an action runs must not hold that.
    held = None if undoing else _frozen(context)
    refusal = _stopped(context) or held or _never(body.action) or undo_misfit(body.action, body.undo)
    if not refusal and undoing and body.undo is None:
        refusal = "the plan has no undo"
    refusal = refusal or runner_may(context.mode, body.action) or _object_outside(context, body.action.target)
    risk, why = remediation_risk(body.action, has_undo=body.undo is not None)
    if refusal:
        return _deny(refusal, risk)
    return Verdict(decision=Decided.APPROVE, risk=risk, reason=f"{why}; it runs only under its verified grant")


_RULES: dict[type[Any], Callable[[Any, PolicyContext], Verdict]] = {
    GetCall: _get,
    DescribeCall: _describe,
    LogsCall: _logs,
    TopCall: _top,
    EventsCall: _in_namespace,
    RolloutStatusCall: _in_namespace,
    RolloutHistoryCall: _in_namespace,
    CanICall: _can_i,
    VersionCall: _about_server,
    ApiResourcesCall: _about_server,
    ClusterInfoCall: _cluster_info,
    WriteCall: _write,
    Kubectl: _kubectl,
    PromQuery: _prometheus,
    Diagnose: _looked_at,
    ListChanges: _looked_at,
    PreparePlan: _prepare,
    CheckPlan: _check,
    GrantStatus: _grant_status,
    Execute: _execute,
    SelfCheck: _self_check,
    **dict.fromkeys(get_args(get_args(Remediation)[0]), _proposal),
}
