"""Commands whose runner, asker or bus goes away in the middle: each ends in the truth, and in time."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nats.errors
import pytest
import pytest_asyncio

from control_plane import exchange
from control_plane.errors import Conflict
from protocol.commands import CommandStatus
from protocol.ids import new_id
from tests.integration.fake_runner import Job, answer_at_once, never
from tests.integration.plane import ADMIN, Plane, plane
from tests.integration.waiting import until


@pytest_asyncio.fixture
async def here(tmp_path: Path) -> AsyncGenerator[Plane]:
    async with plane(tmp_path) as running:
        yield running


async def test_the_runner_dies_in_the_middle_and_the_asker_hears_of_it_before_the_deadline(here: Plane) -> None:
    here.runner.answer = never
    asked = asyncio.create_task(here.run(deadline_s=300))
    await until(lambda: here.runner.jobs, "the runner has the command")
    await here.runner.close()
    async with asyncio.timeout(20):
        result = await asked
    assert result.status is CommandStatus.LOST
    assert "not heard of again" in result.error


async def test_a_runner_that_restarts_in_the_middle_has_lost_the_command(here: Plane) -> None:
    here.runner.answer = never
    asked = asyncio.create_task(here.run(deadline_s=300))
    await until(lambda: here.runner.jobs, "the runner has the command")
    await here.runner.close()
    here.runner.boot, here.runner.started_at = new_id(), datetime.now(UTC)
    assert (await here.runner.connect()).accepted
    async with asyncio.timeout(5):
        result = await asked
    assert result.status is CommandStatus.LOST
    assert "restarted" in result.error


async def test_a_second_process_of_the_same_identity_that_is_refused_loses_no_command(here: Plane) -> None:
    go = asyncio.Event()

    async def when_told(job: Job) -> None:
        await job.accept()
        await go.wait()
        await job.finish("of the first process")

    here.runner.answer = when_told
    asked = asyncio.create_task(here.run(deadline_s=60))
    await until(lambda: here.runner.jobs, "the runner has the command")
    here.runner.boot, here.runner.started_at = new_id(), here.runner.started_at - timedelta(minutes=1)
    for _ in range(3):
        assert "two processes" in (await here.runner.hello()).reason
    await asyncio.wait({asked}, timeout=2.5)
    assert not asked.done(), asked.result()
    go.set()
    assert (await asked).text == "of the first process"


async def test_a_new_connection_of_the_same_start_does_not_lose_the_command(here: Plane) -> None:
    go = asyncio.Event()

    async def when_told(job: Job) -> None:
        await job.accept()
        await go.wait()
        assert here.runner.client is not None
        job.client = here.runner.client
        await job.finish("after the reconnect")

    here.runner.answer = when_told
    asked = asyncio.create_task(here.run(deadline_s=60))
    await until(lambda: here.runner.jobs, "the runner has the command")
    old = here.runner.client
    await here.runner.connect()
    assert old is not None
    await old.close()
    go.set()
    assert (await asked).text == "after the reconnect"


async def test_silence_ends_shortly_after_the_deadline(here: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "GRACE_S", 0.1)
    here.runner.answer = never
    async with asyncio.timeout(5):
        result = await here.run(deadline_s=0.3)
    assert result.status is CommandStatus.LOST

    async def deaf(job: Job) -> None:
        await asyncio.Event().wait()

    here.runner.answer = deaf
    async with asyncio.timeout(5):
        result = await here.run(deadline_s=0.3)
    assert result.status is CommandStatus.OFFLINE
    assert "did not answer" in result.error


async def test_a_caller_that_gives_up_tells_the_runner_and_the_row_says_cancelled(here: Plane) -> None:
    here.runner.answer = never
    asked = asyncio.create_task(here.run())
    await until(lambda: here.runner.jobs, "the runner has the command")
    command = here.runner.jobs[0].request.id
    with pytest.raises(Conflict):
        await here.commands.result(command, ADMIN)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    await until(lambda: command in here.runner.cancelled, "the runner is told")

    async def ended() -> bool:
        return (await here.commands.get(command, ADMIN)).status is CommandStatus.CANCELLED

    await until(ended, "the row says so")


async def test_nats_is_killed_and_commands_work_again(here: Plane) -> None:
    pid = here.bus.server_pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not here.bus.connected, "the loss is seen")
    while_down = await here.run()
    assert while_down.status in (CommandStatus.OFFLINE, CommandStatus.OK)
    await until(lambda: here.bus.connected, "connected again")
    await here.runner.close()

    async def connected() -> bool:
        try:
            return (await here.runner.connect()).accepted
        except (nats.errors.Error, OSError):
            return False

    await until(connected, "the runner is back")
    assert (await here.run()).good


async def test_a_read_under_way_when_nats_is_killed_is_sent_again_under_the_same_id(here: Plane) -> None:
    here.runner.answer = never
    asked = asyncio.create_task(here.run(deadline_s=60))
    await until(lambda: here.runner.jobs, "the runner has the command")
    pid = here.bus.server_pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await until(here.runner.closed.is_set, "the runner sees the loss")
    await here.runner.close()
    here.runner.answer = answer_at_once
    await until(lambda: here.bus.connected, "connected again")
    await here.runner.connect()
    async with asyncio.timeout(20):
        result = await asked
    assert result.good
    assert len({job.request.id for job in here.runner.jobs}) == 1
    assert len(here.runner.jobs) >= 2
