"""What is special in the description of each kind. Pure; one function a kind, listed in KINDS."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from knowledge.diagnosis.fields import Obj, rows, sub, texts
from runner.commands.describe_pod import describe_template, when
from runner.commands.get import dump
from runner.commands.lines import Lines, dig
from runner.commands.render import duration, labels_text, parse_time, selector_text

Describe = Callable[[Obj, Lines, datetime], None]

MAX_VALUE = 4000


def describe_generic(obj: Obj, out: Lines, _: datetime) -> None:
    out.fields([("API Version", obj.get("apiVersion")), ("Kind", obj.get("kind"))])
    for key, value in obj.items():
        if key in ("apiVersion", "kind", "metadata") or value in (None, {}, []):
            continue
        out.heading(key[:1].upper() + key[1:])
        for line in dump(value, "yaml").splitlines():
            out.text(line, 1)


def _deployment(obj: Obj, out: Lines, _: datetime) -> None:
    spec, status = sub(obj, "spec"), sub(obj, "status")
    out.field("Selector", selector_text(spec.get("selector")))
    out.field(
        "Replicas",
        f"{spec.get('replicas', 1)} desired | {status.get('updatedReplicas', 0)} updated | {status.get('replicas', 0)} total | "
        f"{status.get('availableReplicas', 0)} available | {status.get('unavailableReplicas', 0)} unavailable",
    )
    strategy = sub(spec, "strategy")
    out.field("StrategyType", strategy.get("type"))
    rolling = sub(strategy, "rollingUpdate")
    if rolling:
        out.field(
            "RollingUpdateStrategy", f"{rolling.get('maxUnavailable')} max unavailable, {rolling.get('maxSurge')} max surge"
        )
    if spec.get("paused"):
        out.field("Paused", "true: no roll-out happens until it is resumed")
    describe_template(sub(spec, "template"), out)
    _conditions(obj, out)


def _replica_set(obj: Obj, out: Lines, _: datetime) -> None:
    spec, status = sub(obj, "spec"), sub(obj, "status")
    out.field("Selector", selector_text(spec.get("selector")))
    out.field("Replicas", f"{status.get('replicas', 0)} current / {spec.get('replicas', 1)} desired")
    out.field("Ready", status.get("readyReplicas", 0))
    describe_template(sub(spec, "template"), out)
    _conditions(obj, out)


def _stateful_set(obj: Obj, out: Lines, now: datetime) -> None:
    spec = sub(obj, "spec")
    out.fields([("Service Name", spec.get("serviceName")), ("Update Strategy", dig(spec, "updateStrategy", "type"))])
    _replica_set(obj, out, now)
    claims = [
        [
            dig(row, "metadata", "name"),
            dig(row, "spec", "storageClassName"),
            dig(row, "spec", "resources", "requests", "storage"),
        ]
        for row in rows(spec, "volumeClaimTemplates")
    ]
    out.table("Volume Claims", ["Name", "StorageClass", "Capacity"], claims)


def _daemon_set(obj: Obj, out: Lines, _: datetime) -> None:
    spec, status = sub(obj, "spec"), sub(obj, "status")
    out.fields(
        [
            ("Selector", selector_text(spec.get("selector"))),
            ("Desired Number of Nodes Scheduled", status.get("desiredNumberScheduled", 0)),
            ("Current Number of Nodes Scheduled", status.get("currentNumberScheduled", 0)),
            ("Number of Nodes Scheduled with Up-to-date Pods", status.get("updatedNumberScheduled", 0)),
            ("Number of Nodes Scheduled with Available Pods", status.get("numberAvailable", 0)),
            ("Number of Nodes Misscheduled", status.get("numberMisscheduled", 0)),
        ]
    )
    describe_template(sub(spec, "template"), out)


def _service(obj: Obj, out: Lines, _: datetime) -> None:
    spec = sub(obj, "spec")
    out.fields(
        [
            ("Selector", labels_text(spec.get("selector"))),
            ("Type", spec.get("type")),
            ("IP", spec.get("clusterIP")),
            ("External Name", spec.get("externalName")),
            (
                "LoadBalancer Ingress",
                ", ".join(str(r.get("ip") or r.get("hostname")) for r in rows(obj, "status", "loadBalancer", "ingress")),
            ),
        ],
        skip_empty=True,
    )
    for row in rows(spec, "ports"):
        out.field("Port", f"{row.get('name', '<unset>')}  {row.get('port')}/{row.get('protocol', 'TCP')}")
        out.field("TargetPort", row.get("targetPort"))
        if row.get("nodePort"):
            out.field("NodePort", row["nodePort"])
    out.field("Session Affinity", spec.get("sessionAffinity"))


def _node(obj: Obj, out: Lines, _: datetime) -> None:
    spec, status = sub(obj, "spec"), sub(obj, "status")
    taints = "\n".join(
        f"{row.get('key')}{'=' + row['value'] if row.get('value') else ''}:{row.get('effect')}" for row in rows(spec, "taints")
    )
    out.fields([("Taints", taints), ("Unschedulable", bool(spec.get("unschedulable")))])
    _conditions(obj, out)
    out.field("Addresses", "\n".join(f"{row.get('type')}: {row.get('address')}" for row in rows(status, "addresses")))
    out.field("Capacity", labels_text(status.get("capacity"), "\n"))
    out.field("Allocatable", labels_text(status.get("allocatable"), "\n"))
    info = sub(status, "nodeInfo")
    out.fields(
        [(label, info.get(key)) for label, key in (("Kubelet Version", "kubeletVersion"), ("OS Image", "osImage"))],
        skip_empty=True,
    )


def _config_map(obj: Obj, out: Lines, _: datetime) -> None:
    out.heading("Data")
    for key, value in sorted(sub(obj, "data").items()):
        out.text("====", 0)
        out.text(f"{key}:")
        out.text("----")
        for line in str(value)[:MAX_VALUE].splitlines() or [""]:
            out.text(line)
    binary = sub(obj, "binaryData")
    out.field("BinaryData", "\n".join(f"{key}: {len(value)} base64 bytes" for key, value in sorted(binary.items())))


def _pvc(obj: Obj, out: Lines, _: datetime) -> None:
    spec, status = sub(obj, "spec"), sub(obj, "status")
    out.fields(
        [
            ("StorageClass", spec.get("storageClassName")),
            ("Status", status.get("phase")),
            ("Volume", spec.get("volumeName")),
            ("Requested", dig(spec, "resources", "requests", "storage")),
            ("Capacity", dig(status, "capacity", "storage")),
            ("Access Modes", ", ".join(texts(spec, "accessModes"))),
            ("VolumeMode", spec.get("volumeMode")),
        ]
    )
    _conditions(obj, out)


def _job(obj: Obj, out: Lines, _: datetime) -> None:
    spec, status = sub(obj, "spec"), sub(obj, "status")
    out.fields(
        [
            ("Selector", selector_text(spec.get("selector"))),
            ("Parallelism", spec.get("parallelism", 1)),
            ("Completions", spec.get("completions", 1)),
            ("Backoff Limit", spec.get("backoffLimit", 6)),
            ("Start Time", when(status.get("startTime"))),
            ("Completed At", when(status.get("completionTime"))),
        ]
    )
    start, end = parse_time(status.get("startTime")), parse_time(status.get("completionTime"))
    if start and end:
        out.field("Duration", duration((end - start).total_seconds()))
    counts = f"{status.get('active', 0)} Active / {status.get('succeeded', 0)} Succeeded / {status.get('failed', 0)} Failed"
    out.field("Pods Statuses", counts)
    describe_template(sub(spec, "template"), out)
    _conditions(obj, out)


def _cron_job(obj: Obj, out: Lines, _: datetime) -> None:
    spec, status = sub(obj, "spec"), sub(obj, "status")
    out.fields(
        [
            ("Schedule", spec.get("schedule")),
            ("Concurrency Policy", spec.get("concurrencyPolicy")),
            ("Suspend", bool(spec.get("suspend"))),
            ("Starting Deadline Seconds", spec.get("startingDeadlineSeconds")),
            ("Last Schedule Time", when(status.get("lastScheduleTime"))),
            ("Last Successful Time", when(status.get("lastSuccessfulTime"))),
            ("Active Jobs", ", ".join(str(row.get("name")) for row in rows(status, "active"))),
        ]
    )
    describe_template(dig(spec, "jobTemplate", "spec", "template") or {}, out)


def _ingress(obj: Obj, out: Lines, _: datetime) -> None:
    spec = sub(obj, "spec")
    out.field("Ingress Class", spec.get("ingressClassName"))
    addresses = rows(obj, "status", "loadBalancer", "ingress")
    out.field("Address", ", ".join(str(row.get("ip") or row.get("hostname")) for row in addresses))
    out.field("Default backend", _backend(spec.get("defaultBackend")))
    for row in rows(spec, "tls"):
        out.field("TLS", f"{row.get('secretName')} terminates {', '.join(row.get('hosts') or [])}")
    rules = [
        [rule.get("host") or "*", path.get("path") or "/", _backend(path.get("backend"))]
        for rule in rows(spec, "rules")
        for path in rows(rule, "http", "paths")
    ]
    out.table("Rules", ["Host", "Path", "Backends"], rules)


def _hpa(obj: Obj, out: Lines, _: datetime) -> None:
    spec, status = sub(obj, "spec"), sub(obj, "status")
    target = sub(spec, "scaleTargetRef")
    out.fields(
        [
            ("Reference", f"{target.get('kind')}/{target.get('name')}"),
            ("Min replicas", spec.get("minReplicas", 1)),
            ("Max replicas", spec.get("maxReplicas")),
            ("Current replicas", status.get("currentReplicas", 0)),
            ("Desired replicas", status.get("desiredReplicas", 0)),
        ]
    )
    for title, part in (("Metrics wanted", spec.get("metrics")), ("Metrics now", status.get("currentMetrics"))):
        if part:
            out.field(title, dump(part, "yaml"))
    if spec.get("targetCPUUtilizationPercentage") is not None:
        now = status.get("currentCPUUtilizationPercentage", "<unknown>")
        out.field("CPU utilization", f"{now}% of wanted {spec['targetCPUUtilizationPercentage']}%")
    _conditions(obj, out)


def _conditions(obj: Obj, out: Lines) -> None:
    found = [
        [row.get("type"), row.get("status"), row.get("reason") or "", row.get("message") or ""]
        for row in rows(obj, "status", "conditions")
    ]
    out.table("Conditions", ["Type", "Status", "Reason", "Message"], found)


def _backend(backend: Any) -> str:
    service = sub(backend or {}, "service")
    if service:
        return f"{service.get('name')}:{dig(service, 'port', 'number') or dig(service, 'port', 'name')}"
    if dig(backend, "serviceName"):
        return f"{dig(backend, 'serviceName')}:{dig(backend, 'servicePort')}"
    return "<default>"


KINDS: dict[str, Describe] = {
    "Deployment": _deployment,
    "ReplicaSet": _replica_set,
    "StatefulSet": _stateful_set,
    "DaemonSet": _daemon_set,
    "Service": _service,
    "Node": _node,
    "ConfigMap": _config_map,
    "PersistentVolumeClaim": _pvc,
    "Job": _job,
    "CronJob": _cron_job,
    "Ingress": _ingress,
    "HorizontalPodAutoscaler": _hpa,
}
