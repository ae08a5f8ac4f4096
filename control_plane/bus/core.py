"""The bus as the rest of the control plane sees it: publish, subscribe, serve. Embedded or external, one code path."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakSet

from control_plane.bus.config import APP_USER, AUTH_USER, SYS_USER, Doors
from control_plane.bus.feed import Feed, Feeds
from control_plane.bus.link import Handler, Link, Subscription
from control_plane.bus.server import NatsServer
from control_plane.errors import Unavailable
from control_plane.settings import Settings
from protocol.ids import new_id

INBOX = "_INBOX.cp"
_EMBEDDED_PATIENCE_S = 10.0
_PATIENCE_S = 3.0
"""An external NATS that is down does not keep the rest from starting; the link goes on trying."""


class Bus:
    """NATS. Losing it loses wake-ups, never rows: publishing while it is down drops the message and does not raise."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._server: NatsServer | None = None
        self._link: Link | None = None
        self._feeds: Feeds | None = None
        self._links: WeakSet[Link] = WeakSet()
        self.came_up: list[Callable[[], None]] = []
        """Called after each (re)connect, when every subscription stands again: what was under way may have been lost."""

    @property
    def url(self) -> str:
        """What runners connect to: no credentials in it."""
        if self._settings.nats_public_url:
            return self._settings.nats_public_url
        return self._server.url if self._server is not None else _without_user(self._settings.nats_url)

    @property
    def own_url(self) -> str:
        """What processes on this machine connect to."""
        return self._server.url if self._server is not None else self.url

    @property
    def connected(self) -> bool:
        return self._link is not None and self._link.connected

    @property
    def server_pid(self) -> int | None:
        """Process id of the embedded server, None when it is down or external."""
        return self._server.pid if self._server is not None else None

    @property
    def issuer_seed(self) -> bytes | None:
        """Signs the auth callout's answers. None with an external NATS that does its own authorization."""
        if self._server is not None:
            return self._server.secrets.issuer_seed
        file = self._settings.nats_issuer_seed_file
        return file.read_bytes().strip() if file is not None else None

    async def start(self) -> None:
        """Start the embedded server if none is configured, and connect.

        Raises Unavailable when the embedded server does not start; an external one that is down is tried again for ever.
        """
        if not self._settings.nats_url:
            self._server = NatsServer(
                Path(self._settings.data_dir) / "nats",
                binary=self._settings.nats_server_path,
                port=self._settings.nats_port,
                doors=_doors(self._settings),
                on_restart=self._hurry,
            )
            await self._server.start()
        self._link = Link("control plane", self._app_options(), on_up=self._came_up)
        self._links.add(self._link)
        self._feeds = Feeds(self._link)
        await self._link.start(_EMBEDDED_PATIENCE_S if self._server is not None else _PATIENCE_S)
        self._feeds.start()
        if self._server is not None and not self._link.connected:
            error = self._link.last_error
            await self.stop()
            raise Unavailable(f"the embedded nats-server takes no connection: {error}")

    async def stop(self) -> None:
        for part in (self._feeds, self._link, self._server):
            if part is not None:
                await part.stop()
        self._feeds = self._link = self._server = None

    async def wait_connected(self, timeout_s: float) -> bool:
        return self._link is not None and await self._link.wait_connected(timeout_s)

    async def publish(self, subject: str, data: bytes) -> None:
        """Send a wake-up or live text. Dropped silently while the bus is down: readers poll their table besides."""
        await self.send(subject, data)

    async def send(self, subject: str, data: bytes, *, reply: str = "") -> bool:
        """Publish, and say whether it left: False while the bus is down or when `data` is over 1 MiB."""
        return self._link is not None and await self._link.publish(subject, data, reply=reply)

    def subscribe(self, subject: str) -> Feed:
        """What arrives on `subject` from now on; an empty item means "messages may have been missed, read the table".

        The first item is empty and comes when the subscription stands. At most 1,000 messages wait for a slow reader; then
        the oldest are dropped. `async with` or `aclose` lets go of it.
        """
        if self._feeds is None:
            raise Unavailable("the bus is not started")
        return self._feeds.open(subject)

    async def serve(self, subject: str, handler: Handler, *, queue: str = "", at_once: int = 1) -> Subscription:
        """Call `handler` for each message of `subject`, whatever happens to the connection, until `close` or `stop`.

        With `queue`, one of all replicas gets each message. A handler that raises is logged and the next message goes on.
        """
        if self._link is None:
            raise Unavailable("the bus is not started")
        return await self._link.listen(subject, handler, queue=queue, at_once=at_once)

    def new_inbox(self) -> str:
        """A prefix for reply subjects that nobody can guess, who may publish to inboxes but not listen to them."""
        return f"{INBOX}.{new_id()}"

    def auth_link(self) -> Link | None:
        """A connection to the AUTH account, not yet started; None when this NATS does its own authorization."""
        if self._server is not None:
            link = Link("auth callout", _user(self._server.url, AUTH_USER, self._server.secrets.auth_password))
            self._links.add(link)
            return link
        if self._settings.bus_auth_url and self._settings.nats_issuer_seed_file is not None:
            return Link("auth callout", self._external(self._settings.bus_auth_url))
        return None

    def system_link(self) -> Link | None:
        """A connection to the server's own account, not yet started: cuts connections. None when it is not configured."""
        if self._server is None:
            url = self._settings.nats_system_url
            return Link("system", self._external(url)) if url else None
        return Link("system", _user(self._server.url, SYS_USER, self._server.secrets.sys_password))

    def _app_options(self) -> dict[str, Any]:
        if self._server is not None:
            options: dict[str, Any] = _user(self._server.url, APP_USER, self._server.secrets.app_password)
        else:
            options = self._external(self._settings.nats_url)
            if self._settings.nats_credentials_file is not None:
                options["user_credentials"] = str(self._settings.nats_credentials_file)
        return {**options, "inbox_prefix": INBOX.encode()}

    def _external(self, urls: str) -> dict[str, Any]:
        authority = self._settings.nats_ca_file
        options: dict[str, Any] = {"servers": _servers(urls)}
        return {**options, "tls": ssl.create_default_context(cafile=str(authority))} if authority is not None else options

    def _hurry(self) -> None:
        """The embedded server is back: runners that come now wait for the callout's answer, so no link may back off."""
        for link in tuple(self._links):
            link.hurry()

    def _came_up(self) -> None:
        if self._feeds is not None:
            self._feeds.wake_all()
        for tell in tuple(self.came_up):
            tell()


def _user(url: str, user: str, password: str) -> dict[str, Any]:
    return {"servers": [url], "user": user, "password": password}


def _servers(urls: str) -> list[str]:
    return [url.strip() for url in urls.split(",") if url.strip()]


def _without_user(urls: str) -> str:
    """`nats://user:secret@host:4222` becomes `nats://host:4222`."""
    bare: list[str] = []
    for url in _servers(urls):
        parts = urlsplit(url)
        bare.append(parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl())
    return ",".join(bare)


def _doors(settings: Settings) -> Doors:
    return Doors(
        host=settings.nats_host,
        cert_file=settings.nats_tls_cert_file,
        key_file=settings.nats_tls_key_file,
        websocket_port=settings.nats_websocket_port,
    )
