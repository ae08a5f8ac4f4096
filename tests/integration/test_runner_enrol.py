"""The real runner and the real control plane: a single-use token becomes a key, and the key is proved on each connect."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from protocol.commands import CommandResult, CommandStatus
from runner.config import RunnerConfig
from runner.link import EnrolmentRefused
from runner.main import run
from tests.integration.plane import Plane, plane
from tests.integration.runner_rig import practice_cluster


def configured(here: Plane, folder: Path, kubeconfig: Path, **more: Any) -> RunnerConfig:
    values: dict[str, Any] = {"nats_url": here.bus.url, "data_dir": folder, "kubeconfig": kubeconfig, **more}
    return RunnerConfig.model_validate(values)


async def test_enrol_serve_and_come_back_without_a_token(tmp_path: Path) -> None:
    async with practice_cluster(tmp_path / "k") as cluster, plane(tmp_path / "plane", connect=False) as here:
        kubeconfig = cluster.kubeconfigs["runner"]
        token = await here.fleet.enrolment_token(here.cluster.id, by="admin")
        for more in ({"enrol_token": token}, {}):
            stop = asyncio.Event()
            task = asyncio.create_task(run(configured(here, tmp_path / "runner", kubeconfig, **more), stop))
            try:
                result = await until_served(here, task)
                assert "payments" in result.text
            finally:
                stop.set()
                await asyncio.wait_for(task, 25)
        key_file = tmp_path / "runner" / "identity.json"
        assert key_file.stat().st_mode & 0o777 == 0o600


async def test_a_used_token_is_refused(tmp_path: Path) -> None:
    async with practice_cluster(tmp_path / "k") as cluster, plane(tmp_path / "plane", connect=False) as here:
        token = await here.fleet.enrolment_token(here.cluster.id, by="admin")
        stop = asyncio.Event()
        first = asyncio.create_task(
            run(configured(here, tmp_path / "one", cluster.kubeconfigs["runner"], enrol_token=token), stop)
        )
        await until_served(here, first)
        stop.set()
        await asyncio.wait_for(first, 25)
        with pytest.raises(EnrolmentRefused):
            await asyncio.wait_for(
                run(configured(here, tmp_path / "two", cluster.kubeconfigs["runner"], enrol_token=token), asyncio.Event()), 20
            )


async def until_served(here: Plane, task: asyncio.Task[None]) -> CommandResult:
    """The first command that the runner answers."""
    deadline = asyncio.get_running_loop().time() + 30
    while asyncio.get_running_loop().time() < deadline:
        if task.done():
            await task
        result = await here.run()
        if result.status not in (CommandStatus.OFFLINE, CommandStatus.LOST):
            assert result.good, result.error
            return result
        await asyncio.sleep(0.1)
    raise AssertionError("the runner never came online")
