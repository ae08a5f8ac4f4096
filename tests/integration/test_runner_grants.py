"""Attacks on grants, one by one, on a runner's hands over the practice cluster; clocks, keys and the Lease are the test's."""

import asyncio
import contextlib
import math
import sqlite3
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from nacl.signing import SigningKey

from protocol.bus import RunnerMode
from protocol.canonical import canonical_json, digest
from protocol.commands import Execute, ExecutionOutcome, ScopeLimit
from protocol.grant import Grant, SignedGrant, sign
from protocol.ids import new_id
from protocol.objects import ObjectRef
from protocol.remediation import REMEDIATIONS, PatchConfigMap, PlanBody
from runner.commands.ask import Ask
from runner.kube.access import load_access
from runner.kube.client import KubeClient
from runner.kube.discovery import Discovery
from runner.remediation.execute import Execution
from runner.remediation.fitness import Fitness
from runner.remediation.memory import GrantMemory
from runner.remediation.prepare import prepare
from tests.integration.runner_rig import CLUSTER, Cluster, practice_cluster
from tests.integration.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

TARGET = ObjectRef.parse("ConfigMap/shop/checkout-config")
PATH = "configmaps/checkout-config"
MODE = RunnerMode(writes=True, remediations=tuple(REMEDIATIONS))
OLD_KEY, NEW_KEY, STRANGER = (SigningKey(bytes([n]) * 32) for n in (1, 2, 3))


@dataclass
class Clocks:
    """The wall clock and the passed time, each moved by the test alone; the control plane's clock; the Lease."""

    wall: datetime = datetime(2026, 11, 20, 12, tzinfo=UTC)
    passed: float = 1000.0
    offset: timedelta | None = timedelta()
    left: float = math.inf

    def later(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.passed += seconds


@dataclass
class Stand:
    """One runner's hands. `start` is a new start of its process: the memory on disk stays."""

    client: KubeClient
    cluster: Cluster
    folder: Path
    clocks: Clocks = field(default_factory=Clocks)
    keys: dict[str, SigningKey] = field(default_factory=lambda: {"k1": OLD_KEY, "k2": NEW_KEY})
    boot: str = "b" * 16

    def __post_init__(self) -> None:
        self.start()

    def start(self, boot: str = "b" * 16, *, disk: str = "grants.db") -> None:
        self.boot = boot
        self.memory = GrantMemory(self.folder / disk, now=lambda: self.clocks.wall)
        self.execution = Execution(
            cluster=CLUSTER,
            boot=boot,
            keys={kid: key.verify_key for kid, key in self.keys.items()},
            mode=MODE,
            memory=self.memory,
            fitness=Fitness(lambda: self.clocks.offset, lambda: self.clocks.left),
            passed=lambda: self.clocks.passed,
        )
        self.ask = Ask(
            client=self.client,
            discovery=Discovery(self.client),
            scope=ScopeLimit(),
            now=lambda: self.clocks.wall,
            max_bytes=100_000,
            report=lambda _: None,
        )

    async def plan(self) -> PlanBody:
        """A plan that puts something new into the ConfigMap."""
        found = await prepare(PatchConfigMap(target=TARGET, data={"TEST": new_id()}), CLUSTER, MODE, self.ask)
        assert found.cannot_run is None
        return found.body

    def grant(self, body: PlanBody, key: SigningKey = OLD_KEY, **more: Any) -> SignedGrant:
        fields: dict[str, Any] = {
            "cluster": CLUSTER,
            "runner_boot": self.boot,
            "plan_hash": digest(body),
            "purpose": "action",
            "authority": f"approval:{new_id()}",
            "kid": "k1",
            "nonce": new_id(),
            "issued_at": self.clocks.wall,
            "expires_at": self.clocks.wall + timedelta(seconds=60),
        }
        return sign(Grant(**{**fields, **more}), key)

    async def execute(self, body: PlanBody, grant: SignedGrant | None = None) -> ExecutionOutcome:
        return await self.execution.run(Execute(body=body, grant=grant or self.grant(body)), self.ask)

    async def value(self) -> str | None:
        found = await self.client.get("/api/v1/namespaces/shop/configmaps/checkout-config")
        return found["data"].get("TEST")

    async def refuses(self, code: str, body: PlanBody, grant: SignedGrant | None = None) -> ExecutionOutcome:
        """It is refused for that, and the cluster is as it was."""
        before = await self.value()
        outcome = await self.execute(body, grant)
        assert (outcome.outcome, outcome.code) == ("refused", code), outcome.message
        assert await self.value() == before
        return outcome

    async def takes(self, body: PlanBody, grant: SignedGrant | None = None) -> None:
        outcome = await self.execute(body, grant)
        assert outcome.outcome == "applied", outcome.message
        assert isinstance(body.action, PatchConfigMap)
        assert await self.value() == body.action.data["TEST"]

    @contextlib.asynccontextmanager
    async def while_reading(self, body: PlanBody, grant: SignedGrant) -> AsyncGenerator[asyncio.Task[ExecutionOutcome]]:
        """The execution has verified its grant and hangs in the read before the write."""
        await self.cluster.fault(PATH, delay=0.4)
        calls = self.client.calls
        task = asyncio.create_task(self.execute(body, grant))
        await until(lambda: self.client.calls > calls, "it reads", 5)
        yield task


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[tuple[Cluster, KubeClient]]:
    async with (
        practice_cluster(tmp_path_factory.mktemp("grants")) as cluster,
        KubeClient(await load_access(cluster.kubeconfigs["runner"], None, in_cluster=False)) as client,
    ):
        yield cluster, client


@pytest.fixture
def here(shared: tuple[Cluster, KubeClient], tmp_path: Path) -> Stand:
    return Stand(shared[1], shared[0], tmp_path)


async def test_a_grant_runs_once_in_a_start(here: Stand) -> None:
    body = await here.plan()
    grant = here.grant(body)
    await here.takes(body, grant)
    await here.refuses("replay", body, grant)
    await here.refuses("ran_already", body, here.grant(body, authority=grant.grant.authority))


async def test_a_grant_sent_twice_at_the_same_time_runs_once(here: Stand) -> None:
    body = await here.plan()
    grant = here.grant(body)
    ends = await asyncio.gather(*(here.execute(body, grant) for _ in range(4)))
    assert sorted(end.code for end in ends) == ["", "replay", "replay", "replay"]
    assert [end.outcome for end in ends].count("applied") == 1


async def test_a_grant_is_worth_nothing_after_a_restart(here: Stand) -> None:
    body = await here.plan()
    used, unused = here.grant(body), here.grant(await here.plan())
    await here.takes(body, used)
    here.start("d" * 16)
    await here.refuses("other_boot", body, used)
    await here.refuses("other_boot", body, unused)
    await here.refuses("ran_already", body, here.grant(body, authority=used.grant.authority))
    # Neither is it on another disk: a pod that comes without the memory of the one before.
    here.start("e" * 16, disk="other.db")
    await here.refuses("other_boot", body, used)
    assert here.memory.outcome(used.grant.authority, "action", here.clocks.wall - timedelta(seconds=1)).code == "forgotten"


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"cluster": "d" * 16}, "other_cluster"),
        ({"runner_boot": "z" * 16}, "other_boot"),
        ({"plan_hash": "0" * 64}, "other_plan"),
        ({"kid": "k3"}, "unknown_key"),
        ({"kid": "k2"}, "bad_signature"),
        ({"key": STRANGER}, "bad_signature"),
        ({"v": 2}, "version"),
        ({"purpose": "undo"}, "never_applied"),
    ],
)
async def test_grants_for_something_else(here: Stand, more: dict[str, Any], code: str) -> None:
    body = await here.plan()
    await here.refuses(code, body, here.grant(body, **more))


