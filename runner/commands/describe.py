"""`kubectl describe`: a digest of an object with its relatives and events. One row a kind; the rest is written as YAML."""

from collections.abc import Awaitable, Callable
from typing import Any

from protocol.commands import CommandStatus
from protocol.kubectl.calls import DescribeCall
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
from runner.kube.resources import POD, REPLICA_SET, Resource

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
    words = [_set_words(rs) for rs in own if (rs.get("spec") or {}).get("replicas")]
    out.field("ReplicaSets", "\n".join(words))
    old = len(own) - len(words)
    if old:
        out.field("Old ReplicaSets", f"{old} scaled to 0")


def _set_words(replica_set: Obj) -> str:
    spec, status = replica_set.get("spec") or {}, replica_set.get("status") or {}
    name = replica_set["metadata"]["name"]
    return f"{name} (revision {revision_of(replica_set)}, {status.get('readyReplicas', 0)}/{spec.get('replicas', 0)} ready)"


async def _endpoints(ask: Ask, obj: Obj, out: Lines) -> None:
    metadata = obj["metadata"]
    try:
        found = await ask.client.get(f"/api/v1/namespaces/{metadata['namespace']}/endpoints/{metadata['name']}")
    except KubeError as error:
        out.field("Endpoints", "<none>" if error.status == 404 else f"<cannot be read: {error.message}>")
        return
    ready: list[str] = []
    waiting: list[str] = []
    for subset in found.get("subsets") or []:
        ports = [row.get("port") for row in subset.get("ports") or []] or [""]
        for words, key in ((ready, "addresses"), (waiting, "notReadyAddresses")):
            words.extend(f"{row['ip']}:{port}" for row in subset.get(key) or [] for port in ports)
    out.field("Endpoints", ",".join(ready[:20]) + (f" + {len(ready) - 20} more" if len(ready) > 20 else ""))
    if waiting:
        out.field("Not ready", ",".join(waiting[:20]))


async def _node_pods(ask: Ask, obj: Obj, out: Lines) -> None:
    pods = await ask.objects_or_none(POD, ("",), fields=f"spec.nodeName={obj['metadata']['name']}")
    if pods is None:
        out.field("Non-terminated Pods", "<cannot be read>")
        return
    rows: list[list[Any]] = []
    for pod in pods:
        if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            continue
        cells: list[Any] = [pod["metadata"].get("namespace"), pod["metadata"]["name"]]
        for part in ("requests", "limits"):
            resources = [(c.get("resources") or {}).get(part) or {} for c in pod["spec"].get("containers") or []]
            cells.append("+".join(str(r["cpu"]) for r in resources if r.get("cpu")) or "0")
            cells.append("+".join(str(r["memory"]) for r in resources if r.get("memory")) or "0")
        rows.append(cells)
    headers = ["Namespace", "Name", "CPU Requests", "Memory Requests", "CPU Limits", "Memory Limits"]
    out.table(f"Non-terminated Pods ({len(rows)} in total)", headers, rows[:200])


RELATIVES: dict[str, Relatives] = {"Deployment": _replica_sets, "Service": _endpoints, "Node": _node_pods}
