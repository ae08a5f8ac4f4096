"""Recent changes that the objects themselves tell: revisions of a Deployment, and what was last applied against what is there.

Who and when come from managedFields (manager, operation, time), as far as the API server kept them.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, cast

import orjson

from knowledge.diagnosis.fields import Obj, rows, strings, sub, text, time_at
from knowledge.diagnosis.view import ClusterView, Key
from protocol.diagnosis import Change

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
REVISION = "deployment.kubernetes.io/revision"
WINDOW = timedelta(days=7)

_CONTROLLERS = ("kube-controller-manager", "kubelet", "kube-scheduler", "cluster-autoscaler", "argo-rollouts")


def changes_of(view: ClusterView, key: Key, known: Sequence[Change] = ()) -> list[Change]:
    """Changes of one object that can be read from the view, and those of it that are `known` already; newest first."""
    found = [change for change in (*view.changes, *known) if str(change.object) == str(key)]
    seen = {(change.path, change.after) for change in found}
    derived: Iterable[Change] = ()
    if key.kind == "Deployment":
        derived = _revision_changes(view, key)
    elif key.kind == "ConfigMap":
        derived = _configmap_changes(view, key)
    found.extend(change for change in derived if (change.path, change.after) not in seen)
    return sorted(found, key=lambda change: change.at.timestamp() if change.at else 0.0, reverse=True)


def revisions(view: ClusterView, deployment: Key) -> list[tuple[int, Key, Obj]]:
    """(revision, ReplicaSet, object), newest first."""
    found: list[tuple[int, Key, Obj]] = []
    for key in view.owned(deployment, "ReplicaSet"):
        obj = view.get(key) or {}
        number = strings(obj, "metadata", "annotations").get(REVISION, "")
        if number.isdigit():
            found.append((int(number), key, obj))
    return sorted(found, key=lambda row: row[0], reverse=True)


def editor(obj: Obj, *, ignore: Iterable[str] = _CONTROLLERS) -> tuple[str | None, datetime | None]:
    """Who changed the object's own fields last, and when, by managedFields; controllers and status writers do not count."""
    best: tuple[datetime, str] | None = None
    for row in rows(obj, "metadata", "managedFields"):
        manager, at = text(row, "manager"), time_at(row, "time")
        if not manager or at is None or manager in tuple(ignore) or text(row, "subresource") == "status":
            continue
        if best is None or at > best[0]:
            best = (at, manager)
    return (best[1], best[0]) if best else (None, None)


def last_applied(obj: Obj) -> Obj:
    """The manifest of the last `kubectl apply`, or {}."""
    annotation = strings(obj, "metadata", "annotations").get(LAST_APPLIED, "")
    try:
        value: Any = orjson.loads(annotation) if annotation else {}
    except orjson.JSONDecodeError:
        return {}
    return cast(Obj, value) if isinstance(value, dict) else {}


def template_difference(before: Obj, after: Obj) -> Iterator[tuple[str, str | None, str | None]]:
    """(path, before, after) for each leaf of a pod spec that differs; containers, env and volumes are matched by name."""
    yield from _difference("spec.template.spec", before, after)


def _revision_changes(view: ClusterView, key: Key) -> Iterator[Change]:
    found = revisions(view, key)
    by, edited = editor(view.get(key) or {})
    for (_, new_key, new), (_, _, old) in pairwise(found):
        at = time_at(new, "metadata", "creationTimestamp")
        if new_key == found[0][1]:
            # A roll-back re-uses an old ReplicaSet, so its creation time is not when it became current.
            at = max((time for time in (at, edited) if time is not None), default=None) if by else at
        if at is None or view.now - at > WINDOW:
            continue
        who = by if new_key == found[0][1] else None
        for path, before, after in template_difference(
            sub(old, "spec", "template", "spec"), sub(new, "spec", "template", "spec")
        ):
            yield Change(object=key.ref(), path=path, before=before, after=after, at=at, by=who, source="revision")


def _configmap_changes(view: ClusterView, key: Key) -> Iterator[Change]:
    obj = view.get(key) or {}
    by, at = editor(obj)
    applied = last_applied(obj)
    if not applied:
        return
    before, after = strings(applied, "data"), strings(obj, "data")
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield Change(
                object=key.ref(),
                path=f"data.{name}",
                before=before.get(name),
                after=after.get(name),
                at=at,
                by=by,
                source="last-applied",
            )


def _difference(path: str, before: Any, after: Any) -> Iterator[tuple[str, str | None, str | None]]:
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        left, right = cast(dict[str, Any], before), cast(dict[str, Any], after)
        for name in sorted(left.keys() | right.keys()):
            yield from _difference(f"{path}.{name}", left.get(name), right.get(name))
    elif _named(before) and _named(after):
        left_rows = {row["name"]: row for row in cast(list[dict[str, Any]], before or [])}
        right_rows = {row["name"]: row for row in cast(list[dict[str, Any]], after or [])}
        for name in [*left_rows, *(n for n in right_rows if n not in left_rows)]:
            yield from _difference(f"{path}[{name}]", left_rows.get(name), right_rows.get(name))
    elif _object_or_none(before) and _object_or_none(after) and (before or after):
        left, right = cast(dict[str, Any], before or {}), cast(dict[str, Any], after or {})
        for name in sorted((left.keys() | right.keys()) - {"name"}) or ["name"]:
            yield from _difference(f"{path}.{name}", left.get(name), right.get(name))
    else:
        yield path, _leaf(before), _leaf(after)


def _named(value: Any) -> bool:
    if value is None:
        return True
    if not isinstance(value, list):
        return False
    return all(isinstance(row, dict) and isinstance(cast(Obj, row).get("name"), str) for row in cast(list[Any], value))


def _object_or_none(value: Any) -> bool:
    return value is None or isinstance(value, dict)


def _leaf(value: Any) -> str | None:
    if value is None:
        return None
    return value if isinstance(value, str) else orjson.dumps(value).decode()
