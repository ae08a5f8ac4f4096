"""Whatever was lost between the end of an action and its conclusion comes back: the concluding turn once, the case once."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

import pytest

from agent_runtime.actions.afterwards import case_of
from agent_runtime.runtime import AgentRuntime
from control_plane.approvals import Approval, conclusion_of
from control_plane.turns import MAX_QUEUED
from knowledge.cases import CaseStore
from protocol.approval import Role, Trigger
from protocol.events import CaseStored, LogEntry, TurnFinished, UserMessage
from tests.integration.agent_house import House, agent_house
from tests.integration.waiting import until


@pytest.fixture
async def house(tmp_path: Path) -> AsyncGenerator[House]:
    async with agent_house(tmp_path, cases=True) as here:
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
    """Concluding questions, case entries of the log, cases in the store."""
    assert house.cases is not None
    events = [entry.event for entry in await log(house, approval)]
    asked = [event for event in events if isinstance(event, UserMessage) and event.door == "action"]
    return len(asked), len([e for e in events if isinstance(e, CaseStored)]), await house.cases.count()


async def nothing(house: House, approval: Approval) -> None: ...


async def case_in_the_store(house: House, approval: Approval) -> None:
    assert house.cases is not None
    assert approval.turn is not None
    await house.cases.add(case_of(approval, await house.plane.conversations.turn_log(approval.turn)))


async def case_in_the_log(house: House, approval: Approval) -> None:
    assert approval.conversation is not None
    await case_in_the_store(house, approval)
    event = CaseStored(case=f"approval.{approval.id}", title="payments")
    await house.plane.conversations.append(approval.conversation, event, turn=approval.turn)


async def concluded_without_a_case(house: House, approval: Approval) -> None:
    """The case store was away."""
    await house.actions(cases=lambda: None).run(approval.id)


@pytest.mark.parametrize("died", [nothing, case_in_the_store, case_in_the_log, concluded_without_a_case])
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


async def test_a_case_store_that_breaks_does_not_keep_the_conclusion_back(house: House, tmp_path: Path) -> None:
    approval = await ended(house)
    closed = CaseStore(tmp_path / "other")
    await closed.close()
    await house.actions(cases=lambda: closed).run(approval.id)
    assert (await count(house, approval))[0] == 1
    assert await house.plane.approvals.unconcluded() == (approval.id,)


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
    finally:
        await runtime.stop()
    assert (await count(house, approval))[:2] == (1, 1)
    assert house.script.executions == []


def test_the_client_id_of_a_conclusion_stays_what_stored_turns_carry() -> None:
    assert conclusion_of("abc") == "conclude:abc"
