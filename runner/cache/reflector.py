"""One kind, kept in step with the API server: list by pages, then watch from there, for ever.

A watch ends every two minutes by agreement with the server and resumes from its last resourceVersion (bookmarks move it
on quiet kinds); 410 or a lost place means a new list; silence longer than agreed means a dead connection. A kind that
may not be read, or that the server does not have, is a limit that is said, not an error.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast

import orjson
import structlog

from knowledge.diagnosis.fields import rows, sub
from runner.cache.trim import trim
from runner.kube.client import KubeClient
from runner.kube.discovery import Discovery
from runner.kube.errors import KubeError

log = structlog.get_logger("runner.cache")

Obj = dict[str, Any]
Key = tuple[str, str]
"""Namespace ("" for cluster-scoped kinds) and name."""
Kind = Literal["added", "modified", "deleted"]
OnChange = Callable[[Kind, Obj | None, Obj], None]
"""(what, old, new); for deleted `new` is the last state."""

PAGE = 500
WATCH_S = 120
SILENCE_S = WATCH_S + 15.0
FORBIDDEN_AGAIN_S = 300.0
ABSENT_AGAIN_S = 600.0
_BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 30.0)
_JITTER = random.SystemRandom()

State = Literal["cold", "warm", "stale", "forbidden", "absent"]


@dataclass(slots=True)
class Health:
    """How good a kind's copy is. `note` says why it is not."""

    state: State = "cold"
    note: str = ""


class _Expired(Exception):
    """The place in the stream is lost: list again."""


class Reflector:
    """Keeps `objects` of one kind, in one namespace or all. `run` ends only by cancellation."""

    def __init__(
        self,
        client: KubeClient,
        discovery: Discovery,
        kind: str,
        namespace: str,
        on_change: OnChange,
        *,
        silence_s: float = SILENCE_S,
    ) -> None:
        self._client = client
        self._discovery = discovery
        self.kind = kind
        self.namespace = namespace
        self._on_change = on_change
        self._silence_s = silence_s
        """So long without a byte, and a watch is taken for dead."""
        self.objects: dict[Key, Obj] = {}
        self.health = Health()
        self.settled = asyncio.Event()
        """Listed once, or known to be out of reach."""
        self._version = ""
        self.relists = 0

    async def run(self) -> None:
        failures = expired = 0
        while True:
            try:
                path, api_version = await self._place()
                if not self._version:
                    await self._list(path, api_version)
                self.health = Health("warm")
                self.settled.set()
                await self._watch(path, api_version)
                failures = expired = 0
            except _Expired:
                self._version = ""
                # Once is usual after a pause. A server that forgets every place at once must not be listed without end.
                await asyncio.sleep(_wait(expired - 1) if expired else 0)
                expired += 1
            except KubeError as error:
                wait = self._after(error, failures)
                failures += 1
                await asyncio.sleep(wait)

    async def _place(self) -> tuple[str, str]:
        resource = await self._discovery.of_kind(self.kind)
        if resource is None:
            raise KubeError(404, "NotFound", f"the API server does not serve {self.kind}")
        return resource.path(self.namespace), resource.api_version

    async def _list(self, path: str, api_version: str) -> None:
        """All pages, then one swap, so that readers never see half a list."""
        fresh: dict[Key, Obj] = {}
        params: dict[str, str | int | bool] = {"limit": PAGE}
        version = ""
        while True:
            page = await self._client.get(path, params, timeout=60)
            metadata = sub(page, "metadata")
            for item in rows(page, "items"):
                kept = trim(cast(Obj, item), self.kind, api_version)
                fresh[key_of(kept)] = kept
            version = version or str(metadata.get("resourceVersion") or "")
            token = metadata.get("continue")
            if not token:
                break
            params["continue"] = str(token)
        self.relists += 1
        self._version = version
        self._swap(fresh)

    def _swap(self, fresh: dict[Key, Obj]) -> None:
        old, self.objects = self.objects, fresh
        if self.relists <= 1:
            return
        for key, obj in fresh.items():
            before = old.get(key)
            if before is None:
                self._on_change("added", None, obj)
            elif _version(before) != _version(obj):
                self._on_change("modified", before, obj)
        for key, obj in old.items():
            if key not in fresh:
                self._on_change("deleted", obj, obj)

    async def _watch(self, path: str, api_version: str) -> None:
        """Until the server ends it as agreed. Raises KubeError or _Expired."""
        params = {"watch": True, "allowWatchBookmarks": True, "timeoutSeconds": WATCH_S, "resourceVersion": self._version}
        try:
            async with self._client.lines(path, params, read_timeout=self._silence_s) as lines:
                async for line in lines:
                    self._take(orjson.loads(line), api_version)
        except KubeError as error:
            if error.status == 410:
                raise _Expired from None
            raise
        except orjson.JSONDecodeError:
            raise KubeError(0, "BadAnswer", f"the watch of {path} sent what is not JSON") from None

    def _take(self, event: Obj, api_version: str) -> None:
        what, raw = str(event.get("type")), cast(Obj, sub(event, "object"))
        if what == "ERROR":
            if raw.get("code") == 410:
                raise _Expired
            raise KubeError(
                int(raw.get("code") or 0), str(raw.get("reason") or "Unknown"), str(raw.get("message") or "watch error")
            )
        self._version = str(sub(raw, "metadata").get("resourceVersion") or self._version)
        if what == "BOOKMARK":
            return
        obj = trim(raw, self.kind, api_version)
        key = key_of(obj)
        if what == "DELETED":
            self.objects.pop(key, None)
            self._on_change("deleted", obj, obj)
            return
        before = self.objects.get(key)
        self.objects[key] = obj
        self._on_change("added" if before is None else "modified", before, obj)

    def _after(self, error: KubeError, failures: int) -> float:
        """Seconds to wait after an error; what it means for the copy is noted."""
        if error.status in (401, 403):
            self.health = Health("forbidden", f"{self.kind} cannot be read: {error.message}")
            self._version = ""
            self.objects = {}
            self.settled.set()
            return FORBIDDEN_AGAIN_S if error.status == 403 else 15.0
        if error.status == 404:
            self.health = Health("absent", f"the API server does not serve {self.kind}")
            self.settled.set()
            return ABSENT_AGAIN_S
        state: State = "stale" if self.objects else "cold"
        self.health = Health(state, f"{self.kind}: {error.message}")
        if failures >= 3:
            self.settled.set()
        wait = _wait(failures)
        log.info("watch_again", kind=self.kind, error=error.message, in_s=round(wait, 1))
        return wait


def _wait(failures: int) -> float:
    return _BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)] * (0.7 + 0.6 * _JITTER.random())


def key_of(obj: Obj) -> Key:
    metadata = cast(Obj, obj["metadata"])
    return str(metadata.get("namespace") or ""), str(metadata["name"])


def _version(obj: Obj) -> str:
    return str(sub(obj, "metadata").get("resourceVersion") or "")
