"""ReplicaSets: keep as many pods as asked for."""

from collections.abc import Iterable

from sandbox.admission import admit
from sandbox.cluster import Cluster, Key, with_condition
from sandbox.controllers.waking import own_and_parts
from sandbox.defaults import fill
from sandbox.deletion import delete_gracefully
from sandbox.errors import ApiError
from sandbox.objects import (
    Obj,
    being_deleted,
    clone,
    condition,
    is_ready,
    labels_of,
    name_of,
    namespace_of,
    number,
    owned_by,
    owner_reference,
    rows,
    sub,
    text,
)
from sandbox.resources import LIMIT_RANGE, POD, QUOTA, REPLICA_SET
from sandbox.store import Change

MANAGER = "kube-controller-manager"
SOURCE = "replicaset-controller"


class ReplicaSets:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def wake(self, change: Change) -> Iterable[Key]:
        yield from own_and_parts(change, REPLICA_SET, POD)
        if change.resource in (QUOTA, LIMIT_RANGE) and (change.old is None or change.old.get("spec") != change.obj.get("spec")):
            for owner in self.cluster.store.list(REPLICA_SET, namespace_of(change.obj)):
                yield namespace_of(owner), name_of(owner)

    def reconcile(self, key: Key) -> None:
        owner = self.cluster.store.get(REPLICA_SET, *key)
        if owner is None or being_deleted(owner):
            return
        pods = [pod for pod in owned_pods(self.cluster, owner) if not finished(pod)]
        living = [pod for pod in pods if not being_deleted(pod)]
        wanted = number(owner, "spec", "replicas", default=1)
        refused = ""
        for _ in range(wanted - len(living)):
            try:
                living.append(create_pod(self.cluster, owner, f"{name_of(owner)}-{self.cluster.suffix()}", SOURCE))
            except ApiError as error:
                refused = error.message
                self.cluster.retry(self, key)
                break
        else:
            self.cluster.forgive(self, key)
        for pod in sorted(living, key=_deletion_rank)[: max(len(living) - wanted, 0)]:
            living.remove(pod)
            delete_pod(self.cluster, owner, pod, SOURCE)
        self._report(owner, living, refused)

    def _report(self, owner: Obj, living: list[Obj], refused: str) -> None:
        ready = sum(1 for pod in living if is_ready(pod))
        wanted_labels = sub(owner, "spec", "template", "metadata", "labels").items()
        labelled = sum(1 for pod in living if wanted_labels <= labels_of(pod).items())
        status: Obj = {"replicas": len(living), "fullyLabeledReplicas": labelled}
        if ready:
            status |= {"readyReplicas": ready, "availableReplicas": ready}
        status["observedGeneration"] = number(owner, "metadata", "generation")
        if refused:
            known = rows(owner, "status", "conditions")
            # the name in the message changes with each attempt; the first one stands, as long as it is refused
            status["conditions"] = known or with_condition(
                [], self.cluster.clock.now, "ReplicaFailure", True, "FailedCreate", refused
            )
        self.cluster.set_status(REPLICA_SET, owner, status, MANAGER)


def owned_pods(cluster: Cluster, owner: Obj) -> list[Obj]:
    return [pod for pod in cluster.store.list(POD, namespace_of(owner)) if owned_by(pod, owner)]


def finished(pod: Obj) -> bool:
    return text(pod, "status", "phase") in ("Succeeded", "Failed")


def create_pod(cluster: Cluster, owner: Obj, name: str, source: str, extra: Obj | None = None) -> Obj:
    """A pod from the owner's template, with an Event on the owner. Raises ApiError when admission refuses it, told too."""
    template = clone(sub(owner, "spec", "template"))
    meta: Obj = {
        **{k: v for k, v in sub(template, "metadata").items() if k in ("labels", "annotations") and v},
        "name": name,
        "namespace": namespace_of(owner),
        "ownerReferences": [owner_reference(owner)],
    }
    if name.startswith(f"{name_of(owner)}-"):
        meta["generateName"] = f"{name_of(owner)}-"
    spec = sub(template, "spec")
    spec.update(sub(extra or {}, "spec"))
    meta.setdefault("labels", {}).update(sub(extra or {}, "labels"))
    pod: Obj = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta,
        "spec": spec,
    }
    fill(cluster, POD, pod)
    try:
        admit(cluster, POD, pod)
    except ApiError as error:
        cluster.event(owner, "FailedCreate", f"Error creating: {error.message}", component=source, warning=True)
        raise
    made = cluster.store.create(POD, pod, MANAGER)
    cluster.event(owner, "SuccessfulCreate", f"Created pod: {name}", component=source)
    return made


def delete_pod(cluster: Cluster, owner: Obj, pod: Obj, source: str) -> None:
    delete_gracefully(cluster, POD, pod)
    cluster.event(owner, "SuccessfulDelete", f"Deleted pod: {name_of(pod)}", component=source)


def _deletion_rank(pod: Obj) -> tuple[int, int, int, str]:
    """Those that matter least first: unscheduled, pending, not ready, youngest."""
    return (
        1 if text(pod, "spec", "nodeName") else 0,
        0 if text(pod, "status", "phase") == "Pending" else 1,
        1 if condition(pod, "Ready").get("status") == "True" else 0,
        "".join(chr(255 - ord(char)) for char in text(pod, "metadata", "creationTimestamp")),
    )
