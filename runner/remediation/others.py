"""Actions on ConfigMaps, pods, nodes, volumes, autoscalers and CronJobs. Pure."""

import copy
from typing import Any, cast

from knowledge.diagnosis.fields import rows, sub
from knowledge.diagnosis.quantity import parse
from protocol.redaction import holds_secret
from protocol.remediation import (
    AdjustHpa,
    CordonNode,
    CreateConfigMap,
    DeleteConfigMap,
    DeletePod,
    DrainNode,
    ExpandPvc,
    PatchConfigMap,
    Remediation,
    SuspendCronJob,
    UncordonNode,
)
from runner.remediation.types import Obj, Row, Situation, Unfit

_MIRROR = "kubernetes.io/config.mirror"


# ConfigMaps


def _data(situation: Situation) -> Obj:
    return cast(Obj, situation.existing().get("data") or {})


def _config_fields(action: PatchConfigMap, situation: Situation) -> Any:
    data = _data(situation)
    return {"data": {key: data.get(key) for key in action.data}}


def _with_data(action: PatchConfigMap, situation: Situation) -> Obj:
    obj = copy.deepcopy(situation.existing())
    if obj.get("immutable"):
        raise Unfit("it is immutable: create another one and point the workload at it")
    merged = {**sub(obj, "data"), **action.data}
    data = {key: value for key, value in merged.items() if value is not None}
    if data == sub(obj, "data"):
        raise Unfit("it has these values already")
    obj["data"] = data
    return obj


def _data_back(action: PatchConfigMap, situation: Situation) -> Remediation | None:
    """The exact earlier values; none where one of them is a secret, which no plan may carry."""
    data = _data(situation)
    earlier = {key: None if key not in data else str(data[key]) for key in action.data}
    if any(value is not None and holds_secret(f"{key}: {value}") for key, value in earlier.items()):
        return None
    return PatchConfigMap(target=action.target, data=earlier)


def _absent_fields(_: CreateConfigMap, situation: Situation) -> Any:
    return {"exists": situation.obj is not None, "data": (situation.obj or {}).get("data")}


def _created(action: CreateConfigMap, situation: Situation) -> Obj:
    if situation.obj is not None:
        raise Unfit("it exists already; patch it instead")
    target = action.target
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": target.name, "namespace": target.namespace},
        "data": dict(action.data),
    }


def _gone(_: Remediation, situation: Situation) -> None:
    situation.existing()


# pods and nodes


def _pod_fields(_: DeletePod, situation: Situation) -> Any:
    return {"uid": situation.existing()["metadata"]["uid"]}


def _pod_gone(_: DeletePod, situation: Situation) -> None:
    pod = situation.existing()
    owners = rows(pod["metadata"], "ownerReferences")
    if not any(owner.get("controller") for owner in owners):
        raise Unfit("nothing would make a new one: it has no controller")


def _node_fields(_: Remediation, situation: Situation) -> Any:
    return {"unschedulable": unschedulable(situation.existing())}


def unschedulable(node: Obj) -> bool:
    return bool(sub(node, "spec").get("unschedulable"))


def _cordoned(_: Remediation, situation: Situation) -> Obj:
    if unschedulable(situation.existing()):
        raise Unfit("it is cordoned already")
    return _schedulable(situation, cordon=True)


def _uncordoned(_: UncordonNode, situation: Situation) -> Obj:
    if not unschedulable(situation.existing()):
        raise Unfit("it is not cordoned")
    return _schedulable(situation, cordon=False)


def _drained(action: DrainNode, situation: Situation) -> Obj:
    blockers = drain_blockers(situation.node_pods, delete_emptydir_data=action.delete_emptydir_data)
    if blockers:
        raise Unfit(f"it cannot be drained: {'; '.join(blockers[:5])}")
    return _schedulable(situation, cordon=True)


def _schedulable(situation: Situation, *, cordon: bool) -> Obj:
    obj = copy.deepcopy(situation.existing())
    spec = obj.setdefault("spec", {})
    spec.pop("unschedulable", None)
    if cordon:
        spec["unschedulable"] = True
    return obj


def evictable(pods: tuple[Obj, ...]) -> list[Obj]:
    """What a drain evicts: not DaemonSets' pods, not mirrors of static pods, not finished ones."""
    found: list[Obj] = []
    for pod in pods:
        metadata = pod["metadata"]
        owners = rows(metadata, "ownerReferences")
        if any(owner.get("kind") == "DaemonSet" and owner.get("controller") for owner in owners):
            continue
        if _MIRROR in sub(metadata, "annotations") or sub(pod, "status").get("phase") in ("Succeeded", "Failed"):
            continue
        found.append(pod)
    return found


def drain_blockers(pods: tuple[Obj, ...], *, delete_emptydir_data: bool) -> list[str]:
    reasons: list[str] = []
    for pod in evictable(pods):
        name = f"{pod['metadata'].get('namespace')}/{pod['metadata']['name']}"
        if not pod["metadata"].get("ownerReferences"):
            reasons.append(f"pod {name} has no controller and would be lost")
        volumes = rows(pod, "spec", "volumes")
        if not delete_emptydir_data and any("emptyDir" in volume for volume in volumes):
            reasons.append(f"pod {name} has emptyDir data, which would be lost (delete_emptydir_data allows it)")
    return reasons


