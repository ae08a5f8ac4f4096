"""Does somebody's manifest set a field that a plan changes? Read from managedFields (server-side apply and update) or from
kubectl's last-applied annotation. Pure.

What a manifest leaves out, its tool does not take back: replicas that an autoscaler sets are the usual case.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import orjson

from knowledge.diagnosis.fields import rows, sub
from runner.cache.trim import LAST_APPLIED
from runner.remediation.git_patch import MERGE_KEYS, identity
from runner.remediation.types import Obj

OF_KUBERNETES = frozenset(
    {
        "kube-controller-manager",
        "kube-scheduler",
        "kubelet",
        "deployment-controller",
        "replicaset-controller",
        "node-controller",
    }
)
"""Managers that are part of every cluster: they act for an object (an autoscaler's scaling, say), not for a manifest."""
_PARTS = ("spec", "data", "binaryData")


def sets_what_changes(before: Obj, after: Obj, managers: Sequence[str]) -> bool | None:
    """True if one of `managers` set a field that differs between the two; None when the object does not tell.

    A field that somebody else wrote last does not tell: whoever changes it becomes its only manager, until the next apply.
    """
    writers = writers_of_what_changes(before, after)
    if any(name in managers for name in writers):
        return True
    known = any(row.get("manager") in managers and row.get("fieldsV1") for row in rows(before, "metadata", "managedFields"))
    if known:
        return False if OF_KUBERNETES.issuperset(writers) else None
    return _last_applied_says(before, after)


def writers_of_what_changes(before: Obj, after: Obj) -> tuple[str, ...]:
    """Managers whose last write set a field that differs, in order of their names."""
    found = {
        str(row.get("manager") or "")
        for row in rows(before, "metadata", "managedFields")
        for part in _PARTS
        if row.get("subresource") != "status" and _in_fields(sub(row, "fieldsV1").get(f"f:{part}"), before, after, part)
    }
    return tuple(sorted(found - {""}))


def applied_with_kubectl(obj: Obj) -> bool:
    return LAST_APPLIED in sub(obj, "metadata", "annotations")


def _last_applied_says(before: Obj, after: Obj) -> bool | None:
    raw = sub(before, "metadata", "annotations").get(LAST_APPLIED)
    if not isinstance(raw, str):
        return None
    try:
        applied: Any = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(applied, dict):
        return None
    manifest = cast(Obj, applied)
    return any(_in_manifest(manifest.get(part), before.get(part), after.get(part), part) for part in _PARTS)


def _in_fields(fields: Any, before: Obj, after: Obj, part: str) -> bool:
    return _owned(fields, before.get(part), after.get(part))


def _owned(fields: Any, before: Any, after: Any) -> bool:
    """`fields` is the part of a fieldsV1 tree for this value: absent means not owned, {} means owned whole."""
    if before == after or not isinstance(fields, dict):
        return False
    tree = cast(Obj, fields)
    below = {key: value for key, value in tree.items() if key != "."}
    if not below:
        return True
    if isinstance(before, dict) or isinstance(after, dict):
        old, new = _map(before), _map(after)
        return any(_owned(below.get(f"f:{key}"), old.get(key), new.get(key)) for key in {*old, *new})
    if isinstance(before, list) or isinstance(after, list):
        return any(_owned_row(key, value, before, after) for key, value in below.items())
    return True


def _owned_row(key: str, fields: Any, before: Any, after: Any) -> bool:
    """A key is `k:{"name":"app"}` for a row of a list by its keys, or `v:…` for an item of a set."""
    if not key.startswith("k:"):
        return True
    try:
        wanted: Any = orjson.loads(key[2:])
    except orjson.JSONDecodeError:
        return True
    return _owned(fields, _row(before, wanted), _row(after, wanted))


def _row(values: Any, wanted: Mapping[str, Any]) -> Any:
    for row in cast(list[Any], values) if isinstance(values, list) else []:
        if isinstance(row, dict) and all(_map(row).get(key, _default(key)) == value for key, value in wanted.items()):
            return cast(Obj, row)
    return None


def _default(key: str) -> str | None:
    return "TCP" if key == "protocol" else None


def _in_manifest(manifest: Any, before: Any, after: Any, name: str) -> bool:
    if manifest is None or before == after:
        return False
    if isinstance(manifest, dict):
        old, new, said = _map(before), _map(after), cast(Obj, manifest)
        return any(_in_manifest(value, old.get(key), new.get(key), key) for key, value in said.items())
    keys = MERGE_KEYS.get(name)
    if keys and isinstance(manifest, list):
        old, new = _by_identity(before, keys), _by_identity(after, keys)
        said_rows = _by_identity(manifest, keys)
        return any(_in_manifest(row, old.get(who), new.get(who), "") for who, row in said_rows.items())
    return True


def _by_identity(values: Any, keys: tuple[str, ...]) -> dict[tuple[str, ...], Obj]:
    found = cast(list[Any], values) if isinstance(values, list) else []
    return {identity(cast(Obj, row), keys): cast(Obj, row) for row in found if isinstance(row, dict)}


def _map(value: Any) -> Obj:
    return cast(Obj, value) if isinstance(value, dict) else {}
