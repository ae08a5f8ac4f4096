"""Claims get a volume of their class at once; a larger request grows it, if the class allows that."""

from collections.abc import Iterable

from sandbox import quantity
from sandbox.cluster import Cluster, Key
from sandbox.objects import Obj, being_deleted, clone, name_of, namespace_of, sub, text, uid_of
from sandbox.resources import BY_KIND, CLAIM, VOLUME
from sandbox.store import Change

MANAGER = "kube-controller-manager"
_CLASS = BY_KIND["StorageClass"]


class Volumes:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def wake(self, change: Change) -> Iterable[Key]:
        if change.resource is CLAIM:
            yield namespace_of(change.obj), name_of(change.obj)

    def reconcile(self, key: Key) -> None:
        claim = self.cluster.store.get(CLAIM, *key)
        if claim is None:
            self._release(key)
            return
        if being_deleted(claim):
            return
        storage = self.cluster.store.get(_CLASS, "", text(claim, "spec", "storageClassName"))
        if storage is None:
            return
        wanted = text(claim, "spec", "resources", "requests", "storage")
        volume = text(claim, "spec", "volumeName")
        if not volume:
            self._provision(claim, wanted)
            return
        capacity = text(claim, "status", "capacity", "storage")
        if quantity.value(wanted) > quantity.value(capacity) and storage.get("allowVolumeExpansion"):
            self._grow(claim, volume, wanted)

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
                    "claimRef": {
                        "kind": "PersistentVolumeClaim",
                        "namespace": namespace_of(claim),
                        "name": name_of(claim),
                        "uid": uid_of(claim),
                    },
                },
                "status": {"phase": "Bound"},
            },
            MANAGER,
        )
        bound = clone(claim)
        bound["spec"]["volumeName"] = name
        bound["status"] = {
            "phase": "Bound",
            "accessModes": sub(claim, "spec").get("accessModes", []),
            "capacity": {"storage": size},
        }
        self.cluster.store.update(CLAIM, bound, MANAGER)
        message = f"Successfully provisioned volume {name}"
        self.cluster.event(claim, "ProvisioningSucceeded", message, component="persistentvolume-controller")

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
            if (ref.get("namespace"), ref.get("name")) == key:
                self.cluster.store.remove(VOLUME, "", name_of(volume))
