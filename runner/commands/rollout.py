"""`kubectl rollout status` (one look, no waiting) and `rollout history`, in kubectl's words."""

from collections.abc import Callable, Mapping
from typing import Any

from knowledge.diagnosis.fields import rows, sub
from protocol.commands import CommandStatus
from protocol.kubectl.calls import RolloutHistoryCall, RolloutStatusCall
from runner.commands.answer import Answer, Refusal
from runner.commands.ask import Ask, Obj
from runner.commands.get import dump
from runner.commands.pods import owned_by, pod_selector
from runner.commands.render import columns
from runner.kube.resources import REPLICA_SET, Resource

REVISION = "deployment.kubernetes.io/revision"
_CAUSE = "kubernetes.io/change-cause"


def revision_of(replica_set: Obj) -> int:
    """0 when the ReplicaSet carries none."""
    text = str(sub(replica_set["metadata"], "annotations").get(REVISION, "0"))
    return int(text) if text.isdigit() else 0


async def rollout_status(call: RolloutStatusCall, ask: Ask) -> Answer:
    resource, obj = await _workload(ask, call.resource.type, call.resource.name, call.namespace)
    return Answer(text=STATUS_WORDS[resource.kind](obj) + "\n")


async def rollout_history(call: RolloutHistoryCall, ask: Ask) -> Answer:
    resource, obj = await _workload(ask, call.resource.type, call.resource.name, call.namespace)
    revisions = await revisions_of(ask, resource, obj)
    title = f"{resource.printed_name}/{call.resource.name}"
    if call.revision is not None:
        template = next((t for number, _, t in revisions if number == call.revision), None)
        if template is None:
            raise Refusal(CommandStatus.NOT_FOUND, f"error: unable to find the specified revision {call.revision} of {title}")
        return Answer(text=f"{title} with revision #{call.revision}\nPod Template:\n{_indent(dump(template, 'yaml'))}")
    table = [[number, cause or "<none>"] for number, cause, _ in revisions]
    return Answer(text=f"{title}\n" + columns(["Revision", "Change-Cause"], table))


async def revisions_of(ask: Ask, resource: Resource, obj: Obj) -> list[tuple[int, str, Obj]]:
    """(revision, change cause, pod template), oldest first: of ReplicaSets, or of ControllerRevisions."""
    namespace, uid = obj["metadata"]["namespace"], obj["metadata"]["uid"]
    if resource.kind == "Deployment":
        sets = await ask.objects(REPLICA_SET, [namespace], labels=pod_selector(obj))
        own = [(revision_of(rs), _cause(rs), rs["spec"]["template"]) for rs in sets if owned_by(rs, uid)]
    else:
        kept = await ask.objects("ControllerRevision", [namespace], labels=pod_selector(obj))
        own = [(int(cr.get("revision") or 0), _cause(cr), _template_of(cr)) for cr in kept if owned_by(cr, uid)]
    return sorted((row for row in own if row[0]), key=lambda row: row[0])


def deployment_words(obj: Obj) -> str:
    name, spec, status = _parts(obj)
    if obj["metadata"].get("generation", 0) > status.get("observedGeneration", 0):
        return "Waiting for deployment spec update to be observed..."
    for condition in rows(status, "conditions"):
        if condition.get("type") == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            return f'error: deployment "{name}" exceeded its progress deadline'
    wanted, updated = int(spec.get("replicas", 1)), int(status.get("updatedReplicas", 0))
    total, available = int(status.get("replicas", 0)), int(status.get("availableReplicas", 0))
    waiting = f'Waiting for deployment "{name}" rollout to finish:'
    if updated < wanted:
        return f"{waiting} {updated} out of {wanted} new replicas have been updated..."
    if total > updated:
        return f"{waiting} {total - updated} old replicas are pending termination..."
    if available < updated:
        return f"{waiting} {available} of {updated} updated replicas are available..."
    return f'deployment "{name}" successfully rolled out'


def stateful_set_words(obj: Obj) -> str:
    _, spec, status = _parts(obj)
    if sub(spec, "updateStrategy").get("type") == "OnDelete":
        return "error: rollout status is only available for RollingUpdate strategy type"
    if obj["metadata"].get("generation", 0) > status.get("observedGeneration", 0):
        return "Waiting for statefulset spec update to be observed..."
    wanted, ready = int(spec.get("replicas", 1)), int(status.get("readyReplicas", 0))
    if ready < wanted:
        return f"Waiting for {wanted - ready} pods to be ready..."
    if status.get("updateRevision") != status.get("currentRevision"):
        updated = int(status.get("updatedReplicas", 0))
        return (
            f"waiting for statefulset rolling update to complete {updated} pods at revision {status.get('updateRevision')}..."
        )
    pods, revision = status.get("currentReplicas", 0), status.get("currentRevision")
    return f"statefulset rolling update complete {pods} pods at revision {revision}..."


def daemon_set_words(obj: Obj) -> str:
    name, _, status = _parts(obj)
    if obj["metadata"].get("generation", 0) > status.get("observedGeneration", 0):
        return "Waiting for daemon set spec update to be observed..."
    wanted = int(status.get("desiredNumberScheduled", 0))
    updated, available = int(status.get("updatedNumberScheduled", 0)), int(status.get("numberAvailable", 0))
    waiting = f'Waiting for daemon set "{name}" rollout to finish:'
    if updated < wanted:
        return f"{waiting} {updated} out of {wanted} new pods have been updated..."
    if available < wanted:
        return f"{waiting} {available} of {wanted} updated pods are available..."
    return f'daemon set "{name}" successfully rolled out'


STATUS_WORDS: dict[str, Callable[[Obj], str]] = {
    "Deployment": deployment_words,
    "StatefulSet": stateful_set_words,
    "DaemonSet": daemon_set_words,
}


async def _workload(ask: Ask, wanted: Any, name: str, namespace: str | None) -> tuple[Resource, Obj]:
    resource = await ask.resource(wanted)
    if resource.kind not in STATUS_WORDS:
        raise Refusal(
            CommandStatus.INVALID, f"error: {resource.plural} have no roll-outs; name a deployment, statefulset or daemonset"
        )
    (space,) = ask.namespaces(resource, namespace, all_namespaces=False)
    return resource, await ask.object(resource, space, name)


def _parts(obj: Obj) -> tuple[str, Mapping[str, Any], Mapping[str, Any]]:
    return obj["metadata"]["name"], sub(obj, "spec"), sub(obj, "status")


def _cause(obj: Obj) -> str:
    return str(sub(obj["metadata"], "annotations").get(_CAUSE, ""))


def _template_of(revision: Obj) -> Obj:
    return dict(sub(revision, "data", "spec", "template"))


def _indent(text: str) -> str:
    return "".join(f"  {line}\n" for line in text.splitlines())
