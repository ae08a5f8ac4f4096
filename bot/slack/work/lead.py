"""One replica at a time works for Slack: it holds a lease, and stops what it runs before another can have it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress

import structlog
from sqlalchemy.exc import SQLAlchemyError

from control_plane.errors import ServiceError
from control_plane.leases import Lease, Leases

log = structlog.get_logger(__name__)

_FAILURES = (SQLAlchemyError, OSError, TimeoutError, ServiceError)
_MOST_PAUSE_S = 30.0


class Term:
    """One holding of the lease."""

    def __init__(self, lease: Lease, until: float) -> None:
        self.lease = lease
        self._until = until

    @property
    def sure(self) -> bool:
        """Can nobody else have it yet? Asked before each call that shows something, by this machine's own clock."""
        return asyncio.get_running_loop().time() < self._until

    def renewed(self, until: float) -> None:
        self._until = until

    @property
    def left_s(self) -> float:
        return self._until - asyncio.get_running_loop().time()


Work = Callable[[Term], AbstractAsyncContextManager[None]]
"""Entered when the lease is had: starts its tasks. Left before it may be another's: ends them."""


class Lead:
    """`run` until it is cancelled; then the lease is given back, so that another takes over at once."""

    def __init__(self, take: Callable[[], Awaitable[Lease | None]], leases: Leases, ttl_s: float, work: Work) -> None:
        """`take` gives the lease for `ttl_s`, or None when another has it."""
        self._take = take
        self._leases = leases
        self._work = work
        self._ttl = ttl_s
        self._margin = min(2.0, self._ttl / 5)
        """So long before its end the work is stopped: what is on its way gets there."""
        self.leads = False

    async def run(self) -> None:
        while True:
            with suppress(*_FAILURES):
                began = asyncio.get_running_loop().time()
                lease = await self._take()
                if lease is not None:
                    await self._serve(Term(lease, began + self._ttl - self._margin))
                    continue
            await asyncio.sleep(self._ttl / 5)

    async def _serve(self, term: Term) -> None:
        self.leads = True
        log.info("slack.leads", fence=term.lease.fence)
        try:
            async with self._work(term):
                await self._hold(term)
        finally:
            self.leads = False
            log.info("slack.leads_no_more", fence=term.lease.fence)
            with suppress(*_FAILURES):
                async with asyncio.timeout(self._ttl):
                    await self._leases.release(term.lease)

    async def _hold(self, term: Term) -> None:
        """Comes back when the lease is lost, or may be."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(self._ttl / 3, max(term.left_s, 0)))
            began = loop.time()
            try:
                async with asyncio.timeout(max(term.left_s, 0)):
                    if not await self._leases.renew(term.lease, self._ttl):
                        return
                term.renewed(began + self._ttl - self._margin)
            except _FAILURES as error:
                log.warning("slack.lease", why=str(error)[:300])
                if not term.sure:
                    return
                await asyncio.sleep(min(0.5, self._ttl / 10))


async def forever(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """A part that must not end: what it raises is told, and it begins again."""
    pause = 0.5
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        try:
            await run()
        except Exception:  # one part's fault must not end the others, nor itself for good
            log.exception("slack.part_failed", part=name)
        pause = 0.5 if loop.time() - began > 2 * _MOST_PAUSE_S else min(pause * 2, _MOST_PAUSE_S)
        await asyncio.sleep(pause)
