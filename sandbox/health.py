"""Is a scenario mended? Its checks, judged on what the cluster says of itself.

Each check is a row of the scenario's `health`, told apart by its first key: deployment, statefulset, service, calls,
node, job or claim. A check answers "" or what is still wrong.
"""

from collections.abc import Callable

from sandbox.clock import duration, epoch
from sandbox.cluster import Cluster
from sandbox.kubelet import Kubelet
from sandbox.objects import Obj, being_deleted, condition, labels_of, name_of, number, rows, sub, text
from sandbox.resources import CLAIM, DEPLOYMENT, ENDPOINTS, JOB, NODE, POD, STATEFUL_SET, Resource
from sandbox.selectors import matches

SHOP = "shop"


def complaint(cluster: Cluster, kubelet: Kubelet, check: Obj, *, started: bool) -> str:
    """What is wrong, or "". An object that only a started scenario brings along is not missed before."""
    for kind, judge in _JUDGES.items():
        if kind in check:
            return judge(cluster, kubelet, check, started)
    raise ValueError(f"no such check: {', '.join(check)}")


def _workload(resource: Resource, kind: str, cluster: Cluster, check: Obj, started: bool) -> str:
    name, wanted = text(check, kind), number(check, "replicas", default=1)
    namespace = text(check, "namespace") or SHOP
    said = f"{resource.kind}/{namespace}/{name}"
    found = cluster.store.get(resource, namespace, name)
    if found is None:
        return f"{said} does not exist" if started or not check.get("brought") else ""
    status, replicas = sub(found, "status"), number(found, "spec", "replicas")
    if replicas < wanted:
        return f"{said} asks for {replicas} replicas, {wanted} are needed"
    if status.get("observedGeneration") != found["metadata"]["generation"]:
        return f"{said}: the last change is not rolled out yet"
    for field in ("updatedReplicas", "readyReplicas", "replicas"):
        if status.get(field, 0) != replicas:
            return f"{said}: {field} is {status.get(field, 0)} of {replicas}"
    steady = duration(str(check.get("for", "0s"))) / cluster.clock.speed
    selector = sub(found, "spec", "selector")
    for pod in cluster.store.list(POD, namespace):
        since = epoch(text(condition(pod, "Ready"), "lastTransitionTime"))
        if matches(selector, labels_of(pod)) and cluster.clock.now - since < steady:
            return f"Pod/{namespace}/{name_of(pod)} is ready for less than {steady:g} s"
    return ""


def _deployment(cluster: Cluster, _kubelet: Kubelet, check: Obj, started: bool) -> str:
    return _workload(DEPLOYMENT, "deployment", cluster, check, started)


def _stateful_set(cluster: Cluster, _kubelet: Kubelet, check: Obj, started: bool) -> str:
    return _workload(STATEFUL_SET, "statefulset", cluster, check, started)


def _service(cluster: Cluster, _kubelet: Kubelet, check: Obj, _started: bool) -> str:
    name = text(check, "service")
    endpoints = cluster.store.get(ENDPOINTS, SHOP, name) or {}
    if any(rows(subset, "addresses") for subset in rows(endpoints, "subsets")):
        return ""
    return f"Service/{SHOP}/{name} has no ready endpoint"


def _calls(cluster: Cluster, kubelet: Kubelet, check: Obj, started: bool) -> str:
    """Every running container of the workload reaches everything that it calls."""
    name, told = text(check, "calls"), ""
    traces = [trace for trace in kubelet.traces_of(SHOP, name) if trace.run_at(cluster.clock.now)]
    if not traces:
        return f"no container of {name} runs" if started or not check.get("brought") else ""
    for trace in traces:
        run = trace.run_at(cluster.clock.now)
        links = run.segments[-1].facts if run is not None and run.segments else {}
        told = told or next(
            (f"Pod/{SHOP}/{trace.pod}: {upstream} is {link.state}" for upstream, link in links.items() if link.state != "ok"),
            "",
        )
    return told


def _node(cluster: Cluster, _kubelet: Kubelet, check: Obj, _started: bool) -> str:
    name = text(check, "node")
    node = cluster.store.get(NODE, "", name)
    if node is None or condition(node, "Ready").get("status") != "True":
        return f"Node//{name} is not Ready"
    stuck = [pod for pod in cluster.store.list(POD) if text(pod, "spec", "nodeName") == name and being_deleted(pod)]
    return f"Pod/{stuck[0]['metadata']['namespace']}/{name_of(stuck[0])} is still being deleted" if stuck else ""


def _job(cluster: Cluster, _kubelet: Kubelet, check: Obj, started: bool) -> str:
    name = text(check, "job")
    job = cluster.store.get(JOB, SHOP, name)
    if job is None:
        return f"Job/{SHOP}/{name} does not exist" if started else ""
    return "" if condition(job, "Complete").get("status") == "True" else f"Job/{SHOP}/{name} is not complete"


def _claim(cluster: Cluster, _kubelet: Kubelet, check: Obj, started: bool) -> str:
    name = text(check, "claim")
    claim = cluster.store.get(CLAIM, SHOP, name)
    if claim is None:
        return f"PersistentVolumeClaim/{SHOP}/{name} does not exist" if started else ""
    return "" if text(claim, "status", "phase") == "Bound" else f"PersistentVolumeClaim/{SHOP}/{name} is not bound"


_JUDGES: dict[str, Callable[[Cluster, Kubelet, Obj, bool], str]] = {
    "deployment": _deployment,
    "statefulset": _stateful_set,
    "service": _service,
    "calls": _calls,
    "node": _node,
    "job": _job,
    "claim": _claim,
}