@pytest.mark.parametrize(
    "altered",
    [
        {"action": PatchConfigMap(target=TARGET, data={"TEST": "evil"})},
        {"undo": None},
        {"target_uid": "other"},
        {"fields_hash": "0" * 64},
        {"cluster": "d" * 16},
    ],
    ids=lambda row: next(iter(row)),
)
async def test_other_bytes_of_the_plan(here: Stand, altered: dict[str, Any]) -> None:
    body = await here.plan()
    await here.refuses("other_plan", body.model_copy(update=altered), here.grant(body))


@pytest.mark.parametrize("name", [name for name in Grant.model_fields if name != "kid"])
async def test_each_field_of_a_grant_is_under_the_signature(here: Stand, name: str) -> None:
    body = await here.plan()
    signed = here.grant(body)
    other: dict[str, Any] = {
        "v": 2,
        "purpose": "undo",
        "authority": "approval:" + "z" * 16,
        "nonce": "z" * 16,
        "issued_at": here.clocks.wall - timedelta(seconds=1),
        "expires_at": here.clocks.wall + timedelta(seconds=59),
    }
    altered = signed.grant.model_copy(update={name: other.get(name, "z" * 16)})
    await here.refuses("bad_signature", body, SignedGrant(grant=altered, signature=signed.signature))


async def test_a_signature_over_the_bare_json_is_none(here: Stand) -> None:
    """Whatever else the same key may have signed does not pass for a grant."""
    body = await here.plan()
    grant = here.grant(body).grant
    bare = OLD_KEY.sign(canonical_json(grant)).signature.hex()
    await here.refuses("bad_signature", body, SignedGrant(grant=grant, signature=bare))


async def test_two_keys_while_rotating_and_one_afterwards(here: Stand) -> None:
    for kid, key in (("k1", OLD_KEY), ("k2", NEW_KEY)):
        body = await here.plan()
        await here.takes(body, here.grant(body, key, kid=kid))
    here.keys = {"k2": NEW_KEY}
    here.start("d" * 16)
    body = await here.plan()
    await here.refuses("unknown_key", body, here.grant(body))
    await here.takes(body, here.grant(body, NEW_KEY, kid="k2"))


