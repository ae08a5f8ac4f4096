"""AgentRuntime: questions are picked up by wake-up, and work that a stop interrupted is taken up at the next start."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent_runtime.runtime import AgentRuntime
from control_plane.assembly import control_plane
from control_plane.conversations import Turn
from control_plane.settings import Settings
from protocol.approval import Role
from protocol.events import ModelMessage, ToolFinished, TurnFailed, TurnResumed, UserMessage
from tests.integration.agent_house import House, agent_house
from tests.integration.waiting import until

WHY = "why does payments keep restarting?"


@asynccontextmanager
async def running(house: House) -> AsyncGenerator[AgentRuntime]:
    runtime = AgentRuntime(house.plane)
    await runtime.start()
    try:
        yield runtime
    finally:
        await runtime.stop()


def ended(house: House, turn: Turn) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return (await house.plane.conversations.turn(turn.id)).state not in ("queued", "running")

    return look


async def test_a_question_is_answered_an_approval_runs_and_the_thread_is_concluded(tmp_path: Path) -> None:
    async with agent_house(tmp_path) as house, running(house) as runtime:
        ann, bob = await house.person("ann", Role.OPERATOR), await house.person("bob", Role.APPROVER)
        turn = await house.queue(ann, WHY)
        await until(ended(house, turn), "the turn ends", 60)
        assert runtime.ready
        assert runtime.model_name == "offline"
        told = await house.told(turn.id)
        assert told.all(ModelMessage)[-1].final
        requested = next(e.event.approval for e in told.entries if e.event.type == "approval_requested")
        await house.approve(await house.plane.approvals.get(requested), bob)

        async def concluded() -> bool:
            log = await house.plane.conversations.log(turn.conversation)
            return [e.event.type for e in log].count("turn_finished") == 2

        await until(concluded, "the concluding turn ends", 60)
        log = await house.plane.conversations.log(turn.conversation)
        assert [e.event.door for e in log if isinstance(e.event, UserMessage)] == ["web", "action"]
        assert "**Healed.**" in [e.event.text for e in log if isinstance(e.event, ModelMessage)][-1]
        assert house.script.executions == ["action"]


async def test_questions_of_one_conversation_are_answered_in_their_order_and_others_side_by_side(tmp_path: Path) -> None:
    async with agent_house(tmp_path, concurrent_turns=3) as house:
        ann = await house.person("ann", Role.OPERATOR)
        first = await house.queue(ann, "help")
        queued = [first, *[await house.queue(ann, "help", conversation=first.conversation) for _ in range(4)]]
        others = [await house.queue(ann, "help") for _ in range(6)]
        async with running(house):
            for turn in [*queued, *others]:
                await until(ended(house, turn), "the turn ends", 60)
        log = await house.plane.conversations.log(first.conversation)
        assert [e.turn for e in log if e.event.type == "turn_finished"] == [turn.id for turn in queued]


async def test_a_turn_that_a_stop_interrupted_is_taken_up_at_the_next_start(tmp_path: Path) -> None:
    async with agent_house(tmp_path) as house:
        ann = await house.person("ann", Role.OPERATOR)
        reached = asyncio.Event()

        async def hold(job: Any) -> None:
            if job.request.command.kind == "kubectl" and not reached.is_set():
                await job.accept()
                reached.set()
                return
            await house.script.answer(job)

        house.runner.answer = hold
        turn = await house.queue(ann, WHY)
        async with running(house):
            await asyncio.wait_for(reached.wait(), 60)
            began = time.monotonic()
        assert time.monotonic() - began < 10
        assert (await house.told(turn.id)).turn.state == "running"
    async with control_plane(Settings(data_dir=tmp_path / "data")) as plane:
        # The runner is not there any more: the turn ends in an answer all the same.
        later = replace(house, plane=plane)
        async with running(later):
            await until(ended(later, turn), "the turn ends", 60)
        told = await later.told(turn.id)
        assert told.turn.state == "finished"
        assert len(told.all(TurnResumed)) == 1
        assert [f.status for f in told.all(ToolFinished)].count("interrupted") >= 1
        assert len([m for m in told.all(ModelMessage) if m.final]) == 1


async def test_an_agent_that_cannot_be_loaded_fails_the_turn_with_words_instead_of_silence(tmp_path: Path) -> None:
    async with agent_house(tmp_path, openai_api_key_file=tmp_path / "no-such-key") as house:
        turn = await house.queue(await house.person("ann", Role.OPERATOR), WHY)
        async with running(house):
            await until(ended(house, turn), "the turn ends", 60)
        told = await house.told(turn.id)
        assert told.turn.state == "failed"
        assert "key file" in told.one(TurnFailed).message
