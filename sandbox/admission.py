"""Admission: LimitRange fills in and bounds what a pod asks for, ResourceQuota counts it.

Pure over the store: `admit` may fill `obj` and raises ApiError 403 in the words of the upstream plug-ins. Writers call it
for every create, and for updates that ask for more.
"""

from collections.abc import Iterable
from typing import cast

from sandbox import quantity
from sandbox.cluster import Cluster
from sandbox.errors import ApiError, qualified
from sandbox.objects import Obj, name_of, namespace_of, rows, sub, text
from sandbox.resources import CLAIM, LIMIT_RANGE, POD, QUOTA, RESOURCES, Resource

_GONE = ("Succeeded", "Failed")
_COMPUTE = {
    "cpu": ("requests", "cpu"),
    "memory": ("requests", "memory"),
    "requests.cpu": ("requests", "cpu"),
    "requests.memory": ("requests", "memory"),
    "limits.cpu": ("limits", "cpu"),
    "limits.memory": ("limits", "memory"),
}
_COUNTED = {
    "pods": "pods",
    "services": "services",
    "configmaps": "configmaps",
    "secrets": "secrets",
    "persistentvolumeclaims": "persistentvolumeclaims",
    "resourcequotas": "resourcequotas",
}


def admit(cluster: Cluster, resource: Resource, obj: Obj, old: Obj | None = None) -> None:
    """Fill in the defaults of LimitRanges and count against quotas. Raises ApiError 403."""
    if not resource.namespaced:
        return
    if resource is POD and old is None:
        for limits in cluster.store.list(LIMIT_RANGE, namespace_of(obj)):
            _limit(limits, obj)
    for quota in cluster.store.list(QUOTA, namespace_of(obj)):
        _count(cluster, quota, resource, obj, old)


def _limit(limits: Obj, pod: Obj) -> None:
    for row in rows(limits, "spec", "limits"):
        if row.get("type") != "Container":
            continue
        for container in rows(pod, "spec", "containers") + rows(pod, "spec", "initContainers"):
            resources = cast(Obj, container.setdefault("resources", {}))
            for part, field in (("limits", "default"), ("requests", "defaultRequest")):
                for what, amount in sub(row, field).items():
                    cast(Obj, resources.setdefault(part, {})).setdefault(what, amount)
            _bounded(row, resources, name_of(pod) or f"{text(pod, 'metadata', 'generateName')}")


def _bounded(row: Obj, resources: Obj, name: str) -> None:
    said: list[str] = []
    for what, most in sub(row, "max").items():
        asked = sub(resources, "limits").get(what)
        if asked is None:
            said.append(f"maximum {what} usage per Container is {most}.  No limit is specified")
        elif quantity.value(asked) > quantity.value(most):
            said.append(f"maximum {what} usage per Container is {most}, but limit is {asked}")
    for what, least in sub(row, "min").items():
        asked = sub(resources, "requests").get(what)
        if asked is None:
            said.append(f"minimum {what} usage per Container is {least}.  No request is specified")
        elif quantity.value(asked) < quantity.value(least):
            said.append(f"minimum {what} usage per Container is {least}, but request is {asked}")
    if said:
        why = said[0] if len(said) == 1 else f"[{', '.join(said)}]"
        raise ApiError(403, f'pods "{name}" is forbidden: {why}', details={"name": name, "kind": "pods"})


def _count(cluster: Cluster, quota: Obj, resource: Resource, obj: Obj, old: Obj | None) -> None:
    hard = sub(quota, "spec", "hard")
    more = {
        key: grown
        for key in hard
        if (grown := _amount(key, resource, obj) - (_amount(key, resource, old) if old is not None else 0)) > 0
    }
    kind, name = qualified(resource), name_of(obj) or text(obj, "metadata", "generateName")
    details: Obj = {"name": name, "kind": resource.plural}
    if resource is POD and old is None and (missing := _unspecified(hard, obj)):
        said = "; ".join(f"{what} for: {','.join(names)}" for what, names in missing.items())
        raise ApiError(
            403, f'{kind} "{name}" is forbidden: failed quota: {name_of(quota)}: must specify {said}', details=details
        )
    have = {key: used(cluster, quota, key) for key in more}
    over = sorted(key for key in more if have[key] + more[key] > quantity.value(hard[key]))
    if over:
        asked, taken = (",".join(f"{key}={written(key, row[key])}" for key in over) for row in (more, have))
        limited = ",".join(f"{key}={hard[key]}" for key in over)
        why = f"exceeded quota: {name_of(quota)}, requested: {asked}, used: {taken}, limited: {limited}"
        raise ApiError(403, f'{kind} "{name}" is forbidden: {why}', details=details)


def _unspecified(hard: Obj, pod: Obj) -> dict[str, list[str]]:
    missing: dict[str, list[str]] = {}
    for key in sorted(hard):
        if key not in _COMPUTE:
            continue
        part, what = _COMPUTE[key]
        for container in rows(pod, "spec", "containers"):
            if what not in sub(container, "resources", part):
                missing.setdefault(key, []).append(text(container, "name"))
    return missing


def used(cluster: Cluster, quota: Obj, key: str) -> float:
    """How much of one key of a quota its namespace uses now."""
    return sum(
        _amount(key, resource, obj) for resource in _kinds(key) for obj in cluster.store.list(resource, namespace_of(quota))
    )


def _kinds(key: str) -> Iterable[Resource]:
    if key in _COMPUTE:
        return (POD,)
    if key == "requests.storage":
        return (CLAIM,)
    return (resource for resource in RESOURCES if resource.namespaced and _counts(key, resource))


def _counts(key: str, resource: Resource) -> bool:
    return (_COUNTED.get(key, "") == resource.plural and not resource.group) or key == f"count/{qualified(resource)}"


def _amount(key: str, resource: Resource, obj: Obj) -> float:
    """What one object takes of a quota's key. A pod that has ended takes nothing."""
    if resource is POD and text(obj, "status", "phase") in _GONE:
        return 0.0
    if key in _COMPUTE and resource is POD:
        part, what = _COMPUTE[key]
        total = sum(quantity.value(sub(c, "resources", part).get(what)) for c in rows(obj, "spec", "containers"))
        inits = (quantity.value(sub(c, "resources", part).get(what)) for c in rows(obj, "spec", "initContainers"))
        return max(total, *inits, 0.0)
    if key == "requests.storage" and resource is CLAIM:
        return quantity.value(sub(obj, "spec", "resources", "requests").get("storage"))
    return 1.0 if _counts(key, resource) else 0.0


def written(key: str, amount: float) -> str:
    """An amount as quota messages and `kubectl describe quota` print it: 250m, 3, 512Mi."""
    if key.endswith("cpu"):
        return f"{amount:g}" if amount == int(amount) else f"{round(amount * 1000)}m"
    if key.endswith(("memory", "storage")):
        for unit, size in (("Gi", 2**30), ("Mi", 2**20), ("Ki", 2**10)):
            if amount >= size and amount % size == 0:
                return f"{amount / size:g}{unit}"
    return f"{amount:.0f}"
