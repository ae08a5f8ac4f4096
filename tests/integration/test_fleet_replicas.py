"""Two control planes on one database and one NATS: either admits, greets and asks; a proof is good once for both."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import nats.errors
import pytest

from control_plane.bus import Bus
from control_plane.bus.server import NatsServer
from control_plane.commands import Commands
from control_plane.database import Database
from control_plane.fleet import Fleet
from control_plane.settings import Settings
from protocol import subjects
from tests.integration.fake_runner import FakeRunner
from tests.integration.plane import ADMIN, EVERYTHING, get_pods
from tests.integration.waiting import until


@asynccontextmanager
async def replica(settings: Settings) -> AsyncGenerator[tuple[Fleet, Commands]]:
    bus = Bus(settings)
    database = Database(settings.database, bus)
    fleet = Fleet(database, bus)
    commands = Commands(database, bus, fleet)
    async with AsyncExitStack() as stack:
        for part in (database, bus, fleet, commands):
            stack.push_async_callback(part.stop)
            await part.start()
        yield fleet, commands


@asynccontextmanager
async def shared(folder: Path) -> AsyncGenerator[tuple[NatsServer, Settings]]:
    """An external NATS with our auth callout, and the settings that name it."""
    server = NatsServer(folder / "external")
    await server.start()
    try:
        seed = folder / "issuer.seed"
        seed.write_bytes(server.secrets.issuer_seed + b"\n")
        address = server.url.removeprefix("nats://")
        yield (
            server,
            Settings(
                data_dir=folder,
                nats_url=f"nats://cp:{server.secrets.app_password}@{address}",
                nats_auth_url=f"nats://auth:{server.secrets.auth_password}@{address}",
                nats_system_url=f"nats://sys:{server.secrets.sys_password}@{address}",
                nats_issuer_seed_file=seed,
            ),
        )
    finally:
        await server.stop()


async def test_either_replica_serves_the_fleet(tmp_path: Path) -> None:
    async with shared(tmp_path) as (server, settings), replica(settings) as one, replica(settings) as other:
        cluster = await one[0].create("shop", by="admin")
        runner = FakeRunner(server.url)
        assert await runner.enrol(await other[0].enrolment_token("shop", by="admin")) == ""
        assert (await runner.connect()).accepted
        try:
            for _, commands in (one, other):
                result = await commands.run(cluster.id, get_pods(), principal=ADMIN, scope=EVERYTHING)
                assert result.good, result.error
            assert len(runner.jobs) == 2
            for _ in range(8):
                proof = runner.proof()
                client = await runner.open(proof, subjects.inbox_prefix(runner.runner))
                await client.close()
                with pytest.raises((nats.errors.Error, OSError)):
                    await runner.open(proof, subjects.inbox_prefix(runner.runner))
        finally:
            await runner.close()


async def test_what_one_replica_revokes_the_other_refuses(tmp_path: Path) -> None:
    async with shared(tmp_path) as (server, settings):
        async with replica(settings) as one:
            await one[0].create("shop", by="admin")
            runner = FakeRunner(server.url)
            assert await runner.enrol(await one[0].enrolment_token("shop", by="admin")) == ""
            assert (await runner.connect()).accepted
            await one[0].revoke_runner(runner.runner, by="admin")
            await runner.close()
        async with replica(settings):
            with pytest.raises((nats.errors.Error, OSError)):
                await runner.connect()


async def test_a_revoked_runner_is_cut_whichever_replica_had_admitted_it(tmp_path: Path) -> None:
    async with shared(tmp_path) as (server, settings), replica(settings) as one, replica(settings) as other:
        for n in range(4):  # who admits is chance
            name = f"shop{n}"
            await one[0].create(name, by="admin")
            runner = FakeRunner(server.url)
            assert await runner.enrol(await other[0].enrolment_token(name, by="admin")) == ""
            assert (await runner.connect()).accepted
            await (one, other)[n % 2][0].revoke_runner(runner.runner, by="admin")
            await until(runner.closed.is_set, "its connection is cut", 5)
            await runner.close()


async def test_an_external_nats_that_comes_late_is_waited_for(tmp_path: Path) -> None:
    async with shared(tmp_path) as (server, settings):
        await server.stop()
        bus = Bus(settings)
        await bus.start()
        try:
            assert not bus.connected
            assert await bus.send("opsthread.test.x", b"x") is False
            await server.start()
            await until(lambda: bus.connected, "it is connected when NATS is there", 20)
        finally:
            await bus.stop()
