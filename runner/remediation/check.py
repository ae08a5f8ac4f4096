"""CheckPlan: is the symptom gone? What is seen now, judged by kind of action. Pure, but for the reads at the end."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from knowledge.diagnosis.fields import NOTHING, rows, sub
from knowledge.diagnosis.quantity import parse
from protocol.commands import CheckOutcome, CheckPlan
from protocol.remediation import ExpandPvc, Remediation, SuspendCronJob
from runner.commands.ask import Ask
from runner.commands.pods import owned_by, owners, pod_selector
from runner.commands.render import parse_time
from runner.kube.errors import KubeError
from runner.kube.resources import POD, REPLICA_SET, Resource
from runner.remediation.blast import users_of_config_map, uses_config_map
from runner.remediation.memory import AfterState
from runner.remediation.others import evictable, unschedulable
from runner.remediation.reverted import reverted
from runner.remediation.types import Obj
from runner.remediation.workloads import replicas_of, template_of
from runner.remediation.writes import resource_of

STABLE_S = 10.0
"""A pod counts as healed after it was ready this long without a restart."""
RESTARTS_TOO_MANY = 2
_BROKEN = frozenset(
    {
        "ImagePullBackOff",
        "ErrImagePull",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
    }
)
_WORST_FIRST = ("worse", "unknown", "waiting", "healthy")
_FILES_CHANGE_WITHIN = timedelta(seconds=90)
_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")


async def check(command: CheckPlan, ask: Ask, left: AfterState | None = None) -> CheckOutcome:
    """What is seen now. Reads that fail are `unknown`, never `healthy`. `left`: what the action left behind, if known."""
    action = command.body.action
    try:
        if action.type == "delete_pod":
            return await _replacement(action, command.started_at, ask)
        resource = await resource_of(ask.discovery, action.target.kind)
        obj = await _object(resource, action, ask)
        taken_back = reverted(command.body, left, obj, command.started_at, ask.now())
        if taken_back is not None:
            return taken_back
        if action.target.kind == "ConfigMap":
            return await _config_map_users(action, command.started_at, ask)
        if obj is None:
            return CheckOutcome(outcome="unknown", message=f"{action.target} is gone")
        if action.target.kind in _WORKLOADS:
            return await _workload(resource, obj, command.started_at, ask)
        if action.type == "drain":
            pods = await ask.objects(POD, ("",), fields=f"spec.nodeName={action.target.name}")
            return judge_drain(obj, pods)
        if action.type == "adjust_hpa":
            return await _scaled_target(obj, command.started_at, ask)
        return judge_plain(action, obj)
    except KubeError as error:
        return CheckOutcome(outcome="unknown", message=f"{action.target} cannot be looked at: {error.for_people()}")


async def _object(resource: Resource, action: Remediation, ask: Ask) -> Obj | None:
    try:
        return await ask.object(resource, action.target.namespace, action.target.name)
    except KubeError as error:
        if error.status == 404:
            return None
        raise


def judge_plain(action: Remediation, obj: Obj) -> CheckOutcome:
    """Actions whose effect is a field of the object itself."""
    if action.type in ("cordon", "uncordon"):
        now = unschedulable(obj)
        words = "the node is unschedulable" if now else "the node takes pods"
        return CheckOutcome(outcome="healthy" if now == (action.type == "cordon") else "waiting", message=words)
    if isinstance(action, SuspendCronJob):
        now = bool(sub(obj, "spec").get("suspend"))
        words = "the CronJob is suspended" if now else "the CronJob runs by schedule"
        return CheckOutcome(outcome="healthy" if now == action.suspend else "waiting", message=words)
    if isinstance(action, ExpandPvc):
        capacity = str(sub(obj, "status", "capacity").get("storage", ""))
        done = (parse(capacity) or 0) >= (parse(action.size) or 0)
        return CheckOutcome(
            outcome="healthy" if done else "waiting", message=f"capacity {capacity or 'unknown'} of {action.size}"
        )
    return CheckOutcome(outcome="healthy", message=f"{action.target} has the new values")


def judge_drain(node: Obj, pods: Sequence[Obj]) -> CheckOutcome:
    left = len(evictable(tuple(pods)))
    if not unschedulable(node):
        return CheckOutcome(outcome="worse", message="the node takes pods again: somebody uncordoned it")
    words = f"{left} pods are still on the node" if left else "only DaemonSet pods are left on the node"
    return CheckOutcome(outcome="waiting" if left else "healthy", message=words)


def judge_workload(kind: str, obj: Obj, pods: Sequence[Obj], started_at: datetime, now: datetime) -> CheckOutcome:
    """`pods` are those of the newest template. Healthy: all there, all ready for 10 s, none restarted in that time."""
    wanted, updated, total = _counts(kind, obj)
    ready = [pod for pod in pods if ready_since(pod) is not None]
    seen = f"{len(ready)} of {wanted} pods ready"
    broken = next((words for pod in pods if (words := pod_trouble(pod, started_at))), "")
    if broken:
        return CheckOutcome(outcome="worse", message=f"{seen}; {broken}")
    status = sub(obj, "status")
    if obj["metadata"].get("generation", 0) > status.get("observedGeneration", 0) and kind != "ReplicaSet":
        return CheckOutcome(outcome="waiting", message="the controller has not seen the change yet")
    if updated < wanted or len(ready) < wanted:
        return CheckOutcome(outcome="waiting", message=seen)
    if total > wanted:
        return CheckOutcome(outcome="waiting", message=f"{seen}; {total - wanted} old pods are still ending")
    return steady(seen, pods, started_at, now)


def steady(seen: str, pods: Sequence[Obj], started_at: datetime, now: datetime) -> CheckOutcome:
    """All are ready: for long enough?"""
    calm_since = max([started_at, *(moment for pod in pods if (moment := calm_from(pod)) is not None)])
    calm = (now - calm_since).total_seconds()
    if calm < STABLE_S:
        return CheckOutcome(outcome="waiting", message=f"{seen}, for {max(calm, 0):.0f} s")
    return CheckOutcome(outcome="healthy", message=f"{seen}, no restart for {calm:.0f} s")


def ready_since(pod: Obj) -> datetime | None:
    """None when the pod is not ready, or on its way out."""
    if pod["metadata"].get("deletionTimestamp"):
        return None
    for row in rows(pod, "status", "conditions"):
        if row.get("type") == "Ready" and row.get("status") == "True":
            return parse_time(row.get("lastTransitionTime")) or parse_time(pod["metadata"].get("creationTimestamp"))
    return None


def calm_from(pod: Obj) -> datetime | None:
    """Since when the pod is ready and no container of it has ended."""
    ends = [sub(row, "lastState", "terminated").get("finishedAt") for row in _statuses(pod)]
    moments = [ready_since(pod), *(parse_time(end) for end in ends)]
    return max((moment for moment in moments if moment is not None), default=None)


def pod_trouble(pod: Obj, started_at: datetime) -> str:
    """Why a new pod will not get well by waiting; "" when it may."""
    name = pod["metadata"]["name"]
    if pod["metadata"].get("deletionTimestamp"):
        return ""
    for row in _statuses(pod):
        waiting = sub(row, "state", "waiting")
        if waiting.get("reason") in _BROKEN:
            return f"pod {name}: {waiting['reason']} {waiting.get('message', '')}".strip()
        restarts = int(row.get("restartCount", 0))
        ended = sub(row, "lastState", "terminated")
        finished = parse_time(ended.get("finishedAt"))
        if restarts >= RESTARTS_TOO_MANY and finished is not None and finished > started_at + timedelta(seconds=1):
            why = ended.get("reason") or f"exit code {ended.get('exitCode')}"
            return f"pod {name} restarted {restarts} times, last by {why}"
    return ""


async def _workload(resource: Resource, obj: Obj, started_at: datetime, ask: Ask) -> CheckOutcome:
    pods = await _newest_pods(resource.kind, obj, ask)
    return judge_workload(resource.kind, obj, pods, started_at, ask.now())


async def _newest_pods(kind: str, obj: Obj, ask: Ask) -> list[Obj]:
    """Pods of the template that is wanted now."""
    namespace, uid = obj["metadata"]["namespace"], obj["metadata"]["uid"]
    pods = await ask.objects(POD, [namespace], labels=pod_selector(obj))
    if kind == "ReplicaSet":
        return [pod for pod in pods if owned_by(pod, uid)]
    if kind == "Deployment":
        sets = [rs for rs in await ask.objects(REPLICA_SET, [namespace], labels=pod_selector(obj)) if owned_by(rs, uid)]
        newest = max(sets, key=lambda rs: same_template(rs, obj), default=None)
        if newest is None or not same_template(newest, obj):
            return []
        return [pod for pod in pods if owned_by(pod, newest["metadata"]["uid"])]
    revision = sub(obj, "status").get("updateRevision")
    own = [pod for pod in pods if owned_by(pod, uid)]
    if not revision:
        return own
    return [pod for pod in own if sub(pod["metadata"], "labels").get("controller-revision-hash") == revision]


def same_template(replica_set: Obj, deployment: Obj) -> bool:
    """Does the ReplicaSet make the pods that the Deployment wants? Its template only has the hash label more."""
    ours, theirs = template_of(deployment), template_of(replica_set)
    return _without_hash(ours) == _without_hash(theirs)


def _without_hash(template: Obj) -> Any:
    metadata = sub(template, "metadata")
    labels = {key: value for key, value in sub(metadata, "labels").items() if key != "pod-template-hash"}
    return labels, sub(metadata, "annotations"), template.get("spec")


async def _config_map_users(action: Remediation, started_at: datetime, ask: Ask) -> CheckOutcome:
    namespace = action.target.namespace
    users = await users_of_config_map(action.target.name, namespace, ask)
    if users is None:
        return CheckOutcome(outcome="unknown", message="the workloads that use it cannot be read")
    if not users:
        return CheckOutcome(outcome="healthy", message="no workload uses it")
    worst: CheckOutcome | None = None
    for user in users:
        resource = await resource_of(ask.discovery, user["kind"])
        pods = await _newest_pods(resource.kind, user, ask)
        seen = judge_workload(resource.kind, user, pods, started_at, ask.now())
        if seen.outcome == "worse" and not any(fell_by_new_values(pod, action.target.name, started_at) for pod in pods):
            # Pods that read the old values may restart once more before they read the new ones: not worse for that.
            seen = seen.model_copy(update={"outcome": "waiting"})
        told = CheckOutcome(outcome=seen.outcome, message=f"{user['kind']} {user['metadata']['name']}: {seen.message}")
        if worst is None or _WORST_FIRST.index(told.outcome) < _WORST_FIRST.index(worst.outcome):
            worst = told
    return worst or CheckOutcome(outcome="healthy", message="no workload uses it")


def fell_by_new_values(pod: Obj, config_map: str, started_at: datetime) -> bool:
    """Did the pod go from ready to broken since, having read the new values? Variables and the files of a new pod are read at
    its start; files of a running one change within a minute and a half (kubelet's sync period and its cache)."""
    if not pod_trouble(pod, started_at):
        return False
    if _began(pod) >= started_at:
        return True
    ready = next((row for row in rows(pod, "status", "conditions") if row.get("type") == "Ready"), NOTHING)
    turned = parse_time(ready.get("lastTransitionTime"))
    if ready.get("status") == "True" or turned is None or turned < started_at:
        return False
    lag = timedelta() if _as_variables(pod, config_map) else _FILES_CHANGE_WITHIN
    for row in _statuses(pod):
        ran_from = parse_time(sub(row, "lastState", "terminated").get("startedAt"))
        if sub(row, "state", "waiting").get("reason") in _BROKEN or (ran_from is not None and ran_from >= started_at + lag):
            return True
    return False


def _as_variables(pod: Obj, config_map: str) -> bool:
    spec = {key: value for key, value in sub(pod, "spec").items() if key != "volumes"}
    return uses_config_map(spec, config_map)


async def _replacement(action: Remediation, started_at: datetime, ask: Ask) -> CheckOutcome:
    """The deleted pod's siblings, found by its name's owner: a pod of the same controller that began after the deletion."""
    namespace, name = action.target.namespace, action.target.name
    pods = await ask.objects(POD, [namespace])
    old = next((pod for pod in pods if pod["metadata"]["name"] == name), None)
    stem = name.rpartition("-")[0]
    fresh = [
        pod
        for pod in pods
        if _began(pod) >= started_at - timedelta(seconds=2) and pod["metadata"]["name"].rpartition("-")[0] == stem
    ]
    if old is not None and old not in fresh:
        return CheckOutcome(outcome="waiting", message=f"pod {name} is still ending")
    if not fresh or not owners(fresh[0]):
        return CheckOutcome(outcome="waiting", message="its replacement is not there yet")
    trouble = next((words for pod in fresh if (words := pod_trouble(pod, started_at))), "")
    if trouble:
        return CheckOutcome(outcome="worse", message=trouble)
    ready = [pod for pod in fresh if ready_since(pod) is not None]
    if len(ready) < len(fresh):
        return CheckOutcome(outcome="waiting", message=f"its replacement {fresh[0]['metadata']['name']} is not ready yet")
    return steady(f"its replacement {ready[0]['metadata']['name']} is ready", ready, started_at, ask.now())


async def _scaled_target(hpa: Obj, started_at: datetime, ask: Ask) -> CheckOutcome:
    ref = sub(hpa, "spec", "scaleTargetRef")
    resource = await resource_of(ask.discovery, str(ref.get("kind")))
    obj = await ask.object(resource, hpa["metadata"]["namespace"], str(ref.get("name")))
    waits = waits_for_scaling(hpa, replicas_of(obj))
    if waits:
        return CheckOutcome(outcome="waiting", message=waits)
    return await _workload(resource, obj, started_at, ask)


def waits_for_scaling(hpa: Obj, replicas: int) -> str:
    """Why the autoscaler is not where the load wants it; "" when it is. Bounds alone say nothing: load decides between them."""
    spec, status = sub(hpa, "spec"), sub(hpa, "status")
    least, most = int(spec.get("minReplicas") or 1), int(spec.get("maxReplicas") or 1)
    if not least <= replicas <= most:
        return f"{replicas} replicas, not yet within {least} to {most}"
    if hpa["metadata"].get("generation", 0) > status.get("observedGeneration", hpa["metadata"].get("generation", 0)):
        return "the autoscaler has not seen the new bounds yet"
    conditions = {row.get("type"): row for row in rows(hpa, "status", "conditions")}
    active, limited = conditions.get("ScalingActive", NOTHING), conditions.get("ScalingLimited", NOTHING)
    if active.get("status") == "False" and active.get("reason") != "ScalingDisabled":
        return f"the autoscaler can't tell the load: {active.get('message') or active.get('reason')}"
    desired = int(status.get("desiredReplicas") or replicas)
    if desired != replicas:
        return f"the autoscaler wants {desired} replicas, there are {replicas}"
    if limited.get("status") == "True" and limited.get("reason") == "TooManyReplicas" and replicas == most:
        return f"the load asks for more than the maximum of {most} replicas"
    return ""


def _counts(kind: str, obj: Obj) -> tuple[int, int, int]:
    """(wanted, of the newest template, in all)."""
    status = sub(obj, "status")
    if kind == "DaemonSet":
        wanted = int(status.get("desiredNumberScheduled", 0))
        return wanted, int(status.get("updatedNumberScheduled", 0)), int(status.get("currentNumberScheduled", 0))
    total = int(status.get("replicas", 0))
    return replicas_of(obj), total if kind == "ReplicaSet" else int(status.get("updatedReplicas", 0)), total


def _statuses(pod: Obj) -> list[Obj]:
    status = sub(pod, "status")
    return cast(list[Obj], [*rows(status, "containerStatuses"), *rows(status, "initContainerStatuses")])


def _began(pod: Obj) -> datetime:
    return parse_time(pod["metadata"].get("creationTimestamp")) or datetime(1970, 1, 1, tzinfo=UTC)
