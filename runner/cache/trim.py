"""What the cache keeps of an object: what rules, plans and changes read, and no more. Pure; it may reuse its input."""

import sys
from typing import Any, cast

Obj = dict[str, Any]

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_MAX_DATA_VALUE = 65_536
"""Longer values of a ConfigMap are cut: they are files, and rules look for addresses and numbers."""
_ACCOUNT_MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


def trim(obj: Obj, kind: str, api_version: str) -> Obj:
    """The object with its kind and apiVersion (list items carry none), trimmed in place."""
    metadata = cast(Obj, obj.get("metadata") or {})
    _trim_metadata(metadata, kind)
    special = _BY_KIND.get(kind)
    if special is not None:
        special(obj)
    obj["metadata"] = metadata
    obj["kind"] = kind
    obj["apiVersion"] = api_version
    return obj


def _trim_metadata(metadata: Obj, kind: str) -> None:
    """managedFields become manager, operation and time: who wrote and when, without what."""
    managed = metadata.get("managedFields")
    if isinstance(managed, list):
        metadata["managedFields"] = [
            {
                "manager": sys.intern(str(row.get("manager", ""))),
                "operation": sys.intern(str(row.get("operation", ""))),
                "time": row.get("time"),
                **({"subresource": "status"} if row.get("subresource") or _writes_status(row) else {}),
            }
            for row in cast(list[Obj], managed)
        ]
    annotations = metadata.get("annotations")
    if isinstance(annotations, dict) and kind != "ConfigMap":
        cast(Obj, annotations).pop(LAST_APPLIED, None)
    for key in ("selfLink", "generateName"):
        metadata.pop(key, None)


def _writes_status(row: Obj) -> bool:
    """Servers before 1.22 do not name the subresource; whoever wrote only status and annotations is a controller."""
    fields = row.get("fieldsV1")
    return isinstance(fields, dict) and "f:status" in fields and "f:spec" not in fields and "f:data" not in fields


def _trim_pod(pod: Obj) -> None:
    spec = cast(Obj, pod.get("spec") or {})
    volumes = spec.get("volumes")
    if isinstance(volumes, list):
        spec["volumes"] = [
            row
            for row in cast(list[Obj], volumes)
            if "projected" not in row or not str(row.get("name")).startswith("kube-api-access")
        ]
    for part in ("containers", "initContainers"):
        for container in cast(list[Obj], spec.get(part) or []):
            mounts = container.get("volumeMounts")
            if isinstance(mounts, list):
                container["volumeMounts"] = [row for row in cast(list[Obj], mounts) if row.get("mountPath") != _ACCOUNT_MOUNT]
            for key in ("terminationMessagePath", "terminationMessagePolicy"):
                container.pop(key, None)
    for key in ("schedulerName", "dnsPolicy", "enableServiceLinks", "preemptionPolicy"):
        spec.pop(key, None)
    status = cast(Obj, pod.get("status") or {})
    for key in ("podIPs", "hostIPs"):
        status.pop(key, None)


def _trim_config_map(obj: Obj) -> None:
    data = obj.get("data")
    if isinstance(data, dict):
        values = cast(dict[str, Any], data)
        for key, value in values.items():
            if isinstance(value, str) and len(value) > _MAX_DATA_VALUE:
                values[key] = value[:_MAX_DATA_VALUE]
    binary = obj.get("binaryData")
    if isinstance(binary, dict):
        obj["binaryData"] = dict.fromkeys(cast(dict[str, Any], binary), "")


def _trim_node(obj: Obj) -> None:
    status = cast(Obj, obj.get("status") or {})
    for key in ("images", "volumesInUse", "volumesAttached"):
        status.pop(key, None)


def _trim_event(obj: Obj) -> None:
    metadata = cast(Obj, obj.get("metadata") or {})
    for key in ("managedFields", "labels", "annotations"):
        metadata.pop(key, None)


_BY_KIND = {
    "Pod": _trim_pod,
    "ConfigMap": _trim_config_map,
    "Node": _trim_node,
    "Event": _trim_event,
}
