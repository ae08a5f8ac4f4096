"""One active runner a cluster, by a coordination.k8s.io/v1 Lease in the runner's own namespace.

Whoever holds it renews it every 10 s; another pod takes it when it has seen no renewal for 30 s by its own clock of passed
time, so that no wall clock matters. Every write to it names the version that was read: of two that try, one gets it.

A holder is sure of it for 30 s from the moment it began its last renewal, and before each write to the cluster it asks
`left`: a process that was stopped in between wakes up without it. When the API server can't be reached the holder is unsure,
not replaced: it goes on reading and writes nothing, until it can renew or is told that another one is active.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Literal

import structlog

from knowledge.diagnosis.fields import sub
from runner.clocks import elapsed
from runner.kube.client import KubeClient
from runner.kube.errors import KubeError
from runner.kube.resources import BUILT_IN
from runner.remediation.diff import guarded

log = structlog.get_logger("runner.lease")

_CALL_S = 5.0
_NO_RIGHT = frozenset({401, 403, 404})

Obj = dict[str, Any]
Place = Literal["waiting", "active", "unsure"]


class LeaseUnavailable(Exception):
    """There can be no Lease here. The message says why, for people."""

    def __init__(self, message: str, *, for_now: bool = False) -> None:
        super().__init__(message)
        self.for_now = for_now
        """The account itself was refused (401): that ends or nothing works, and is no reason to go on without a Lease."""


class Lease:
    """`acquire`, then `keep` until it returns; `release` at the end. Not shared between tasks but for `left` and `place`."""

    def __init__(
        self,
        client: KubeClient,
        *,
        namespace: str,
        name: str,
        holder: str,
        now: Callable[[], datetime],
        duration_s: int = 30,
        passed: Callable[[], float] = elapsed,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        resource = BUILT_IN["Lease"]
        self._client = client
        self._path = resource.path(namespace, name)
        self._list = resource.path(namespace)
        self._name = name
        self._holder = holder
        self._now = now
        self._duration_s = duration_s
        self._renew_s = duration_s / 3
        self._retry_s = duration_s / 15
        self._passed = passed
        self._pause = pause
        self._sure_until = float("-inf")
        self._seen: tuple[str, float] = ("", 0)
        self._held: Obj = {}
        self.where = f"{namespace}/{name}"
        self.other = ""
        """Who holds it instead, while we wait."""

    def left(self) -> float:
        """Seconds for which nobody else can hold it; 0 or less when that is not sure any more."""
        return self._sure_until - self._passed()

    @property
    def place(self) -> Place:
        if not self._held:
            return "waiting"
        return "active" if self.left() > 0 else "unsure"

    async def acquire(self) -> None:
        """Wait until it is ours. Raises LeaseUnavailable when the account may not, or when there is no such namespace."""
        while not await self._try():
            await self._pause(self._retry_s)
        log.info("active", lease=self.where, holder=self._holder)

    async def keep(self, replaced: Callable[[], Awaitable[bool]]) -> None:
        """Renew it until another one has it, then return. `replaced` is asked while the API server can't be: does the control
        plane say that another one is active?"""
        while True:
            await self._pause(self._renew_s if self.left() > self._renew_s else self._retry_s)
            if not await self.renew():
                break
            if self.left() <= 0 and await replaced():
                log.warning("replaced", lease=self.where)
                break
        self._held, self._sure_until = {}, float("-inf")
        log.warning("lease_lost", lease=self.where, to=self.other)

    async def release(self) -> None:
        """Let the next one have it at once. Best effort: it runs out by itself."""
        held, self._held, self._sure_until = self._held, {}, float("-inf")
        if held:
            try:
                await self._write(held, {**self._spec(held), "holderIdentity": "", "leaseDurationSeconds": 1})
            except KubeError as error:
                log.info("lease_not_released", lease=self.where, error=error.message)

    async def _try(self) -> bool:
        began = self._passed()
        try:
            found = await self._read()
            if found is not None and self._somebody_elses(found):
                return False
            self._held = await self._taken(found)
        except KubeError as error:
            if error.status in _NO_RIGHT:
                words = f"the Lease {self.where} can't be used: {error.message}"
                raise LeaseUnavailable(words, for_now=error.status == 401) from error
            # 409: another one was faster. Anything else may be over in a moment.
            log.info("lease_not_taken", lease=self.where, error=error.message)
            return False
        self._sure_until = began + self._duration_s
        self.other = ""
        return True

    async def renew(self) -> bool:
        """False when another one has it, or it is gone. An API server that doesn't answer leaves it open."""
        began = self._passed()
        try:
            self._held = await self._write(self._held, self._spec(self._held))
        except KubeError as error:
            log.info("lease_not_renewed", lease=self.where, error=error.message, left_s=round(self.left(), 1))
            return error.status not in (404, 409) or await self._still_ours()
        self._sure_until = began + self._duration_s
        return True

    async def _still_ours(self) -> bool:
        """Somebody wrote to it or deleted it. It is ours if we are still its holder; the next renewal goes on from there."""
        try:
            found = await self._read()
        except KubeError:
            return True
        if found is None or sub(found, "spec").get("holderIdentity") != self._holder:
            self.other = str(sub(found or {}, "spec").get("holderIdentity") or "")
            return False
        self._held = found
        return True

    def _somebody_elses(self, found: Obj) -> bool:
        """Held, and renewed within its own duration of our first sight of that renewal."""
        spec, version = sub(found, "spec"), str(found["metadata"]["resourceVersion"])
        if version != self._seen[0]:
            self._seen = (version, self._passed())
        self.other = str(spec.get("holderIdentity") or "")
        duration = float(spec.get("leaseDurationSeconds") or self._duration_s)
        return self.other not in ("", self._holder) and self._passed() - self._seen[1] < duration

    async def _read(self) -> Obj | None:
        try:
            return await self._client.get(self._path, timeout=_CALL_S)
        except KubeError as error:
            if error.status == 404:
                return None
            raise

    async def _taken(self, found: Obj | None) -> Obj:
        moment = _micro(self._now())
        spec: Obj = {
            "holderIdentity": self._holder,
            "leaseDurationSeconds": self._duration_s,
            "acquireTime": moment,
            "renewTime": moment,
            "leaseTransitions": int(sub(found or {}, "spec").get("leaseTransitions") or 0) + (found is not None),
        }
        if found is not None:
            return await self._write(found, spec)
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._name},
            "spec": spec,
        }
        return await self._client.post(self._list, body, timeout=_CALL_S)

    async def _write(self, held: Obj, spec: Obj) -> Obj:
        operations = guarded([{"op": "add", "path": "/spec", "value": spec}], held)
        return await self._client.patch(self._path, operations, "json", timeout=_CALL_S)

    def _spec(self, held: Obj) -> Obj:
        return {**sub(held, "spec"), "renewTime": _micro(self._now())}


def _micro(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
