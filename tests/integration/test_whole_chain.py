"""The whole chain: control plane, real NATS, the real runner as a process, the practice cluster as another."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from protocol.commands import CommandStatus, Kubectl
from protocol.kubectl import parse
from protocol.kubectl.calls import WriteCall
from tests.integration.plane import Plane, plane
from tests.integration.runner_rig import Cluster, end, practice_cluster
from tests.integration.waiting import until


def kubectl(line: str) -> Kubectl:
    call = parse(line)
    assert not isinstance(call, WriteCall)
    return Kubectl(call=call)


@asynccontextmanager
async def runner(here: Plane, cluster: Cluster, folder: Path, **more: str) -> AsyncGenerator[asyncio.subprocess.Process]:
    env = {
        **os.environ,
        "OPSTHREAD_RUNNER_NATS_URL": here.bus.url,
        "OPSTHREAD_RUNNER_DATA_DIR": str(folder),
        "OPSTHREAD_RUNNER_KUBECONFIG": str(cluster.kubeconfigs["runner"]),
        "OPSTHREAD_RUNNER_PROMETHEUS_URL": cluster.prometheus_url,
        **more,
    }
    before = (await here.fleet.get("shop")).runner
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "runner", env=env, stderr=asyncio.subprocess.DEVNULL)
    try:

        async def warm() -> bool:
            assert process.returncode is None, "the runner ended"
            seen = await here.fleet.get("shop")
            new = seen.runner is not None and (before is None or seen.runner.boot != before.boot)
            return new and seen.online and seen.summary.cache == "warm"

        await until(warm, "the runner is online and warm", 40)
        yield process
    finally:
        await end(process, signal.SIGTERM)


@pytest_asyncio.fixture
async def chain(tmp_path: Path) -> AsyncGenerator[tuple[Plane, Cluster]]:
    (tmp_path / "kube").mkdir()
    async with practice_cluster(tmp_path / "kube", speed=8) as cluster, plane(tmp_path, connect=False) as here:
        yield here, cluster


@pytest.mark.timeout(180)
async def test_kubectl_through_everything(chain: tuple[Plane, Cluster], tmp_path: Path) -> None:
    here, cluster = chain
    token = await here.fleet.enrolment_token("shop", by="admin")
    async with runner(here, cluster, tmp_path / "runner", OPSTHREAD_RUNNER_ENROL_TOKEN=token) as process:
        pods = await here.run(command=kubectl("kubectl get pods -n shop"))
        assert pods.good, pods.error
        assert pods.text.splitlines()[0].split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
        assert "payments" in pods.text
        missing = await here.run(command=kubectl("kubectl get pod nothing-like-this -n shop"))
        assert missing.status is CommandStatus.NOT_FOUND

        pid = here.bus.server_pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

        async def answers() -> bool:
            return (await here.run(command=kubectl("kubectl get pods -n shop"))).good

        await until(answers, "commands work again after NATS was killed", 30)

        process.kill()
        await process.wait()
        gone = await here.run(command=kubectl("kubectl get pods -n shop"), deadline_s=30)
        assert gone.status is CommandStatus.OFFLINE, gone

    async with runner(here, cluster, tmp_path / "runner"):
        assert (await here.run(command=kubectl("kubectl get pods -n shop"))).good, "it kept its key"
        identity = (await here.fleet.get("shop")).runner
        assert identity is not None
        await here.fleet.revoke_runner(identity.id, by="admin")
        cut = await here.run(command=kubectl("kubectl get pods -n shop"))
        assert cut.status is CommandStatus.OFFLINE
