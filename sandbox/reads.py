"""Reading: get, list with selectors and pages, and the three ways of showing it (objects, Table, metadata)."""

import base64
import binascii
from collections.abc import Callable

import orjson

from sandbox import selectors
from sandbox.cluster import Cluster
from sandbox.errors import ApiError, bad_request, expired
from sandbox.objects import Obj, labels_of, name_of, namespace_of, sub
from sandbox.requests import Call
from sandbox.resources import Resource
from sandbox.tables import table

TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You must start "
    "a new list without the continue parameter."
)


def listed(cluster: Cluster, resource: Resource, namespace: str, call: Call) -> Obj:
    """A list as the request wants it. Raises ApiError 400 or 410."""
    wanted = matcher(resource, call)
    items = [obj for obj in cluster.store.list(resource, namespace) if wanted(obj)]
    meta: Obj = {"resourceVersion": str(cluster.store.version)}
    items, meta = _page(cluster, items, meta, call)
    return shown_list(cluster, resource, items, meta, call)


def matcher(resource: Resource, call: Call) -> Callable[[Obj], bool]:
    """The request's label and field selectors as one test."""
    by_label = selectors.labels(call.query.get("labelSelector", ""))
    by_field = selectors.fields(call.query.get("fieldSelector", ""), resource)
    return lambda obj: by_label(labels_of(obj)) and by_field(obj)


def _page(cluster: Cluster, items: list[Obj], meta: Obj, call: Call) -> tuple[list[Obj], Obj]:
    try:
        limit = int(call.query.get("limit") or 0)
    except ValueError as error:
        raise bad_request(f'strconv.ParseInt: parsing "{call.query["limit"]}": invalid syntax') from error
    token = call.query.get("continue", "")
    if token:
        version, after = _read_token(token)
        if version < cluster.store.oldest_version():
            raise ApiError(410, TOO_OLD, reason="Expired")
        meta["resourceVersion"] = str(version)
        items = [obj for obj in items if (namespace_of(obj), name_of(obj)) > after]
    if limit and len(items) > limit:
        rest = len(items) - limit
        items = items[:limit]
        last = [namespace_of(items[-1]), name_of(items[-1])]
        raw = orjson.dumps({"v": int(meta["resourceVersion"]), "after": last})
        meta["continue"] = base64.urlsafe_b64encode(raw).decode().rstrip("=")
        if not call.query.get("labelSelector") and not call.query.get("fieldSelector"):
            meta["remainingItemCount"] = rest
    return items, meta


def _read_token(token: str) -> tuple[int, tuple[str, str]]:
    try:
        raw = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return int(raw["v"]), (str(raw["after"][0]), str(raw["after"][1]))
    except (binascii.Error, orjson.JSONDecodeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise bad_request("continue key is not valid: invalid continue token") from error


def shape(call: Call) -> str:
    """How the client wants to see objects: 'Table', 'PartialObjectMetadata' or ''."""
    for offer in call.headers.get("accept", "").split(","):
        offer = offer.strip()
        for name in ("Table", "PartialObjectMetadataList", "PartialObjectMetadata"):
            if f"as={name};" in offer + ";":
                return name.removesuffix("List") if name != "Table" else name
        if offer.startswith(("application/json", "*/*")):
            return ""
    return ""


def shown_list(cluster: Cluster, resource: Resource, items: list[Obj], meta: Obj, call: Call) -> Obj:
    how = shape(call)
    if how == "Table":
        return table(resource, items, meta, cluster.clock.now, call.query.get("includeObject", "Metadata"))
    if how:
        return {
            "kind": "PartialObjectMetadataList",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": meta,
            "items": [_metadata_only(item) for item in items],
        }
    plain = [{k: v for k, v in item.items() if k not in ("kind", "apiVersion")} for item in items]
    return {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": meta, "items": plain}


def shown(cluster: Cluster, resource: Resource, obj: Obj, call: Call) -> Obj:
    """One object as the request wants it."""
    how = shape(call)
    if how == "Table":
        meta = {"resourceVersion": str(sub(obj, "metadata").get("resourceVersion", ""))}
        return table(resource, [obj], meta, cluster.clock.now, call.query.get("includeObject", "Metadata"))
    return _metadata_only(obj) if how else obj


def _metadata_only(obj: Obj) -> Obj:
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": sub(obj, "metadata"),
    }


def start_version(cluster: Cluster, call: Call) -> int | None:
    """Where a watch starts: a resource version, or None for "now, with all objects first".

    Raises ApiError 400, 410 or 422.
    """
    if call.flag("sendInitialEvents"):
        raise ApiError(
            422,
            'ListOptions.meta.k8s.io "" is invalid: sendInitialEvents: Forbidden: '
            "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled",
            reason="Invalid",
        )
    asked = call.query.get("resourceVersion", "")
    if asked in ("", "0"):
        return None
    try:
        version = int(asked)
    except ValueError as error:
        raise bad_request(f'Invalid value: "{asked}": strconv.ParseUint: parsing "{asked}": invalid syntax') from error
    if version < cluster.store.oldest_version():
        raise expired(f"too old resource version: {version} ({cluster.store.oldest_version()})")
    return version
