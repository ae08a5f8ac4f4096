"""Two runners at once: one is active. A Lease on the practice cluster, by real processes and by a clock that the test moves."""

import asyncio
import signal
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from protocol.commands import CommandRequest, Execute, SelfCheck
from protocol.ids import new_id
from protocol.objects import ObjectRef
from protocol.remediation import ScaleWorkload
from runner.kube.access import load_access
from runner.kube.client import KubeClient
from runner.lease import Lease, LeaseUnavailable
from tests.integration.runner_rig import (
    Cluster,
    Stand,
    empty_stand,
    free_port,
    practice_cluster,
    runner_process,
    started_runner,
    until,
)

SCALE_WEB = ScaleWorkload(target=ObjectRef.parse("Deployment/shop/web"), replicas=3)
NOW = datetime(2026, 11, 20, tzinfo=UTC)


@dataclass
class Passed:
    """A clock that only the test moves."""

    at: float = 100.0

    def __call__(self) -> float:
        return self.at


async def at_once(_: float) -> None:
    await asyncio.sleep(0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Cluster]:
    async with practice_cluster(tmp_path_factory.mktemp("lease")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def client(cluster: Cluster) -> AsyncGenerator[KubeClient]:
    async with KubeClient(await load_access(cluster.kubeconfigs["runner"], None, in_cluster=False)) as made:
        yield made


def lease(client: KubeClient, holder: str, name: str, passed: Passed, **more: Any) -> Lease:
    values: dict[str, Any] = {
        "namespace": "default",
        "name": name,
        "holder": holder,
        "now": lambda: NOW + timedelta(seconds=passed.at),
        "pause": at_once,
    }
    return Lease(client, passed=passed, **{**values, **more})


async def held_by(client: KubeClient, name: str) -> str:
    found = await client.get(f"/apis/coordination.k8s.io/v1/namespaces/default/leases/{name}")
    return str(found["spec"]["holderIdentity"])


async def waits(one: Lease) -> bool:
    """It does not get the Lease, however often it asks."""
    try:
        async with asyncio.timeout(0.3):
            await one.acquire()
    except TimeoutError:
        return True
    return False


async def not_replaced() -> bool:
    return False


async def replaced() -> bool:
    return True


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_of_racing_runners_exactly_one_is_active(client: KubeClient) -> None:
    clock = Passed()
    racers = [lease(client, f"pod-{n}", "race", clock) for n in range(6)]
    ended = await asyncio.gather(*(waits(one) for one in racers))
    assert ended.count(False) == 1
    winner = racers[ended.index(False)]
    assert winner.place == "active"
    assert await held_by(client, "race") == f"pod-{ended.index(False)}"
    assert {one.place for one in racers if one is not winner} == {"waiting"}


async def test_it_is_taken_after_its_duration_without_a_renewal_and_not_before(client: KubeClient) -> None:
    clock = Passed()
    old, new = lease(client, "old", "take", clock), lease(client, "new", "take", clock)
    await old.acquire()
    assert await waits(new)
    clock.at += 29
    assert await waits(new)
    clock.at += 2
    await asyncio.wait_for(new.acquire(), 5)
    assert await held_by(client, "take") == "new"
    assert old.left() < 0
    assert old.place == "unsure"
    await asyncio.wait_for(old.keep(not_replaced), 5)
    assert (old.place, old.other) == ("waiting", "new")
    assert await waits(old)


async def test_wall_clocks_do_not_matter(client: KubeClient) -> None:
    """A holder whose wall clock is years off keeps it as long as it renews, and no longer."""
    clock = Passed()
    old = lease(client, "old", "wall", clock, now=lambda: NOW - timedelta(days=9000, seconds=clock.at))  # it goes backwards
    new = lease(client, "new", "wall", clock, now=lambda: NOW + timedelta(days=9000))
    await old.acquire()
    for _ in range(6):
        clock.at += 10
        assert await waits(new)
        assert await old.renew()
    assert await waits(new)
    clock.at += 31
    await asyncio.wait_for(new.acquire(), 5)


async def test_who_wakes_up_after_its_time_is_not_sure_until_it_renewed(client: KubeClient) -> None:
    clock = Passed()
    one = lease(client, "one", "sleep", clock)
    await one.acquire()
    assert one.left() == 30
    clock.at += 45
    assert one.left() < 0
    assert one.place == "unsure"
    assert await one.renew()
    assert one.place == "active"


async def test_a_renewal_counts_from_when_it_began(client: KubeClient, cluster: Cluster) -> None:
    """An answer that took long doesn't make it longer: others count from the write."""
    clock = Passed()
    one = lease(client, "one", "slow", clock)
    await one.acquire()
    await cluster.fault("leases/slow", delay=0.3)
    renewal = asyncio.create_task(one.renew())
    await asyncio.sleep(0)
    clock.at += 12
    assert await renewal
    assert one.left() == 18


async def test_an_api_server_that_does_not_answer_makes_it_unsure_not_lost(client: KubeClient, cluster: Cluster) -> None:
    clock = Passed()
    one = lease(client, "one", "storm", clock)
    await one.acquire()
    await cluster.fault("leases/storm", status=500, count=1000)
    try:
        clock.at += 31
        keeping = asyncio.create_task(one.keep(not_replaced))
        done, _ = await asyncio.wait({keeping}, timeout=0.3)
        assert not done
        assert one.place == "unsure"
    finally:
        await cluster.admin("faults", method="DELETE")
    await until(lambda: one.place == "active", "it is renewed", 5)
    keeping.cancel()


async def test_the_control_plane_says_who_is_active_while_the_api_server_does_not(client: KubeClient, cluster: Cluster) -> None:
    clock = Passed()
    one = lease(client, "one", "cut", clock)
    await one.acquire()
    await cluster.fault("leases/cut", status=503, count=1000)
    try:
        clock.at += 31
        await asyncio.wait_for(one.keep(replaced), 5)
        assert one.place == "waiting"
    finally:
        await cluster.admin("faults", method="DELETE")


async def test_a_deleted_lease_is_lost(client: KubeClient, cluster: Cluster) -> None:
    clock = Passed()
    one = lease(client, "one", "gone", clock)
    await one.acquire()
    async with KubeClient(await load_access(cluster.kubeconfigs["admin"], None, in_cluster=False)) as admin:
        await admin.delete("/apis/coordination.k8s.io/v1/namespaces/default/leases/gone", {})
    await asyncio.wait_for(one.keep(not_replaced), 5)
    assert one.place == "waiting"
    await one.acquire()
    assert one.left() == 30


async def test_a_release_lets_the_next_one_have_it_at_once(client: KubeClient) -> None:
    clock = Passed()
    one, two = lease(client, "one", "hand", clock), lease(client, "two", "hand", clock)
    await one.acquire()
    assert await waits(two)
    await one.release()
    await asyncio.wait_for(two.acquire(), 5)
    assert one.left() < 0
    found = await client.get("/apis/coordination.k8s.io/v1/namespaces/default/leases/hand")
    assert found["spec"]["leaseTransitions"] == 1
    # A release of what another one has by now changes nothing.
    await one.release()
    assert await held_by(client, "hand") == "two"


async def test_an_account_without_the_right_is_told(cluster: Cluster) -> None:
    async with KubeClient(await load_access(cluster.kubeconfigs["viewer"], None, in_cluster=False)) as viewer:
        with pytest.raises(LeaseUnavailable, match="leases"):
            await lease(viewer, "one", "denied", Passed()).acquire()


# Two real processes.


def other(here: Stand, folder: Path, **more: Any) -> dict[str, Any]:
    """A second pod: the same identity, a disk of its own."""
    shared = {"lease_namespace": "default", "lease_duration_s": 8, "health_port": free_port()}
    return {**here.values, **shared, "data_dir": folder, **more}


async def health(values: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    url = f"http://127.0.0.1:{values['health_port']}/health/ready"
    try:
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status, await answer.json()
    except aiohttp.ClientError:
        return 0, {}


async def stands_by(values: dict[str, Any]) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while True:
            status, said = await health(values)
            if said.get("place") == "standby" and "standby: " in said["lease"] and "nobody" not in said["lease"]:
                assert status == 200
                return said
            await asyncio.sleep(0.05)


async def test_two_pods_one_sleeps_past_its_lease_and_does_not_execute(tmp_path: Path) -> None:
    async with empty_stand(tmp_path) as here:
        first, second = other(here, tmp_path / "one"), other(here, tmp_path / "two")
        async with runner_process(here.plane, first) as one, started_runner(second) as two:
            await stands_by(second)
            boot = here.plane.boot
            plan = await here.plane.plan(SCALE_WEB)
            assert plan.cannot_run is None
            late = await here.plane.plan(ScaleWorkload(target=SCALE_WEB.target, replicas=4))

            one.send_signal(signal.SIGSTOP)
            try:
                # It lies in the sleeper's socket: no other runner is connected yet.
                command = Execute(body=plan.body, grant=here.plane.grant(plan))
                replies = await here.plane.start(CommandRequest(id=new_id(), command=command, deadline_s=60))
                await until(lambda: here.plane.boot != boot, "the second one is active", 60)
            finally:
                one.send_signal(signal.SIGCONT)
            refused = await here.plane.result(replies, 20)
            assert refused.execution().code == "not_active"

            await stands_by(first)
            await until(lambda: any(beat.boot == here.plane.boot for beat in here.plane.beats), "it is warm", 30)
            assert await here.replicas("web") == "2"
            # What was granted to the sleeper's start runs nowhere else; what is granted to the new one does.
            stale = await here.plane.execute(late, here.plane.grant(late, boot=boot))
            assert stale.execution().code == "other_boot"
            assert (await here.plane.execute(late)).execution().outcome == "applied"

            now = here.plane.boot
            two.send_signal(signal.SIGTERM)
            began = asyncio.get_running_loop().time()
            await until(lambda: here.plane.boot != now, "the first one takes over", 20)
            assert asyncio.get_running_loop().time() - began < 8
            assert here.plane.boot != boot


async def test_without_a_lease_it_says_what_that_means(tmp_path: Path) -> None:
    async with empty_stand(tmp_path) as here:
        values = other(here, tmp_path / "one", kubeconfig=here.cluster.kubeconfigs["viewer"])
        async with runner_process(here.plane, values):
            _, said = await health(values)
            assert "can't be used" in said["lease"]
            assert "kept out by the control plane only" in said["lease"]
            checks = (await here.plane.ask(SelfCheck())).checks()
            row = next(check for check in checks if check.name == "lease")
            assert (row.health, "update leases" in row.mend) == ("warn", True)
