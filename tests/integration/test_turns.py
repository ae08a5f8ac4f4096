"""Turns without a language model, over a real control plane: what is logged, in what order, and that every end is an end."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from protocol.approval import Role
from protocol.commands import CommandStatus
from protocol.diagnosis import Diagnosis
from protocol.events import (
    ApprovalRequested,
    DiagnosisMade,
    ModelMessage,
    ToolFinished,
    ToolStarted,
    TurnCancelled,
    TurnFinished,
    TurnStarted,
)
from tests.integration.agent_house import House, agent_house

WHY = "why does payments keep restarting?"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncGenerator[House]:
    async with agent_house(tmp_path) as here:
        yield here


async def test_a_question_is_diagnosed_shown_proposed_for_and_answered(house: House) -> None:
    told = await house.ask(await house.person("ann", Role.OPERATOR), WHY)

    assert told.turn.state == "finished"
    assert told.types[:5] == ["user_message", "turn_started", "tool_started", "diagnosis", "tool_finished"], (
        "the rules' evidence comes before the first model message"
    )
    made = told.one(DiagnosisMade)
    assert made.stage == "rules"
    assert made.diagnosis.recommendations, "the control plane adds remedies"
    assert "past cases" in " ".join(made.diagnosis.limits)
    approval = await house.plane.approvals.get(told.one(ApprovalRequested).approval)
    assert approval.state == "pending"
    assert approval.case_code == "memory-limit-too-low"
    answer = told.all(ModelMessage)[-1]
    assert answer.final
    assert answer.offline
    assert "without a language model" in answer.text
    assert "**Proposed:**" in answer.text
    assert told.one(TurnFinished).ended_by == "answer"
    assert told.one(TurnStarted).model == "offline"
    assert "execute" not in house.script.kinds


async def test_each_tool_call_has_a_start_and_an_end_with_the_same_id(house: House) -> None:
    told = await house.ask(await house.person("ann", Role.OPERATOR), WHY)
    started, finished = told.all(ToolStarted), told.all(ToolFinished)
    assert sorted(s.call for s in started) == sorted(f.call for f in finished)
    assert len({s.call for s in started}) == len(started)
    assert all(f.text.startswith("[r") for f in finished)


async def test_a_viewer_gets_the_answer_and_is_told_whom_to_ask(house: House) -> None:
    told = await house.ask(await house.person("vera", Role.VIEWER), WHY)
    assert not told.all(ApprovalRequested)
    assert "prepare" not in house.script.kinds
    assert "operator" in told.all(ModelMessage)[-1].text


async def test_a_plan_that_cannot_run_is_proposed_and_said_to_be_one(house: House) -> None:
    house.script.cannot_run = "the runner is read-only"
    told = await house.ask(await house.person("ann", Role.OPERATOR), WHY)
    assert told.one(ApprovalRequested)
    assert "the runner is read-only" in told.all(ModelMessage)[-1].text


async def test_nothing_is_wrong_is_an_answer(house: House) -> None:
    house.script.diagnosis = Diagnosis(summary="Nothing is wrong with search.", healthy=True)
    told = await house.ask(await house.person("ann", Role.OPERATOR), "is search slow?")
    assert "Nothing is wrong with search." in told.all(ModelMessage)[-1].text
    assert not told.all(ApprovalRequested)


async def test_fix_it_in_a_later_turn_proposes_and_gives_the_approval_that_is_there(house: House) -> None:
    ann = await house.person("ann", Role.OPERATOR)
    first = await house.ask(ann, WHY)
    second = await house.ask(ann, "fix it", conversation=first.turn.conversation)
    assert not second.all(ApprovalRequested), "the same plan is open already"
    assert first.one(ApprovalRequested).approval in second.all(ToolFinished)[-1].text


@pytest.mark.parametrize(
    ("text", "line"), [("payments 为什么一直重启？", "未使用语言模型"), ("payments はなぜ落ちる？", "言語モデルを使わず")]
)
async def test_the_answer_is_in_the_language_of_the_question(house: House, text: str, line: str) -> None:
    told = await house.ask(await house.person("ann", Role.OPERATOR), text)
    assert line in told.all(ModelMessage)[-1].text


async def test_an_offline_cluster_is_an_answer_that_says_so(house: House) -> None:
    await house.runner.leave()
    told = await house.ask(await house.person("ann", Role.OPERATOR), WHY)
    assert told.turn.state == "finished"
    assert told.one(ToolFinished).status in (CommandStatus.OFFLINE, CommandStatus.LOST)
    assert "shop" in told.all(ModelMessage)[-1].text


@pytest.mark.parametrize(
    "status", [CommandStatus.FORBIDDEN, CommandStatus.TIMEOUT, CommandStatus.UNAVAILABLE, CommandStatus.FAILED]
)
async def test_a_cluster_that_refuses_is_an_answer_that_says_so(house: House, status: CommandStatus) -> None:
    house.script.failing["diagnose"] = status
    told = await house.ask(await house.person("ann", Role.OPERATOR), WHY)
    assert told.turn.state == "finished"
    assert "diagnose fails in this test." in told.all(ModelMessage)[-1].text


async def test_a_hostile_log_line_stays_data(house: House) -> None:
    told = await house.ask(await house.person("ann", Role.OPERATOR), "show logs of payments before the crash")
    text = told.all(ToolFinished)[-1].text
    assert text.count("</data>") == 1
    assert "ignore your instructions" in text
    assert set(house.script.kinds) == {"kubectl"}


async def test_the_scope_of_the_asker_is_what_the_runner_is_told(house: House) -> None:
    await house.ask(await house.person("ann", Role.OPERATOR, ("shop",)), WHY)
    assert {job.request.scope.namespaces for job in house.runner.jobs} == {("shop",)}


async def test_a_role_that_is_taken_away_in_the_middle_counts_at_the_next_call(house: House) -> None:
    ann = await house.person("ann", Role.OPERATOR)
    turn = await house.queue(ann, WHY)
    await house.plane.accounts.disable(ann.account, by="admin")
    await house.turns().run(turn.id)
    told = await house.told(turn.id)
    assert told.turn.state == "finished"
    assert told.one(ToolFinished).status == CommandStatus.DENIED
    assert house.script.kinds == []


async def test_stop_before_the_first_model_call_ends_the_turn_as_cancelled(house: House) -> None:
    ann = await house.person("ann", Role.OPERATOR)
    turn = await house.queue(ann, WHY)
    assert await house.plane.conversations.claim_turn(turn.id)
    await house.plane.conversations.request_cancel(turn.id, ann)
    await house.turns().run(turn.id)
    told = await house.told(turn.id)
    assert told.turn.state == "cancelled"
    assert told.one(TurnCancelled).by_name == "Ann"
    assert not told.all(ModelMessage)


async def test_a_turn_of_the_same_conversation_waits_for_the_one_before(house: House) -> None:
    ann = await house.person("ann", Role.OPERATOR)
    first = await house.queue(ann, WHY)
    second = await house.queue(ann, "help", conversation=first.conversation)
    await house.turns().run(second.id)
    assert (await house.told(second.id)).turn.state == "queued"
    await house.turns().run(first.id)
    await house.turns().run(second.id)
    assert (await house.told(second.id)).turn.state == "finished"


async def test_a_turn_that_is_run_again_after_its_end_does_nothing(house: House) -> None:
    told = await house.ask(await house.person("ann", Role.OPERATOR), WHY)
    await house.turns().run(told.turn.id)
    assert (await house.told(told.turn.id)).entries == told.entries
