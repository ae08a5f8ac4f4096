"""Claims get a volume: a free one that fits, or a new one of their class; a larger request grows it, if the class allows."""

from collections.abc import Iterable

from sandbox import quantity
from sandbox.cluster import Cluster, Key
from sandbox.objects import Obj, being_deleted, clone, name_of, namespace_of, rows, sub, text, texts, uid_of
from sandbox.resources import CLAIM, POD, STORAGE_CLASS, VOLUME
from sandbox.store import Change

MANAGER = "kube-controller-manager"
_COMPLAIN_EVERY = 300.0


class Volumes:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._complained: dict[Key, float] = {}

    def wake(self, change: Change) -> Iterable[Key]:
        if change.resource is CLAIM:
            yield namespace_of(change.obj), name_of(change.obj)
        elif change.resource is POD and change.type == "ADDED":
            for volume in rows(change.obj, "spec", "volumes"):
                if claim := text(volume, "persistentVolumeClaim", "claimName"):
                    yield namespace_of(change.obj), claim
        elif change.resource is STORAGE_CLASS or (change.resource is VOLUME and change.type == "ADDED"):
            for claim in self.cluster.store.list(CLAIM):
                yield namespace_of(claim), name_of(claim)

    def reconcile(self, key: Key) -> None:
        claim = self.cluster.store.get(CLAIM, *key)
        if claim is None:
            self._release(key)
            return
        if being_deleted(claim):
            return
        if not text(claim, "spec", "volumeName") and self._bind_free(claim):
            return
        name = text(claim, "spec", "storageClassName")
        storage = self.cluster.store.get(STORAGE_CLASS, "", name)
        if storage is None:
            if not text(claim, "spec", "volumeName"):
                self._complain(key, name)
            return
        wanted = text(claim, "spec", "resources", "requests", "storage")
        volume = text(claim, "spec", "volumeName")
        if not volume:
            if self._waits(claim, storage):
                return
            self._provision(claim, wanted)
            return
        capacity = text(claim, "status", "capacity", "storage")
        if quantity.value(wanted) > quantity.value(capacity) and storage.get("allowVolumeExpansion"):
            self._grow(claim, volume, wanted)

    def _bind_free(self, claim: Obj) -> bool:
        """Bind the smallest free volume that was made by hand and fits: class, size and access modes."""
        modes = set(texts(claim, "spec", "accessModes"))
        asked = quantity.value(text(claim, "spec", "resources", "requests", "storage"))
        fitting = [
            volume
            for volume in self.cluster.store.list(VOLUME)
            if not sub(volume, "spec", "claimRef")
            and text(volume, "spec", "storageClassName") == text(claim, "spec", "storageClassName")
            and modes <= set(texts(volume, "spec", "accessModes"))
            and _capacity(volume) >= asked
        ]
        if not fitting:
            return False
        chosen = clone(min(fitting, key=_capacity))
        chosen["spec"]["claimRef"] = _reference(claim)
        chosen["status"] = {"phase": "Bound"}
        self.cluster.store.update(VOLUME, chosen, MANAGER)
        self._bound(claim, name_of(chosen), text(chosen, "spec", "capacity", "storage"))
        return True

    def _waits(self, claim: Obj, storage: Obj) -> bool:
        """With WaitForFirstConsumer, a claim that no pod uses stays pending and says so."""
        if text(storage, "volumeBindingMode") != "WaitForFirstConsumer":
            return False
        for pod in self.cluster.store.list(POD, namespace_of(claim)):
            if any(text(v, "persistentVolumeClaim", "claimName") == name_of(claim) for v in rows(pod, "spec", "volumes")):
                return False
        message = "waiting for first consumer to be created before binding"
        self.cluster.event(claim, "WaitForFirstConsumer", message, component="persistentvolume-controller")
        return True

    def _complain(self, key: Key, name: str) -> None:
        """Say every five minutes that the class is not there, as long as the claim waits for it."""
        claim = self.cluster.store.get(CLAIM, *key)
        waits = claim is not None and not text(claim, "spec", "volumeName") and not being_deleted(claim)
        if claim is None or not waits or self.cluster.store.get(STORAGE_CLASS, "", name) is not None:
            return
        now = self.cluster.clock.now
        if now - self._complained.get(key, 0.0) < _COMPLAIN_EVERY:
            return
        self._complained[key] = now
        message, reason = f'storageclass.storage.k8s.io "{name}" not found', "ProvisioningFailed"
        if not name:
            message, reason = "no persistent volumes available for this claim and no storage class is set", "FailedBinding"
        self.cluster.event(claim, reason, message, component="persistentvolume-controller", warning=bool(name))
        self.cluster.clock.after(_COMPLAIN_EVERY + 1, lambda: self._complain(key, name))

    def _provision(self, claim: Obj, size: str) -> None:
        name = f"pvc-{uid_of(claim)}"
        self.cluster.store.create(
            VOLUME,
            {
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": name},
                "spec": {
                    "capacity": {"storage": size},
                    "accessModes": sub(claim, "spec").get("accessModes", []),
                    "persistentVolumeReclaimPolicy": "Delete",
                    "storageClassName": text(claim, "spec", "storageClassName"),
                    "volumeMode": "Filesystem",
                    "claimRef": _reference(claim),
                },
                "status": {"phase": "Bound"},
            },
            MANAGER,
        )
        self._bound(claim, name, size)
        message = f"Successfully provisioned volume {name}"
        self.cluster.event(claim, "ProvisioningSucceeded", message, component="persistentvolume-controller")

    def _bound(self, claim: Obj, volume: str, size: str) -> None:
        bound = clone(claim)
        bound["spec"]["volumeName"] = volume
        bound["status"] = {
            "phase": "Bound",
            "accessModes": sub(claim, "spec").get("accessModes", []),
            "capacity": {"storage": size},
        }
        self.cluster.store.update(CLAIM, bound, MANAGER)

    def _grow(self, claim: Obj, volume: str, size: str) -> None:
        stored = self.cluster.store.get(VOLUME, "", volume)
        if stored is not None:
            grown = clone(stored)
            grown["spec"]["capacity"] = {"storage": size}
            self.cluster.store.update(VOLUME, grown, MANAGER)
        status = {**sub(claim, "status"), "capacity": {"storage": size}}
        self.cluster.set_status(CLAIM, claim, status, MANAGER)
        self.cluster.event(
            claim, "FileSystemResizeSuccessful", "MountVolume.NodeExpandVolume succeeded for volume", component="kubelet"
        )

    def _release(self, key: Key) -> None:
        for volume in self.cluster.store.list(VOLUME):
            ref = sub(volume, "spec", "claimRef")
            if (ref.get("namespace"), ref.get("name")) != key:
                continue
            if text(volume, "spec", "persistentVolumeReclaimPolicy") == "Retain":
                self.cluster.set_status(VOLUME, volume, {"phase": "Released"}, MANAGER)
            else:
                self.cluster.store.remove(VOLUME, "", name_of(volume))


def _capacity(volume: Obj) -> float:
    return quantity.value(text(volume, "spec", "capacity", "storage"))


def _reference(claim: Obj) -> Obj:
    return {
        "kind": "PersistentVolumeClaim",
        "namespace": namespace_of(claim),
        "name": name_of(claim),
        "uid": uid_of(claim),
    }
