"""StatefulSets: pods by ordinal, one after the other, each with its own claims; newest revision from the top."""

import hashlib
from collections.abc import Iterable

import orjson

from sandbox.cluster import Cluster, Key
from sandbox.controllers.replicasets import MANAGER, create_pod, delete_pod, owned_pods
from sandbox.controllers.waking import own_and_parts
from sandbox.defaults import fill
from sandbox.errors import ApiError
from sandbox.objects import (
    Obj,
    being_deleted,
    clone,
    controller_of,
    is_ready,
    labels_of,
    name_of,
    namespace_of,
    number,
    owner_reference,
    rows,
    sub,
    text,
)
from sandbox.resources import CLAIM, CONTROLLER_REVISION, POD, STATEFUL_SET
from sandbox.store import Change

SOURCE = "statefulset-controller"
_REVISION = "controller-revision-hash"


class StatefulSets:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def wake(self, change: Change) -> Iterable[Key]:
        yield from own_and_parts(change, STATEFUL_SET, POD)

    def reconcile(self, key: Key) -> None:
        owner = self.cluster.store.get(STATEFUL_SET, *key)
        if owner is None or being_deleted(owner):
            return
        revision = record_revision(self.cluster, owner)
        pods = {name_of(pod): pod for pod in owned_pods(self.cluster, owner)}
        wanted = number(owner, "spec", "replicas", default=1)
        self._step(owner, pods, wanted, revision)
        self._report(owner, revision, wanted)

    def _step(self, owner: Obj, pods: dict[str, Obj], wanted: int, revision: str) -> None:
        """One move at a time: create the lowest missing, or delete the highest superfluous or outdated."""
        parallel = text(owner, "spec", "podManagementPolicy") == "Parallel"
        for ordinal in range(wanted):
            pod = pods.get(f"{name_of(owner)}-{ordinal}")
            if pod is None:
                self._create(owner, ordinal, revision)
                if not parallel:
                    return
            elif not parallel and (being_deleted(pod) or not is_ready(pod)):
                outdated = labels_of(pod).get(_REVISION) != revision
                if not (outdated and not being_deleted(pod)):
                    return
        extra = sorted((n for n in pods if _ordinal(n) >= wanted), key=_ordinal, reverse=True)
        stale = [n for n in pods if labels_of(pods[n]).get(_REVISION) != revision and _ordinal(n) < wanted]
        for name in extra or sorted(stale, key=_ordinal, reverse=True)[:1]:
            if not being_deleted(pods[name]):
                delete_pod(self.cluster, owner, pods[name], SOURCE)
            if not parallel:
                return

    def _create(self, owner: Obj, ordinal: int, revision: str) -> None:
        name = f"{name_of(owner)}-{ordinal}"
        volumes = list(rows(owner, "spec", "template", "spec", "volumes"))
        for template in rows(owner, "spec", "volumeClaimTemplates"):
            claim = f"{name_of(template)}-{name}"
            volumes.append({"name": name_of(template), "persistentVolumeClaim": {"claimName": claim}})
            self._claim(owner, template, claim)
        extra: Obj = {
            "labels": {
                _REVISION: revision,
                "statefulset.kubernetes.io/pod-name": name,
                "apps.kubernetes.io/pod-index": str(ordinal),
            },
            "spec": {
                "hostname": name,
                **({"subdomain": text(owner, "spec", "serviceName")} if text(owner, "spec", "serviceName") else {}),
                **({"volumes": volumes} if volumes else {}),
            },
        }
        try:
            create_pod(self.cluster, owner, name, SOURCE, extra)
        except ApiError:
            self.cluster.retry(self, (namespace_of(owner), name_of(owner)))

    def _claim(self, owner: Obj, template: Obj, name: str) -> None:
        if self.cluster.store.get(CLAIM, namespace_of(owner), name) is not None:
            return
        labels = sub(owner, "spec", "selector", "matchLabels")
        obj: Obj = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": namespace_of(owner), "labels": labels},
            "spec": clone(sub(template, "spec")),
        }
        fill(self.cluster, CLAIM, obj)
        self.cluster.store.create(CLAIM, obj, MANAGER)
        message = f"create Claim {name} Pod {name.partition('-')[2]} in StatefulSet {name_of(owner)} success"
        self.cluster.event(owner, "SuccessfulCreate", message, component=SOURCE)

    def _report(self, owner: Obj, revision: str, wanted: int) -> None:
        pods = [pod for pod in owned_pods(self.cluster, owner) if not being_deleted(pod)]
        updated = [pod for pod in pods if labels_of(pod).get(_REVISION) == revision]
        ready = sum(1 for pod in pods if is_ready(pod))
        before = text(owner, "status", "currentRevision")
        done = len(updated) == wanted and all(is_ready(pod) for pod in updated)
        status: Obj = {
            "observedGeneration": number(owner, "metadata", "generation"),
            "replicas": len(pods),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "updatedReplicas": len(updated),
            "currentReplicas": len(updated) if done or not before else len(pods) - len(updated),
            "currentRevision": f"{name_of(owner)}-{revision}" if done or not before else before,
            "updateRevision": f"{name_of(owner)}-{revision}",
            "collisionCount": 0,
        }
        self.cluster.set_status(STATEFUL_SET, owner, status, MANAGER)


def record_revision(cluster: Cluster, owner: Obj) -> str:
    """The hash of the owner's template, with a ControllerRevision that `rollout history` and `undo` read."""
    template = sub(owner, "spec", "template")
    revision = hashlib.sha256(orjson.dumps(template, option=orjson.OPT_SORT_KEYS)).hexdigest()[:10]
    name, namespace = f"{name_of(owner)}-{revision}", namespace_of(owner)
    revisions = [
        row
        for row in cluster.store.list(CONTROLLER_REVISION, namespace)
        if controller_of(row).get("uid") == owner["metadata"]["uid"]
    ]
    newest = max((number(row, "revision") for row in revisions), default=0)
    known = cluster.store.get(CONTROLLER_REVISION, namespace, name)
    if known is None:
        cluster.store.create(
            CONTROLLER_REVISION,
            {
                "apiVersion": "apps/v1",
                "kind": "ControllerRevision",
                "metadata": {
                    "name": name,
                    "namespace": namespace,
                    "labels": {**labels_of(template), _REVISION: revision},
                    "ownerReferences": [owner_reference(owner)],
                },
                "data": {"spec": {"template": {**template, "$patch": "replace"}}},
                "revision": newest + 1,
            },
            MANAGER,
        )
    elif number(known, "revision") < newest:
        cluster.store.update(CONTROLLER_REVISION, {**known, "revision": newest + 1}, MANAGER)
    return revision


def _ordinal(name: str) -> int:
    tail = name.rpartition("-")[2]
    return int(tail) if tail.isdigit() else -1
