"""DaemonSets: one pod on every node that takes it, renewed one node at a time."""

from collections.abc import Iterable

from sandbox.cluster import Cluster, Key
from sandbox.controllers.replicasets import MANAGER, create_pod, delete_pod, owned_pods
from sandbox.controllers.scheduler import tolerates, wants
from sandbox.controllers.statefulsets import record_revision
from sandbox.controllers.waking import own_and_parts
from sandbox.errors import ApiError
from sandbox.objects import (
    Obj,
    being_deleted,
    is_ready,
    labels_of,
    name_of,
    namespace_of,
    number,
    rows,
    sub,
    text,
)
from sandbox.resources import DAEMON_SET, NODE, POD
from sandbox.store import Change

SOURCE = "daemonset-controller"
_REVISION = "controller-revision-hash"


class DaemonSets:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def wake(self, change: Change) -> Iterable[Key]:
        yield from own_and_parts(change, DAEMON_SET, POD)
        if change.resource is NODE:
            for owner in self.cluster.store.list(DAEMON_SET):
                yield namespace_of(owner), name_of(owner)

    def reconcile(self, key: Key) -> None:
        owner = self.cluster.store.get(DAEMON_SET, *key)
        if owner is None or being_deleted(owner):
            return
        revision = record_revision(self.cluster, owner)
        nodes = [name_of(node) for node in self.cluster.store.list(NODE) if _takes(owner, node)]
        pods = owned_pods(self.cluster, owner)
        have = {_node_of(pod) for pod in pods}
        for node in nodes:
            if node not in have:
                labels = {_REVISION: revision, "pod-template-generation": "1"}
                extra: Obj = {"labels": labels, "spec": {"nodeName": node}}
                try:
                    create_pod(self.cluster, owner, f"{name_of(owner)}-{self.cluster.suffix()}", SOURCE, extra)
                except ApiError:
                    self.cluster.retry(self, key)
        for pod in pods:
            if _node_of(pod) not in nodes and not being_deleted(pod):
                delete_pod(self.cluster, owner, pod, SOURCE)
        self._renew(owner, pods, revision)
        self._report(owner, revision, len(nodes))

    def _renew(self, owner: Obj, pods: list[Obj], revision: str) -> None:
        if text(owner, "spec", "updateStrategy", "type") == "OnDelete":
            return
        fresh = [pod for pod in pods if labels_of(pod).get(_REVISION) == revision]
        if any(being_deleted(pod) for pod in pods) or not all(is_ready(pod) for pod in fresh):
            return
        for pod in [pod for pod in pods if pod not in fresh][:1]:
            delete_pod(self.cluster, owner, pod, SOURCE)

    def _report(self, owner: Obj, revision: str, wanted: int) -> None:
        pods = [pod for pod in owned_pods(self.cluster, owner) if not being_deleted(pod)]
        ready = sum(1 for pod in pods if is_ready(pod))
        status: Obj = {
            "currentNumberScheduled": len(pods),
            "desiredNumberScheduled": wanted,
            "numberAvailable": ready,
            "numberUnavailable": wanted - ready,
            "numberMisscheduled": 0,
            "numberReady": ready,
            "observedGeneration": number(owner, "metadata", "generation"),
            "updatedNumberScheduled": sum(1 for pod in pods if labels_of(pod).get(_REVISION) == revision),
        }
        self.cluster.set_status(DAEMON_SET, owner, status, MANAGER)


def _node_of(pod: Obj) -> str:
    return text(pod, "spec", "nodeName")


def _takes(owner: Obj, node: Obj) -> bool:
    pod: Obj = {"spec": sub(owner, "spec", "template", "spec")}
    taints = [t for t in rows(node, "spec", "taints") if t.get("key") != "node.kubernetes.io/unschedulable"]
    return wants(pod, node) and all(tolerates(pod, taint) for taint in taints if taint.get("effect") != "PreferNoSchedule")
