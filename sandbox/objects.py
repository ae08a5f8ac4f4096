"""Typed access to Kubernetes objects, which are plain JSON dictionaries.

An object in the store is never changed in place: `clone` it, change the copy, write it back.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import orjson

Obj = dict[str, Any]
"""One JSON object as the API speaks it."""


def clone(obj: Obj) -> Obj:
    """A deep copy; several times faster than copy.deepcopy on JSON."""
    return orjson.loads(orjson.dumps(obj))


def at(obj: Mapping[str, Any], *path: str) -> Any:
    """The value at `path`, or None when any step is absent or is no object."""
    here: Any = obj
    try:
        for step in path:
            here = here[step]
    except (KeyError, TypeError):
        return None
    return here


def sub(obj: Mapping[str, Any], *path: str) -> Obj:
    """The object at `path`, or an empty one."""
    # `__class__ is` and not isinstance, here and below: history is played through these functions at each start
    here = at(obj, *path)
    return here if here.__class__ is dict else {}


def rows(obj: Mapping[str, Any], *path: str) -> list[Obj]:
    """The list of objects at `path`, or an empty list."""
    here = at(obj, *path)
    return [row for row in here if row.__class__ is dict] if here.__class__ is list else []


def texts(obj: Mapping[str, Any], *path: str) -> list[str]:
    """The list of strings at `path`, or an empty list."""
    here = at(obj, *path)
    return [str(item) for item in here] if here.__class__ is list else []


def text(obj: Mapping[str, Any], *path: str) -> str:
    """The string at `path`, or ''."""
    here = at(obj, *path)
    return here if here.__class__ is str else ""


def number(obj: Mapping[str, Any], *path: str, default: int = 0) -> int:
    """The integer at `path`, or `default`."""
    here = at(obj, *path)
    return here if here.__class__ is int else default


def name_of(obj: Obj) -> str:
    return text(obj, "metadata", "name")


def namespace_of(obj: Obj) -> str:
    return text(obj, "metadata", "namespace")


def uid_of(obj: Obj) -> str:
    return text(obj, "metadata", "uid")


def labels_of(obj: Obj) -> dict[str, str]:
    return cast(dict[str, str], sub(obj, "metadata", "labels"))


def annotations_of(obj: Obj) -> dict[str, str]:
    return cast(dict[str, str], sub(obj, "metadata", "annotations"))


def being_deleted(obj: Obj) -> bool:
    return "deletionTimestamp" in sub(obj, "metadata")


def controller_of(obj: Obj) -> Obj:
    """The owner reference of the managing controller, or an empty object."""
    for ref in rows(obj, "metadata", "ownerReferences"):
        if ref.get("controller"):
            return ref
    return {}


def owned_by(obj: Obj, owner: Obj) -> bool:
    return controller_of(obj).get("uid") == uid_of(owner)


def owner_reference(owner: Obj) -> Obj:
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": name_of(owner),
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def is_ready(pod: Obj) -> bool:
    return condition(pod, "Ready").get("status") == "True"


def condition(obj: Obj, kind: str) -> Obj:
    """The status condition of that type, or an empty object."""
    for row in rows(obj, "status", "conditions"):
        if row.get("type") == kind:
            return row
    return {}


def first(items: Iterable[Obj], test: Callable[[Obj], bool] = bool) -> Obj:
    """The first object that passes the test, or an empty one."""
    for item in items:
        if test(item):
            return item
    return {}
