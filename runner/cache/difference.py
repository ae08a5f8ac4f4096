"""What changed between two versions of an object: leaves of its spec or data, with who and when. Pure."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, cast

import orjson

from knowledge.diagnosis.fields import rows
from protocol.diagnosis import Change
from protocol.objects import ObjectRef
from protocol.redaction import MARK, holds_secret
from runner.commands.render import parse_time

Obj = dict[str, Any]

ROOTS: dict[str, tuple[str, ...]] = {
    "Deployment": ("spec",),
    "StatefulSet": ("spec",),
    "DaemonSet": ("spec",),
    "CronJob": ("spec",),
    "ConfigMap": ("data", "binaryData"),
    "Service": ("spec",),
    "Ingress": ("spec",),
    "HorizontalPodAutoscaler": ("spec",),
    "PodDisruptionBudget": ("spec",),
    "NetworkPolicy": ("spec",),
    "ResourceQuota": ("spec",),
    "LimitRange": ("spec",),
    "PersistentVolumeClaim": ("spec",),
    "Node": ("spec",),
}
"""Kinds whose differences are Changes, and the parts that count. Status is what the cluster says, not what somebody changed."""

MAX_CHANGES = 50
MAX_VALUE = 500
_KEYS = ("name", "containerPort", "port", "mountPath", "host", "path", "key", "type")


def changes_between(old: Obj, new: Obj, seen_at: datetime) -> list[Change]:
    """The differences, at most 50. [] when nothing that counts has changed."""
    kind = new.get("kind", "")
    roots = ROOTS.get(kind)
    if roots is None:
        return []
    by, at = author(old, new)
    about = ref_of(new)
    found: list[Change] = []
    for root in roots:
        for path, before, after in _walk(root, old.get(root), new.get(root)):
            before_text, after_text = value_text(path, before), value_text(path, after)
            found.append(Change(object=about, path=path[:500], before=before_text, after=after_text, at=at or seen_at, by=by))
            if len(found) >= MAX_CHANGES:
                return found
    return found


def appeared(obj: Obj, seen_at: datetime, *, gone: bool = False) -> list[Change]:
    """A kind that counts was created or deleted: path `metadata.name`."""
    if obj.get("kind", "") not in ROOTS:
        return []
    name = obj["metadata"]["name"]
    by, _ = author({}, obj)
    if gone:
        return [Change(object=ref_of(obj), path="metadata.name", before=name, after=None, at=seen_at)]
    created = parse_time(obj["metadata"].get("creationTimestamp"))
    return [Change(object=ref_of(obj), path="metadata.name", before=None, after=name, at=created or seen_at, by=by)]


def author(old: Obj, new: Obj) -> tuple[str | None, datetime | None]:
    """The manager that wrote last, by the entries of managedFields that are new or newer; (None, None) when unknown."""
    before = {(row.get("manager"), row.get("operation")): row.get("time") for row in _managed(old)}
    fresh = [
        row
        for row in _managed(new)
        if not row.get("subresource") and before.get((row.get("manager"), row.get("operation"))) != row.get("time")
    ]
    newest = max(fresh, key=lambda row: str(row.get("time") or ""), default=None)
    if newest is None:
        return None, None
    return str(newest.get("manager") or "") or None, parse_time(newest.get("time"))


def ref_of(obj: Obj) -> ObjectRef:
    metadata = obj["metadata"]
    return ObjectRef(kind=obj["kind"], namespace=metadata.get("namespace") or "", name=metadata["name"])


def value_text(path: str, value: Any) -> str | None:
    """A leaf as text; None for an absent one; hidden when its name says that it is a secret."""
    if value is None:
        return None
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    if holds_secret(f"{_leaf_name(path)}: {text}"):
        return MARK
    return text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 1] + "…"


def _leaf_name(path: str) -> str:
    """The name that a value goes by; for `…env[DB_PASSWORD].value` it is in the bracket."""
    if path.endswith("].value"):
        return path.removesuffix("].value").rpartition("[")[2]
    return path.rpartition(".")[2]


def _managed(obj: Obj) -> list[Obj]:
    return cast(list[Obj], rows(obj, "metadata", "managedFields"))


def _walk(path: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    """Differing leaves. Elements of lists are matched by their name, port, path, …; a subtree that appears is one change."""
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        old_map, new_map = cast(Obj, old), cast(Obj, new)
        for key in dict.fromkeys([*old_map, *new_map]):
            yield from _walk(f"{path}.{key}", old_map.get(key), new_map.get(key))
        return
    if isinstance(old, list) and isinstance(new, list):
        old_rows, new_rows = _named(cast(list[Any], old)), _named(cast(list[Any], new))
        if old_rows is not None and new_rows is not None:
            for key in dict.fromkeys([*old_rows, *new_rows]):
                yield from _walk(f"{path}[{key}]", old_rows.get(key), new_rows.get(key))
            return
    yield path, old, new


def _named(table: list[Any]) -> dict[str, Any] | None:
    """Elements by what names them; None when they are plain values or their names repeat."""
    for key in _KEYS:
        if all(isinstance(row, dict) and key in row for row in table):
            named = {str(cast(Obj, row)[key]): row for row in table}
            return named if len(named) == len(table) else None
    return None if table else {}
