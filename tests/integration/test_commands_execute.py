"""Executes over the real bus: sent once, kept under their approval, never sent again."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest_asyncio
from nacl.signing import SigningKey

from control_plane.audit import Audit
from control_plane.commands import Commands
from control_plane.fleet import Cluster, Fleet
from control_plane.principals import Principal
from protocol.bus import RunnerMode
from protocol.canonical import digest
from protocol.commands import CommandStatus, Execute
from protocol.grant import Grant, sign
from protocol.ids import new_id
from protocol.objects import ObjectRef
from protocol.remediation import PlanBody, RestartWorkload
from tests.integration.fake_runner import answer_at_once, never
from tests.integration.plane import ADMIN, Plane, plane
from tests.integration.waiting import until


@pytest_asyncio.fixture
async def here(tmp_path: Path) -> AsyncGenerator[Plane]:
    async with plane(tmp_path) as running:
        yield running


def a_restart(boot: str, cluster: str) -> Execute:
    action = RestartWorkload(target=ObjectRef(kind="Deployment", namespace="shop", name="payments"))
    body = PlanBody(cluster=cluster, action=action, undo=None, target_uid="u", fields_hash="f")
    now = datetime.now(UTC)
    grant = Grant(
        cluster=cluster,
        runner_boot=boot,
        plan_hash=digest(body),
        purpose="action",
        authority=f"approval:{new_id()}",
        kid="k",
        nonce=new_id(),
        issued_at=now,
        expires_at=now + timedelta(seconds=60),
    )
    return Execute(body=body, grant=sign(grant, SigningKey(bytes(32))))


async def allow_writes(here: Plane) -> None:
    here.runner.mode = RunnerMode(writes=True, remediations=("restart",))
    assert (await here.runner.hello()).accepted


async def test_an_execute_under_way_when_nats_is_killed_is_not_sent_again(here: Plane) -> None:
    await allow_writes(here)
    here.runner.answer = never
    execute = a_restart(here.runner.boot, here.cluster.id)
    asked = asyncio.create_task(here.commands.execute(here.cluster.id, execute, approval=new_id(), deadline_s=60))
    await until(lambda: here.runner.jobs, "the runner has it")
    pid = here.bus.server_pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await until(here.runner.closed.is_set, "the runner sees the loss")
    await here.runner.close()
    here.runner.answer = answer_at_once
    result = await asked
    assert result.status is CommandStatus.LOST
    await here.runner.connect()
    assert (await here.run()).good
    assert [job.request.command.kind for job in here.runner.jobs] == ["execute", "kubectl"]


async def test_an_execute_is_sent_once_and_kept_under_its_approval(here: Plane) -> None:
    await allow_writes(here)
    approval = new_id()
    result = await here.commands.execute(here.cluster.id, a_restart(here.runner.boot, here.cluster.id), approval=approval)
    assert result.good
    assert len(here.runner.jobs) == 1
    row = await here.commands.get(result.id, ADMIN)
    assert row.issued_by == f"approval:{approval}"
    assert "rollout restart" in row.title


async def test_an_execute_is_not_sent_again_when_nobody_answers(here: Plane) -> None:
    await allow_writes(here)
    execute = a_restart(here.runner.boot, here.cluster.id)
    await here.runner.leave()
    result = await here.commands.execute(here.cluster.id, execute, approval=new_id())
    assert result.status is CommandStatus.OFFLINE
    await here.runner.connect()
    assert (await here.run()).good
    assert [job.request.command.kind for job in here.runner.jobs] == ["kubectl"], "nothing came late"


async def test_an_execute_whose_runner_dies_may_have_run_and_says_so(here: Plane) -> None:
    await allow_writes(here)
    here.runner.answer = never
    execute = a_restart(here.runner.boot, here.cluster.id)
    asked = asyncio.create_task(here.commands.execute(here.cluster.id, execute, approval=new_id(), deadline_s=120))
    await until(lambda: here.runner.jobs, "the runner has it")
    await here.runner.close()
    result = await asked
    assert result.status is CommandStatus.LOST
    assert "may have been made" in result.error


async def test_a_kill_switch_between_the_look_and_the_sending_holds_an_execute(here: Plane) -> None:
    """It was off when it was looked at, and no message could stop what had no row yet."""
    await allow_writes(here)

    class OffAMomentAgo(Fleet):
        thrown = False

        async def get(self, cluster: str, principal: Principal | None = None) -> Cluster:
            found = await super().get(cluster, principal)
            if not self.thrown:
                self.thrown = True
                await here.fleet.set_kill_switch("shop", True, by="admin", reason="drill")
            return found

    commands = Commands(here.database, here.bus, OffAMomentAgo(here.database, here.bus))
    await commands.start()
    try:
        refused = await commands.execute(here.cluster.id, a_restart(here.runner.boot, here.cluster.id), approval=new_id())
    finally:
        await commands.stop()
    assert refused.status is CommandStatus.DENIED
    assert "kill switch" in refused.error
    assert here.runner.jobs == []
    assert (await here.commands.get(refused.id, ADMIN)).status is CommandStatus.DENIED
    trail = await Audit(here.database).list(ADMIN, subject=f"command:{refused.id}")
    assert [row.action for row in trail] == ["command.denied"]


async def test_an_execute_is_denied_in_read_only_mode_and_under_the_kill_switch(here: Plane) -> None:
    execute = a_restart(here.runner.boot, here.cluster.id)
    refused = await here.commands.execute(here.cluster.id, execute, approval=new_id())
    assert refused.status is CommandStatus.DENIED
    assert "read-only" in refused.error
    await allow_writes(here)
    await here.fleet.set_kill_switch("shop", True, by="admin", reason="drill")
    refused = await here.commands.execute(here.cluster.id, execute, approval=new_id())
    assert refused.status is CommandStatus.DENIED
    assert "kill switch" in refused.error
    assert here.runner.jobs == []
    await here.fleet.set_kill_switch("shop", False, by="admin", reason="over")
    assert (await here.commands.execute(here.cluster.id, execute, approval=new_id())).good
