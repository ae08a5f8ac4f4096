"""The scheduler: which node a pod goes to, or in its own words why none will do."""

from collections import Counter
from collections.abc import Iterable

from sandbox import quantity
from sandbox.clock import rfc3339
from sandbox.cluster import Cluster, Key
from sandbox.objects import (
    Obj,
    being_deleted,
    condition,
    labels_of,
    name_of,
    namespace_of,
    rows,
    sub,
    text,
)
from sandbox.resources import CLAIM, NODE, POD
from sandbox.selectors import matches
from sandbox.store import Change

SOURCE = "default-scheduler"
_GONE = ("Succeeded", "Failed")


class Scheduler:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def wake(self, change: Change) -> Iterable[Key]:
        if change.resource is POD:
            if change.type != "DELETED" and not text(change.obj, "spec", "nodeName"):
                yield namespace_of(change.obj), name_of(change.obj)
            elif change.type == "DELETED" or text(change.obj, "status", "phase") in _GONE:
                yield from self._waiting()
        elif change.resource in (NODE, CLAIM):
            yield from self._waiting()

    def _waiting(self) -> Iterable[Key]:
        for pod in self.cluster.store.list(POD):
            if not text(pod, "spec", "nodeName"):
                yield namespace_of(pod), name_of(pod)

    def reconcile(self, key: Key) -> None:
        pod = self.cluster.store.get(POD, *key)
        if pod is None or being_deleted(pod) or text(pod, "spec", "nodeName"):
            return
        nodes = self.cluster.store.list(NODE)
        usage = {name_of(node): _used(self.cluster.store.list(POD), name_of(node)) for node in nodes}
        refusals = {name_of(node): _refusal(pod, node, usage[name_of(node)]) for node in nodes}
        claim = self._claim_problem(pod)
        free = [node for node in nodes if not refusals[name_of(node)]]
        if claim or not free:
            message = claim or _why_not(nodes, [why for why in refusals.values() if why])
            self._refuse(pod, f"0/{len(nodes)} nodes are available: {message}")
            return
        siblings = Counter(
            text(other, "spec", "nodeName")
            for other in self.cluster.store.list(POD, key[0])
            if labels_of(other) == labels_of(pod)
        )

        def rank(node: Obj) -> tuple[float, str]:
            return usage[name_of(node)]["share"] + siblings[name_of(node)], name_of(node)

        best = min(free, key=rank)
        self._bind(pod, name_of(best))

    def _claim_problem(self, pod: Obj) -> str:
        for volume in rows(pod, "spec", "volumes"):
            name = text(volume, "persistentVolumeClaim", "claimName")
            if not name:
                continue
            claim = self.cluster.store.get(CLAIM, namespace_of(pod), name)
            if claim is None:
                return f'persistentvolumeclaim "{name}" not found. ' + _NOT_HELPFUL
            if text(claim, "status", "phase") != "Bound":
                return "pod has unbound immediate PersistentVolumeClaims. " + _NOT_HELPFUL
        return ""

    def _bind(self, pod: Obj, node: str) -> None:
        fresh = {**pod, "spec": {**pod["spec"], "nodeName": node}}
        bound = self.cluster.store.update(POD, fresh, "kube-scheduler", track=False)
        message = f"Successfully assigned {namespace_of(pod)}/{name_of(pod)} to {node}"
        self.cluster.event(bound, "Scheduled", message, component=SOURCE)

    def _refuse(self, pod: Obj, message: str) -> None:
        known = condition(pod, "PodScheduled")
        if known.get("message") == message:
            return
        row = {
            "type": "PodScheduled",
            "status": "False",
            "lastProbeTime": None,
            "lastTransitionTime": known.get("lastTransitionTime") or rfc3339(self.cluster.clock.now),
            "reason": "Unschedulable",
            "message": message,
        }
        status = {**sub(pod, "status"), "phase": "Pending", "conditions": [row]}
        self.cluster.set_status(POD, pod, status, "kube-scheduler")
        self._say(pod, message)

    def _say(self, pod: Obj, message: str) -> None:
        fresh = self.cluster.store.get(POD, namespace_of(pod), name_of(pod))
        if fresh is None or condition(fresh, "PodScheduled").get("message") != message:
            return
        self.cluster.event(fresh, "FailedScheduling", message, component=SOURCE, warning=True)
        self.cluster.clock.after(300, lambda: self._say(pod, message))


