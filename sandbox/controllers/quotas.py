"""ResourceQuotas: what is used of them, in their status."""

from collections.abc import Iterable

from sandbox.admission import used, written
from sandbox.cluster import Cluster, Key
from sandbox.objects import Obj, name_of, namespace_of, sub, text
from sandbox.resources import EVENT, POD, QUOTA
from sandbox.store import Change

MANAGER = "kube-controller-manager"


class Quotas:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def wake(self, change: Change) -> Iterable[Key]:
        if change.resource is QUOTA and change.type != "DELETED":
            yield namespace_of(change.obj), name_of(change.obj)
        elif change.type != "MODIFIED" or _ended(change):
            if change.resource.namespaced and change.resource not in (EVENT, QUOTA):
                for quota in self.cluster.store.list(QUOTA, namespace_of(change.obj)):
                    yield namespace_of(quota), name_of(quota)

    def reconcile(self, key: Key) -> None:
        quota = self.cluster.store.get(QUOTA, *key)
        if quota is None:
            return
        hard = sub(quota, "spec", "hard")
        status: Obj = {"hard": dict(hard), "used": {what: written(what, used(self.cluster, quota, what)) for what in hard}}
        self.cluster.set_status(QUOTA, quota, status, MANAGER)


def _ended(change: Change) -> bool:
    """Has a pod just come to its end, or changed what it asks for? Then it counts differently."""
    if change.resource is not POD or change.old is None:
        return change.resource is not POD
    old, new = change.old, change.obj
    return text(old, "status", "phase") != text(new, "status", "phase") or old.get("spec") != new.get("spec")
