"""An approved plan whose trouble went away by itself is not run. What may come back, what a person asked for, and what nobody
can see runs."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import sandbox
from agent_runtime.actions.step import ActionStep
from agent_runtime.spending import Upkeep
from agent_runtime.turns.step import TurnStep
from control_plane.approvals import Approval
from control_plane.assembly import control_plane
from control_plane.clock import utc_now
from control_plane.principals import Principal, ScopedRole
from control_plane.services import ControlPlane
from control_plane.settings import Settings
from protocol.approval import ApprovalState, Decision, Role
from protocol.commands import CommandStatus, Diagnose, ScopeLimit
from protocol.diagnosis import Diagnosis
from protocol.events import ApprovalDecided, UserMessage
from protocol.ids import new_id
from runner.config import RunnerConfig
from runner.main import run as run_runner
from sandbox.resources import DEPLOYMENT
from tests.integration.agent_house import PAYMENTS, ClusterScript, House, agent_house
from tests.integration.fake_runner import Job
from tests.integration.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[House]:
    async with agent_house(tmp_path_factory.mktemp("house")) as here:
        yield here


@pytest_asyncio.fixture(loop_scope="module")
async def house(shared: House) -> AsyncGenerator[House]:
    """The cluster fails as ever, and nothing is switched off."""
    shared.script = ClusterScript(cluster=shared.cluster.id)
    shared.runner.answer = shared.script.answer
    yield shared
    await shared.plane.fleet.set_kill_switch(shared.cluster.id, False, by="admin", reason="over")


async def approved(house: House, *, by_a_person: bool = False) -> Approval:
    """From a question about payments, whose cause was found; or the same plan, because somebody says so."""
    ann, bob = [
        await house.person(f"{name}-{new_id()}", role) for name, role in (("ann", Role.OPERATOR), ("bob", Role.APPROVER))
    ]
    proposed = await house.proposed(ann)
    if by_a_person:
        plan = house.script.plan(proposed.plan.body.action.model_copy(update={"limits": {"memory": "768Mi"}}))
        proposed = await house.plane.approvals.open(
            plan,
            requester=ann,
            cluster=house.cluster.id,
            conversation=proposed.conversation,
            turn=proposed.turn,
            why="I say so",
        )
    return await house.approve(proposed, bob)


def well(approval: Approval, *, after_s: float = 1) -> Diagnosis:
    """Healthy since a moment after the proposal."""
    since = approval.created_at + timedelta(seconds=after_s)
    return Diagnosis(summary="", healthy=True, steady_since=since, checked=(str(PAYMENTS), "2 pods"))


async def run(house: House, approval: Approval, *, minutes: float = 8, **more: Any) -> Approval:
    """So many minutes after the proposal."""
    await house.actions(now=lambda: utc_now() + timedelta(minutes=minutes), **more).run(approval.id)
    return await house.plane.approvals.get(approval.id)


async def test_what_became_well_by_itself_is_not_changed_and_people_read_why(house: House) -> None:
    approval = await approved(house)
    house.script.diagnosis = well(approval)
    ended = await run(house, approval)
    assert ended.state is ApprovalState.CANCELLED
    assert house.script.executions == []
    assert "Deployment/shop/payments became healthy without it" in ended.outcome
    assert "nothing was changed, propose again if it comes back" in ended.outcome
    assert ended.conversation is not None
    log = [entry.event for entry in await house.plane.conversations.log(ended.conversation)]
    decided = [event for event in log if isinstance(event, ApprovalDecided)][-1]
    assert (decided.state, decided.reason) == ("cancelled", ended.outcome)
    # Nothing was done, so nothing is concluded: neither "healed" by us nor a case of it.
    assert [event.door for event in log if isinstance(event, UserMessage)] == ["web"]
    assert await house.plane.approvals.unconcluded() == ()
    house.script.kinds.clear()
    await run(house, approval)
    assert house.script.kinds == [], "it has ended"


async def test_what_crashed_a_minute_ago_runs_though_it_is_up_at_this_moment(house: House) -> None:
    approval = await approved(house)
    house.script.diagnosis = well(approval, after_s=7 * 60)
    assert (await run(house, approval)).state is ApprovalState.SUCCEEDED
    assert house.script.executions == ["action"]


async def test_what_a_person_asked_for_runs_without_a_look(house: House) -> None:
    approval = await approved(house, by_a_person=True)
    house.script.diagnosis = well(approval)
    house.script.kinds.clear()
    assert (await run(house, approval)).state is ApprovalState.SUCCEEDED
    assert house.script.executions == ["action"]
    assert "diagnose" not in house.script.kinds


@pytest.mark.parametrize("how", ["fails", "is refused", "is silent"])
async def test_a_look_without_an_answer_holds_nothing_up(house: House, how: str) -> None:
    approval = await approved(house)
    house.script.diagnosis = well(approval)
    match how:
        case "fails":
            house.script.failing = {"diagnose": CommandStatus.UNAVAILABLE}
        case "is refused":
            house.script.failing = {"diagnose": CommandStatus.DENIED}
        case _:
            house.script.silent = {"diagnose"}
    assert (await run(house, approval, look_within_s=0.3)).state is ApprovalState.SUCCEEDED
    assert house.script.executions == ["action"]


@pytest.mark.parametrize("answer", ["still failing", "well"])
async def test_a_kill_switch_that_is_thrown_during_the_look_counts(house: House, answer: str) -> None:
    approval = await approved(house)
    if answer == "well":
        house.script.diagnosis = well(approval)

    async def thrown(job: Job) -> None:
        if isinstance(job.request.command, Diagnose):
            await house.plane.fleet.set_kill_switch(house.cluster.id, True, by="admin", reason="stop everything")
        await house.script.answer(job)

    house.runner.answer = thrown
    ended = await run(house, approval)
    assert (ended.state, ended.outcome) == (ApprovalState.CANCELLED, "stop everything")
    assert house.script.executions == []


async def test_a_role_that_is_taken_away_during_the_look_counts(house: House) -> None:
    approval = await approved(house)
    bob = approval.decisions[0].by

    async def away(job: Job) -> None:
        if isinstance(job.request.command, Diagnose):
            await house.plane.accounts.disable(bob, by="admin")
        await house.script.answer(job)

    house.runner.answer = away
    ended = await run(house, approval)
    assert ended.state is ApprovalState.CANCELLED
    assert "no longer counted: Bob-" in ended.outcome
    assert house.script.executions == []


async def test_a_process_that_stops_during_the_look_leaves_it_to_the_next(house: House) -> None:
    approval = await approved(house)
    house.script.silent = {"diagnose"}
    house.script.kinds.clear()
    acting = asyncio.create_task(run(house, approval))
    await until(lambda: "diagnose" in house.script.kinds, "it looks")
    acting.cancel()
    await asyncio.wait({acting})
    assert acting.cancelled()
    assert (await house.plane.approvals.get(approval.id)).state is ApprovalState.APPROVED
    house.script.silent = set()
    assert (await run(house, approval)).state is ApprovalState.SUCCEEDED


OPSTHREAD = Principal(account="system", name="Opsthread", roles=(ScopedRole(role=Role.VIEWER),))


@dataclass
class Practice:
    """A control plane over a real runner in the practice cluster, where payments runs out of memory."""

    plane: ControlPlane
    cluster: str
    shop: sandbox.Running

    async def person(self, name: str, role: Role) -> Principal:
        account = await self.plane.accounts.create(name, name.title(), (ScopedRole(role=role),), by="system")
        return await self.plane.accounts.principal(account.id)

    def generation(self) -> int:
        """Of Deployment payments: each write to its spec bumps it by one."""
        return int(self.shop.sandbox.cluster.store.need(DEPLOYMENT, "shop", "payments")["metadata"]["generation"])

    def heal(self) -> None:
        """As a colleague would, past Opsthread."""
        self.shop.sandbox.scenarios.heal("payments-oom")

    async def look(self) -> Diagnosis:
        result = await self.plane.commands.run(
            self.cluster, Diagnose(target=PAYMENTS, namespace="shop"), principal=OPSTHREAD, scope=ScopeLimit()
        )
        return result.diagnosis()

    async def approved(self) -> Approval:
        """The remedy that a turn found, by the rules alone."""
        ann, bob = await self.person("ann", Role.OPERATOR), await self.person("bob", Role.APPROVER)
        conversation = await self.plane.conversations.create(ann, cluster=self.cluster)
        turn = await self.plane.conversations.ask(
            conversation.id, ann, "why does payments keep restarting?", door="web", language="en"
        )
        await TurnStep(plane=self.plane, chain=(), upkeep=Upkeep(self.plane), cases=None).run(turn.id)
        (proposed,) = await self.plane.approvals.list(bob, conversation=conversation.id)
        word = Decision(
            by=bob.account, by_name=bob.name, verdict="approve", plan_hash=proposed.plan.plan_hash, at=utc_now(), door="web"
        )
        return await self.plane.approvals.decide(proposed.id, word, bob)


@asynccontextmanager
async def practice(folder: Path) -> AsyncGenerator[Practice]:
    async with (
        sandbox.running(scenarios=("payments-oom",), speed=20, directory=folder / "kube") as shop,
        control_plane(Settings(data_dir=folder / "data")) as plane,
    ):
        cluster = await plane.fleet.create("shop", by="admin")
        config = RunnerConfig.model_validate(
            {
                "nats_url": plane.bus.url,
                "enrol_token": await plane.fleet.enrolment_token(cluster.id, by="admin"),
                "data_dir": folder / "runner",
                "kubeconfig": shop.kubeconfigs["runner"],
                "prometheus_url": shop.prometheus_url,
                "mode": "writes",
                "remediations": ("all",),
                "grant_keys": {plane.grant_kid: plane.grant_key.verify_key.encode().hex()},
            }
        )
        stop = asyncio.Event()
        task = asyncio.create_task(run_runner(config, stop))
        try:

            async def warm() -> bool:
                assert not task.done(), task.exception()
                seen = await plane.fleet.get(cluster.id)
                return seen.online and seen.summary.cache == "warm"

            await until(warm, "the runner is online and warm", 40)
            yield Practice(plane, cluster.id, shop)
        finally:
            stop.set()
            await asyncio.wait_for(task, 25)


async def test_in_a_cluster_what_others_healed_meanwhile_is_left_as_they_left_it(tmp_path: Path) -> None:
    async with practice(tmp_path) as here:
        approval = await here.approved()
        assert approval.case_code == "memory-limit-too-low"
        assert not (await here.look()).healthy

        async def in_a_later_second() -> bool:
            return utc_now().replace(microsecond=0) > approval.created_at

        await until(in_a_later_second, "Kubernetes' times, which are whole seconds, come after the proposal", 5)
        here.heal()
        generation = here.generation()
        calm = timedelta(seconds=0.5)

        async def steady() -> bool:
            found = await here.look()
            return found.healthy and found.steady_since is not None and utc_now() - found.steady_since >= calm

        await until(steady, "payments is well, and stays so", 30)
        await ActionStep(here.plane, calm=calm).run(approval.id)
        ended = await here.plane.approvals.get(approval.id)
        assert ended.state is ApprovalState.CANCELLED
        assert "Deployment/shop/payments became healthy without it" in ended.outcome
        assert here.generation() == generation
