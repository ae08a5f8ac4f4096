"""The lower half of the control plane for tests: database, embedded NATS, fleet and commands in a temporary directory.

    async with plane(tmp_path) as here:
        result = await here.kubectl("get pods")

`here.runner` is a fake runner that is enrolled, connected and online in cluster `shop`.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from control_plane.bus import Bus
from control_plane.commands import Commands
from control_plane.database import Database
from control_plane.fleet import Cluster, Fleet
from control_plane.principals import Principal, ScopedRole
from control_plane.settings import Settings
from protocol.approval import Role
from protocol.commands import CommandResult, Kubectl, ScopeLimit
from protocol.kubectl.calls import GetCall, NamedResource, ResourceType
from tests.integration.fake_runner import FakeRunner

ADMIN = Principal(account="admin", name="Admin", roles=(ScopedRole(role=Role.ADMIN),), admin=True)
EVERYTHING = ScopeLimit()


def get_pods(namespace: str | None = "shop") -> Kubectl:
    pods = NamedResource(type=ResourceType(plural="pods", kind="Pod"))
    return Kubectl(call=GetCall(resources=(pods,), namespace=namespace))


@dataclass
class Plane:
    settings: Settings
    database: Database
    bus: Bus
    fleet: Fleet
    commands: Commands
    cluster: Cluster
    runner: FakeRunner

    async def run(self, **more: Any) -> CommandResult:
        """`kubectl -n shop get pods` by an admin, unless told otherwise."""
        how: dict[str, Any] = {"principal": ADMIN, "scope": EVERYTHING, "deadline_s": 10, **more}
        command = how.pop("command", get_pods())
        return await self.commands.run(how.pop("cluster", self.cluster.id), command, **how)

    async def join(self, runner: FakeRunner | None = None) -> FakeRunner:
        """A fake runner, enrolled in `shop`, not connected."""
        runner = runner or FakeRunner(self.bus.url)
        said = await runner.enrol(await self.fleet.enrolment_token(self.cluster.id, by="admin"))
        assert said == ""
        return runner


@asynccontextmanager
async def plane(
    folder: Path, *, connect: bool = True, grant_keys: dict[str, str] | None = None, **settings: Any
) -> AsyncGenerator[Plane]:
    """`connect=False` leaves the fake runner out, for tests that bring a real one."""
    chosen = Settings(data_dir=folder / "data", **settings)
    chosen.data_dir.mkdir(parents=True, exist_ok=True)
    bus = Bus(chosen)
    database = Database(chosen.database, bus)
    fleet = Fleet(database, bus, grant_keys=grant_keys)
    commands = Commands(database, bus, fleet)
    started: list[Any] = []
    try:
        for part in (database, bus, fleet, commands):
            started.append(part)
            await part.start()
        here = Plane(
            settings=chosen,
            database=database,
            bus=bus,
            fleet=fleet,
            commands=commands,
            cluster=await fleet.create("shop", by="admin"),
            runner=FakeRunner(bus.url),
        )
        if connect:
            await here.join(here.runner)
            assert (await here.runner.connect()).accepted
        try:
            yield here
        finally:
            await here.runner.close()
    finally:
        for part in reversed(started):
            await part.stop()
