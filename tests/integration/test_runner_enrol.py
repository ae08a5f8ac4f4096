"""The real runner and the real control plane: a single-use token becomes a key, and the key is proved on each connect."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from nacl.signing import SigningKey

from protocol.bus import Hello
from protocol.canonical import digest
from protocol.commands import CommandResult, CommandStatus, Execute
from protocol.grant import Grant, sign
from protocol.ids import new_id
from protocol.objects import ObjectRef
from protocol.remediation import PlanBody, ScaleWorkload
from runner.clocks import corrected
from runner.config import RunnerConfig
from runner.enrolment import EnrolmentRefused, enrol
from runner.identity import new_identity
from runner.kube.access import load_access
from runner.kube.client import KubeClient
from runner.link import KEY_REFUSED, Link
from runner.main import run
from runner.remediation.fitness import Fitness
from tests.integration.plane import Plane, plane
from tests.integration.runner_rig import free_port, practice_cluster
from tests.integration.waiting import until


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


async def test_a_key_that_only_the_bus_offers_signs_nothing(tmp_path: Path) -> None:
    """The keys are those of the installation; what comes with the enrolment is compared, and obeyed never."""
    pinned, offered = SigningKey(b"p" * 32), SigningKey(b"o" * 32)
    offers = {"k1": offered.verify_key.encode().hex(), "k2": offered.verify_key.encode().hex()}
    async with practice_cluster(tmp_path / "k") as cluster, plane(tmp_path / "plane", connect=False, grant_keys=offers) as here:
        token = await here.fleet.enrolment_token(here.cluster.id, by="admin")
        mode = {"mode": "writes", "remediations": ("all",), "grant_keys": {"k1": pinned.verify_key.encode().hex()}}
        config = configured(here, tmp_path / "runner", cluster.kubeconfigs["runner"], enrol_token=token, **mode)
        stop = asyncio.Event()
        task = asyncio.create_task(run(config, stop))
        try:
            await until_served(here, task)
            action = ScaleWorkload(target=ObjectRef.parse("Deployment/shop/web"), replicas=0)
            body = PlanBody(cluster=here.cluster.id, action=action, undo=None, target_uid="none", fields_hash="none")
            boot = await active_boot(here)
            codes: list[str] = []
            for kid, key in (("k2", offered), ("k1", offered), ("k1", pinned)):
                approval, now = new_id(), datetime.now(UTC)
                grant = Grant(
                    cluster=here.cluster.id,
                    runner_boot=boot,
                    plan_hash=digest(body),
                    purpose="action",
                    authority=f"approval:{approval}",
                    kid=kid,
                    nonce=new_id(),
                    issued_at=now,
                    expires_at=now + timedelta(seconds=60),
                )
                command = Execute(body=body, grant=sign(grant, key))
                codes.append((await here.commands.execute(here.cluster.id, command, approval=approval)).execution().code)
            assert codes == ["unknown_key", "bad_signature", "object_changed"]
        finally:
            stop.set()
            await asyncio.wait_for(task, 25)


async def test_a_clock_that_is_ten_minutes_off_ends_no_reads(tmp_path: Path) -> None:
    """A proof is taken for a minute. The API server's answers are dated, so the runner knows what time others have."""

    def wrong() -> datetime:
        return datetime.now(UTC) - timedelta(minutes=10)

    async with (
        practice_cluster(tmp_path / "k") as cluster,
        plane(tmp_path / "plane", connect=False) as here,
        KubeClient(await load_access(cluster.kubeconfigs["runner"], None, in_cluster=False)) as client,
    ):
        assert client.clock_offset(wrong()) is None
        await client.get("/version")
        token = await here.fleet.enrolment_token(here.cluster.id, by="admin")
        fresh = new_identity()
        reply = await enrol(here.bus.url, fresh, token, name="r", now=lambda: corrected(wrong(), client.clock_offset(wrong())))
        identity = fresh.enrolled_as(reply.cluster, reply.runner)

        def hello() -> Hello:
            return Hello(
                cluster=reply.cluster, runner=reply.runner, boot="b" * 16, version="1", started_at=wrong(), clock=wrong()
            )

        async def greeted(**more: Any) -> Link | None:
            link = Link(
                url=here.bus.url,
                name="r",
                identity=identity,
                hello=hello,
                on_command=lambda _data, _reply: None,
                on_cancel=lambda _: None,
                now=wrong,
                **more,
            )
            task = asyncio.create_task(link.run())
            try:
                async with asyncio.timeout(2):
                    await link.wait_ready()
                return link
            except TimeoutError:
                assert link.refusal == KEY_REFUSED
                return None
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

        assert await greeted() is None
        link = await greeted(api_clock=lambda: client.clock_offset(wrong()))
        assert link is not None
        offset = link.clock_offset
        assert offset is not None
        assert abs(offset - timedelta(minutes=10)) < timedelta(seconds=1)
        assert "(+600 s): mend it (NTP)" in Fitness(lambda: offset).trouble()
        runner = (await here.fleet.get(here.cluster.id)).runner
        assert runner is not None
        assert abs(runner.clock_offset_s + 600) < 2


async def test_of_two_processes_with_one_identity_the_later_one_serves(tmp_path: Path) -> None:
    """Without a Lease: nothing is sent to the earlier one any more, which could not answer."""
    async with practice_cluster(tmp_path / "k") as cluster, plane(tmp_path / "plane", connect=False) as here:
        token = await here.fleet.enrolment_token(here.cluster.id, by="admin")
        shared = {"key_file": tmp_path / "identity.json", "enrol_token": token}
        first = ""
        ports, stops, tasks = (free_port(), free_port()), (asyncio.Event(), asyncio.Event()), list[asyncio.Task[None]]()
        try:
            for at in (0, 1):
                values = {**shared, "health_port": ports[at]}
                config = configured(here, tmp_path / f"data-{at}", cluster.kubeconfigs["runner"], **values)
                tasks.append(asyncio.create_task(run(config, stops[at])))
                await until_served(here, tasks[at])
                if at == 0:
                    first = await active_boot(here)
            await until(lambda: differs(here, first), "the later one is greeted")
            await until(lambda: refusal(ports[0]), "the earlier one knows it")
            results = await asyncio.gather(*(here.run(deadline_s=5) for _ in range(30)))
            assert {result.status for result in results} == {CommandStatus.OK}
        finally:
            for stop in stops:
                stop.set()
            await asyncio.wait_for(asyncio.gather(*tasks), 25)


async def active_boot(here: Plane) -> str:
    runner = (await here.fleet.get(here.cluster.id)).runner
    return runner.boot if runner is not None else ""


async def differs(here: Plane, boot: str) -> bool:
    return await active_boot(here) not in ("", boot)


async def refusal(port: int) -> bool:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/health/ready") as answer:
        return "a later start of this runner is active" in (await answer.json())["control_plane"]


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