_NOT_HELPFUL = "preemption: Preemption is not helpful for scheduling."


def requests(pod: Obj) -> dict[str, float]:
    """What the scheduler counts for a pod: the sum of its containers, or its largest init container."""
    total = {"cpu": 0.0, "memory": 0.0}
    for container in rows(pod, "spec", "containers"):
        asked = {**sub(container, "resources", "limits"), **sub(container, "resources", "requests")}
        for what in total:
            total[what] += quantity.value(asked.get(what))
    for container in rows(pod, "spec", "initContainers"):
        for what in total:
            total[what] = max(total[what], quantity.value(sub(container, "resources", "requests").get(what)))
    return total


def _used(pods: list[Obj], node: str) -> dict[str, float]:
    here = [pod for pod in pods if text(pod, "spec", "nodeName") == node and text(pod, "status", "phase") not in _GONE]
    asked = [requests(pod) for pod in here]
    used = {what: sum(row[what] for row in asked) for what in ("cpu", "memory")}
    return used | {"pods": float(len(here)), "share": used["cpu"] + used["memory"] / 2**33 + len(here) / 100}


def _refusal(pod: Obj, node: Obj, used: dict[str, float]) -> list[str]:
    """Why this node will not do, in the scheduler's words; empty if it will."""
    if sub(node, "spec").get("unschedulable") and not tolerates(
        pod, {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    ):
        return ["node(s) were unschedulable"]
    for taint in rows(node, "spec", "taints"):
        if taint.get("effect") in ("NoSchedule", "NoExecute") and not tolerates(pod, taint):
            return [f"node(s) had untolerated taint {{{taint.get('key')}: {taint.get('value', '')}}}"]
    if not wants(pod, node):
        return ["node(s) didn't match Pod's node affinity/selector"]
    allocatable, asked = sub(node, "status", "allocatable"), requests(pod)
    short = [
        f"Insufficient {what}"
        for what in ("cpu", "memory")
        if asked[what] > 0 and used[what] + asked[what] > quantity.value(allocatable.get(what))
    ]
    if used["pods"] + 1 > quantity.value(allocatable.get("pods"), 110):
        short.append("Too many pods")
    return short


def wants(pod: Obj, node: Obj) -> bool:
    """Do the pod's node selector and required node affinity accept the node?"""
    labels = labels_of(node)
    if any(labels.get(k) != v for k, v in sub(pod, "spec", "nodeSelector").items()):
        return False
    required = sub(pod, "spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    terms = rows(required, "nodeSelectorTerms")
    return not terms or any(matches({"matchExpressions": rows(term, "matchExpressions")}, labels) for term in terms)


def tolerates(pod: Obj, taint: Obj) -> bool:
    """Does one of the pod's tolerations cover the taint?"""
    for row in rows(pod, "spec", "tolerations"):
        if row.get("effect") not in (None, "", taint.get("effect")):
            continue
        if row.get("key") not in (None, "", taint.get("key")):
            continue
        if row.get("operator") == "Exists" or row.get("value", "") == taint.get("value", ""):
            return True
    return False


def _why_not(nodes: list[Obj], refusals: list[list[str]]) -> str:
    counts = Counter(why for reasons in refusals for why in reasons)
    said = ", ".join(f"{count} {why}" for why, count in sorted(counts.items(), key=lambda row: row[0]))
    if not nodes:
        return "no nodes available to schedule pods"
    hopeless = sum(1 for reasons in refusals if not reasons[0].startswith(("Insufficient", "Too many")))
    short = len(refusals) - hopeless
    parts: list[str] = []
    if short:
        parts.append(f"{short} No preemption victims found for incoming pod")
    if hopeless:
        parts.append(f"{hopeless} Preemption is not helpful for scheduling")
    return f"{said}. preemption: 0/{len(nodes)} nodes are available: {', '.join(parts)}."
