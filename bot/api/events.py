"""Kubernetes Events in the Agent Manager's shape, read from a cluster at the moment of asking.

There is no table of events here: what a cluster itself still keeps (an hour by default) is what can be found, and every
call reads one cluster. Severity follows the reason: critical ones are those that the Agent Manager names.
"""

import base64
import binascii
from datetime import datetime
from typing import Annotated, Any, cast

import orjson
from fastapi import APIRouter, Path, Query
from pydantic import Field

from bot.api.access import Caller, Me, Plane
from bot.api.commands import kubectl_call, run_read
from bot.api.paging import Cursor, Limit, listing, page_after
from bot.api.views import View
from control_plane.errors import Forbidden, Invalid, NotFound, Unavailable
from control_plane.services import ControlPlane
from protocol.base import Strict, Utc
from protocol.commands import CommandStatus, Kubectl
from protocol.kubectl import WriteCall
from protocol.objects import valid_name, valid_namespace

router = APIRouter(prefix="/api/v1/events", tags=["events"])

CRITICAL = frozenset(
    {
        "CrashLoopBackOff",
        "OOMKilling",
        "FailedScheduling",
        "NodeNotReady",
        "VolumeBindingFailed",
        "ImagePullBackOff",
        "DeadlineExceeded",
    }
)
HIGH = frozenset({"Failed", "FailedMount", "FailedAttachVolume", "BackOff", "Evicted"})
Severity = Annotated[str | None, Query(pattern="^(critical|high|medium|low)$")]
READ_S = 20.0


class EventSearch(Strict):
    cluster_id: str = Field(max_length=200)
    severity: str | None = Field(default=None, pattern="^(critical|high|medium|low)$")
    namespace: str | None = Field(default=None, max_length=63)
    start_time: Utc | None = None
    end_time: Utc | None = None
    limit: int = Field(default=100, ge=1, le=200)


@router.get("")
async def list_events(
    me: Me,
    plane: Plane,
    cluster_id: Annotated[str, Query(max_length=200, description="Id or name; one cluster a call")],
    severity: Severity = None,
    namespace: Annotated[str | None, Query(max_length=63)] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """Newest first, read from the cluster at the moment of asking: what it still keeps, an hour by default."""
    found = await _events(plane, me, cluster_id, namespace)
    chosen = [e for e in found if severity is None or e["severity"] == severity]
    page, following = page_after(chosen, cursor, limit)
    return listing("events", page, following)


@router.post("/search")
async def search_events(body: EventSearch, me: Me, plane: Plane) -> dict[str, Any]:
    found = await _events(plane, me, body.cluster_id, body.namespace)
    chosen = [
        e
        for e in found
        if (body.severity is None or e["severity"] == body.severity) and _between(e, body.start_time, body.end_time)
    ]
    return listing("events", chosen[: body.limit])


@router.get("/{event}")
async def get_event(event: Annotated[str, Path(max_length=800)], me: Me, plane: Plane) -> View:
    cluster, namespace, name = _decode(event)
    try:
        words = ["get", "events", name, "-n", namespace, "-o", "json", "--ignore-not-found"]
        for found in await _read(plane, me, cluster, words):
            return found
    except Forbidden:
        pass  # where one may not look there is nothing
    raise NotFound("The cluster does not keep that event any more.")


async def _events(plane: ControlPlane, me: Caller, cluster: str, namespace: str | None) -> list[View]:
    if namespace is not None and not valid_namespace(namespace):
        raise Invalid(f"{namespace!r} is not a namespace.")
    where = ["-n", namespace] if namespace else ["-A"]
    found = await _read(plane, me, cluster, ["get", "events", *where, "-o", "json"])
    return sorted(found, key=lambda e: str(e["timestamp"] or ""), reverse=True)


async def _read(plane: ControlPlane, me: Caller, cluster: str, words: list[str]) -> list[View]:
    cluster_id = (await plane.fleet.get(cluster, me.principal)).id
    call = kubectl_call(words)
    if isinstance(call, WriteCall):
        raise Invalid("Events are only read.")
    result = await run_read(plane, me, cluster_id, Kubectl(call=call), timeout_s=READ_S)
    if result.status is CommandStatus.NOT_FOUND or (result.good and not result.text.strip()):
        return []
    if result.status is CommandStatus.DENIED:
        raise Forbidden(result.error)
    if not result.good:
        raise Unavailable(result.error or f"The cluster's events could not be read: {result.status}.")
    return event_views(cluster_id, result.text)


def event_views(cluster: str, text: str) -> list[View]:
    """The JSON of `kubectl get events -o json`, one or a List. Raises Unavailable when it was cut or is none."""
    try:
        document = cast(dict[str, Any], orjson.loads(text))
    except orjson.JSONDecodeError:
        raise Unavailable("The cluster has too many events for one answer. Name a namespace.") from None
    items = cast(list[dict[str, Any]], document.get("items", [document] if document.get("metadata") else []))
    return [_event_view(cluster, item) for item in items]


def _event_view(cluster: str, item: dict[str, Any]) -> View:
    meta = cast(dict[str, Any], item.get("metadata") or {})
    about = cast(dict[str, Any], item.get("involvedObject") or item.get("regarding") or {})
    source = cast(dict[str, Any], item.get("source") or {})
    namespace = str(meta.get("namespace") or "default")
    reason = str(item.get("reason") or "")
    return {
        "id": _encode(cluster, namespace, str(meta.get("name") or "")),
        "cluster_id": cluster,
        "type": str(item.get("type") or "Normal"),
        "severity": severity_of(reason, str(item.get("type") or "Normal")),
        "reason": reason,
        "message": str(item.get("message") or item.get("note") or ""),
        "namespace": namespace,
        "object": f"{about.get('kind', '')}/{about.get('namespace', '')}/{about.get('name', '')}",
        "labels": {"name": str(about.get("name") or ""), "kind": str(about.get("kind") or "")},
        "count": int(item.get("count") or 1),
        "source": str(source.get("component") or item.get("reportingComponent") or ""),
        "first_seen": item.get("firstTimestamp") or item.get("eventTime"),
        "timestamp": item.get("lastTimestamp") or item.get("eventTime") or meta.get("creationTimestamp"),
    }


def severity_of(reason: str, kind: str) -> str:
    if reason in CRITICAL:
        return "critical"
    if kind != "Warning":
        return "low"
    return "high" if reason in HIGH else "medium"


def _between(event: View, start: datetime | None, end: datetime | None) -> bool:
    try:
        at = datetime.fromisoformat(str(event["timestamp"]))
    except ValueError:
        return start is None and end is None
    return (start is None or at >= start) and (end is None or at <= end)


def _encode(cluster: str, namespace: str, name: str) -> str:
    return base64.urlsafe_b64encode(f"{cluster}/{namespace}/{name}".encode()).decode().rstrip("=")


def _decode(event: str) -> tuple[str, str, str]:
    try:
        parts = base64.urlsafe_b64decode(event + "=" * (-len(event) % 4)).decode().split("/")
    except (binascii.Error, ValueError):
        raise NotFound("There is no such event.") from None
    if len(parts) != 3 or not valid_namespace(parts[1]) or not valid_name(parts[2]):
        raise NotFound("There is no such event.")
    return parts[0], parts[1], parts[2]