# Clocks.


@pytest.mark.parametrize(
    ("issued_s", "lives_s", "code"),
    [(-60, 60, "expired"), (-61, 60, "expired"), (31, 60, "clock"), (0, 61, "too_long"), (-10, 300, "too_long")],
)
async def test_a_grant_out_of_its_time(here: Stand, issued_s: float, lives_s: float, code: str) -> None:
    body = await here.plan()
    issued = here.clocks.wall + timedelta(seconds=issued_s)
    grant = here.grant(body, issued_at=issued, expires_at=issued + timedelta(seconds=lives_s))
    await here.refuses(code, body, grant)


async def test_a_grant_expires_by_passed_time_whatever_the_wall_clock_says(here: Stand) -> None:
    body = await here.plan()
    async with here.while_reading(body, here.grant(body)) as task:
        here.clocks.passed += 61
        here.clocks.wall -= timedelta(hours=1)
    assert (await task).code == "expired"
    assert "before the change could be sent" in (await task).message


async def test_a_wall_clock_that_jumps_ahead_meanwhile_does_not_end_it(here: Stand) -> None:
    """Its time is counted from the verification, which was in time."""
    body = await here.plan()
    async with here.while_reading(body, here.grant(body)) as task:
        here.clocks.wall += timedelta(hours=1)
        here.clocks.passed += 5
    assert (await task).outcome == "applied"


async def test_a_grant_that_waits_behind_another_expires_there(here: Stand) -> None:
    first, second = await here.plan(), await here.plan()
    late = here.grant(second, expires_at=here.clocks.wall + timedelta(seconds=20))
    async with here.while_reading(first, here.grant(first)) as task:
        waiting = asyncio.create_task(here.execute(second, late))
        await asyncio.sleep(0)
        here.clocks.later(30)
    assert (await task).outcome == "applied"
    refused = await waiting
    assert (refused.code, "waited for another" in refused.message) == ("expired", True)


@pytest.mark.parametrize("seconds", [None, 30.5, -30.5, 3600])
async def test_a_clock_that_is_off_writes_nothing(here: Stand, seconds: float | None) -> None:
    body = await here.plan()
    here.clocks.offset = None if seconds is None else timedelta(seconds=seconds)
    outcome = await here.refuses("clock", body)
    assert "mend it (NTP)" in outcome.message


async def test_a_clock_that_is_a_little_off_writes(here: Stand) -> None:
    body = await here.plan()
    here.clocks.offset = timedelta(seconds=29)
    await here.takes(body)


async def test_a_clock_that_is_set_wrong_meanwhile_stops_the_write(here: Stand) -> None:
    body = await here.plan()
    async with here.while_reading(body, here.grant(body)) as task:
        here.clocks.offset = timedelta(seconds=-90)
    assert (await task).code == "clock"


# The Lease.


async def test_who_is_not_active_writes_nothing(here: Stand) -> None:
    body = await here.plan()
    here.clocks.left = -5
    await here.refuses("not_active", body)


async def test_the_lease_is_asked_right_before_the_write(here: Stand) -> None:
    """Stopped between the verification and the write, for longer than the Lease."""
    body = await here.plan()
    here.clocks.left = 25
    grant = here.grant(body)
    before = await here.value()
    async with here.while_reading(body, grant) as task:
        here.clocks.left = -15
    assert (await task).code == "not_active"
    assert await here.value() == before
    here.clocks.left = 25
    # The grant is used up; another one for the same approval may run, since nothing did.
    await here.refuses("replay", body, grant)
    await here.takes(body, here.grant(body, authority=grant.grant.authority))


# What can't be told.


async def test_a_write_without_an_answer_is_unknown_and_never_sent_again(here: Stand) -> None:
    body = await here.plan()
    grant = here.grant(body)
    await here.cluster.fault(PATH, delay=0)
    await here.cluster.fault(PATH, status=500)
    outcome = await here.execute(body, grant)
    assert outcome.outcome == "unknown"
    await here.refuses("ran_already", body, here.grant(body, authority=grant.grant.authority))


async def test_reads_that_fail_before_the_write_are_no_unknown(here: Stand) -> None:
    """Which resource it is, or the object itself, could not be read: nothing was sent, and that is known."""
    for path in ("^/apis?(/v1)?$", "/configmaps/checkout-config"):
        body = await here.plan()
        here.start()  # it has not discovered anything yet
        await here.cluster.fault(path, status=500, count=20)
        outcome = await here.execute(body)
        assert (outcome.outcome, outcome.code) == ("refused", "unreadable"), outcome.message
        await here.cluster.admin("faults", method="DELETE")
        await here.takes(body)


async def test_a_disk_that_takes_nothing_sends_nothing(here: Stand) -> None:
    body = await here.plan()
    with contextlib.closing(sqlite3.connect(here.folder / "grants.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        outcome = await here.refuses("disk", body)
        assert "nothing was sent" in outcome.message
        other.rollback()
    await here.takes(body)
