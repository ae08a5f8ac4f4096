"""Nodes: conditions and heartbeats, and an Event when somebody cordons."""

from collections.abc import Iterable

from sandbox.clock import rfc3339, rfc3339_micro
from sandbox.cluster import Cluster, Key
from sandbox.objects import Obj, clone, name_of, rows, sub
from sandbox.resources import LEASE, NAMESPACE, NODE
from sandbox.store import Change

MANAGER = "kubelet"
_LEASES = "kube-node-lease"
_BEAT_EVERY, _STATUS_EVERY = 10.0, 300.0
_CONDITIONS = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
)


class Nodes:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._last_beat: dict[str, float] = {}

    def wake(self, change: Change) -> Iterable[Key]:
        if change.resource is NODE and change.type != "DELETED":
            yield "", name_of(change.obj)
            before = bool(sub(change.old or {}, "spec").get("unschedulable"))
            after = bool(sub(change.obj, "spec").get("unschedulable"))
            if change.old is not None and before != after:
                self._tell(change.obj, after)

    def reconcile(self, key: Key) -> None:
        node = self.cluster.store.get(NODE, *key)
        if node is None:
            return
        cordoned = bool(sub(node, "spec").get("unschedulable"))
        taint: Obj = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
        taints = [t for t in rows(node, "spec", "taints") if t.get("key") != taint["key"]]
        if cordoned != (len(taints) != len(rows(node, "spec", "taints"))):
            marked = clone(node)
            stamped = {**taint, "timeAdded": rfc3339(self.cluster.clock.now)}
            marked["spec"]["taints"] = [*taints, stamped] if cordoned else taints
            if not marked["spec"]["taints"]:
                del marked["spec"]["taints"]
            self.cluster.store.update(NODE, marked, "kube-controller-manager")
        elif not rows(node, "status", "conditions"):
            self._beat(node)

    def keep_beating(self) -> None:
        """Renew leases now and every 10 s from now on; refresh conditions every 5 minutes."""
        now = self.cluster.clock.now
        for node in self.cluster.store.list(NODE):
            self._lease(name_of(node))
            last = rows(node, "status", "conditions")
            if last and now - self._last_beat.get(name_of(node), 0.0) >= _STATUS_EVERY:
                self._beat(node)
        self.cluster.clock.after(_BEAT_EVERY, self.keep_beating)

    def _beat(self, node: Obj) -> None:
        now = rfc3339(self.cluster.clock.now)
        self._last_beat[name_of(node)] = self.cluster.clock.now
        old = {row["type"]: row for row in rows(node, "status", "conditions")}
        conditions = [
            {
                "type": kind,
                "status": status,
                "lastHeartbeatTime": now,
                "lastTransitionTime": old.get(kind, {}).get("lastTransitionTime", now),
                "reason": reason,
                "message": message,
            }
            for kind, status, reason, message in _CONDITIONS
        ]
        self.cluster.set_status(NODE, node, {**sub(node, "status"), "conditions": conditions}, MANAGER)

    def _lease(self, name: str) -> None:
        if self.cluster.store.get(NAMESPACE, "", _LEASES) is None:
            return
        spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": rfc3339_micro(self.cluster.clock.now)}
        old = self.cluster.store.get(LEASE, _LEASES, name)
        if old is None:
            obj: Obj = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": name, "namespace": _LEASES},
                "spec": spec,
            }
            self.cluster.store.create(LEASE, obj, MANAGER)
        else:
            self.cluster.store.update(LEASE, {**old, "spec": spec}, MANAGER, track=False)

    def _tell(self, node: Obj, cordoned: bool) -> None:
        word = "NodeNotSchedulable" if cordoned else "NodeSchedulable"
        message = f"Node {name_of(node)} status is now: {word}"
        self.cluster.event(node, word, message, component="kubelet", host=name_of(node))
