"""The patch types of the API: JSON patch, merge patch, strategic merge patch.

Strategic merge knows from a table which lists are merged by which key, as the API types declare it.
"""

from typing import Any, cast

import jsonpatch

from sandbox.errors import ApiError, bad_request
from sandbox.objects import Obj, clone

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

_MERGE_KEYS: dict[str, str] = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "env": "name",
    "imagePullSecrets": "name",
    "secrets": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "hostAliases": "ip",
    "podIPs": "ip",
    "topologySpreadConstraints": "topologyKey",
    "ownerReferences": "uid",
    "conditions": "type",
    "addresses": "type",
}
_MERGED_PRIMITIVES = frozenset({"finalizers"})


def merge_key(field: str, parent: str) -> str:
    """The key by which the list in `field` merges; '' for a list that is replaced whole."""
    if field == "ports":
        return "port" if parent == "service" else "containerPort"
    return _MERGE_KEYS.get(field, "")


def patched(obj: Obj, patch: Any, content_type: str) -> Obj:
    """A patched copy of `obj`. Raises ApiError 400, 415 or 422 when the patch can't be used."""
    if content_type == JSON_PATCH:
        return _json_patch(obj, patch)
    if not isinstance(patch, dict):
        raise bad_request("error decoding patch: the patch must be a JSON object")
    if content_type == MERGE_PATCH:
        return merged(clone(obj), cast(Obj, patch))
    if content_type == STRATEGIC_PATCH:
        root = "service" if obj.get("kind") == "Service" else ""
        return strategic(clone(obj), cast(Obj, patch), root)
    raise ApiError(
        415,
        "the body of the request was in an unknown format - accepted media types include: "
        f"{JSON_PATCH}, {MERGE_PATCH}, {STRATEGIC_PATCH}, {APPLY_PATCH}",
    )


def _json_patch(obj: Obj, patch: Any) -> Obj:
    if not isinstance(patch, list):
        raise bad_request("error decoding patch: json: cannot unmarshal object into []jsonpatch.Operation")
    try:
        return cast(Obj, jsonpatch.apply_patch(clone(obj), cast(list[dict[str, Any]], patch)))
    except jsonpatch.InvalidJsonPatch as error:
        raise bad_request(f"error decoding patch: {error}") from error
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
        raise ApiError(422, f"the server rejected our request due to an error in our request: {error}") from error


def merged(target: Any, patch: Obj) -> Obj:
    """RFC 7386: null removes, objects merge, everything else replaces."""
    result: Obj = cast(Obj, target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = merged(result.get(key), cast(Obj, value))
        else:
            result[key] = value
    return result


def strategic(target: Obj, patch: Obj, parent: str = "") -> Obj:
    """Kubernetes' strategic merge, with its directives ($patch, $retainKeys, $setElementOrder ...)."""
    directive = patch.get("$patch")
    if directive == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    if directive == "delete":
        return {}
    for key, value in patch.items():
        if key.startswith("$"):
            continue
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            here = target.get(key)
            base = cast(Obj, here) if isinstance(here, dict) else {}
            target[key] = strategic(base, cast(Obj, value), parent or key)
        elif isinstance(value, list):
            target[key] = _merged_list(target.get(key), cast(list[Any], value), key, parent)
        else:
            target[key] = value
    _directives(target, patch, parent)
    return target


def _merged_list(here: Any, wanted: list[Any], field: str, parent: str) -> list[Any]:
    existing = cast(list[Any], here) if isinstance(here, list) else []
    if field in _MERGED_PRIMITIVES:
        return existing + [item for item in wanted if item not in existing]
    key = merge_key(field, parent)
    if not key or any(not isinstance(item, dict) for item in wanted):
        return wanted
    result = [cast(Obj, item) for item in existing]
    for item in cast(list[Obj], wanted):
        if item.get("$patch") == "replace":
            return [row for row in cast(list[Obj], wanted) if "$patch" not in row]
        at = next((i for i, row in enumerate(result) if row.get(key) == item.get(key)), None)
        if item.get("$patch") == "delete":
            if at is not None:
                del result[at]
        elif at is None:
            result.append(strategic({}, item, parent))
        else:
            result[at] = strategic(result[at], item, parent)
    return result


def _directives(target: Obj, patch: Obj, parent: str) -> None:
    for key, value in patch.items():
        verb, _, field = key.partition("/")
        if verb == "$deleteFromPrimitiveList" and isinstance(target.get(field), list):
            drop = cast(list[Any], value)
            target[field] = [item for item in cast(list[Any], target[field]) if item not in drop]
        elif verb == "$setElementOrder" and isinstance(target.get(field), list):
            target[field] = _ordered(cast(list[Any], target[field]), value, merge_key(field, parent))
        elif verb == "$retainKeys":
            keep = set(cast(list[str], value))
            for extra in [name for name in target if name not in keep]:
                del target[extra]


def _ordered(items: list[Any], order: Any, key: str) -> list[Any]:
    wanted = [cast(Obj, row).get(key) if key and isinstance(row, dict) else row for row in cast(list[Any], order)]

    def place(item: Any) -> int:
        mark = cast(Obj, item).get(key) if key and isinstance(item, dict) else item
        return wanted.index(mark) if mark in wanted else len(wanted)

    return sorted(items, key=place)
