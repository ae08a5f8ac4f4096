"""Whatever was lost between the end of an action and its conclusion comes back: the concluding turn once, the case once."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

import pytest

from agent_runtime.actions.afterwards import case_of, probation_of
from agent_runtime.runtime import AgentRuntime
from control_plane.approvals import Approval, conclusion_of
from control_plane.turns import MAX_QUEUED
from protocol.approval import Role, Trigger
from protocol.events import CaseStored, LogEntry, TurnFinished, UserMessage
from tests.integration.agent_house import House, agent_house
from tests.integration.waiting import until


@pytest.fixture
async def house(tmp_path: Path) -> AsyncGenerator[House]:
    async with agent_house(tmp_path) as here:
        yield here


async def ended(house: House, trigger: Trigger = Trigger.CHECK_PASSED) -> Approval:
    """An action whose process died right after it wrote the end state."""
    ann, bob = await house.person("ann", Role.OPERATOR), await house.person("bob", Role.APPROVER)
    approval = await house.approve(await house.proposed(ann), bob)
    await house.plane.approvals.move(approval.id, Trigger.START)
    return await house.plane.approvals.move(approval.id, trigger, outcome="it is healthy")


async def log(house: House, approval: Approval) -> tuple[LogEntry, ...]:
    assert approval.conversation is not None
    return await house.plane.conversations.log(approval.conversation)


async def count(house: House, approval: Approval) -> tuple[int, int, int]:
    """Concluding questions, case entries of the log, cases that are kept."""
    events = [entry.event for entry in await log(house, approval)]
    asked = [event for event in events if isinstance(event, UserMessage) and event.door == "action"]
    kept = await house.plane.cases.current([f"approval.{approval.id}"])
    return len(asked), len([e for e in events if isinstance(e, CaseStored)]), len(kept)


async def nothing(house: House, approval: Approval) -> None: ...


async def case_in_the_log(house: House, approval: Approval) -> None:
    """The case and its soak are there; the process died before it asked for the conclusion."""
    assert approval.turn is not None
    assert approval.conversation is not None
    case = case_of(approval, await house.plane.conversations.turn_log(approval.turn))
    await house.plane.soaks.begin(probation_of(approval, case, approval.conversation))


@pytest.mark.parametrize("died", [nothing, case_in_the_log])
async def test_from_each_point_it_is_found_and_finished_once(
    house: House, died: Callable[[House, Approval], Awaitable[None]]
) -> None:
    approval = await ended(house)
    await died(house, approval)
    assert await house.plane.approvals.unconcluded() == (approval.id,)
    for _ in range(2):
        await house.actions().run(approval.id)
    assert await count(house, approval) == (1, 1, 1)
    assert await house.plane.approvals.unconcluded() == ()
    assert house.script.executions == []


async def test_an_action_that_failed_is_owed_a_conclusion_and_no_case(house: House) -> None:
    approval = await ended(house, Trigger.CHECK_FAILED)
    assert await house.plane.approvals.unconcluded() == (approval.id,)
    await house.actions().run(approval.id)
    assert await count(house, approval) == (1, 0, 0)
    assert await house.plane.approvals.unconcluded() == ()


async def test_a_queue_that_was_full_delays_the_conclusion_and_does_not_lose_it(house: House) -> None:
    approval = await ended(house)
    assert approval.conversation is not None
    ann = await house.plane.accounts.principal(approval.requester)
    waiting = [await house.queue(ann, f"and now, {n}?", conversation=approval.conversation) for n in range(MAX_QUEUED)]
    await house.actions().run(approval.id)
    assert await count(house, approval) == (0, 1, 1)
    assert await house.plane.approvals.unconcluded() == (approval.id,)
    await house.plane.conversations.request_cancel(waiting[-1].id, ann)
    await house.actions().run(approval.id)
    assert await count(house, approval) == (1, 1, 1)
    assert await house.plane.approvals.unconcluded() == ()


async def test_the_next_process_finds_it_and_concludes(house: House) -> None:
    approval = await ended(house)
    runtime = AgentRuntime(house.plane)
    await runtime.start()
    try:

        async def concluded() -> bool:
            asked = [
                e.turn for e in await log(house, approval) if isinstance(e.event, UserMessage) and e.event.door == "action"
            ]
            finished = [e.turn for e in await log(house, approval) if isinstance(e.event, TurnFinished)]
            return bool(asked) and asked[0] in finished and await house.plane.approvals.unconcluded() == ()

        await until(concluded, "the next process concludes", 60)

        async def looked_at() -> bool:
            soak = await house.plane.soaks.get(approval.id)
            return soak is not None and (soak.attempts > 0 or bool(soak.mark))

        await until(looked_at, "the process sees to soaks", 30)
    finally:
        await runtime.stop()
    assert (await count(house, approval))[:2] == (1, 1)
    assert house.script.executions == []


def test_the_client_id_of_a_conclusion_stays_what_stored_turns_carry() -> None:
    assert conclusion_of("abc") == "conclude:abc"
