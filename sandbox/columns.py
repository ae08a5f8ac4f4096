"""The columns of each kind, one row a column: title ("+" for wide only) and how to read it."""

from collections.abc import Callable
from typing import Any

from sandbox.clock import epoch, human
from sandbox.objects import Obj, being_deleted, labels_of, number, rows, sub, text, texts
from sandbox.selectors import written

Read = Callable[[Obj, float], Any]

NONE = "<none>"


def _at(*path: str, none: str = "") -> Read:
    return lambda obj, _now: text(obj, *path) or none


def _count(*path: str) -> Read:
    return lambda obj, _now: number(obj, *path)


def _since(*path: str) -> Read:
    return lambda obj, now: human(now - epoch(text(obj, *path))) if text(obj, *path) else "<unknown>"


def _age(obj: Obj, now: float) -> str:
    return _since("metadata", "creationTimestamp")(obj, now)


def _keys(*path: str) -> Read:
    return lambda obj, _now: len(sub(obj, *path))


def _ready(obj: Obj, _now: float) -> str:
    states = rows(obj, "status", "containerStatuses")
    return f"{sum(1 for s in states if s.get('ready'))}/{len(rows(obj, 'spec', 'containers'))}"


def pod_status(obj: Obj) -> str:
    """The STATUS column of a pod, by kubectl's own order of precedence."""
    said = text(obj, "status", "reason") or text(obj, "status", "phase") or "Unknown"
    inits = rows(obj, "status", "initContainerStatuses")
    starting = False
    for at, state in enumerate(inits):
        ended = sub(state, "state", "terminated")
        if "terminated" in sub(state, "state") and ended.get("exitCode") == 0:
            continue
        waiting = text(state, "state", "waiting", "reason")
        if ended:
            said = f"Init:{ended.get('reason') or 'ExitCode:' + str(ended.get('exitCode'))}"
        elif waiting and waiting != "PodInitializing":
            said = f"Init:{waiting}"
        else:
            said = f"Init:{at}/{len(rows(obj, 'spec', 'initContainers'))}"
        starting = True
        break
    if not starting:
        running = False
        for state in reversed(rows(obj, "status", "containerStatuses")):
            ended = sub(state, "state", "terminated")
            if reason := text(state, "state", "waiting", "reason"):
                said = reason
            elif ended:
                said = str(ended.get("reason") or f"ExitCode:{ended.get('exitCode')}")
            elif state.get("ready") and "running" in sub(state, "state"):
                running = True
        if said == "Completed" and running:
            said = "Running"
    return "Terminating" if being_deleted(obj) else said


def _restarts(obj: Obj, now: float) -> str:
    states = rows(obj, "status", "containerStatuses")
    total = sum(number(state, "restartCount") for state in states)
    ends = [text(state, "lastState", "terminated", "finishedAt") for state in states]
    last = max((epoch(end) for end in ends if end), default=0.0)
    return f"{total} ({human(now - last)} ago)" if total and last else str(total)


def _gates(_obj: Obj, _now: float) -> str:
    return NONE


def _containers(part: str) -> Read:
    def read(obj: Obj, _now: float) -> str:
        template = sub(obj, "spec", "template", "spec") or sub(obj, "spec", "jobTemplate", "spec", "template", "spec")
        return ",".join(text(c, part) for c in rows(template, "containers"))

    return read


def _selector(obj: Obj, _now: float) -> str:
    return written(sub(obj, "spec", "selector")) or NONE


def _pairs(*path: str) -> Read:
    def read(obj: Obj, _now: float) -> str:
        return ",".join(f"{k}={v}" for k, v in sorted(sub(obj, *path).items())) or NONE

    return read


