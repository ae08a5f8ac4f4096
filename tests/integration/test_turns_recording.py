"""How a turn gets into its log: beside it, in order, together, and no longer once another process has taken it up."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from agent_runtime.turns.recorder import Recorder
from agent_runtime.turns.turn_log import TurnLog
from control_plane.conversations import Turn
from control_plane.errors import Superseded
from protocol.approval import Role
from protocol.events import ModelMessage, ToolCall
from tests.integration.agent_house import House, agent_house
from tests.integration.fake_runner import Job
from tests.integration.scripted_model import Calls, Say, scripted_model
from tests.integration.waiting import until
from tools.answer import ToolAnswer
from tools.names import PROPOSE


@pytest.fixture
async def house(tmp_path: Path) -> AsyncGenerator[House]:
    async with agent_house(tmp_path) as here:
        yield here


async def claimed(house: House) -> Turn:
    ann = await house.person("ann", Role.OPERATOR)
    turn = await house.queue(ann, "hello my friend, tell me about the weather please")
    found = await house.plane.conversations.claim_turn(turn.id)
    assert found is not None
    return found


async def kinds(house: House, turn: Turn) -> list[str]:
    return [entry.event.type for entry in await house.plane.conversations.turn_log(turn.id)]


async def test_what_comes_together_is_one_transaction_in_its_order(house: House) -> None:
    turn = await claimed(house)
    recorder = Recorder(house.plane.conversations, turn, TurnLog())
    call = ToolCall(id="c1", name="kubectl", args={"command": "get pods"})

    async def run() -> ToolAnswer:
        return ToolAnswer("get pods")

    recorder.message(ModelMessage(text="let me look", tool_calls=(call,)))
    await recorder.tool("c1", "kubectl", call.args, run)
    assert await kinds(house, turn) == ["user_message"], "nobody has waited for it"
    await recorder.flush()
    entries = await house.plane.conversations.turn_log(turn.id)
    assert [entry.event.type for entry in entries] == ["user_message", "model_message", "tool_started", "tool_finished"]
    assert [entry.seq for entry in entries] == [1, 2, 3, 4]
    assert len({entry.at for entry in entries[1:]}) == 1
    await recorder.close()


async def test_a_proposal_does_not_run_before_its_call_is_in_the_log(house: House) -> None:
    turn = await claimed(house)
    recorder = Recorder(house.plane.conversations, turn, TurnLog())
    seen: list[str] = []

    async def run() -> ToolAnswer:
        seen.extend(await kinds(house, turn))
        return ToolAnswer("proposed")

    await recorder.tool("c1", PROPOSE, {}, run)
    assert seen == ["user_message", "tool_started"]
    await recorder.close()
    assert (await kinds(house, turn))[-1] == "tool_finished", "closing leaves nothing behind"


async def test_once_another_has_claimed_the_turn_nothing_more_is_written(house: House) -> None:
    turn = await claimed(house)
    recorder = Recorder(house.plane.conversations, turn, TurnLog())
    assert await house.plane.conversations.claim_turn(turn.id) is not None
    recorder.append(ModelMessage(text="too late"))
    with pytest.raises(Superseded):
        await recorder.flush()
    with pytest.raises(Superseded):
        recorder.append(ModelMessage(text="later still"))
    await recorder.close()
    assert await kinds(house, turn) == ["user_message"]


async def test_a_turn_that_another_process_has_taken_up_is_left_to_it(tmp_path: Path) -> None:
    """The first process was only slow: while its tool runs, the second takes the turn up and ends it."""
    async with (
        scripted_model(Calls(("kubectl", {"command": "get pods -A"})), Say("That is all.")) as model,
        agent_house(tmp_path, OPENAI_API_KEY="sk-x", OPENAI_BASE_URL=model.url) as house,
    ):
        ann = await house.person("ann", Role.OPERATOR)
        turn = await house.queue(ann, "hello my friend, tell me about the weather please")
        held, go = asyncio.Event(), asyncio.Event()
        answer = house.script.answer

        async def hold(job: Job) -> None:
            if not held.is_set():
                held.set()
                await go.wait()
            await answer(job)

        house.runner.answer = hold
        slow = asyncio.create_task(house.turns(house.model()).run(turn.id))
        await asyncio.wait_for(held.wait(), 20)
        await until(lambda: len(model.requests) == 1, "the model was asked once")
        await house.turns(house.model()).run(turn.id)
        told = await house.told(turn.id)
        assert told.turn.state == "finished"
        go.set()
        await asyncio.wait_for(slow, 20)
        again = await house.told(turn.id)
        assert again.types == told.types
        assert again.types.count("turn_finished") == again.types.count("turn_resumed") == 1
