"""What a delete does: at once, by grace (pods), by finalizer, or with what the object owns."""

from sandbox.clock import rfc3339
from sandbox.cluster import Cluster
from sandbox.objects import Obj, being_deleted, clone, name_of, namespace_of, number, rows, text, texts
from sandbox.resources import NAMESPACE, POD, Resource

MANAGER = "kube-controller-manager"
GONE = ("Succeeded", "Failed")


def delete_gracefully(
    cluster: Cluster, resource: Resource, obj: Obj, *, grace: int | None = None, finalizers: tuple[str, ...] = ()
) -> Obj:
    """Delete, or mark as being deleted when a kubelet or a finalizer has to finish first."""
    namespace = namespace_of(obj) if resource.namespaced else ""
    marked = clone(obj)
    meta = marked["metadata"]
    meta["finalizers"] = sorted({*texts(obj, "metadata", "finalizers"), *finalizers})
    if not meta["finalizers"]:
        del meta["finalizers"]
    seconds = grace if grace is not None else number(obj, "spec", "terminationGracePeriodSeconds", default=30)
    waits = resource is POD and seconds > 0 and text(obj, "spec", "nodeName") != "" and text(obj, "status", "phase") not in GONE
    if not waits and not meta.get("finalizers") and resource is not NAMESPACE:
        return cluster.store.remove(resource, namespace, name_of(obj))
    if not being_deleted(obj):
        meta["deletionTimestamp"] = rfc3339(cluster.clock.now + (seconds if resource is POD else 0))
        meta["deletionGracePeriodSeconds"] = seconds if resource is POD else 0
        if resource is NAMESPACE:
            marked["status"] = {"phase": "Terminating"}
    return cluster.store.update(resource, marked, MANAGER, track=False)


def owns(owner_uid: str, obj: Obj) -> bool:
    return any(ref.get("uid") == owner_uid for ref in rows(obj, "metadata", "ownerReferences"))
