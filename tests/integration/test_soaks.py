"""The soak of a fix: looked at after 30 minutes and after 24 hours by a clock that the test moves, over a fake runner."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from sqlalchemy import update

from agent_runtime.actions.afterwards import case_of, probation_of
from agent_runtime.actions.soak import SoakStep
from control_plane.approvals import Approval
from control_plane.principals import Principal
from control_plane.services import ControlPlane
from control_plane.soaks import LEASE, PATIENCE, Soak, Soaks
from control_plane.tables import SoakRow
from control_plane.turns import MAX_QUEUED
from knowledge.cases import Case
from protocol.approval import Role, Trigger
from protocol.commands import CommandStatus
from protocol.diagnosis import Diagnosis
from protocol.events import CaseEnded, DiagnosisMade, TurnFinished, UserMessage
from protocol.kubectl import parse, render
from protocol.remediation import SetResources
from tests.integration.agent_house import PAYMENTS, House, agent_house, oom
from tests.integration.desk import MovedClock

WELL = Diagnosis(summary="Nothing is wrong with Deployment/shop/payments.", healthy=True)
MARK = render(
    parse(
        "get deployment payments -n shop -o "
        "jsonpath=\"{.metadata.uid} {.metadata.annotations['deployment.kubernetes.io/revision']}\""
    )
)


@dataclass
class Probation:
    house: House
    plane: ControlPlane
    clock: MovedClock
    approval: Approval

    @property
    def step(self) -> SoakStep:
        return SoakStep(self.plane, now=self.clock)

    async def soak(self) -> Soak:
        found = await self.plane.soaks.get(self.approval.id)
        assert found is not None
        return found

    async def case(self) -> Case:
        return (await self.plane.cases.current([f"approval.{self.approval.id}"]))[f"approval.{self.approval.id}"]

    async def ends(self) -> list[CaseEnded]:
        assert self.approval.conversation is not None
        entries = await self.plane.conversations.log(self.approval.conversation)
        return [entry.event for entry in entries if isinstance(entry.event, CaseEnded)]

    async def reopened(self) -> list[str]:
        assert self.approval.conversation is not None
        entries = await self.plane.conversations.log(self.approval.conversation)
        asked = [entry.event for entry in entries if isinstance(entry.event, UserMessage)]
        return [event.text for event in asked if "did not hold" in event.text]

    def revision(self, number: int, uid: str = "uid-1") -> None:
        self.house.script.lines[MARK] = f"{uid} {number}"

    def another_replica(self) -> SoakStep:
        fresh = Soaks(self.plane.database, self.plane.settings, clock=self.clock)
        return SoakStep(replace(self.plane, soaks=fresh), now=self.clock)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def crew(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[tuple[House, Principal, Principal]]:
    async with agent_house(tmp_path_factory.mktemp("soaks")) as house:
        yield house, await house.person("ann", Role.OPERATOR), await house.person("bob", Role.APPROVER)


async def proposed(house: House, ann: Principal) -> Approval:
    """What a turn leaves behind that has found the cause and proposed the remedy."""
    turn = await house.queue(ann, "why does payments keep restarting?")
    await house.plane.conversations.append(turn.conversation, DiagnosisMade(stage="rules", diagnosis=oom()), turn=turn.id)
    await house.plane.conversations.claim_turn(turn.id)
    await house.plane.conversations.end_turn(turn.id, "finished", TurnFinished(took_ms=1))
    return await house.plane.approvals.open(
        house.script.plan(SetResources(target=PAYMENTS, container="app", limits={"memory": "512Mi"})),
        requester=ann,
        cluster=house.cluster.id,
        conversation=turn.conversation,
        turn=turn.id,
        why="the container is killed at its limit",
        case_code="memory-limit-too-low",
    )


@pytest_asyncio.fixture(loop_scope="module")
async def on_probation(crew: tuple[House, Principal, Principal]) -> AsyncGenerator[Probation]:
    """A fix of payments that was verified a moment ago; its mark has been read."""
    house, ann, bob = crew
    house.script.diagnosis, house.script.failing = oom(), {}
    approval = await house.approve(await proposed(house, ann), bob)
    await house.plane.approvals.move(approval.id, Trigger.START)
    approval = await house.plane.approvals.move(approval.id, Trigger.CHECK_PASSED, outcome="2 of 2 pods ready")
    clock = MovedClock()
    clock.now = datetime.now(UTC)
    plane = replace(house.plane, soaks=Soaks(house.plane.database, house.plane.settings, clock=clock))
    here = Probation(house, plane, clock, approval)
    here.revision(7)
    house.script.diagnosis = WELL
    assert approval.conversation is not None
    assert approval.turn is not None
    case = case_of(approval, await plane.conversations.turn_log(approval.turn))
    await plane.soaks.begin(probation_of(approval, case, approval.conversation))
    await here.step.run_due()
    yield here
    async with plane.database.transaction() as session:  # the next test's clock must not find it due
        await session.execute(update(SoakRow).where(SoakRow.state == "waiting").values(state="void"))


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def against(here: Probation) -> int:
    """Votes against the remedy."""
    _, weights = await here.plane.weights.show()
    return sum(one.votes_against for one in weights if one.key == "memory-limit-too-low/set_resources")


async def test_it_holds_when_every_look_finds_it_well(on_probation: Probation) -> None:
    here = on_probation
    assert (await here.soak()).mark == "uid-1 7"
    here.clock.move(minutes=29)
    assert await here.step.run_due() == 0
    here.clock.move(minutes=2)
    assert await here.step.run_due() == 1
    assert ((await here.soak()).step, (await here.case()).outcome, await here.ends()) == (1, "provisional", [])
    here.clock.move(hours=23)
    assert await here.step.run_due() == 0
    here.clock.move(hours=1)
    await here.step.run_due()
    assert ((await here.soak()).state, (await here.case()).outcome) == ("held", "held")
    (end,) = await here.ends()
    assert (end.end, end.object) == ("held", "Deployment/shop/payments")
    assert end.after_s > 24 * 3600
    assert await here.reopened() == []
    here.clock.move(days=3)
    assert await here.step.run_due() == 0


@pytest.mark.parametrize("at", [{"minutes": 31}, {"hours": 25}])
async def test_a_relapse_reopens_the_thread_once_and_marks_the_case(on_probation: Probation, at: dict[str, float]) -> None:
    here = on_probation
    here.clock.move(minutes=31)
    if "hours" in at:
        await here.step.run_due()
        here.clock.move(**at)
    before = await against(here)
    here.house.script.diagnosis = oom()
    await here.step.run_due()
    await here.another_replica().run_due()
    assert ((await here.soak()).state, (await here.case()).outcome) == ("relapsed", "relapsed")
    (end,) = await here.ends()
    assert end.end == "relapsed"
    assert "limit of 256Mi" in end.message
    (question,) = await here.reopened()
    assert "Deployment/shop/payments" in question
    assert await against(here) == before + 1


async def test_the_turn_that_looks_again_may_not_propose(on_probation: Probation) -> None:
    here = on_probation
    here.clock.move(minutes=31)
    here.house.script.diagnosis = oom()
    await here.step.run_due()
    assert here.approval.conversation is not None
    entries = await here.plane.conversations.log(here.approval.conversation)
    turn = next(e.turn for e in entries if isinstance(e.event, UserMessage) and "did not hold" in e.event.text)
    assert turn is not None
    await here.house.turns().run(turn)
    told = await here.house.told(turn)
    assert told.turn.state == "finished"
    assert "diagnosis" in told.types
    assert "approval_requested" not in told.types


async def test_two_replicas_look_once(on_probation: Probation) -> None:
    here = on_probation
    here.clock.move(minutes=31)
    before = here.house.script.kinds.count("diagnose")
    looked = await asyncio.gather(*(here.another_replica().run_due() for _ in range(4)))
    assert sum(looked) == 1
    assert here.house.script.kinds.count("diagnose") == before + 1
    assert (await here.soak()).step == 1


async def test_a_replica_that_dies_with_the_claim_is_followed_by_another(on_probation: Probation) -> None:
    here = on_probation
    here.clock.move(minutes=31)
    (claimed,) = [soak for soak in await here.plane.soaks.claim_due() if soak.approval == here.approval.id]
    assert await here.another_replica().run_due() == 0
    here.clock.now += LEASE
    here.clock.move(seconds=1)
    assert await here.another_replica().run_due() == 1
    assert (await here.soak()).step == 1
    # The one that was thought dead comes back: its word no longer counts.
    assert not await here.plane.soaks.end(claimed, "relapsed", "late")
    assert (await here.soak()).state == "waiting"


@pytest.mark.parametrize("how", ["deleted", "rolled out anew", "made anew"])
async def test_an_object_that_others_touched_says_nothing(on_probation: Probation, how: str) -> None:
    here = on_probation
    here.house.script.diagnosis = oom()
    if how == "deleted":
        here.house.script.failing = {"kubectl": CommandStatus.NOT_FOUND}
    else:
        here.revision(8, "uid-1" if how == "rolled out anew" else "uid-2")
    here.clock.move(minutes=31)
    await here.step.run_due()
    assert ((await here.soak()).state, (await here.case()).outcome) == ("void", "provisional")
    (end,) = await here.ends()
    assert end.end == "void"
    assert ("the trouble is back" in end.message) == (how != "deleted")
    assert await here.reopened() == []


@pytest.mark.parametrize(("uid", "state", "step"), [("uid-2", "void", 0), ("uid-1", "waiting", 1)])
async def test_an_object_that_was_made_anew_while_nobody_looked_is_not_what_was_fixed(
    on_probation: Probation, uid: str, state: str, step: int
) -> None:
    """The runner was away from the fix until its look: no mark was read."""
    here = on_probation
    async with here.plane.database.transaction() as session:
        await session.execute(update(SoakRow).where(SoakRow.approval == here.approval.id).values(mark=""))
    here.revision(1, uid)
    here.clock.move(minutes=31)
    await here.step.run_due()
    seen = await here.soak()
    assert (seen.state, seen.step) == (state, step)
    assert (await here.case()).outcome == "provisional"


async def test_a_silent_cluster_is_asked_again_and_in_the_end_nobody_can_tell(on_probation: Probation) -> None:
    here = on_probation
    here.house.script.failing = {"kubectl": CommandStatus.OFFLINE, "diagnose": CommandStatus.OFFLINE}
    here.clock.move(minutes=31)
    looks = 0
    while (await here.soak()).state == "waiting" and looks < 60:
        looks += await here.step.run_due()
        here.clock.move(minutes=10)
    assert (await here.soak()).state == "unconfirmed"
    assert 5 < looks < 30, looks
    assert here.clock.now - here.approval.created_at > PATIENCE
    assert (await here.case()).outcome == "provisional"
    assert [end.end for end in await here.ends()] == ["unconfirmed"]


async def test_after_a_night_without_us_the_first_silent_look_is_not_the_last(on_probation: Probation) -> None:
    """A laptop that slept: its cluster is awake some seconds after us."""
    here = on_probation
    here.house.script.failing = {"kubectl": CommandStatus.OFFLINE, "diagnose": CommandStatus.OFFLINE}
    here.clock.move(hours=14)
    assert await here.step.run_due() == 1
    assert (await here.soak()).state == "waiting"
    here.house.script.failing = {}
    here.clock.move(minutes=6)
    assert await here.step.run_due() == 1
    assert (await here.soak()).step == 1


async def test_after_an_hour_offline_it_is_looked_at_all_the_same(on_probation: Probation) -> None:
    here = on_probation
    here.house.script.failing = {"kubectl": CommandStatus.OFFLINE}
    here.clock.move(minutes=31)
    await here.step.run_due()
    here.house.script.failing = {}
    here.clock.move(minutes=4)
    assert await here.step.run_due() == 0
    here.clock.move(minutes=2)
    assert await here.step.run_due() == 1
    assert (await here.soak()).step == 1


async def test_another_trouble_is_neither_a_relapse_nor_a_proof(on_probation: Probation) -> None:
    here = on_probation
    other = oom().root_causes[0].model_copy(update={"code": "image-tag-not-found", "explanation": "The tag is not there."})
    here.house.script.diagnosis = oom().model_copy(update={"root_causes": (other,)})
    here.clock.move(minutes=31)
    await here.step.run_due()
    soak = await here.soak()
    assert (soak.state, soak.step) == ("waiting", 0)
    assert "Something else" in soak.message


async def test_a_queue_that_was_full_reopens_the_thread_later(on_probation: Probation) -> None:
    here = on_probation
    assert here.approval.conversation is not None
    ann = await here.plane.accounts.principal(here.approval.requester)
    waiting = [await here.house.queue(ann, f"and {n}?", conversation=here.approval.conversation) for n in range(MAX_QUEUED)]
    here.clock.move(minutes=31)
    here.house.script.diagnosis = oom()
    await here.step.run_due()
    assert ([end.end for end in await here.ends()], await here.reopened()) == (["relapsed"], [])
    await here.plane.conversations.request_cancel(waiting[-1].id, ann)
    await here.another_replica().run_due()
    assert len(await here.reopened()) == 1


async def test_a_case_that_was_forgotten_stays_forgotten(on_probation: Probation) -> None:
    here = on_probation
    admin = await here.house.person(f"root-{here.approval.id}", Role.ADMIN)
    await here.plane.cases.forget(f"approval.{here.approval.id}", admin)
    here.clock.move(hours=25)
    await here.step.run_due()
    here.clock.move(hours=1)
    await here.step.run_due()
    assert (await here.soak()).state == "held"
    assert await here.plane.cases.current([f"approval.{here.approval.id}"]) == {}
