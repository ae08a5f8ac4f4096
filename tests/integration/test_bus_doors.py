"""Runners of other machines reach the bundled bus by TLS or by WebSocket, and by nothing that they don't trust."""

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from control_plane.bus.config import Doors
from control_plane.bus.link import Link
from control_plane.bus.server import NatsServer, find_binary
from runner.enrolment import EnrolmentRefused, enrol
from runner.identity import load_identity
from runner.wire import Wire, connect
from sandbox.tls import certificates
from tests.integration.plane import Plane, plane
from tests.integration.runner_rig import free_port


def now() -> datetime:
    return datetime.now(UTC)


@asynccontextmanager
async def with_doors(folder: Path, *, websocket: int = 0) -> AsyncGenerator[tuple[Plane, str]]:
    """A control plane whose bundled bus has a certificate, and the file of the authority that signed it."""
    made = certificates()
    (folder / "bus.pem").write_text(made.certificate)
    (folder / "bus.key").write_text(made.key)
    (folder / "ca.pem").write_text(made.authority)
    settings: dict[str, Any] = {"nats_tls_cert_file": folder / "bus.pem", "nats_tls_key_file": folder / "bus.key"}
    async with plane(folder, connect=False, nats_websocket_port=websocket, **settings) as here:
        yield here, str(folder / "ca.pem")


@pytest.mark.parametrize("scheme", ["tls", "wss"])
async def test_a_runner_enrols_through_an_encrypted_door(tmp_path: Path, scheme: str) -> None:
    websocket = free_port()
    async with with_doors(tmp_path, websocket=websocket) as (here, authority):
        port = websocket if scheme == "wss" else here.bus.own_url.rpartition(":")[2]
        token = await here.fleet.enrolment_token(here.cluster.id, by="admin")
        identity = load_identity(tmp_path / "identity.json")
        reply = await enrol(f"{scheme}://127.0.0.1:{port}", identity, token, name="far", now=now, ca_file=authority)
        assert reply.cluster == here.cluster.id


async def test_a_runner_does_not_show_its_token_to_a_bus_it_does_not_trust(tmp_path: Path) -> None:
    async with with_doors(tmp_path) as (here, _):
        strange = tmp_path / "other.pem"
        strange.write_text(certificates().authority)
        address = f"tls://127.0.0.1:{here.bus.own_url.rpartition(':')[2]}"
        token = await here.fleet.enrolment_token(here.cluster.id, by="admin")
        identity = load_identity(tmp_path / "identity.json")
        with pytest.raises((TimeoutError, ssl.SSLError, EnrolmentRefused)):
            await asyncio.wait_for(enrol(address, identity, token, name="far", now=now, ca_file=str(strange)), 3)
        # The token was never seen: it still works.
        assert (await here.fleet.cluster_of_token(token)).id == here.cluster.id


async def test_a_bus_that_does_not_ask_for_encryption_gets_nothing_from_who_was_told_to_encrypt(tmp_path: Path) -> None:
    """Who sits between can leave "TLS required" out of the server's first line, and nats-py alone would go on in the clear."""
    async with plane(tmp_path, connect=False) as here:
        address = f"tls://127.0.0.1:{here.bus.own_url.rpartition(':')[2]}"
        token = await here.fleet.enrolment_token(here.cluster.id, by="admin")
        identity = load_identity(tmp_path / "identity.json")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(enrol(address, identity, token, name="far", now=now), 3)
        assert (await here.fleet.cluster_of_token(token)).id == here.cluster.id
        ours = Link("control plane", {"servers": [address], "user": "cp", "password": "x"})
        await ours.start(patience_s=1)
        assert not ours.connected
        assert "SecureConnRequired" in ours.last_error
        await ours.stop()


@pytest.fixture
async def strict(tmp_path: Path) -> AsyncGenerator[tuple[str, ssl.SSLContext]]:
    """A nats-server as others run it: TLS and nothing else, asked for in its first line."""
    made = certificates()
    for name, text in (("bus.pem", made.certificate), ("bus.key", made.key), ("ca.pem", made.authority)):
        (tmp_path / name).write_text(text)
    port = free_port()
    tls = f'tls {{ cert_file: "{tmp_path}/bus.pem", key_file: "{tmp_path}/bus.key" }}'
    (tmp_path / "nats.conf").write_text(f"host: 127.0.0.1\nport: {port}\n{tls}\n")
    server = await asyncio.create_subprocess_exec(
        find_binary(""), "-c", str(tmp_path / "nats.conf"), stderr=asyncio.subprocess.DEVNULL
    )  # fmt: skip
    try:
        yield f"tls://127.0.0.1:{port}", ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    finally:
        server.kill()
        await server.wait()


async def test_an_external_bus_with_tls_is_spoken_to_by_both_ends(strict: tuple[str, ssl.SSLContext]) -> None:
    url, tls = strict
    ours = Link("control plane", {"servers": [url], "tls": tls})
    await ours.start(patience_s=10)
    try:
        assert ours.connected
        theirs = await connect(Wire, url, tls, {"allow_reconnect": False})
        assert theirs.is_connected
        await theirs.close()
    finally:
        await ours.stop()


@pytest.mark.parametrize("host", ["::", "::1"])
async def test_the_bundled_bus_listens_on_version_6_too(tmp_path: Path, host: str) -> None:
    server = NatsServer(tmp_path, doors=Doors(host=host))
    await server.start()
    link = Link("test", {"servers": [server.url], "user": "cp", "password": server.secrets.app_password})
    try:
        await link.start()
        assert link.connected, link.last_error
    finally:
        await link.stop()
        await server.stop()
