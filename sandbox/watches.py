"""Watches: what changed since a resource version, then what changes, with bookmarks, until time is over."""

import time
from collections.abc import AsyncIterator, Callable

import orjson

from sandbox import reads
from sandbox.api import Watch
from sandbox.cluster import Cluster
from sandbox.errors import ApiError, expired
from sandbox.live import Live
from sandbox.objects import Obj, name_of, namespace_of
from sandbox.requests import Call
from sandbox.store import Change

_BOOKMARK_EVERY = 60.0
_DEFAULT_TIMEOUT = 1800.0


def events(cluster: Cluster, live: Live, wanted: Watch, call: Call) -> AsyncIterator[bytes]:
    """The stream of watch events. What is wrong with the request is raised before the stream begins."""
    matches = reads.matcher(wanted.resource, call)
    try:
        start = reads.start_version(cluster, call)
    except ApiError as error:
        if error.code != 410:
            raise
        return _gone(error)
    return _events(cluster, live, wanted, call, matches, start)


async def _gone(error: ApiError) -> AsyncIterator[bytes]:
    yield _line("ERROR", error.status())


async def _events(
    cluster: Cluster, live: Live, wanted: Watch, call: Call, matches: Callable[[Obj], bool], start: int | None
) -> AsyncIterator[bytes]:
    def applies(obj: Obj) -> bool:
        return (
            (not wanted.namespace or namespace_of(obj) == wanted.namespace)
            and (not wanted.name or name_of(obj) == wanted.name)
            and matches(obj)
        )

    def shown(kind: str, obj: Obj) -> bytes:
        return _line(kind, reads.shown(cluster, wanted.resource, obj, call))

    deadline = time.monotonic() + float(call.query.get("timeoutSeconds") or _DEFAULT_TIMEOUT)
    bookmarks = call.flag("allowWatchBookmarks")
    next_bookmark = time.monotonic() + _BOOKMARK_EVERY
    version = cluster.store.version if start is None else start
    if start is None:
        for obj in cluster.store.list(wanted.resource, wanted.namespace):
            if applies(obj):
                yield shown("ADDED", obj)
    while (left := deadline - time.monotonic()) > 0:
        if version < cluster.store.oldest_version():
            gone = expired(f"too old resource version: {version} ({cluster.store.oldest_version()})")
            yield _line("ERROR", gone.status())
            return
        news = [c for c in _since(cluster, version) if c.resource is wanted.resource]
        version = cluster.store.version
        for change in news:
            kind = _seen_as(change, applies)
            if kind:
                yield shown(kind, change.obj)
        if bookmarks and time.monotonic() > next_bookmark:
            next_bookmark += _BOOKMARK_EVERY
            yield _bookmark(wanted, version)
        if cluster.store.version == version:
            await live.changed(min(left, 1.0))
    if bookmarks:
        yield _bookmark(wanted, version)


def _since(cluster: Cluster, version: int) -> list[Change]:
    news: list[Change] = []
    for change in reversed(cluster.store.log):
        if change.version <= version:
            break
        news.append(change)
    news.reverse()
    return news


def _seen_as(change: Change, applies: Callable[[Obj], bool]) -> str:
    """ADDED, MODIFIED or DELETED from the point of view of the watch's selectors; '' if not at all."""
    if change.type == "DELETED":
        return "DELETED" if applies(change.obj) else ""
    after = applies(change.obj)
    before = change.old is not None and applies(change.old)
    if after:
        return "MODIFIED" if before else "ADDED"
    return "DELETED" if before else ""


def _bookmark(wanted: Watch, version: int) -> bytes:
    meta = {"resourceVersion": str(version), "creationTimestamp": None}
    return _line(
        "BOOKMARK",
        {"kind": wanted.resource.kind, "apiVersion": wanted.resource.api_version, "metadata": meta},
    )


def _line(kind: str, obj: Obj) -> bytes:
    return orjson.dumps({"type": kind, "object": obj}) + b"\n"
