"""Nodes: conditions and heartbeats, an Event when somebody cordons, and what follows when a node falls silent."""

from collections.abc import Iterable

from sandbox.clock import rfc3339, rfc3339_micro
from sandbox.cluster import Cluster, Key
from sandbox.deletion import delete_gracefully
from sandbox.kubelet import Kubelet
from sandbox.objects import Obj, being_deleted, clone, condition, name_of, rows, sub, text
from sandbox.resources import LEASE, NAMESPACE, NODE, POD
from sandbox.store import Change

MANAGER = "kubelet"
CONTROLLER = "kube-controller-manager"
_LEASES = "kube-node-lease"
_BEAT_EVERY, _STATUS_EVERY = 10.0, 300.0
_GIVEN_UP_AFTER, _EVICTED_AFTER = 40.0, 300.0
_CONDITIONS = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
)
_UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_UNREACHABLE = "node.kubernetes.io/unreachable"


class Nodes:
    def __init__(self, cluster: Cluster, kubelet: Kubelet) -> None:
        self.cluster, self.kubelet = cluster, kubelet
        self._last_beat: dict[str, float] = {}

    @property
    def silent(self) -> set[str]:
        return self.kubelet.machines.silent

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
        if self._taint(node):
            return
        if not rows(node, "status", "conditions"):
            self._beat(node)

    def _taint(self, node: Obj) -> bool:
        """Give the node the taints that its state calls for; True if they had to be changed."""
        called_for: list[tuple[str, str]] = []
        if sub(node, "spec").get("unschedulable"):
            called_for.append((_UNSCHEDULABLE, "NoSchedule"))
        if condition(node, "Ready").get("status") == "Unknown":
            called_for += [(_UNREACHABLE, "NoSchedule"), (_UNREACHABLE, "NoExecute")]
        ours = (_UNSCHEDULABLE, _UNREACHABLE)
        have = rows(node, "spec", "taints")
        if {(text(t, "key"), text(t, "effect")) for t in have if t.get("key") in ours} == set(called_for):
            return False
        marked, now = clone(node), rfc3339(self.cluster.clock.now)
        taints = [t for t in have if t.get("key") not in ours]
        taints += [{"key": key, "effect": effect, "timeAdded": now} for key, effect in called_for]
        marked["spec"]["taints"] = taints
        if not taints:
            del marked["spec"]["taints"]
        self.cluster.store.update(NODE, marked, CONTROLLER)
        return True

    def silence(self, name: str) -> None:
        """Let a node's kubelet stop reporting: it is given up after 40 s, its pods are evicted 5 minutes later."""
        self.kubelet.freeze(name)
        self.cluster.clock.after(_GIVEN_UP_AFTER, lambda: self._give_up(name))

    def revive(self, name: str) -> None:
        """Let it report again: it is Ready, its pods too, and those that were evicted end."""
        if name not in self.silent:
            return
        self.silent.discard(name)
        node = self.cluster.store.get(NODE, "", name)
        if node is not None:
            self._beat(node)
            self._say(node, "NodeReady", f"Node {name} status is now: NodeReady", "kubelet")
        self.kubelet.thaw(name)

    def _give_up(self, name: str) -> None:
        node = self.cluster.store.get(NODE, "", name)
        if node is None or name not in self.silent:
            return
        if condition(node, "Ready").get("status") == "Unknown":
            self.cluster.clock.after(_EVICTED_AFTER, lambda: self._evict(name))
            return
        now = rfc3339(self.cluster.clock.now)
        conditions = [
            {**row, "status": "Unknown", "lastTransitionTime": now, "reason": "NodeStatusUnknown",
             "message": "Kubelet stopped posting node status."}
            for row in rows(node, "status", "conditions")
        ]  # fmt: skip
        self.cluster.set_status(NODE, node, {**sub(node, "status"), "conditions": conditions}, CONTROLLER)
        self._say(node, "NodeNotReady", f"Node {name} status is now: NodeNotReady", "node-controller")
        for pod in self._pods_on(name):
            changed = [
                {**row, "status": "False", "lastTransitionTime": now} if row.get("type") == "Ready" else row
                for row in rows(pod, "status", "conditions")
            ]
            self.cluster.set_status(POD, pod, {**sub(pod, "status"), "conditions": changed}, CONTROLLER)
            self.cluster.event(pod, "NodeNotReady", "Node is not ready", component="node-controller", warning=True)
        self.cluster.clock.after(_EVICTED_AFTER, lambda: self._evict(name))

    def _evict(self, name: str) -> None:
        if name not in self.silent:
            return
        for pod in self._pods_on(name):
            if not _stays(pod):
                message = f"Marking for deletion Pod {pod['metadata']['namespace']}/{name_of(pod)}"
                self.cluster.event(pod, "TaintManagerEviction", message, component="taint-eviction-controller")
                delete_gracefully(self.cluster, POD, pod)

    def _pods_on(self, name: str) -> list[Obj]:
        return [
            pod
            for pod in self.cluster.store.list(POD)
            if text(pod, "spec", "nodeName") == name
            and not being_deleted(pod)
            and text(pod, "status", "phase") not in ("Succeeded", "Failed")
        ]

    def keep_beating(self) -> None:
        """Renew leases now and every 10 s from now on; refresh conditions every 5 minutes."""
        now = self.cluster.clock.now
        for node in self.cluster.store.list(NODE):
            if name_of(node) in self.silent:
                continue
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
                "lastTransitionTime": old[kind]["lastTransitionTime"] if old.get(kind, {}).get("status") == status else now,
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
        self._say(node, word, f"Node {name_of(node)} status is now: {word}", "kubelet")

    def _say(self, node: Obj, reason: str, message: str, component: str) -> None:
        self.cluster.event(node, reason, message, component=component, host=name_of(node))


def _stays(pod: Obj) -> bool:
    """Does the pod tolerate an unreachable node for ever, as those of DaemonSets do?"""
    return any(
        row.get("operator") == "Exists"
        and row.get("key") in (None, "", _UNREACHABLE)
        and row.get("effect") in (None, "", "NoExecute")
        and "tolerationSeconds" not in row
        for row in rows(pod, "spec", "tolerations")
    )
