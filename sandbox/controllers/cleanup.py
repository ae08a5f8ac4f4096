"""What goes when something else went: owned objects, and everything in a deleted namespace."""

from collections.abc import Iterable

from sandbox.cluster import Cluster, Key
from sandbox.deletion import delete_gracefully, owns
from sandbox.objects import Obj, being_deleted, name_of, namespace_of, text, texts, uid_of
from sandbox.resources import CONFIG_MAP, EVENT, NAMESPACE, NODE, POD, RESOURCES, SERVICE_ACCOUNT
from sandbox.store import Change

MANAGER = "kube-controller-manager"
_CERTIFICATES = "kube-root-ca.crt"


class OwnerCollector:
    """Deletes what a deleted owner owned (background propagation)."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def wake(self, change: Change) -> Iterable[Key]:
        if change.type == "DELETED" and change.resource is not EVENT:
            yield "uid", uid_of(change.obj)

    def reconcile(self, key: Key) -> None:
        for resource in RESOURCES:
            if resource is EVENT:
                continue
            for obj in self.cluster.store.list(resource):
                if owns(key[1], obj) and not being_deleted(obj):
                    delete_gracefully(self.cluster, resource, obj)


class Namespaces:
    """Gives a new namespace its service account and root CA; empties one that is being deleted."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def wake(self, change: Change) -> Iterable[Key]:
        if change.resource is NAMESPACE:
            yield "", name_of(change.obj)
        elif change.type == "DELETED" and change.resource.namespaced:
            namespace = self.cluster.store.get(NAMESPACE, "", namespace_of(change.obj))
            if namespace is not None and being_deleted(namespace):
                yield "", name_of(namespace)

    def reconcile(self, key: Key) -> None:
        namespace = self.cluster.store.get(NAMESPACE, *key)
        if namespace is None:
            return
        if being_deleted(namespace):
            self._empty(namespace)
            return
        for resource, body in ((SERVICE_ACCOUNT, {"metadata": {"name": "default"}}), (CONFIG_MAP, _ca())):
            if self.cluster.store.get(resource, key[1], body["metadata"]["name"]) is None:
                meta = body["metadata"] | {"namespace": key[1]}
                obj = {"apiVersion": "v1", "kind": resource.kind, **body, "metadata": meta}
                self.cluster.store.create(resource, obj, MANAGER)

    def _empty(self, namespace: Obj) -> None:
        left = 0
        for resource in RESOURCES:
            if not resource.namespaced:
                continue
            for obj in self.cluster.store.list(resource, name_of(namespace)):
                left += 1
                if not being_deleted(obj) or not (resource is POD or texts(obj, "metadata", "finalizers")):
                    gone = delete_gracefully(self.cluster, resource, obj)
                    left -= 0 if being_deleted(gone) else 1
        if not left:
            self.cluster.store.remove(NAMESPACE, "", name_of(namespace))


class LostPods:
    """Removes pods whose node object is gone."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def wake(self, change: Change) -> Iterable[Key]:
        if change.resource is NODE and change.type == "DELETED":
            yield "", name_of(change.obj)

    def reconcile(self, key: Key) -> None:
        for pod in self.cluster.store.list(POD):
            if text(pod, "spec", "nodeName") == key[1]:
                self.cluster.store.remove(POD, namespace_of(pod), name_of(pod))


def _ca() -> Obj:
    return {
        "metadata": {
            "name": _CERTIFICATES,
            "annotations": {"kubernetes.io/description": "Contains a CA bundle that can be used to verify the kube-apiserver."},
        },
        "data": {"ca.crt": "-----BEGIN CERTIFICATE-----\n(practice cluster)\n-----END CERTIFICATE-----\n"},
    }
