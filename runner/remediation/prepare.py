"""PreparePlan: freeze an action as a plan that a person can decide about. It reads and dry-runs; it changes nothing."""

from collections.abc import Mapping
from typing import Any, Literal

from knowledge.diagnosis.fields import sub
from protocol.bus import RunnerMode
from protocol.canonical import digest
from protocol.commands import CommandStatus
from protocol.policy import runner_may
from protocol.redaction import redact
from protocol.remediation import Owner, Plan, PlanBody, Remediation, RollbackWorkload, ScaleWorkload
from protocol.risk import is_protected, remediation_risk
from protocol.text import one_line
from runner.commands.answer import Refusal
from runner.commands.ask import Ask
from runner.commands.cluster import review
from runner.kube.errors import KubeError
from runner.kube.resources import NAMESPACE, Resource
from runner.remediation.blast import blast_radius
from runner.remediation.diff import CUT, MAX_DIFF, unified
from runner.remediation.owner import owner_of
from runner.remediation.rows import row_of
from runner.remediation.situation import read_situation
from runner.remediation.surroundings import surroundings
from runner.remediation.types import Obj, Situation, Unfit
from runner.remediation.workloads import replicas_of, wanted_revision
from runner.remediation.writes import DryRun, resource_of

DiffSource = Literal["server-dry-run", "computed"]


async def prepare(action: Remediation, cluster: str, mode: RunnerMode, ask: Ask, *, trouble: str = "") -> Plan:
    """`trouble`: why this runner would write nothing now, whatever the plan.

    Raises Refusal when there is no such object or the action does not fit it, KubeError when it cannot be read.
    """
    resource = await resource_of(ask.discovery, action.target.kind)
    situation = await read_situation(action, resource, ask)
    action = _named_revision(action, situation)
    row = row_of(action)
    after = _after(action, situation)
    undo, not_undoable = await _undo(action, situation, resource, mode, ask)
    body = PlanBody(
        cluster=cluster,
        action=action,
        undo=undo,
        target_uid=str(situation.obj["metadata"]["uid"]) if situation.obj else "",
        fields_hash=fields_hash(action, situation),
    )
    ask.report("asking the API server what would change")
    diff, source, hindrance = await _diff(action, resource, situation, after, mode, ask)
    replicas = replicas_of(situation.obj) if situation.obj and isinstance(action, ScaleWorkload) else None
    risk, _ = remediation_risk(
        action, has_undo=body.undo is not None, replicas=replicas, protected=await _protected(action, ask)
    )
    hindrance = hindrance or trouble or None
    return Plan(
        body=body,
        plan_hash=digest(body),
        risk=risk,
        diff=diff,
        diff_source=source,
        blast_radius=await blast_radius(action, situation, ask),
        owner=_readable(owner_of(action, situation.obj, after, await surroundings(action, situation.obj, ask))),
        cannot_run=one_line(redact(hindrance).text, 1000) if hindrance is not None else None,
        expected_effect=f"{row.effect(action, situation)}{not_undoable}",
        check=row.check,
        check_timeout_s=row.check_timeout_s,
        made_at=ask.now(),
    )


def _readable(owner: Owner) -> Owner:
    """Its name and place come from labels and annotations, in which anybody may have written anything."""
    return owner.model_copy(update={"name": one_line(owner.name, 200), "detail": one_line(redact(owner.detail).text, 600)})


def fields_hash(action: Remediation, situation: Situation) -> str:
    """SHA-256 of the fields that the action reads or writes, as they are now. Raises Unfit."""
    return digest({"fields": row_of(action).fields(action, situation)})


def _named_revision(action: Remediation, situation: Situation) -> Remediation:
    """A plan always names the revision."""
    if isinstance(action, RollbackWorkload) and situation.obj is not None:
        try:
            return action.model_copy(update={"to_revision": wanted_revision(action, situation)})
        except Unfit as unfit:
            raise _does_not_fit(action, unfit) from unfit
    return action


def _after(action: Remediation, situation: Situation) -> Obj | None:
    if situation.obj is None and row_of(action).how != "create":
        raise Refusal(CommandStatus.NOT_FOUND, f"There is no {action.target}, so {action.type} cannot be planned for it.")
    try:
        return row_of(action).after(action, situation)
    except Unfit as unfit:
        raise _does_not_fit(action, unfit) from unfit


async def _undo(
    action: Remediation, situation: Situation, resource: Resource, mode: RunnerMode, ask: Ask
) -> tuple[Remediation | None, str]:
    """The undo, and a sentence where there would be one but the account may not run it: a plan promises only what it can do."""
    undo = row_of(action).undo(action, situation)
    if undo is None or row_of(undo).verb == row_of(action).verb or runner_may(mode, action) is not None:
        return undo, ""
    missing = await _missing_right(undo, resource, ask)
    return (undo, "") if missing is None else (None, f" It could not be undone: {one_line(redact(missing).text, 300)}.")


def _does_not_fit(action: Remediation, unfit: Unfit) -> Refusal:
    return Refusal(CommandStatus.INVALID, f"{action.type} does not fit {action.target}: {unfit}.")


async def _diff(
    action: Remediation, resource: Resource, situation: Situation, after: Obj | None, mode: RunnerMode, ask: Ask
) -> tuple[str, DiffSource, str | None]:
    """The diff, where it comes from, and why the action could not run. Only who may write can ask for a dry run."""
    title = str(action.target)
    computed = unified(situation.obj, after, title)
    hindrance = runner_may(mode, action) or _unreadable(computed) or await _missing_right(action, resource, ask)
    if hindrance is not None:
        return computed, "computed", hindrance
    try:
        planned = await DryRun(ask.client).send(action, resource, situation, timeout_s=15)
    except KubeError as error:
        if error.status == 409:
            return computed, "computed", None
        return computed, "computed", f"the API server would refuse it: {error.message}"
    return unified(situation.obj, planned or None, title), "server-dry-run", None


def _unreadable(diff: str) -> str | None:
    """Nobody approves what they are not shown."""
    if not diff.endswith(CUT):
        return None
    return f"its diff is longer than the {MAX_DIFF:,} characters that a card shows; propose it in smaller changes, one by one"


async def _missing_right(action: Remediation, resource: Resource, ask: Ask) -> str | None:
    """Why the runner's account may not do it; None when it may."""
    needed = [(row_of(action).verb, resource.group, resource.plural, "", action.target.namespace, action.target.name)]
    if row_of(action).how == "drain":
        needed.append(("create", "", "pods", "eviction", "", ""))
    for verb, group, plural, subresource, namespace, name in needed:
        try:
            status = await review(
                ask.client,
                verb=verb,
                group=group,
                resource=plural,
                namespace=namespace,
                subresource=subresource,
                name="" if verb == "create" else name,
            )
        except KubeError as error:
            return f"the runner cannot tell whether it may {verb} {plural}: {error.message}"
        if not status.get("allowed"):
            where = f" in namespace {namespace}" if namespace else ""
            what = f"{plural}/{subresource}" if subresource else plural
            return f"the runner's account has no right to {verb} {what}{where}; install it with write rights for that"
    return None


async def _protected(action: Remediation, ask: Ask) -> bool | None:
    """None when nobody can tell: the namespace can't be read now, and was never seen."""
    namespace = action.target.namespace
    if not namespace:
        return False
    try:
        found: Mapping[str, Any] | None = await ask.client.get(NAMESPACE.path(name=namespace))
    except KubeError:
        found = ask.seen_namespace(namespace)
    if found is None:
        return is_protected(namespace) or None
    return is_protected(namespace, sub(found, "metadata").get("labels"))
