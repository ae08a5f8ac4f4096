"""ResourceQuotas: what is used of them, in their status."""

from collections.abc import Iterable

from sandbox.admission import used, written
from sandbox.cluster import Cluster, Key
from sandbox.objects import Obj, name_of, namespace_of, sub, text
from sandbox.resources import CLAIM, EVENT, POD, QUOTA
from sandbox.store import Change

MANAGER = "kube-controller-manager"


class Quotas:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def wake(self, change: Change) -> Iterable[Key]:
        if change.resource is QUOTA:
            if change.type != "DELETED":
                yield namespace_of(change.obj), name_of(change.obj)
        elif change.resource.namespaced and change.resource is not EVENT and _counts_differently(change):
            for quota in self.cluster.store.list(QUOTA, namespace_of(change.obj)):
                yield namespace_of(quota), name_of(quota)

    def reconcile(self, key: Key) -> None:
        quota = self.cluster.store.get(QUOTA, *key)
        if quota is None:
            return
        hard = sub(quota, "spec", "hard")
        status: Obj = {"hard": dict(hard), "used": {what: written(what, used(self.cluster, quota, what)) for what in hard}}
        self.cluster.set_status(QUOTA, quota, status, MANAGER)


def _counts_differently(change: Change) -> bool:
    """Has an object come or gone, or a pod ended or a claim grown?"""
    if change.old is None or change.type == "DELETED":
        return True
    old, new = change.old, change.obj
    phases = text(old, "status", "phase") != text(new, "status", "phase")
    return change.resource in (POD, CLAIM) and (phases or old.get("spec") != new.get("spec"))