def _node_status(obj: Obj, _now: float) -> str:
    words = ["NotReady"]
    for row in rows(obj, "status", "conditions"):
        if row.get("type") == "Ready":
            words = ["Ready" if row.get("status") == "True" else "NotReady"]
    if sub(obj, "spec").get("unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def _roles(obj: Obj, _now: float) -> str:
    prefix = "node-role.kubernetes.io/"
    return ",".join(sorted(k[len(prefix) :] for k in labels_of(obj) if k.startswith(prefix))) or NONE


def _address(kind: str) -> Read:
    def read(obj: Obj, _now: float) -> str:
        found = [a for a in rows(obj, "status", "addresses") if a.get("type") == kind]
        return str(found[0]["address"]) if found else NONE

    return read


def _ports(obj: Obj, _now: float) -> str:
    said: list[str] = []
    for port in rows(obj, "spec", "ports"):
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        said.append(f"{port.get('port')}{node}/{port.get('protocol', 'TCP')}")
    return ",".join(said) or NONE


def _external(obj: Obj, _now: float) -> str:
    if text(obj, "spec", "type") == "ExternalName":
        return text(obj, "spec", "externalName")
    return "<pending>" if text(obj, "spec", "type") == "LoadBalancer" else NONE


def _endpoints(obj: Obj, _now: float) -> str:
    said: list[str] = []
    for subset in rows(obj, "subsets"):
        for port in rows(subset, "ports"):
            said += [f"{a['ip']}:{port['port']}" for a in rows(subset, "addresses")]
    more = f" + {len(said) - 3} more..." if len(said) > 3 else ""
    return (",".join(said[:3]) + more) or NONE


def _slice_ports(obj: Obj, _now: float) -> str:
    return ",".join(str(p.get("port")) for p in rows(obj, "ports")) or "<unset>"


def _slice_addresses(obj: Obj, _now: float) -> str:
    said = [a for row in rows(obj, "endpoints") for a in texts(row, "addresses")]
    more = f" + {len(said) - 3} more..." if len(said) > 3 else ""
    return (",".join(said[:3]) + more) or "<unset>"


def _about(obj: Obj, _now: float) -> str:
    about = sub(obj, "involvedObject")
    return f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}"


def _source(obj: Obj, _now: float) -> str:
    source = sub(obj, "source")
    return ", ".join(str(source[k]) for k in ("component", "host") if source.get(k))


def _completions(obj: Obj, _now: float) -> str:
    return f"{number(obj, 'status', 'succeeded')}/{number(obj, 'spec', 'completions', default=1)}"


def _job_status(obj: Obj, _now: float) -> str:
    for row in rows(obj, "status", "conditions"):
        if row.get("status") == "True" and row.get("type") in ("Complete", "Failed", "Suspended"):
            return str(row["type"])
    return "Terminating" if being_deleted(obj) else "Running"


def _took(obj: Obj, now: float) -> str:
    start, end = text(obj, "status", "startTime"), text(obj, "status", "completionTime")
    return human((epoch(end) if end else now) - epoch(start)) if start else ""


def _last_schedule(obj: Obj, now: float) -> str:
    return _since("status", "lastScheduleTime")(obj, now) if text(obj, "status", "lastScheduleTime") else NONE


def _targets(obj: Obj, _now: float) -> str:
    said: list[str] = []
    current = {text(m, "resource", "name"): m for m in rows(obj, "status", "currentMetrics")}
    for metric in rows(obj, "spec", "metrics"):
        name = text(metric, "resource", "name")
        have = sub(current.get(name, {}), "resource", "current").get("averageUtilization")
        want = sub(metric, "resource", "target").get("averageUtilization")
        said.append(f"{name}: {'<unknown>' if have is None else f'{have}%'}/{want}%")
    return ", ".join(said) or NONE


def _reference(obj: Obj, _now: float) -> str:
    ref = sub(obj, "spec", "scaleTargetRef")
    return f"{ref.get('kind')}/{ref.get('name')}"


def _budget(field: str) -> Read:
    return lambda obj, _now: str(sub(obj, "spec").get(field, "N/A"))


def _modes(obj: Obj, _now: float) -> str:
    short = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
    return ",".join(short.get(mode, mode) for mode in texts(obj, "spec", "accessModes"))


def _capacity(obj: Obj, _now: float) -> str:
    return text(obj, "status", "capacity", "storage") or text(obj, "spec", "capacity", "storage")


