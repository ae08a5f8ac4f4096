"""`kubectl describe`: a digest of an object with its relatives and events. One row a kind; the rest is written as YAML."""

from collections.abc import Awaitable, Callable
from typing import Any

from knowledge.diagnosis.fields import rows, sub
from protocol.commands import CommandStatus
from protocol.kubectl.calls import DescribeCall
from runner.cache.trim import LAST_APPLIED
from runner.commands.answer import Answer, Refusal
from runner.commands.ask import Ask, Obj
from runner.commands.describe_kinds import KINDS, describe_generic
from runner.commands.describe_pod import controlled_by, describe_pod, when
from runner.commands.events import event_section
from runner.commands.get import without_noise
from runner.commands.lines import Lines
from runner.commands.pods import owned_by, pod_selector
from runner.commands.rollout import revision_of
from runner.kube.errors import KubeError
from runner.kube.resources import BUILT_IN, POD, REPLICA_SET, Resource

MAX_OBJECTS = 25

Relatives = Callable[[Ask, Obj, Lines], Awaitable[None]]


async def describe(call: DescribeCall, ask: Ask) -> Answer:
    """Raises Refusal and KubeError. Without names: at most 25 objects, and it says so."""
    texts: list[str] = []
    missing: list[str] = []
    left_out = 0
    for item in call.resources:
        resource = await ask.resource(item.type)
        spaces = ask.namespaces(resource, call.namespace, all_namespaces=call.all_namespaces)
        if item.name:
            try:
                objects = [await ask.object(resource, spaces[0], item.name)]
            except KubeError as error:
                if error.status != 404:
                    raise
                missing.append(error.for_people())
                continue
        else:
            objects = await ask.objects(resource, spaces, labels=call.label_selector)
        left_out += max(0, len(objects) - MAX_OBJECTS)
        texts.extend([await describe_object(ask, resource, obj, events=call.show_events) for obj in objects[:MAX_OBJECTS]])
    if not texts and missing:
        raise Refusal(CommandStatus.NOT_FOUND, "\n".join(missing))
    if not texts:
        return Answer(text="No resources found.\n", empty=True)
    cut = f"{left_out} more objects; name one, or narrow it by -l" if left_out else ""
    return Answer(text="\n\n".join(texts) + "".join(f"{message}\n" for message in missing), cut=cut)


async def describe_object(ask: Ask, resource: Resource, obj: Obj, *, events: bool) -> str:
    obj = without_noise({"kind": resource.kind, "apiVersion": resource.api_version, **obj})
    metadata = obj["metadata"]
    metadata["annotations"] = {key: value for key, value in sub(metadata, "annotations").items() if key != LAST_APPLIED}
    out = Lines()
    out.field("Name", metadata["name"])
    if metadata.get("namespace"):
        out.field("Namespace", metadata["namespace"])
    if metadata.get("deletionTimestamp"):
        out.field("Terminating", f"since {when(metadata['deletionTimestamp'])}, finalizers {metadata.get('finalizers') or []}")
    if resource.kind == "Pod":
        describe_pod(obj, out)
    else:
        out.map("Labels", metadata.get("labels"))
        out.map("Annotations", metadata.get("annotations"))
        out.field("CreationTimestamp", when(metadata.get("creationTimestamp")))
        if controlled_by(obj):
            out.field("Controlled By", controlled_by(obj))
        KINDS.get(resource.kind, describe_generic)(obj, out, ask.now())
    relatives = RELATIVES.get(resource.kind)
    if relatives is not None:
        await relatives(ask, obj, out)
    return out.render() + (await event_section(ask, obj) if events else "")


async def _replica_sets(ask: Ask, obj: Obj, out: Lines) -> None:
    found = await ask.objects_or_none(REPLICA_SET, [obj["metadata"]["namespace"]], labels=pod_selector(obj))
    if found is None:
        out.field("ReplicaSets", "<cannot be read>")
        return
    own = sorted((rs for rs in found if owned_by(rs, obj["metadata"]["uid"])), key=revision_of, reverse=True)
    words = [_set_words(rs) for rs in own if sub(rs, "spec").get("replicas")]
    out.field("ReplicaSets", "\n".join(words))
    old = len(own) - len(words)
    if old:
        out.field("Old ReplicaSets", f"{old} scaled to 0")


def _set_words(replica_set: Obj) -> str:
    spec, status = sub(replica_set, "spec"), sub(replica_set, "status")
    name = replica_set["metadata"]["name"]
    return f"{name} (revision {revision_of(replica_set)}, {status.get('readyReplicas', 0)}/{spec.get('replicas', 0)} ready)"


async def _endpoints(ask: Ask, obj: Obj, out: Lines) -> None:
    metadata = obj["metadata"]
    try:
        found = await ask.client.get(BUILT_IN["Endpoints"].path(metadata["namespace"], metadata["name"]))
    except KubeError as error:
        out.field("Endpoints", "<none>" if error.status == 404 else f"<cannot be read: {error.message}>")
        return
    ready: list[str] = []
    waiting: list[str] = []
    for subset in rows(found, "subsets"):
        ports = [row.get("port") for row in rows(subset, "ports")] or [""]
        for words, key in ((ready, "addresses"), (waiting, "notReadyAddresses")):
            words.extend(f"{row['ip']}:{port}" for row in rows(subset, key) for port in ports)
    out.field("Endpoints", ",".join(ready[:20]) + (f" + {len(ready) - 20} more" if len(ready) > 20 else ""))
    if waiting:
        out.field("Not ready", ",".join(waiting[:20]))


async def _node_pods(ask: Ask, obj: Obj, out: Lines) -> None:
    pods = await ask.objects_or_none(POD, ("",), fields=f"spec.nodeName={obj['metadata']['name']}")
    if pods is None:
        out.field("Non-terminated Pods", "<cannot be read>")
        return
    table: list[list[Any]] = []
    for pod in pods:
        if sub(pod, "status").get("phase") in ("Succeeded", "Failed"):
            continue
        cells: list[Any] = [pod["metadata"].get("namespace"), pod["metadata"]["name"]]
        for part in ("requests", "limits"):
            resources = [sub(c, "resources", part) for c in rows(pod["spec"], "containers")]
            cells.append("+".join(str(r["cpu"]) for r in resources if r.get("cpu")) or "0")
            cells.append("+".join(str(r["memory"]) for r in resources if r.get("memory")) or "0")
        table.append(cells)
    headers = ["Namespace", "Name", "CPU Requests", "Memory Requests", "CPU Limits", "Memory Limits"]
    out.table(f"Non-terminated Pods ({len(table)} in total)", headers, table[:200])


RELATIVES: dict[str, Relatives] = {"Deployment": _replica_sets, "Service": _endpoints, "Node": _node_pods}
