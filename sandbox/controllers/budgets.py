"""PodDisruptionBudgets: how many of their pods may go now."""

from collections.abc import Iterable

from sandbox.cluster import Cluster, Key, with_condition
from sandbox.objects import Obj, labels_of, name_of, namespace_of, number, rows, sub
from sandbox.resources import BUDGET, POD
from sandbox.selectors import matches
from sandbox.store import Change
from sandbox.subresources import needed_healthy

MANAGER = "kube-controller-manager"


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
