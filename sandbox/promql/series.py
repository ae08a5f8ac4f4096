"""The series of the practice cluster, computed from what its containers did; one row a metric."""

from collections.abc import Callable, Iterable, Iterator

from sandbox import quantity
from sandbox.clock import epoch
from sandbox.cluster import Cluster
from sandbox.kubelet import Kubelet
from sandbox.objects import Obj, name_of, namespace_of, number, sub, text
from sandbox.promql.evaluate import NAME, Labels, Series, matches
from sandbox.promql.syntax import Matcher
from sandbox.resources import CLAIM, DEPLOYMENT, NODE
from sandbox.runtime import Trace

HISTORY = 7 * 86400.0
_CADVISOR = {"job": "kubelet", "metrics_path": "/metrics/cadvisor"}
_STATE = {"job": "kube-state-metrics"}

Reading = Callable[[float], float | None]


class SeriesSource:
    """Selects series by matchers. `available` false makes the HTTP API answer 503, for tests."""

    def __init__(self, cluster: Cluster, kubelet: Kubelet) -> None:
        self.cluster, self.kubelet = cluster, kubelet
        self.available = True

    def select(self, matchers: tuple[Matcher, ...]) -> Iterable[Series]:
        """The series that fulfil the matchers, in a stable order."""
        wanted = next((m.value for m in matchers if m.label == NAME and m.op == "="), "")
        for series in self._all(wanted):
            if matches(series.labels, matchers):
                yield series

    def _all(self, only: str) -> Iterator[Series]:
        def made(name: str, labels: Labels, reading: Reading) -> Series:
            return Series({NAME: name, **labels}, reading)

        now = self.cluster.clock.now
        for trace in self.kubelet.traces:
            if trace.gone is not None and now - trace.gone > HISTORY:
                continue
            for name, labels, reading in _of_container(trace):
                if not only or name == only:
                    yield made(name, labels, reading)
        for deployment in self.cluster.store.list(DEPLOYMENT):
            for name, labels, reading in self._of_deployment(deployment):
                if not only or name == only:
                    yield made(name, labels, reading)
        for node in self.cluster.store.list(NODE):
            for name, labels, reading in self._of_node(node):
                if not only or name == only:
                    yield made(name, labels, reading)
        for claim in self.cluster.store.list(CLAIM):
            for name, labels, reading in _of_claim(claim):
                if not only or name == only:
                    yield made(name, labels, reading)

    def _of_deployment(self, deployment: Obj) -> Iterator[tuple[str, Labels, Reading]]:
        labels = {**_STATE, "namespace": namespace_of(deployment), "deployment": name_of(deployment)}
        traces = [
            trace
            for trace in self.kubelet.traces
            if trace.namespace == namespace_of(deployment) and trace.pod.startswith(f"{name_of(deployment)}-")
        ]
        wanted = float(number(deployment, "spec", "replicas"))
        generation = float(number(deployment, "metadata", "generation"))
        since = epoch(text(deployment, "metadata", "creationTimestamp"))

        def available(moment: float) -> float | None:
            return float(sum(1 for t in traces if _ready(t, moment))) if moment >= since else None

        def constant(value: float) -> Reading:
            return lambda moment: value if moment >= since else None

        yield "kube_deployment_spec_replicas", labels, constant(wanted)
        yield "kube_deployment_status_replicas_available", labels, available
        yield "kube_deployment_metadata_generation", labels, constant(generation)

        def missing(moment: float) -> float | None:
            have = available(moment)
            return None if have is None else max(wanted - have, 0.0)

        yield "kube_deployment_status_replicas_unavailable", labels, missing

    def _of_node(self, node: Obj) -> Iterator[tuple[str, Labels, Reading]]:
        name = name_of(node)
        traces = [trace for trace in self.kubelet.traces if trace.node == name]
        total = quantity.value(sub(node, "status", "capacity").get("memory"))
        labels = {"job": "node-exporter", "instance": f"{name}:9100", "node": name}

        def free(moment: float) -> float:
            return total - 700 * 2**20 - sum(t.memory(moment) or 0.0 for t in traces)

        yield "up", {"job": "kubelet", "instance": name}, lambda _moment: 1.0
        yield "up", {"job": "node-exporter", "instance": f"{name}:9100"}, lambda _moment: 1.0
        yield "node_memory_MemTotal_bytes", labels, lambda _moment: total
        yield "node_memory_MemAvailable_bytes", labels, free
        for what, unit in (("cpu", "core"), ("memory", "byte")):
            value = quantity.value(sub(node, "status", "allocatable").get(what))
            more = {**_STATE, "node": name, "resource": what, "unit": unit}
            yield "kube_node_status_allocatable", more, lambda _moment, value=value: value


