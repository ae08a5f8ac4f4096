"""One connection to the bus, without a reconnect of its own: how it begins, how it is seen to have ended, and its end."""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import nats.errors
import nats.js.errors
import structlog
from nats.aio.client import Client

from runner.wire import Wire, connect

log = structlog.get_logger("runner.link")

_LOOK_S = 0.2
CONNECTION_ERRORS = (OSError, nats.errors.Error, nats.js.errors.Error, TimeoutError, asyncio.InvalidStateError)


@dataclass(slots=True)
class Line:
    client: Client
    closed: asyncio.Event
    listening: list[Any] = field(default_factory=list[Any])
    """The subscriptions by which commands come."""


async def open_line(url: str, name: str, token: Callable[[], str], inbox: str, tls: ssl.SSLContext | None) -> Line:
    """One client without a reconnect of its own. Raises one of CONNECTION_ERRORS."""
    ended = asyncio.Event()

    async def closed() -> None:
        ended.set()

    async def error(problem: Exception) -> None:
        log.warning("bus_error", error=repr(problem))

    options: dict[str, Any] = {
        "name": name,
        "token": token,
        "inbox_prefix": inbox,
        "allow_reconnect": False,
        "max_reconnect_attempts": 1,
        "reconnect_time_wait": 0,
        "connect_timeout": 5,
        "ping_interval": 10,
        "max_outstanding_pings": 2,
        "pending_size": 16 * 1024 * 1024,
        "closed_cb": closed,
        "error_cb": error,
    }
    client = await connect(Wire, url, tls, options)
    ended.clear()  # an attempt before this one may have ended
    return Line(client, ended)


async def end(line: Line) -> None:
    """Unsubscribe, send what is pending, close. A cancellation that comes meanwhile is passed on: nats-py keeps it for itself
    while it drains, and who is cancelled then would go on for ever."""
    with contextlib.suppress(*CONNECTION_ERRORS):
        async with asyncio.timeout(3):
            await line.client.drain()
    with contextlib.suppress(*CONNECTION_ERRORS):
        async with asyncio.timeout(2):
            await line.client.close()
    current = asyncio.current_task()
    if current is not None and current.cancelling():
        raise asyncio.CancelledError


async def lost(line: Line, seconds: float) -> bool:
    """True when the connection ended within `seconds`. It is looked at besides, because nats-py does not always call back:
    when a connection breaks with messages still in its buffer, it fails before that, closed and silent."""
    end = asyncio.get_running_loop().time() + seconds
    while (left := end - asyncio.get_running_loop().time()) > 0:
        if await either(line.closed, min(left, _LOOK_S)) or line.client.is_closed:
            return True
    return False


async def either(event: asyncio.Event, seconds: float) -> bool:
    """True when the event came within `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
