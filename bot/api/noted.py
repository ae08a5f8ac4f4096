"""The rows of this process's live pages: made when a page opens, refreshed while it is, removed when it closes."""

import asyncio

import structlog
from sqlalchemy.exc import SQLAlchemyError

from control_plane.errors import ServiceError
from control_plane.limits import Limits

log = structlog.get_logger(__name__)

REFRESH_S = 30.0
FORGET_S = 2.0
_FAILURES = (SQLAlchemyError, OSError, ServiceError, RuntimeError)


class Noted:
    """What fails is only told: a row that is left over ages out, and one that is missing costs nobody a page."""

    def __init__(self, limits: Limits, *, most: int) -> None:
        self._limits = limits
        self._most = most
        self._refresher: asyncio.Task[None] | None = None
        self._forgetting: set[asyncio.Task[None]] = set()

    async def open(self, account: str) -> str:
        """The row's id. Raises TooMany when the account has its share of pages, on all replicas together."""
        noted = await self._limits.open_stream(account, most=self._most)
        if self._refresher is None:
            self._refresher = asyncio.create_task(self._refresh(), name="open streams")
        return noted

    def forget(self, noted: str) -> None:
        """In a task of its own: whoever closes a page cancels who serves it, and the row must go all the same."""
        task = asyncio.create_task(self._forget(noted), name="forget a stream")
        self._forgetting.add(task)
        task.add_done_callback(self._forgetting.discard)

    async def close(self) -> None:
        if self._refresher is not None:
            self._refresher.cancel()
            await asyncio.gather(self._refresher, return_exceptions=True)
            self._refresher = None
        if self._forgetting:
            await asyncio.wait(self._forgetting, timeout=FORGET_S)

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_S)
            try:
                await self._limits.still_open()
            except _FAILURES as error:
                log.warning("streams.refresh_failed", why=str(error)[:300])

    async def _forget(self, noted: str) -> None:
        try:
            await self._limits.close_stream(noted)
        except _FAILURES as error:
            log.info("streams.forget_failed", why=str(error)[:300])
