"""One connection to NATS that is always being kept: whenever it ends, for whatever reason, a new client is built.

nats-py closes for good on some errors (an expired user, a protocol error) and reconnects by itself on others. Here its own
reconnecting is off, so that there is one way back: build, subscribe again, tell who listens.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg

LOG = structlog.get_logger("bus")
_CONNECT_S = 5
_FINISH_S = 2
_LOOK_S = 0.2
_MOST_PENDING = 32 * 1_048_576
_FIRST_WAIT_S = 0.05
_LONGEST_WAIT_S = 5.0
MAX_PAYLOAD = 1_048_576


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message as it came. `status` is NATS's own, e.g. "503" when a request found no responder."""

    subject: str
    data: bytes
    reply: str
    status: str = ""


Handler = Callable[[Incoming], Awaitable[None]]


class Subscription:
    """A subject that a link listens to over all its clients, until `close`."""

    def __init__(self, link: "Link", subject: str, handler: Handler, *, queue: str, at_once: int) -> None:
        self.subject = subject
        self.queue = queue
        self._link = link
        self._handler = handler
        self._room = asyncio.Semaphore(at_once)
        self._concurrent = at_once > 1
        self._running: set[asyncio.Task[None]] = set()
        self.on_wire: Any = None

    async def receive(self, message: Msg) -> None:
        incoming = Incoming(message.subject, message.data, message.reply, _status_of(message))
        if not self._concurrent:
            await self._handle(incoming)
            return
        await self._room.acquire()
        task = asyncio.create_task(self._handle_in_room(incoming), name=f"handler of {self.subject}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """Stop listening; handlers that still run may finish shortly, then they are ended."""
        await self._link.forget(self)
        if self._running:
            await asyncio.wait(tuple(self._running), timeout=_FINISH_S)
        for task in tuple(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _handle_in_room(self, incoming: Incoming) -> None:
        try:
            await self._handle(incoming)
        finally:
            self._room.release()

    async def _handle(self, incoming: Incoming) -> None:
        try:
            await self._handler(incoming)
        except Exception:
            # One bad message must not end the subscription of everybody else.
            LOG.exception("a message could not be handled", subject=incoming.subject)


class _Encrypted(Client):
    """To a `tls://` address it says nothing in the clear: nats-py would, when the server's first line does not ask for TLS, so
    that who sits between could have our password by leaving that out."""

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        server = self._current_server
        wanted = server is not None and server.uri.scheme == "tls" and not self.options["tls_handshake_first"]
        if initial_connection and wanted and not info.get("tls_required"):
            raise nats.errors.SecureConnRequiredError
        await super()._process_info(info, initial_connection)


class Link:
    """Supervised: `start` returns once connected or after `patience_s`, whichever comes first; it goes on trying after that."""

    def __init__(self, name: str, options: Mapping[str, Any], *, on_up: Callable[[], None] | None = None) -> None:
        self._name = name
        self._options = dict(options)
        self._on_up = on_up
        self._client: Client | None = None
        self._subscriptions: dict[int, Subscription] = {}
        self._supervisor: asyncio.Task[None] | None = None
        self._up = asyncio.Event()
        self._hurry = asyncio.Event()
        self.last_error = ""

    @property
    def connected(self) -> bool:
        return self._up.is_set() and self._client is not None and self._client.is_connected

    async def start(self, patience_s: float = 3) -> None:
        self._supervisor = asyncio.create_task(self._supervise(), name=f"NATS link {self._name}")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._up.wait(), patience_s)

    async def stop(self) -> None:
        for subscription in tuple(self._subscriptions.values()):
            await subscription.close()
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
            self._supervisor = None

    def hurry(self) -> None:
        """Try now, without waiting for the back-off: the server has just come up."""
        self._hurry.set()

    async def wait_connected(self, timeout_s: float) -> bool:
        """True as soon as it is connected, False when it is not by then."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._up.wait(), timeout_s)
        return self.connected

    async def publish(self, subject: str, data: bytes, *, reply: str = "") -> bool:
        """False when it could not be sent now: the connection is down or does not take data, or the message is larger than
        NATS takes. Never waits for a server that has stalled."""
        client = self._client
        if client is None or not self.connected or len(data) > MAX_PAYLOAD:
            return False
        if client.pending_data_size + len(data) > _MOST_PENDING // 2:  # over all of it nats-py waits, deaf to cancellation
            return False
        try:
            await client.publish(subject, data, reply=reply)
        except (nats.errors.Error, OSError):
            return False
        return True

    async def flush(self) -> None:
        """Return when the server has taken what was published, or the connection is gone."""
        if self._client is not None:
            with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
                await self._client.flush(_CONNECT_S)

    async def listen(self, subject: str, handler: Handler, *, queue: str = "", at_once: int = 1) -> Subscription:
        """Call `handler` for each message, one after the other or up to `at_once` together, over all reconnects."""
        subscription = Subscription(self, subject, handler, queue=queue, at_once=at_once)
        self._subscriptions[id(subscription)] = subscription
        client = self._client
        if client is not None and self.connected:
            with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):  # a new client subscribes it again
                await self._put_on_wire(client, subscription)
                await client.flush(_CONNECT_S)
        return subscription

    async def forget(self, subscription: Subscription) -> None:
        self._subscriptions.pop(id(subscription), None)
        if subscription.on_wire is not None:
            with contextlib.suppress(nats.errors.Error, OSError):
                await subscription.on_wire.unsubscribe()
            subscription.on_wire = None

    async def _supervise(self) -> None:
        wait = _FIRST_WAIT_S
        while True:
            ended = asyncio.Event()
            try:
                client = await self._connect(ended)
            except (nats.errors.Error, OSError, TimeoutError) as error:
                self._note(f"{type(error).__name__}: {error}", wait)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._hurry.wait(), wait * (0.5 + secrets.randbelow(500) / 1000))
                self._hurry.clear()
                wait = min(wait * 2, _LONGEST_WAIT_S)
                continue
            wait = _FIRST_WAIT_S
            try:
                self._client = client
                self._up.set()
                if self._on_up is not None:
                    self._on_up()
                await _ended(client, ended)
                LOG.warning("the connection to NATS ended", link=self._name, error=self.last_error)
            finally:
                self._up.clear()
                self._client = None
                await _close(client)

    async def _connect(self, ended: asyncio.Event) -> Client:
        async def closed() -> None:
            ended.set()

        async def error(problem: Exception) -> None:
            self.last_error = f"{type(problem).__name__}: {problem}"
            LOG.info("NATS says", link=self._name, error=self.last_error)

        async with asyncio.timeout(_CONNECT_S):
            client = _Encrypted()
            await cast(Any, client).connect(
                **self._options,
                name=self._name,
                allow_reconnect=False,
                max_reconnect_attempts=1,  # these two bound the tries of one connect, which else waits 2 s between them
                reconnect_time_wait=0.02,
                connect_timeout=_CONNECT_S,
                pending_size=_MOST_PENDING,
                ping_interval=20,
                max_outstanding_pings=2,
                closed_cb=closed,
                error_cb=error,
            )
            try:
                for subscription in tuple(self._subscriptions.values()):
                    await self._put_on_wire(client, subscription)
                await client.flush(_CONNECT_S)
            except BaseException:
                await _close(client)
                raise
        return client

    async def _put_on_wire(self, client: Client, subscription: Subscription) -> None:
        wire = cast(Any, client)
        subscription.on_wire = await wire.subscribe(subscription.subject, queue=subscription.queue, cb=subscription.receive)

    def _note(self, error: str, wait: float) -> None:
        if error != self.last_error or wait >= _LONGEST_WAIT_S:
            LOG.warning("no connection to NATS", link=self._name, error=error)
        self.last_error = error


async def _ended(client: Client, told: asyncio.Event) -> None:
    """nats-py does not always call back: when the connection breaks with messages still waiting in its buffer, it fails
    before that, closed and silent. So it is looked at, too."""
    while not told.is_set() and not client.is_closed:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(told.wait(), _LOOK_S)


async def _close(client: Client) -> None:
    with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
        await asyncio.wait_for(client.close(), _CONNECT_S)


def _status_of(message: Msg) -> str:
    headers = message.headers
    return headers.get("Status", "") if headers else ""