def _of_container(trace: Trace) -> Iterator[tuple[str, Labels, Reading]]:
    """Name, labels and reading of each series of one container."""
    place = {"namespace": trace.namespace, "pod": trace.pod, "container": trace.container}
    cadvisor = {**_CADVISOR, **place, "node": trace.node, "image": trace.image}
    state = {**_STATE, **place, "uid": trace.uid}
    limit = trace.memory_limit

    def while_there(reading: Reading) -> Reading:
        return lambda moment: reading(moment) if trace.exists_at(moment) else None

    def limit_bytes(moment: float) -> float | None:
        return (limit if limit != float("inf") else 0.0) if trace.run_at(moment) else None

    yield "container_memory_working_set_bytes", cadvisor, trace.memory
    yield "container_memory_rss", cadvisor, lambda moment: (v := trace.memory(moment)) and v * 0.94
    yield "container_spec_memory_limit_bytes", cadvisor, limit_bytes
    yield "container_cpu_usage_seconds_total", cadvisor, while_there(trace.cpu_seconds)
    yield "kube_pod_container_status_restarts_total", state, while_there(lambda m: float(trace.restarts_at(m)))
    yield "kube_pod_container_status_running", state, while_there(lambda m: 1.0 if trace.run_at(m) else 0.0)
    yield "kube_pod_container_status_ready", state, while_there(lambda m: 1.0 if _ready(trace, m) else 0.0)
    for reason in ("OOMKilled", "Error", "Completed"):
        labels = {**state, "reason": reason}
        yield "kube_pod_container_status_last_terminated_reason", labels, while_there(_ended_by(trace, reason))
    for kind in ("limits", "requests"):
        for what, said in sub(trace.resources, kind).items():
            value = quantity.value(said)
            labels = {**state, "node": trace.node, "resource": what, "unit": "byte" if what == "memory" else "core"}
            yield f"kube_pod_container_resource_{kind}", labels, while_there(lambda _m, value=value: value)
    if trace.program.requests:
        target = {
            "job": "pods",
            "namespace": trace.namespace,
            "pod": trace.pod,
            "app": trace.workload,
            "service": trace.workload,
        }
        yield "up", {**target, "instance": f"{trace.pod}:metrics"}, while_there(lambda m: 1.0 if trace.run_at(m) else 0.0)
        yield "http_requests_total", {**target, "code": "200", "method": "GET"}, _requests(trace, 0)
        yield (
            "http_requests_total",
            {**target, "code": "502" if trace.workload == "web" else "503", "method": "POST"},
            _requests(trace, 1),
        )


def _requests(trace: Trace, which: int) -> Reading:
    return lambda moment: trace.requests(moment)[which] if trace.run_at(moment) else None


def _ended_by(trace: Trace, reason: str) -> Reading:
    def reading(moment: float) -> float | None:
        ended = [run for run in trace.runs if run.ended is not None and run.ended <= moment]
        return 1.0 if ended and ended[-1].reason == reason and trace.restarts_at(moment) else None

    return reading


def _ready(trace: Trace, moment: float) -> bool:
    run = trace.run_at(moment)
    if run is None or not trace.exists_at(moment):
        return False
    before = [segment for segment in run.segments if segment.start <= moment]
    return bool(before) and before[-1].ready


def _of_claim(claim: Obj) -> Iterator[tuple[str, Labels, Reading]]:
    labels = {"job": "kubelet", "namespace": namespace_of(claim), "persistentvolumeclaim": name_of(claim)}
    size = quantity.value(text(claim, "status", "capacity", "storage"))
    since = epoch(text(claim, "metadata", "creationTimestamp"))

    def used(moment: float) -> float | None:
        return min(size, 2.0**30 + (moment - since) * 900) if size and moment >= since else None

    def free(moment: float) -> float | None:
        now = used(moment)
        return None if now is None else size - now

    yield "kubelet_volume_stats_capacity_bytes", labels, lambda moment: size if size and moment >= since else None
    yield "kubelet_volume_stats_used_bytes", labels, used
    yield "kubelet_volume_stats_available_bytes", labels, free
