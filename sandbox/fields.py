"""managedFields: who wrote which field, and when (the fieldsV1 notation of the API server).

A path is a tuple of steps, "f:name" for a field and 'k:{"name":"app"}' for a row of a keyed list.
"""

from typing import Any, cast

import orjson

from sandbox.objects import Obj, clone, rows, sub

Path = tuple[str, ...]

_SYSTEM = frozenset(
    [
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "generateName",
        "generation",
        "managedFields",
        "name",
        "namespace",
        "resourceVersion",
        "selfLink",
        "uid",
    ]
)
_ROW_KEYS = ("name", "mountPath", "containerPort", "port", "type", "uid", "topologyKey", "ip")
LAST_APPLIED_MANAGER = "kubectl-client-side-apply"


def leaves(obj: Obj) -> dict[Path, Any]:
    """Every field that a manager can own, with its value."""
    found: dict[Path, Any] = {}
    for key, value in obj.items():
        if key in ("apiVersion", "kind"):
            continue
        if key == "metadata":
            value = {k: v for k, v in cast(Obj, value).items() if k not in _SYSTEM}
            if not value:
                continue
        _collect((f"f:{key}",), value, found)
    return found


def _collect(path: Path, value: Any, found: dict[Path, Any]) -> None:
    if isinstance(value, dict) and value:
        for key, inner in cast(Obj, value).items():
            _collect((*path, f"f:{key}"), inner, found)
        return
    if isinstance(value, list):
        items = cast(list[Any], value)
        keyed = [row_key(item) for item in items]
        if items and all(keyed) and len(set(keyed)) == len(keyed):
            for step, item in zip(keyed, items, strict=True):
                found[(*path, step, ".")] = None
                _collect((*path, step), item, found)
            return
    found[path] = value


def row_key(item: Any) -> str:
    """'k:{"name":"app"}' for a row of a keyed list, '' for anything else."""
    if isinstance(item, dict):
        row = cast(Obj, item)
        for key in _ROW_KEYS:
            if key in row and isinstance(row[key], str | int):
                return "k:" + orjson.dumps({key: row[key]}).decode()
    return ""


def nested(paths: set[Path]) -> Obj:
    tree: Obj = {}
    for path in sorted(paths):
        here = tree
        for step in path:
            here = cast(Obj, here.setdefault(step, {}))
    return tree


def flat(tree: Obj) -> set[Path]:
    found: set[Path] = set()

    def walk(path: Path, node: Obj) -> None:
        if not node:
            found.add(path)
        for step, inner in node.items():
            walk((*path, step), cast(Obj, inner))

    for step, inner in tree.items():
        walk((step,), cast(Obj, inner))
    return found


def owners(obj: Obj) -> list[tuple[Obj, set[Path]]]:
    return [(entry, flat(sub(entry, "fieldsV1"))) for entry in rows(obj, "metadata", "managedFields")]


def tracked(old: Obj | None, new: Obj, manager: str, stamp: str, subresource: str = "") -> Obj:
    """`new` with managedFields that say what `manager` changed by an update; others lose those fields."""
    if subresource == "status":
        return _with_entry(new, manager, "Update", stamp, {("f:status",)}, subresource)
    after = leaves(new)
    if old is None:
        return _with_entry(new, manager, "Update", stamp, set(after), subresource)
    before = leaves(old)
    touched = {path for path, value in after.items() if path not in before or before[path] != value}
    gone = before.keys() - after.keys()
    touched = {path for path in touched if path[0] != "f:status"}
    if not touched and not gone:
        return new
    return _with_entry(new, manager, "Update", stamp, touched, subresource, gone)


def applied(new: Obj, manager: str, stamp: str, owned: set[Path]) -> Obj:
    """`new` with `manager` as the applier of exactly the `owned` fields."""
    result = clone(new)
    entries = [
        entry
        for entry in rows(result, "metadata", "managedFields")
        if not (entry.get("manager") == manager and entry.get("operation") == "Apply")
    ]
    result["metadata"]["managedFields"] = entries
    return _with_entry(result, manager, "Apply", stamp, owned, "")


def conflicts(obj: Obj, manager: str, wanted: dict[Path, Any]) -> list[tuple[str, Path]]:
    """Fields that `manager` wants to set to another value and that somebody else owns."""
    now = leaves(obj)
    mine = {manager, LAST_APPLIED_MANAGER if manager == "kubectl" else manager}
    return [
        (str(entry.get("manager")), path)
        for entry, paths in owners(obj)
        if entry.get("manager") not in mine
        for path in sorted(paths)
        if path in wanted and path in now and now[path] != wanted[path] and path[-1] != "."
    ]


def _with_entry(
    obj: Obj,
    manager: str,
    operation: str,
    stamp: str,
    paths: set[Path],
    subresource: str,
    gone: set[Path] | frozenset[Path] = frozenset(),
) -> Obj:
    result = dict(obj)
    meta = result["metadata"] = dict(sub(obj, "metadata"))
    entries: list[Obj] = []
    mine: set[Path] = set(paths)
    for entry in rows(obj, "metadata", "managedFields"):
        same = (
            entry.get("manager") == manager
            and entry.get("operation") == operation
            and str(entry.get("subresource", "")) == subresource
        )
        if subresource:
            if not same:
                entries.append(entry)
            continue
        held = flat(sub(entry, "fieldsV1"))
        if same:
            mine |= held - gone
            continue
        kept = held - gone if operation == "Apply" else held - gone - paths
        if kept:
            entries.append(entry if kept == held else {**entry, "fieldsV1": nested(kept)})
    row: Obj = {
        "manager": manager,
        "operation": operation,
        "apiVersion": obj.get("apiVersion", "v1"),
        "time": stamp,
        "fieldsType": "FieldsV1",
        "fieldsV1": nested(mine),
    }
    if subresource:
        row["subresource"] = subresource
    meta["managedFields"] = [*entries, row]
    return result


def dotted(path: Path) -> str:
    """A path as conflict messages print it: .spec.containers[name="app"].image"""
    said = ""
    for step in path:
        if step.startswith("f:"):
            said += f".{step[2:]}"
        elif step.startswith("k:"):
            key, value = next(iter(cast(Obj, orjson.loads(step[2:])).items()))
            said += f"[{key}={orjson.dumps(value).decode()}]"
    return said
