"""metrics.k8s.io: what `kubectl top` shows, read from the same runs as logs and Prometheus."""

from sandbox import selectors
from sandbox.clock import rfc3339
from sandbox.errors import ApiError
from sandbox.kubelet import Kubelet
from sandbox.objects import Obj, labels_of, name_of, namespace_of, text
from sandbox.requests import Call, Target
from sandbox.resources import NODE, POD

_VERSION = "metrics.k8s.io/v1beta1"
_BASE_CPU, _BASE_MEMORY = 0.12, 700 * 2**20


def usage(kubelet: Kubelet, target: Target, call: Call) -> Obj:
    """PodMetrics or NodeMetrics, one or a list. Raises ApiError 404."""
    rows = _pods(kubelet, target.namespace) if target.plural == "pods" else _nodes(kubelet)
    kind = "PodMetrics" if target.plural == "pods" else "NodeMetrics"
    if target.name:
        found = [row for row in rows if row["metadata"]["name"] == target.name]
        if not found:
            where = f"{target.namespace}/{target.name}" if target.namespace else target.name
            raise ApiError(
                404,
                f'{target.plural}.metrics.k8s.io "{where}" not found',
                details={"name": where, "group": "metrics.k8s.io", "kind": target.plural},
            )
        return {"kind": kind, "apiVersion": _VERSION, **found[0]}
    wanted = selectors.labels(call.query.get("labelSelector", ""))
    items = [row for row in rows if wanted(labels_of(row))]
    return {"kind": f"{kind}List", "apiVersion": _VERSION, "metadata": {}, "items": items}


def _pods(kubelet: Kubelet, namespace: str) -> list[Obj]:
    found: list[Obj] = []
    now = kubelet.cluster.clock.now
    for pod in kubelet.cluster.store.list(POD, namespace):
        containers: list[Obj] = []
        if text(pod, "spec", "nodeName") in kubelet.machines.silent:
            continue
        for trace in kubelet.traces:
            if trace.uid != pod["metadata"]["uid"]:
                continue
            cpu, memory = trace.cpu(now), trace.memory(now)
            if cpu is not None and memory is not None:
                containers.append({"name": trace.container, "usage": _amounts(cpu, memory)})
        if containers and text(pod, "status", "phase") == "Running":
            meta = {
                "name": name_of(pod),
                "namespace": namespace_of(pod),
                "creationTimestamp": rfc3339(now),
                "labels": labels_of(pod),
            }
            found.append({"metadata": meta, **_window(now), "containers": containers})
    return found


def _nodes(kubelet: Kubelet) -> list[Obj]:
    found: list[Obj] = []
    now = kubelet.cluster.clock.now
    for node in kubelet.cluster.store.list(NODE):
        if name_of(node) in kubelet.machines.silent:
            continue
        here = [t for t in kubelet.traces if t.node == name_of(node)]
        cpu = _BASE_CPU + sum(t.cpu(now) or 0 for t in here)
        memory = _BASE_MEMORY + sum(t.memory(now) or 0 for t in here)
        meta = {"name": name_of(node), "creationTimestamp": rfc3339(now), "labels": labels_of(node)}
        found.append({"metadata": meta, **_window(now), "usage": _amounts(cpu, memory)})
    return found


def _window(now: float) -> Obj:
    return {"timestamp": rfc3339(now), "window": "15.0s"}


def _amounts(cpu: float, memory: float) -> Obj:
    return {"cpu": f"{round(cpu * 1e9)}n", "memory": f"{round(memory / 1024)}Ki"}
