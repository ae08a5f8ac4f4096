"""ServiceAccounts: every namespace has one called default."""

from collections.abc import Iterable

from sandbox.cluster import Cluster, Key
from sandbox.objects import Obj, being_deleted, name_of, namespace_of
from sandbox.resources import NAMESPACE, SERVICE_ACCOUNT
from sandbox.store import Change

_DEFAULT = "default"


class Accounts:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def wake(self, change: Change) -> Iterable[Key]:
        if change.resource is NAMESPACE and change.type == "ADDED":
            yield name_of(change.obj), _DEFAULT
        elif change.resource is SERVICE_ACCOUNT and change.type == "DELETED" and name_of(change.obj) == _DEFAULT:
            yield namespace_of(change.obj), _DEFAULT

    def reconcile(self, key: Key) -> None:
        home = self.cluster.store.get(NAMESPACE, "", key[0])
        if home is None or being_deleted(home) or self.cluster.store.get(SERVICE_ACCOUNT, *key) is not None:
            return
        meta = {"name": _DEFAULT, "namespace": key[0]}
        account: Obj = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}
        self.cluster.store.create(SERVICE_ACCOUNT, account, "kube-controller-manager")
