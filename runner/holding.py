"""Is this process its cluster's active runner? By the Lease where there can be one; where not, it says so and what it means."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from socket import gethostname
from typing import Any

import structlog

from protocol.ids import new_id
from protocol.text import one_line
from runner.clocks import elapsed
from runner.config import RunnerConfig
from runner.kube.client import KubeClient
from runner.lease import Lease, LeaseUnavailable

log = structlog.get_logger("runner.lease")

_AGAIN_S = 2.0
_ALONE = "a second runner with this identity is kept out by the control plane only"


@dataclass(slots=True)
class Holding:
    """`lease` is None where none is used; `why_none` then says why."""

    lease: Lease | None
    why_none: str = ""
    refused: bool = False
    """There should be one, and the account may not use it."""
    patience_s: float = 30
    """A right that isn't there may be on its way: manifests are applied one by one."""

    @classmethod
    def of(cls, config: RunnerConfig, client: KubeClient, now: Callable[[], datetime]) -> "Holding":
        """By configuration; `acquire` finds out whether the account may."""
        if config.lease == "off":
            return cls(None, f"the configuration uses no Lease: {_ALONE}")
        if not config.lease_namespace and not client.access.in_cluster:
            return cls(None, f"a runner outside of its cluster uses no Lease: {_ALONE}")
        namespace = config.lease_namespace or client.access.namespace
        holder = f"{one_line(gethostname(), 63)}_{new_id()}"
        lease = Lease(
            client, namespace=namespace, name=config.lease_name, holder=holder, now=now, duration_s=config.lease_duration_s
        )
        return cls(lease, patience_s=config.lease_duration_s)

    async def acquire(self) -> bool:
        """Wait for our turn; at once where no Lease is used. Never False."""
        give_up_at = elapsed() + self.patience_s
        while self.lease is not None:
            try:
                await self.lease.acquire()
            except LeaseUnavailable as reason:
                log.warning("no_lease_yet", why=str(reason))
                if elapsed() >= give_up_at and not reason.for_now:
                    self.lease, self.refused, self.why_none = None, True, f"{reason}: {_ALONE}"
                else:
                    await asyncio.sleep(_AGAIN_S)
            else:
                return True
        log.warning("no_lease", why=self.why_none)
        return True

    async def until_lost(self, replaced: Callable[[], Awaitable[bool]]) -> None:
        """Return when another runner is the active one; never where no Lease is used."""
        if self.lease is not None:
            await self.lease.keep(replaced)
        else:
            await _for_ever()

    async def release(self) -> None:
        if self.lease is not None:
            await self.lease.release()

    def left(self) -> float:
        """Seconds for which nobody else can be the active one."""
        return float("inf") if self.lease is None else self.lease.left()

    @property
    def told(self) -> str:
        """For people."""
        if self.lease is None:
            return self.why_none
        place = self.lease.place
        if place == "waiting":
            return f"standby: {one_line(self.lease.other, 100) or 'nobody'} holds the Lease {self.lease.where}"
        return f"{place}, by the Lease {self.lease.where}"

    def state(self) -> dict[str, Any]:
        """What /health/ready shows while we wait. Ready: a roll-out goes on with a pod that stands by."""
        return {"ready": True, "place": "standby", "lease": self.told}


async def _for_ever() -> None:
    await asyncio.Event().wait()
