"""The cluster on wall time: one task that lives through what is due, and wakes when something changes."""

import asyncio
import contextlib
import logging
import time

from sandbox.cluster import Cluster
from sandbox.store import Change

_LONGEST_NAP = 5.0


class Live:
    """Owns the task. `moment` brings the clock up to now; `changed` lets watches wait for news."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._wake = asyncio.Event()
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        cluster.store.listeners.append(self._heard)

    def start(self) -> None:
        self._task = asyncio.create_task(self._live(), name="practice-cluster")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def moment(self) -> None:
        """Bring the cluster up to the wall clock, before a request is answered."""
        self.cluster.run_until(time.time())

    async def changed(self, timeout: float) -> None:
        """Wait until the store changes, at most `timeout` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._news.wait()

    def _heard(self, _change: Change) -> None:
        self._wake.set()
        self._news.set()
        self._news = asyncio.Event()

    async def _live(self) -> None:
        while True:
            self._wake.clear()
            try:
                self.moment()
            except Exception:
                # one controller's mistake must not stop the cluster's time
                logging.exception("the practice cluster stumbled and goes on")
            due = self.cluster.clock.next_due()
            nap = _LONGEST_NAP if due is None else min(max(due - time.time(), 0.001), _LONGEST_NAP)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(nap):
                    await self._wake.wait()
