"""The values that the API server fills in when an object is written."""

import base64
from typing import Any, cast

from sandbox.cluster import Cluster
from sandbox.objects import Obj, rows, sub, text
from sandbox.resources import SERVICE, Resource

TOLERATIONS = [
    {"key": f"node.kubernetes.io/{what}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
    for what in ("not-ready", "unreachable")
]


def fill(cluster: Cluster, resource: Resource, obj: Obj) -> None:
    """Fill the defaults of a kind into `obj`, in place."""
    spec = obj.get("spec")
    if isinstance(spec, dict):
        _FILL.get(resource.kind, _nothing)(cluster, obj, cast(Obj, spec))
    elif resource.kind in ("ServiceAccount", "Secret", "Namespace"):
        _FILL.get(resource.kind, _nothing)(cluster, obj, {})


def _nothing(cluster: Cluster, obj: Obj, spec: Obj) -> None:
    """Kinds without defaults."""


def _namespace(_cluster: Cluster, obj: Obj, _spec: Obj) -> None:
    obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = obj["metadata"]["name"]
    obj["spec"] = {"finalizers": ["kubernetes"]}
    obj.setdefault("status", {"phase": "Active"})


def _secret(_cluster: Cluster, obj: Obj, _spec: Obj) -> None:
    obj.setdefault("type", "Opaque")
    for key, value in sub(obj, "stringData").items():
        obj.setdefault("data", {})[key] = base64.b64encode(str(value).encode()).decode()
    obj.pop("stringData", None)


def _pod(_cluster: Cluster, obj: Obj, spec: Obj) -> None:
    pod_spec(spec)
    for container in rows(spec, "containers") + rows(spec, "initContainers"):
        limits = sub(container, "resources", "limits")
        for what, value in limits.items():
            container["resources"].setdefault("requests", {}).setdefault(what, value)
    spec.setdefault("serviceAccountName", "default")
    spec.setdefault("serviceAccount", spec["serviceAccountName"])
    spec.setdefault("enableServiceLinks", True)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    spec.setdefault("priority", 0)
    spec.setdefault("tolerations", TOLERATIONS)
    if not sub(obj, "status"):
        obj["status"] = {"phase": "Pending", "qosClass": quality(spec)}


def quality(spec: Obj) -> str:
    """The QoS class of a pod spec."""
    parts = [sub(c, "resources") for c in rows(spec, "containers") + rows(spec, "initContainers")]
    if not any(sub(part, "requests") or sub(part, "limits") for part in parts):
        return "BestEffort"
    for part in parts:
        limits = sub(part, "limits")
        requests = {**limits, **sub(part, "requests")}
        if {"cpu", "memory"} - limits.keys() or any(requests[k] != limits[k] for k in ("cpu", "memory")):
            return "Burstable"
    return "Guaranteed"


def pod_spec(spec: Obj) -> None:
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("securityContext", {})
    spec.setdefault("schedulerName", "default-scheduler")
    for container in rows(spec, "containers") + rows(spec, "initContainers"):
        _container(container)
    for volume in rows(spec, "volumes"):
        for kind in ("configMap", "secret"):
            if kind in volume:
                sub(volume, kind).setdefault("defaultMode", 420)


def _container(container: Obj) -> None:
    image = text(container, "image")
    latest = ":" not in image.rpartition("/")[2] or image.endswith(":latest")
    container.setdefault("resources", {})
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    container.setdefault("imagePullPolicy", "Always" if latest else "IfNotPresent")
    for port in rows(container, "ports"):
        port.setdefault("protocol", "TCP")
    for kind in ("readinessProbe", "livenessProbe", "startupProbe"):
        probe = sub(container, kind)
        if probe:
            for key, value in (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)):
                probe.setdefault(key, value)
            if "httpGet" in probe:
                sub(probe, "httpGet").setdefault("scheme", "HTTP")
    for env in rows(container, "env"):
        if sub(env, "valueFrom", "fieldRef"):
            sub(env, "valueFrom", "fieldRef").setdefault("apiVersion", "v1")


def _template(spec: Obj) -> None:
    template = sub(spec, "template")
    template.setdefault("metadata", {}).setdefault("creationTimestamp", None)
    pod_spec(cast(Obj, template.setdefault("spec", {})))


