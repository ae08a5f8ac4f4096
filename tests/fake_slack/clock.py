"""The fake's one door to time: a clock that stands still until the test moves it, and the machine's own for benchmarks."""

import asyncio
import heapq
import time
from typing import Protocol


class Clock(Protocol):
    """What the fake asks of time. Everything that expires, retries or is limited a minute goes by it."""

    def now(self) -> float:
        """Seconds since 1970."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return when so many seconds have gone by on this clock."""
        ...


class RealClock:
    """The machine's time."""

    def now(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class StillClock:
    """Stands still until `advance`; wakes sleepers in the order of their times."""

    def __init__(self, start: float | None = None) -> None:
        # Signed requests must be young for a verifier that looks at the machine's time.
        self._now = time.time() if start is None else start
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def now(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self._now + seconds, self._count, woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Let so many seconds go by. What wakes up on the way runs before the next one wakes, and may sleep again.

        An app's answer over the network takes real time: where one is expected on the way, move the clock in steps and wait for
        it between them.
        """
        end = self._now + seconds
        while True:
            await self._let_others_run()
            while self._sleepers and self._sleepers[0][2].done():
                heapq.heappop(self._sleepers)
            if not self._sleepers or self._sleepers[0][0] > end:
                break
            at, _, woken = heapq.heappop(self._sleepers)
            self._now = max(self._now, at)
            woken.set_result(None)
        self._now = max(self._now, end)
        await self._let_others_run()

    async def _let_others_run(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)
