"""The numbers that disruption budgets and autoscalers report, and the autoscaler's floor and ceiling."""

from collections.abc import Iterable

from sandbox import quantity
from sandbox.clock import rfc3339
from sandbox.cluster import Cluster, Key, with_condition
from sandbox.kubelet import Kubelet
from sandbox.objects import Obj, clone, labels_of, name_of, namespace_of, number, rows, sub, text
from sandbox.resources import AUTOSCALER, BUDGET, BY_KIND, POD
from sandbox.selectors import matches
from sandbox.store import Change
from sandbox.subresources import needed_healthy

MANAGER = "kube-controller-manager"
_LOOK_EVERY = 15.0


class Budgets:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def wake(self, change: Change) -> Iterable[Key]:
        if change.resource is BUDGET and change.type != "DELETED":
            yield namespace_of(change.obj), name_of(change.obj)
        elif change.resource is POD:
            for budget in self.cluster.store.list(BUDGET, namespace_of(change.obj)):
                if matches(sub(budget, "spec", "selector"), labels_of(change.obj)):
                    yield namespace_of(budget), name_of(budget)

    def reconcile(self, key: Key) -> None:
        budget = self.cluster.store.get(BUDGET, *key)
        if budget is None:
            return
        needed, healthy = needed_healthy(self.cluster, budget)
        selector = sub(budget, "spec", "selector")
        expected = sum(1 for pod in self.cluster.store.list(POD, key[0]) if matches(selector, labels_of(pod)))
        allowed = max(healthy - needed, 0)
        reason = "SufficientPods" if allowed else "InsufficientPods"
        conditions = with_condition(
            rows(budget, "status", "conditions"), self.cluster.clock.now, "DisruptionAllowed", bool(allowed), reason, ""
        )
        status: Obj = {
            "disruptionsAllowed": allowed,
            "currentHealthy": healthy,
            "desiredHealthy": needed,
            "expectedPods": expected,
            "observedGeneration": number(budget, "metadata", "generation"),
            "conditions": conditions,
        }
        self.cluster.set_status(BUDGET, budget, status, MANAGER)


class Autoscalers:
    """Keeps the size between its bounds and reports CPU use; looks every 15 s while the cluster is live."""

    def __init__(self, cluster: Cluster, kubelet: Kubelet) -> None:
        self.cluster, self.kubelet = cluster, kubelet

    def wake(self, change: Change) -> Iterable[Key]:
        if (
            change.resource is AUTOSCALER
            and change.type != "DELETED"
            and (change.old is None or change.old.get("spec") != change.obj.get("spec"))
        ):
            yield namespace_of(change.obj), name_of(change.obj)

    def keep_looking(self) -> None:
        """Look at every autoscaler now and every 15 s from now on."""
        for scaler in self.cluster.store.list(AUTOSCALER):
            self.cluster.enqueue(self, (namespace_of(scaler), name_of(scaler)))
        self.cluster.clock.after(_LOOK_EVERY, self.keep_looking)

    def reconcile(self, key: Key) -> None:
        scaler = self.cluster.store.get(AUTOSCALER, *key)
        if scaler is None:
            return
        ref = sub(scaler, "spec", "scaleTargetRef")
        resource = BY_KIND.get(text(ref, "kind"))
        target = self.cluster.store.get(resource, key[0], text(ref, "name")) if resource else None
        if resource is None or target is None:
            return
        size = number(target, "spec", "replicas", default=1)
        low, high = number(scaler, "spec", "minReplicas", default=1), number(scaler, "spec", "maxReplicas", default=1)
        used = self._cpu_percent(target)
        wanted = min(max(size, low), high) if size else 0
        if wanted != size:
            scaled = clone(target)
            scaled["spec"]["replicas"] = wanted
            self.cluster.store.update(resource, scaled, MANAGER)
            bound = "below Spec.MinReplicas" if size < low else "above Spec.MaxReplicas"
            reason = f"New size: {wanted}; reason: Current number of replicas {bound}"
            self.cluster.event(scaler, "SuccessfulRescale", reason, component="horizontal-pod-autoscaler")
        now = self.cluster.clock.now
        conditions = with_condition(
            rows(scaler, "status", "conditions"),
            now,
            "AbleToScale",
            True,
            "ReadyForNewScale",
            "recommended size matches current size",
        )
        conditions = with_condition(
            conditions, now, "ScalingActive", True, "ValidMetricFound",
            "the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)",
        )  # fmt: skip
        status: Obj = {
            **{k: v for k, v in sub(scaler, "status").items() if k == "lastScaleTime"},
            "currentReplicas": number(target, "status", "replicas"),
            "desiredReplicas": wanted,
            "conditions": conditions,
        }
        if wanted != size:
            status["lastScaleTime"] = rfc3339(now)
        if used is not None:
            current = {"averageUtilization": used}
            status["currentMetrics"] = [{"type": "Resource", "resource": {"name": "cpu", "current": current}}]
        self.cluster.set_status(AUTOSCALER, scaler, status, MANAGER)

    def _cpu_percent(self, target: Obj) -> int | None:
        selector, now = sub(target, "spec", "selector"), self.cluster.clock.now
        shares: list[float] = []
        for trace in self.kubelet.traces:
            if trace.gone is None and trace.namespace == namespace_of(target) and matches(selector, trace.labels):
                asked = quantity.value(sub(trace.resources, "requests").get("cpu"))
                cpu = trace.cpu(now)
                if asked and cpu is not None:
                    shares.append(100 * cpu / asked)
        return round(sum(shares) / len(shares)) if shares else None
