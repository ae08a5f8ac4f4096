"""The kubelets: a controller that hands every pod with a node to its worker."""

from collections.abc import Iterable, Sequence

from sandbox.adoption import adopt
from sandbox.cluster import Cluster, Key
from sandbox.environment import ClusterWorld
from sandbox.machines import Machines
from sandbox.objects import being_deleted, name_of, namespace_of, text, uid_of
from sandbox.podworker import PodWorker
from sandbox.programs import Catalogue, Outcome
from sandbox.resources import CONFIG_MAP, ENDPOINTS, NETWORK_POLICY, POD, SECRET, SERVICE
from sandbox.runtime import Load, Surge, Trace
from sandbox.store import Change


class Kubelet:
    """`adopting`: pods that it does not know yet run already, as their status says; else they are new."""

    def __init__(self, cluster: Cluster, catalogue: Catalogue) -> None:
        self.cluster = cluster
        self.machines = Machines(cluster, catalogue, ClusterWorld(cluster))
        self.workers: dict[str, PodWorker] = {}
        self.adopting = False

    @property
    def traces(self) -> list[Trace]:
        """What every container did, those of pods that are gone included."""
        return self.machines.traces

    def wake(self, change: Change) -> Iterable[Key]:
        if change.resource is POD:
            if text(change.obj, "spec", "nodeName"):
                yield namespace_of(change.obj), name_of(change.obj)
        elif change.resource in (CONFIG_MAP, SERVICE, ENDPOINTS, SECRET, NETWORK_POLICY):
            for worker in self.workers.values():
                if worker.depends():
                    yield worker.key

    def reconcile(self, key: Key) -> None:
        pod = self.cluster.store.get(POD, *key)
        if pod is None:
            for uid in [uid for uid, worker in self.workers.items() if worker.key == key]:
                self.workers.pop(uid).end()
            return
        worker = self.workers.get(uid_of(pod))
        if worker is None:
            if text(pod, "status", "phase") in ("Succeeded", "Failed"):
                return
            worker = self.workers[uid_of(pod)] = PodWorker(self.machines, pod)
            if self.adopting:
                adopt(worker, pod)
            else:
                worker.admit()
        if being_deleted(pod):
            worker.stop()
        else:
            worker.look_again()

    def traces_of(self, namespace: str, workload: str) -> list[Trace]:
        return [t for t in self.traces if t.namespace == namespace and t.workload == workload and t.gone is None]

    def set_host(self, name: str, state: str) -> None:
        """Let a host outside the cluster be ok, refused, unresolved or timeout from now on."""
        self.machines.world.hosts[name] = state
        for worker in self.workers.values():
            self.cluster.enqueue(self, worker.key)

    def freeze(self, node: str) -> None:
        """A node falls silent: its pods are neither reported nor ended."""
        self.machines.silent.add(node)

    def thaw(self, node: str) -> None:
        self.machines.silent.discard(node)
        for worker in [worker for worker in self.workers.values() if worker.node == node]:
            worker.thaw()
            self.cluster.enqueue(self, worker.key)

    def surge(self, namespace: str, workload: str, seconds: float, cpu: float) -> None:
        """Let the pods of a workload burn CPU for a while from now on."""
        now = self.cluster.clock.now
        for trace in self.traces_of(namespace, workload):
            trace.surges.append(Surge(now, now + seconds, cpu))

    def carry(self, load: Load) -> None:
        """Let a workload's pods share this load, in place of one that they have."""
        place = (load.namespace, load.workload)
        self.machines.loads = [row for row in self.machines.loads if (row.namespace, row.workload) != place]
        if load.cores > 0:
            self.machines.loads.append(load)

    def share_loads(self, span: float) -> None:
        """Spread each load over the pods that run now, for the next `span` seconds."""
        now = self.cluster.clock.now
        self.machines.loads = [load for load in self.machines.loads if load.until > now]
        for load in self.machines.loads:
            running = [trace for trace in self.traces_of(load.namespace, load.workload) if trace.run_at(now)]
            end = min(now + span / self.cluster.clock.speed, load.until)
            for trace in running:
                kept = [surge for surge in trace.surges if surge.end <= now]
                trace.surges = [*kept, Surge(now, end, load.cores / len(running))]

    def write_log(self, namespace: str, workload: str, lines: Sequence[str]) -> int:
        """Let every pod of a workload write these lines now; says how many containers did."""
        traces = self.traces_of(namespace, workload)
        for trace in traces:
            trace.injected += [(self.cluster.clock.now, line) for line in lines]
        return len(traces)

    def crash(self, namespace: str, workload: str, result: Outcome, tries: int = 20) -> None:
        """Let the first pod of a workload exit now, or as soon as it runs."""
        for trace in self.traces_of(namespace, workload)[:1]:
            if trace.run_at(self.cluster.clock.now) is None and tries:
                self.cluster.clock.after(1.0, lambda: self.crash(namespace, workload, result, tries - 1))
            else:
                self.workers[trace.uid].exit(trace.container, result)

    def blip(self, namespace: str, workload: str, seconds: float, why: str) -> None:
        """Let the readiness probe of a workload's first pod fail for a while."""
        for trace in self.traces_of(namespace, workload)[:1]:
            self.workers[trace.uid].blip(trace.container, seconds, why)
