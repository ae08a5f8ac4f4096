"""Hello, heartbeats, who is online, and what people see of the fleet."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from control_plane.audit import Audit
from control_plane.errors import NotFound
from control_plane.fleet import Fleet
from control_plane.principals import Principal, ScopedRole
from protocol import subjects
from protocol.approval import Role
from protocol.bus import Heartbeat, RunnerMode
from protocol.ids import new_id
from tests.integration.fake_runner import FakeRunner
from tests.integration.plane import ADMIN, Plane, plane
from tests.integration.waiting import until


@pytest_asyncio.fixture
async def here(tmp_path: Path) -> AsyncGenerator[Plane]:
    async with plane(tmp_path) as running:
        yield running


async def test_a_hello_tells_what_the_runner_is(here: Plane) -> None:
    here.runner.mode = RunnerMode(writes=True, remediations=("restart",), namespaces=("shop",))
    reply = await here.runner.hello()
    assert reply.accepted
    assert abs(reply.clock - datetime.now(UTC)) < timedelta(seconds=10)
    runner = (await here.fleet.get("shop")).runner
    assert runner is not None
    assert (runner.version, runner.kubernetes_version, runner.mode) == ("0.1.0", "v1.33.1", here.runner.mode)


async def test_a_heartbeat_brings_the_summary_and_the_health(here: Plane) -> None:
    await here.runner.heartbeat(pods=7, findings={"critical": 1})

    async def seen() -> bool:
        return (await here.fleet.get("shop")).summary.pods == 7

    await until(seen, "the heartbeat is written")
    assert (await here.fleet.get("shop")).health == "unhealthy"


async def test_a_runner_whose_clock_is_off_is_shown_so(here: Plane) -> None:
    here.runner.clock_off = timedelta(seconds=-40)
    assert (await here.runner.hello()).accepted
    runner = (await here.fleet.get("shop")).runner
    assert runner is not None
    assert -42 < runner.clock_offset_s < -39


async def test_after_45_silent_seconds_a_runner_is_offline(here: Plane) -> None:
    for seconds, online in ((44, True), (46, False)):
        later = datetime.now(UTC) + timedelta(seconds=seconds)
        cluster = await Fleet(here.database, here.bus, clock=lambda at=later: at).get("shop")
        assert cluster.online is online
    assert cluster.health == "unknown"


async def test_no_common_protocol_version_is_refused_with_both_named(here: Plane) -> None:
    here.runner.speaks = (7, 8)
    reply = await here.runner.hello()
    assert not reply.accepted
    assert "7, 8" in reply.reason


async def test_a_second_runner_of_the_cluster_waits_while_the_first_is_online(here: Plane) -> None:
    second = await here.join()
    reply = await second.connect()
    assert not reply.accepted
    assert here.runner.runner in reply.reason
    await here.fleet.revoke_runner(here.runner.runner, by="admin")
    assert (await second.hello()).accepted
    runner = (await here.fleet.get("shop")).runner
    assert runner is not None
    assert runner.id == second.runner
    assert (await here.run()).good
    await second.close()


async def test_a_later_start_of_the_same_runner_takes_over_and_the_earlier_one_cannot_come_back(here: Plane) -> None:
    later = FakeRunner(here.bus.url, seed=here.runner.seed, cluster=here.runner.cluster, runner=here.runner.runner)
    assert (await later.connect()).accepted
    reply = await here.runner.hello()
    assert not reply.accepted
    assert "two processes" in reply.reason
    runner = (await here.fleet.get("shop")).runner
    assert runner is not None
    assert runner.boot == later.boot
    await later.close()


async def test_a_heartbeat_of_another_boot_counts_for_nothing(here: Plane) -> None:
    good_boot, here.runner.boot = here.runner.boot, new_id()
    await here.runner.heartbeat(pods=99)
    here.runner.boot = good_boot
    other = await here.fleet.create("bank", by="admin")
    spy = FakeRunner(here.bus.url)
    assert await spy.enrol(await here.fleet.enrolment_token(other.id, by="admin")) == ""
    assert (await spy.connect()).accepted
    await spy.heartbeat(pods=5)

    async def later_one_is_written() -> bool:
        return (await here.fleet.get("bank")).summary.pods == 5

    await until(later_one_is_written, "a heartbeat sent after it is written")
    assert (await here.fleet.get("shop")).summary.pods != 99
    await spy.close()


async def test_a_heartbeat_that_names_another_runner_than_its_subject_counts_for_nothing(here: Plane) -> None:
    other = await here.fleet.create("bank", by="admin")
    spy = FakeRunner(here.bus.url)
    assert await spy.enrol(await here.fleet.enrolment_token(other.id, by="admin")) == ""
    assert (await spy.connect()).accepted
    assert spy.client is not None
    forged = Heartbeat(cluster=here.runner.cluster, runner=here.runner.runner, boot=here.runner.boot, clock=datetime.now(UTC))
    await spy.client.publish(subjects.heartbeat(spy.cluster, spy.runner), forged.model_dump_json().encode())
    await spy.client.publish(subjects.heartbeat(spy.cluster, spy.runner), b"\xff not json")
    before = (await here.fleet.get("shop")).summary
    await spy.heartbeat(pods=5)

    async def later_one_is_written() -> bool:
        return (await here.fleet.get("bank")).summary.pods == 5

    await until(later_one_is_written, "a heartbeat sent after it is written")
    assert (await here.fleet.get("shop")).summary == before.model_copy(update={"nodes": 1, "nodes_ready": 1, "cache": "warm"})
    await spy.close()


async def test_people_see_the_clusters_of_their_roles_and_no_others(here: Plane) -> None:
    bank = await here.fleet.create("bank", by="admin")
    teller = Principal(account="t", name="T", roles=(ScopedRole(role=Role.VIEWER, clusters=(bank.id,), namespaces=("vault",)),))
    nobody = Principal(account="n", name="N")
    assert [cluster.name for cluster in await here.fleet.list(ADMIN)] == ["bank", "shop"]
    assert [cluster.name for cluster in await here.fleet.list(teller)] == ["bank"]
    assert await here.fleet.list(nobody) == ()
    with pytest.raises(NotFound):
        await here.fleet.get("shop", teller)
    other_tenant = ADMIN.model_copy(update={"tenant": "other"})
    with pytest.raises(NotFound):
        await here.fleet.get("shop", other_tenant)


async def test_what_changes_the_fleet_is_audited_in_the_same_transaction(here: Plane) -> None:
    await here.fleet.set_kill_switch("shop", True, by="admin", reason="drill")
    assert (await here.fleet.get("shop")).kill_switch
    await here.fleet.set_kill_switch("shop", False, by="admin", reason="over")
    await here.fleet.revoke_runner(here.runner.runner, by="admin")
    await here.fleet.revoke_runner(here.runner.runner, by="admin")
    actions = [row.action for row in await Audit(here.database).list(ADMIN)]
    assert actions == [
        "runner.revoked",
        "cluster.kill_switch_off",
        "cluster.kill_switch_on",
        "runner.token_made",
        "cluster.created",
    ]
