"""Endpoints and EndpointSlices: which pods stand behind a Service, by selector and readiness."""

from collections.abc import Iterable

from sandbox.cluster import Cluster, Key
from sandbox.objects import (
    Obj,
    being_deleted,
    is_ready,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    rows,
    sub,
    text,
    uid_of,
)
from sandbox.resources import ENDPOINT_SLICE, ENDPOINTS, POD, SERVICE, Resource
from sandbox.store import Change

MANAGER = "kube-controller-manager"


class Endpoints:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def wake(self, change: Change) -> Iterable[Key]:
        if change.resource is SERVICE:
            yield namespace_of(change.obj), name_of(change.obj)
        elif change.resource is POD and _differs(change):
            labels = labels_of(change.obj).items()
            for service in self.cluster.store.list(SERVICE, namespace_of(change.obj)):
                selector = sub(service, "spec", "selector")
                if selector and selector.items() <= labels:
                    yield namespace_of(service), name_of(service)

    def reconcile(self, key: Key) -> None:
        service = self.cluster.store.get(SERVICE, *key)
        slice_name = f"{key[1]}-{_tag(key[1])}"
        if service is None:
            for resource, name in ((ENDPOINTS, key[1]), (ENDPOINT_SLICE, slice_name)):
                if self.cluster.store.get(resource, key[0], name) is not None:
                    self.cluster.store.remove(resource, key[0], name)
            return
        selector = sub(service, "spec", "selector")
        if not selector:
            return
        pods = [
            pod
            for pod in self.cluster.store.list(POD, key[0])
            if selector.items() <= labels_of(pod).items()
            and text(pod, "status", "podIP")
            and text(pod, "status", "phase") == "Running"
        ]
        living = [pod for pod in pods if not being_deleted(pod)]
        labels = dict(labels_of(service))
        meta = {"name": key[1], "namespace": key[0], "labels": labels or None}
        self._put(ENDPOINTS, meta, {"subsets": _subsets(service, living)})
        meta = {
            "name": slice_name,
            "generateName": f"{key[1]}-",
            "namespace": key[0],
            "labels": labels
            | {
                "kubernetes.io/service-name": key[1],
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            },
            "ownerReferences": [owner_reference(service)],
        }
        body = {
            "addressType": "IPv4",
            "endpoints": [_slice_row(pod) for pod in pods],
            "ports": [_port(row, pods) for row in rows(service, "spec", "ports")],
        }
        self._put(ENDPOINT_SLICE, meta, body)

    def _put(self, resource: Resource, meta: Obj, body: Obj) -> None:
        meta = {k: v for k, v in meta.items() if v is not None}
        obj: Obj = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta, **body}
        old = self.cluster.store.get(resource, meta["namespace"], meta["name"])
        if old is None:
            self.cluster.store.create(resource, obj, MANAGER)
        elif any(old.get(k) != v for k, v in body.items()):
            self.cluster.store.update(resource, {**old, **body}, MANAGER)


def _differs(change: Change) -> bool:
    if change.old is None or change.type == "DELETED":
        return True
    old, new = change.old, change.obj
    return (
        is_ready(old) != is_ready(new)
        or sub(old, "status").get("podIP") != sub(new, "status").get("podIP")
        or text(old, "status", "phase") != text(new, "status", "phase")
        or being_deleted(old) != being_deleted(new)
        or labels_of(old) != labels_of(new)
    )


def target_port(row: Obj, pods: list[Obj]) -> int:
    """The number of a service port's target, names looked up in the pods."""
    target = row.get("targetPort", row.get("port"))
    if isinstance(target, int):
        return target
    for pod in pods:
        for container in rows(pod, "spec", "containers"):
            for port in rows(container, "ports"):
                if port.get("name") == target:
                    return int(port["containerPort"])
    return 0


def _port(row: Obj, pods: list[Obj]) -> Obj:
    port: Obj = {"name": row.get("name", ""), "port": target_port(row, pods), "protocol": row.get("protocol", "TCP")}
    return port


def _reference(pod: Obj) -> Obj:
    return {"kind": "Pod", "namespace": namespace_of(pod), "name": name_of(pod), "uid": uid_of(pod)}


def _subsets(service: Obj, pods: list[Obj]) -> list[Obj]:
    def address(pod: Obj) -> Obj:
        return {
            "ip": text(pod, "status", "podIP"),
            "nodeName": text(pod, "spec", "nodeName"),
            "targetRef": _reference(pod),
        }

    if not pods:
        return []
    subset: Obj = {}
    if ready := [address(pod) for pod in pods if is_ready(pod)]:
        subset["addresses"] = ready
    if waiting := [address(pod) for pod in pods if not is_ready(pod)]:
        subset["notReadyAddresses"] = waiting
    ports = [_port(row, pods) for row in rows(service, "spec", "ports")]
    subset["ports"] = [{k: v for k, v in port.items() if v != ""} for port in ports]
    return [subset]


def _slice_row(pod: Obj) -> Obj:
    ready = is_ready(pod) and not being_deleted(pod)
    return {
        "addresses": [text(pod, "status", "podIP")],
        "conditions": {"ready": ready, "serving": is_ready(pod), "terminating": being_deleted(pod)},
        "nodeName": text(pod, "spec", "nodeName"),
        "targetRef": _reference(pod),
    }


def _tag(name: str) -> str:
    """The five letters at the end of a slice's name; the same for the same Service."""
    seed = sum((at + 1) * ord(char) for at, char in enumerate(name))
    alphabet = "bcdfghjklmnpqrstvwxz2456789"
    return "".join(alphabet[(seed * factor) % len(alphabet)] for factor in (3, 5, 7, 11, 13))