def _claim_of(obj: Obj, _now: float) -> str:
    ref = sub(obj, "spec", "claimRef")
    return f"{text(ref, 'namespace')}/{text(ref, 'name')}" if ref else ""


def _hosts(obj: Obj, _now: float) -> str:
    return ",".join(str(rule.get("host", "*")) for rule in rows(obj, "spec", "rules")) or "*"


def _of(*path: str) -> Read:
    def read(obj: Obj, _now: float) -> str:
        return f"{number(obj, 'status', path[0])}/{number(obj, 'spec', path[1], default=1)}"

    return read


_WORKLOAD_WIDE: list[tuple[str, Read]] = [
    ("+Containers", _containers("name")),
    ("+Images", _containers("image")),
    ("+Selector", _selector),
]


def _role(obj: Obj, _now: float) -> str:
    return f"{text(obj, 'roleRef', 'kind')}/{text(obj, 'roleRef', 'name')}"


COLUMNS: dict[str, list[tuple[str, Read]]] = {
    "Pod": [
        ("Ready", _ready), ("Status", lambda obj, _now: pod_status(obj)), ("Restarts", _restarts), ("Age", _age),
        ("+IP", _at("status", "podIP", none=NONE)), ("+Node", _at("spec", "nodeName", none=NONE)),
        ("+Nominated Node", _gates), ("+Readiness Gates", _gates),
    ],
    "Deployment": [
        ("Ready", _of("readyReplicas", "replicas")), ("Up-to-date", _count("status", "updatedReplicas")),
        ("Available", _count("status", "availableReplicas")), ("Age", _age), *_WORKLOAD_WIDE,
    ],
    "ReplicaSet": [
        ("Desired", _count("spec", "replicas")), ("Current", _count("status", "replicas")),
        ("Ready", _count("status", "readyReplicas")), ("Age", _age), *_WORKLOAD_WIDE,
    ],
    "StatefulSet": [("Ready", _of("readyReplicas", "replicas")), ("Age", _age), *_WORKLOAD_WIDE[:2]],
    "DaemonSet": [
        ("Desired", _count("status", "desiredNumberScheduled")), ("Current", _count("status", "currentNumberScheduled")),
        ("Ready", _count("status", "numberReady")), ("Up-to-date", _count("status", "updatedNumberScheduled")),
        ("Available", _count("status", "numberAvailable")),
        ("Node Selector", _pairs("spec", "template", "spec", "nodeSelector")), ("Age", _age), *_WORKLOAD_WIDE,
    ],
    "Job": [("Status", _job_status), ("Completions", _completions), ("Duration", _took), ("Age", _age), *_WORKLOAD_WIDE],
    "CronJob": [
        ("Schedule", _at("spec", "schedule")), ("Timezone", _at("spec", "timeZone", none=NONE)),
        ("Suspend", lambda obj, _now: str(bool(sub(obj, "spec").get("suspend")))),
        ("Active", lambda obj, _now: len(rows(obj, "status", "active"))),
        ("Last Schedule", _last_schedule),
        ("Age", _age), *_WORKLOAD_WIDE[:2],
    ],
    "Node": [
        ("Status", _node_status), ("Roles", _roles), ("Age", _age), ("Version", _at("status", "nodeInfo", "kubeletVersion")),
        ("+Internal-IP", _address("InternalIP")), ("+External-IP", _address("ExternalIP")),
        ("+OS-Image", _at("status", "nodeInfo", "osImage")), ("+Kernel-Version", _at("status", "nodeInfo", "kernelVersion")),
        ("+Container-Runtime", _at("status", "nodeInfo", "containerRuntimeVersion")),
    ],
    "Service": [
        ("Type", _at("spec", "type")), ("Cluster-IP", _at("spec", "clusterIP", none=NONE)), ("External-IP", _external),
        ("Port(s)", _ports), ("Age", _age), ("+Selector", _pairs("spec", "selector")),
    ],
    "Endpoints": [("Endpoints", _endpoints), ("Age", _age)],
    "EndpointSlice": [
        ("AddressType", _at("addressType")), ("Ports", _slice_ports), ("Endpoints", _slice_addresses), ("Age", _age),
    ],
    "ConfigMap": [("Data", _keys("data")), ("Age", _age)],
    "Secret": [("Type", _at("type")), ("Data", _keys("data")), ("Age", _age)],
    "ServiceAccount": [("Secrets", lambda obj, _now: len(rows(obj, "secrets"))), ("Age", _age)],
    "Namespace": [("Status", _at("status", "phase")), ("Age", _age)],
    "Event": [
        ("Last Seen", _since("lastTimestamp")), ("Type", _at("type")), ("Reason", _at("reason")), ("Object", _about),
        ("+Subobject", _at("involvedObject", "fieldPath")), ("+Source", _source), ("Message", _at("message")),
        ("+First Seen", _since("firstTimestamp")), ("+Count", _count("count")), ("+Name", _at("metadata", "name")),
    ],
    "PersistentVolumeClaim": [
        ("Status", _at("status", "phase")), ("Volume", _at("spec", "volumeName")), ("Capacity", _capacity),
        ("Access Modes", _modes), ("StorageClass", _at("spec", "storageClassName")),
        ("VolumeAttributesClass", lambda _obj, _now: "<unset>"), ("Age", _age), ("+VolumeMode", _at("spec", "volumeMode")),
    ],
    "PersistentVolume": [
        ("Capacity", _capacity), ("Access Modes", _modes), ("Reclaim Policy", _at("spec", "persistentVolumeReclaimPolicy")),
        ("Status", _at("status", "phase")), ("Claim", _claim_of), ("StorageClass", _at("spec", "storageClassName")),
        ("VolumeAttributesClass", lambda _obj, _now: "<unset>"), ("Reason", _at("status", "reason")), ("Age", _age),
        ("+VolumeMode", _at("spec", "volumeMode")),
    ],
    "StorageClass": [
        ("Provisioner", _at("provisioner")), ("ReclaimPolicy", _at("reclaimPolicy")),
        ("VolumeBindingMode", _at("volumeBindingMode")),
        ("AllowVolumeExpansion", lambda obj, _now: bool(obj.get("allowVolumeExpansion"))), ("Age", _age),
    ],
    "HorizontalPodAutoscaler": [
        ("Reference", _reference), ("Targets", _targets), ("MinPods", _count("spec", "minReplicas")),
        ("MaxPods", _count("spec", "maxReplicas")), ("Replicas", _count("status", "currentReplicas")), ("Age", _age),
    ],
    "PodDisruptionBudget": [
        ("Min Available", _budget("minAvailable")), ("Max Unavailable", _budget("maxUnavailable")),
        ("Allowed Disruptions", _count("status", "disruptionsAllowed")), ("Age", _age),
    ],
    "Ingress": [
        ("Class", _at("spec", "ingressClassName", none=NONE)), ("Hosts", _hosts), ("Address", lambda _obj, _now: ""),
        ("Ports", lambda obj, _now: "80, 443" if rows(obj, "spec", "tls") else "80"), ("Age", _age),
    ],
    "NetworkPolicy": [("Pod-Selector", lambda obj, _now: written(sub(obj, "spec", "podSelector")) or NONE), ("Age", _age)],
    "Lease": [("Holder", _at("spec", "holderIdentity")), ("Age", _age)],
    "Application": [("Sync Status", _at("status", "sync", "status")), ("+Revision", _at("status", "sync", "revision"))],
    "RoleBinding": [("Role", _role), ("Age", _age)],
    "ClusterRoleBinding": [("Role", _role), ("Age", _age)],
    "ResourceQuota": [
        ("Age", _age), ("Request", lambda obj, _now: _quota(obj, "requests")),
        ("Limit", lambda obj, _now: _quota(obj, "limits")),
    ],
}  # fmt: skip


def _quota(obj: Obj, part: str) -> str:
    hard, used = sub(obj, "status", "hard") or sub(obj, "spec", "hard"), sub(obj, "status", "used")
    return ", ".join(
        f"{key}: {used.get(key, 0)}/{value}"
        for key, value in sorted(hard.items())
        if key.startswith("limits") == (part == "limits")
    )
