"""A NATS client that keeps what its address promises: to `tls://` it says nothing until the connection is encrypted."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

import nats.errors
from nats.aio.client import Client


class Wire(Client):
    """nats-py encrypts when the server's first line asks for it, whatever the address says, so that who sits between could
    have our proof in the clear by not asking. Here such a line ends the attempt."""

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        server = self._current_server
        wants_tls = server is not None and server.uri.scheme == "tls" and not self.options["tls_handshake_first"]
        if initial_connection and wants_tls and not info.get("tls_required"):
            raise nats.errors.SecureConnRequiredError
        await super()._process_info(info, initial_connection)


async def connect(make: Callable[[], Wire], url: str, tls: ssl.SSLContext | None, options: dict[str, Any]) -> Wire:
    """Connect to the first of `url`'s servers that answers, encrypted where the address says so.

    A server that also serves plain connections on this machine does not ask for TLS in its first line; it is offered a
    handshake before any line then. Raises nats.errors.Error, OSError or TimeoutError.
    """
    servers = [part.strip() for part in url.split(",")]
    encrypted = any(part.startswith("tls://") for part in servers)
    if tls is None and encrypted:
        tls = await asyncio.to_thread(ssl.create_default_context)
    if tls is not None:
        options = {**options, "tls": tls}
    client = make()
    try:
        await client.connect(servers, **options)
    except nats.errors.SecureConnRequiredError:
        if not encrypted:
            raise
        await client.close()
        client = make()
        await client.connect([part for part in servers if part.startswith("tls://")], tls_handshake_first=True, **options)
    return client