# volumes, autoscalers, CronJobs


def _size(obj: Obj) -> str:
    return str(sub(obj, "spec", "resources").get("requests", {}).get("storage", ""))


def _grown(action: ExpandPvc, situation: Situation) -> Obj:
    obj = copy.deepcopy(situation.existing())
    before, after = parse(_size(obj)) or 0, parse(action.size) or 0
    if after <= before:
        raise Unfit(f"it asks for {_size(obj)} already, and a volume cannot be made smaller")
    obj["spec"]["resources"]["requests"]["storage"] = action.size
    return obj


def _bounds(obj: Obj) -> tuple[int, int]:
    spec = sub(obj, "spec")
    return int(spec.get("minReplicas") or 1), int(spec.get("maxReplicas") or 1)


def _adjusted(action: AdjustHpa, situation: Situation) -> Obj:
    obj = copy.deepcopy(situation.existing())
    least, most = _bounds(obj)
    wanted = action.min_replicas or least, action.max_replicas or most
    if wanted[0] > wanted[1]:
        raise Unfit(f"the minimum {wanted[0]} would be over the maximum {wanted[1]}")
    if wanted == (least, most):
        raise Unfit("it has these bounds already")
    obj["spec"]["minReplicas"], obj["spec"]["maxReplicas"] = wanted
    return obj


def _bounds_back(action: AdjustHpa, situation: Situation) -> Remediation:
    least, most = _bounds(situation.existing())
    return AdjustHpa(target=action.target, min_replicas=least, max_replicas=most)


def _suspended(obj: Obj) -> bool:
    return bool(sub(obj, "spec").get("suspend"))


def _suspend(action: SuspendCronJob, situation: Situation) -> Obj:
    obj = copy.deepcopy(situation.existing())
    if _suspended(obj) == action.suspend:
        raise Unfit("it is suspended already" if action.suspend else "it is not suspended")
    obj["spec"]["suspend"] = action.suspend
    return obj


OTHER_ROWS: dict[str, Row] = {
    "patch_configmap": Row(
        "patch",
        "patch",
        _config_fields,
        _with_data,
        _data_back,
        lambda a, _: (
            f"Keys {', '.join(a.data)} change; pods that mount it see it within a minute, variables only after a restart."
        ),
        "the workloads that use it are ready for 10 s",
    ),
    "create_configmap": Row(
        "create",
        "create",
        _absent_fields,
        _created,
        lambda a, _: DeleteConfigMap(target=a.target),
        lambda a, _: f"A new ConfigMap with the keys {', '.join(a.data)}; pods that wait for it start.",
        "the workloads that use it are ready for 10 s",
    ),
    "delete_configmap": Row(
        "delete",
        "delete",
        _absent_fields,
        _gone,
        lambda _a, _s: None,
        lambda _a, _s: "The ConfigMap goes away.",
        "it is gone",
        stays=False,
        for_git=False,
    ),
    "delete_pod": Row(
        "delete",
        "delete",
        _pod_fields,
        _pod_gone,
        lambda _a, _s: None,
        lambda _a, _s: "The pod ends and its controller makes a new one.",
        "its replacement is ready for 10 s",
        stays=False,
        for_git=False,
    ),
    "cordon": Row(
        "patch",
        "patch",
        _node_fields,
        _cordoned,
        lambda a, _: UncordonNode(target=a.target),
        lambda _a, _s: "No new pods come to the node; what runs there stays.",
        "the node is marked unschedulable",
        check_timeout_s=60,
        for_git=False,
    ),
    "uncordon": Row(
        "patch",
        "patch",
        _node_fields,
        _uncordoned,
        lambda a, _: CordonNode(target=a.target),
        lambda _a, _s: "New pods may come to the node again.",
        "the node takes pods again",
        check_timeout_s=60,
        for_git=False,
    ),
    "drain": Row(
        "drain",
        "patch",
        _node_fields,
        _drained,
        lambda a, _: UncordonNode(target=a.target),
        lambda _, s: f"The node is cordoned and {len(evictable(s.node_pods))} pods are evicted, as PodDisruptionBudgets allow.",
        "the node is cordoned and only DaemonSet pods are left on it",
        check_timeout_s=900,
        stays=False,
        for_git=False,
    ),
    "expand_pvc": Row(
        "patch",
        "patch",
        lambda _, s: {"storage": _size(s.existing())},
        _grown,
        lambda _a, _s: None,
        lambda a, s: f"The volume grows from {_size(s.existing())} to {a.size}; it can't be made smaller again.",
        "its capacity is what was asked for",
    ),
    "adjust_hpa": Row(
        "patch",
        "patch",
        lambda _, s: {"bounds": list(_bounds(s.existing()))},
        _adjusted,
        _bounds_back,
        lambda _a, _s: "The autoscaler works between the new bounds.",
        "its target has a number of replicas within the bounds, and they are ready",
    ),
    "suspend_cronjob": Row(
        "patch",
        "patch",
        lambda _, s: {"suspend": _suspended(s.existing())},
        _suspend,
        lambda a, _: SuspendCronJob(target=a.target, suspend=not a.suspend),
        lambda a, _: "No new jobs are started; running ones go on." if a.suspend else "Jobs are started by schedule again.",
        "it is suspended or not, as wanted",
        check_timeout_s=60,
    ),
}