def _deployment(_cluster: Cluster, _obj: Obj, spec: Obj) -> None:
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    strategy = cast(Obj, spec.setdefault("strategy", {}))
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = cast(Obj, strategy.setdefault("rollingUpdate", {}))
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    else:
        strategy.pop("rollingUpdate", None)
    _template(spec)


def _replica_set(_cluster: Cluster, _obj: Obj, spec: Obj) -> None:
    spec.setdefault("replicas", 1)
    _template(spec)


def _stateful_set(_cluster: Cluster, _obj: Obj, spec: Obj) -> None:
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("podManagementPolicy", "OrderedReady")
    spec.setdefault("serviceName", "")
    spec.setdefault("updateStrategy", {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}})
    spec.setdefault("persistentVolumeClaimRetentionPolicy", {"whenDeleted": "Retain", "whenScaled": "Retain"})
    for claim in rows(spec, "volumeClaimTemplates"):
        claim.setdefault("apiVersion", "v1")
        claim.setdefault("kind", "PersistentVolumeClaim")
        sub(claim, "spec").setdefault("volumeMode", "Filesystem")
    _template(spec)


def _daemon_set(_cluster: Cluster, _obj: Obj, spec: Obj) -> None:
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("updateStrategy", {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}})
    _template(spec)


def _job(_cluster: Cluster, obj: Obj, spec: Obj) -> None:
    spec.setdefault("parallelism", 1)
    spec.setdefault("completions", 1)
    spec.setdefault("backoffLimit", 6)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    meta = obj.get("metadata", {})
    if "selector" not in spec and meta.get("name"):
        marks = {"batch.kubernetes.io/job-name": meta["name"], "job-name": meta["name"]}
        spec["selector"] = {"matchLabels": {"batch.kubernetes.io/job-name": meta["name"]}}
        labels = cast(Obj, cast(Obj, sub(spec, "template").setdefault("metadata", {})).setdefault("labels", {}))
        labels |= marks
    _template(spec)


def _cron_job(_cluster: Cluster, _obj: Obj, spec: Obj) -> None:
    spec.setdefault("concurrencyPolicy", "Allow")
    spec.setdefault("suspend", False)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("failedJobsHistoryLimit", 1)
    pod_spec(cast(Obj, sub(spec, "jobTemplate", "spec", "template").setdefault("spec", {})))


def _service(cluster: Cluster, obj: Obj, spec: Obj) -> None:
    kind = spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    spec.setdefault("internalTrafficPolicy", "Cluster")
    for port in rows(spec, "ports"):
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))
    if kind == "ExternalName":
        return
    if not spec.get("clusterIP"):
        taken = {text(s, "spec", "clusterIP") for s in cluster.store.list(SERVICE)}
        spec["clusterIP"] = next(ip for n in range(10, 60_000) if (ip := f"10.96.{n // 250}.{n % 250 + 1}") not in taken)
    spec["clusterIPs"] = [spec["clusterIP"]]
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    if kind in ("NodePort", "LoadBalancer"):
        for at, port in enumerate(rows(spec, "ports")):
            port.setdefault("nodePort", 30000 + (hash_of(obj) + at) % 2767)
    obj.setdefault("status", {"loadBalancer": {}})


def hash_of(obj: Obj) -> int:
    return sum(ord(char) for char in text(obj, "metadata", "name")) * 37


def _claim(_cluster: Cluster, obj: Obj, spec: Obj) -> None:
    spec.setdefault("volumeMode", "Filesystem")
    obj.setdefault("status", {"phase": "Pending"})


def _autoscaler(_cluster: Cluster, _obj: Obj, spec: Obj) -> None:
    spec.setdefault("minReplicas", 1)


_FILL: dict[str, Any] = {
    "Namespace": _namespace,
    "Secret": _secret,
    "Pod": _pod,
    "Deployment": _deployment,
    "ReplicaSet": _replica_set,
    "StatefulSet": _stateful_set,
    "DaemonSet": _daemon_set,
    "Job": _job,
    "CronJob": _cron_job,
    "Service": _service,
    "PersistentVolumeClaim": _claim,
    "HorizontalPodAutoscaler": _autoscaler,
}
