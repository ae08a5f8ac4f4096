"""Socket mode, supervised: connections that reconnect, and that are made anew when they say nothing any more.

The SDK's client reconnects when Slack asks it to or closes. What it does not see is its own task that died or hangs, so each
connection is looked at from outside, by its last sign of life.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any

import structlog
from aiohttp import WSMessage
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.web_api import SlackTrouble, WebApi

log = structlog.get_logger(__name__)


class _Brief(logging.Filter):
    """What the SDK says while it connects again, in a line: Slack away for an hour is no hundred tracebacks."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.exc_info = record.exc_text = None
        return True


_BRIEF = logging.getLogger("slack_sdk.socket_mode")
_BRIEF.addFilter(_Brief())

CONNECTIONS = 2
"""Of this process: one goes on while the other is being renewed. Slack allows ten an app."""
PING_S = 5.0
SILENT_S = 4 * PING_S
_CONNECT_S = 30.0
_FIRST_PAUSE_S = 0.5
_MOST_PAUSE_S = 60.0


class Socket:
    """`run` until it is cancelled."""

    def __init__(
        self, app: AsyncApp, app_token: str, client: Callable[[], AsyncWebClient], *, ping_s: float = PING_S, name: str = ""
    ) -> None:
        self._app = app
        self._token = app_token
        self._client = client
        self._ping_s = ping_s
        self._name = name
        self._heard = 0.0
        self.connected = False

    async def run(self) -> None:
        pause = _FIRST_PAUSE_S
        while True:
            began = time.monotonic()
            why = "it failed"
            try:
                why = await self._one()
            except SlackTrouble as error:
                why = str(error)
            except Exception:  # whatever the SDK raises: it must not end the supervision
                log.warning("slack.socket_failed", connection=self._name, exc_info=True)
            self.connected = False
            lived_s = time.monotonic() - began
            log.warning("slack.socket_renewed", connection=self._name, why=why, lived_s=round(lived_s), again_in_s=pause)
            await asyncio.sleep(pause)
            pause = _FIRST_PAUSE_S if lived_s > _MOST_PAUSE_S else min(pause * 2, _MOST_PAUSE_S)

    async def _one(self) -> str:
        """One handler, until it gives no sign of life. Says why it ended."""
        address = await self._address()
        handler = AsyncSocketModeHandler(
            self._app, self._token, logger=_BRIEF, web_client=self._client(), ping_interval=self._ping_s
        )
        client = handler.client
        client.wss_uri = address
        client.on_message_listeners.append(self._hear)
        try:
            async with asyncio.timeout(_CONNECT_S):
                await handler.connect_async()
            self._heard = time.monotonic()
            self.connected = True
            log.info("slack.socket", connection=self._name)
            silent_s = 4 * self._ping_s
            while True:
                await asyncio.sleep(self._ping_s / 2)
                # A pong's own time is of the ping that it answers, by the wall clock.
                pong_ago = time.time() - client.last_ping_pong_time if client.last_ping_pong_time is not None else 0.0
                alive = await client.is_connected()
                if alive and pong_ago < silent_s:
                    self._heard = time.monotonic()
                elif time.monotonic() - self._heard > silent_s:
                    return "no sign of life"
                self.connected = alive
                if any(task.done() for task in _readers(handler)) and alive:
                    return "its reader ended"
        finally:
            await _closed(handler)

    async def _address(self) -> str:
        """Of a new connection. Raises SlackTrouble: the SDK itself would try for ever, with a traceback each time."""
        web = self._client()
        web.token = self._token
        return str((await WebApi(web).call("apps.connections.open")).get("url", ""))

    async def _hear(self, _message: WSMessage) -> None:
        self._heard = time.monotonic()


async def _closed(handler: AsyncSocketModeHandler) -> None:
    tasks = _readers(handler)
    with contextlib.suppress(Exception):
        async with asyncio.timeout(5):
            await handler.close_async()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await handler.client.aiohttp_client_session.close()


def _readers(handler: AsyncSocketModeHandler) -> list[asyncio.Future[Any]]:
    """The tasks that the SDK's client keeps."""
    client: Any = handler.client
    kept: list[asyncio.Future[Any] | None] = [
        client.message_processor, client.current_session_monitor, client.message_receiver
    ]  # fmt: skip
    return [task for task in kept if task is not None]
