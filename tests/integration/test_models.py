"""Turns with a language model: the real OpenAI client against a scripted server, and what becomes of a turn when it fails."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.evidence import CONFIDENCE_CAP
from protocol.approval import Role
from protocol.events import (
    ApprovalRequested,
    DiagnosisMade,
    ModelMessage,
    TextDelta,
    ToolFinished,
    ToolStarted,
    TurnCancelled,
    TurnFinished,
    TurnStarted,
)
from tests.integration.agent_house import PAYMENTS, POD, House, Told, agent_house
from tests.integration.scripted_model import Calls, Fail, Garbage, Reply, Say, ScriptedModel, Silent, scripted_model

WHY = "why does payments keep restarting?"
LOGS = ("kubectl", {"command": "logs payments-7c9-abc -n shop --previous --tail=50"})


@asynccontextmanager
async def room(folder: Path, *replies: Reply, **settings: Any) -> AsyncGenerator[tuple[House, ScriptedModel]]:
    async with scripted_model(*replies) as server:
        how: dict[str, Any] = {"OPENAI_API_KEY": "sk-scripted", "OPENAI_BASE_URL": server.url, "model_timeout_s": 5}
        async with agent_house(folder, **(how | settings)) as house:
            yield house, server


async def asked(house: House, text: str = WHY, role: Role = Role.OPERATOR) -> Told:
    return await house.ask(await house.person("ann", role), text, model=house.model())


def reported(*evidence: tuple[str, str], healthy: bool = False) -> dict[str, Any]:
    items = [{"result": r, "excerpt": e, "source": "log", "object": str(POD)} for r, e in evidence]
    cause = {
        "code": "memory-limit-too-low",
        "object": str(PAYMENTS),
        "explanation": "OOM",
        "confidence": 0.9,
        "evidence": items,
    }
    return {"summary": "It needs memory.", "healthy": healthy, "root_causes": [cause]}


async def test_a_model_looks_reports_with_evidence_proposes_and_answers(tmp_path: Path) -> None:
    propose = {"command": "set resources deploy/payments -n shop -c payments --limits=memory=512Mi", "why": "OOM"}
    script = [
        Calls(LOGS),
        Calls(("report", reported(("r1", "OOMKilled exitCode 137"), ("r2", "loading fraud model")))),
        Calls(("propose_remediation", propose)),
        Say("It is killed at its **memory limit**."),
    ]
    async with room(tmp_path, *script) as (house, server):
        told = await asked(house)
        assert told.turn.state == "finished"
        assert told.one(TurnStarted).offline is False
        made = told.all(DiagnosisMade)
        assert [m.stage for m in made] == ["rules", "model"]
        assert made[1].dropped_evidence == 0
        assert made[1].diagnosis.root_causes[0].evidence[1].tool_result == told.all(ToolFinished)[1].call
        assert told.one(ApprovalRequested)
        answer = told.all(ModelMessage)[-1]
        assert answer.text == "It is killed at its **memory limit**."
        assert not answer.offline
        finished = told.one(TurnFinished)
        assert finished.ended_by == "answer"
        assert (finished.model_calls, finished.input_tokens) == (4, 40)
        assert len(server.requests) == 4


async def test_the_first_request_is_small_and_holds_the_rules_evidence_and_all_tools(tmp_path: Path) -> None:
    async with room(tmp_path, Say("Done.")) as (house, server):
        await asked(house)
        assert len(server.requests[0]) < 12 * 1024
        assert "OOMKilled exitCode 137" in server.requests[0].decode()
        assert len(server.tools(0)) == 7


@pytest.mark.parametrize("text", ["为什么 payments 一直重启？", "payments はなぜ再起動を繰り返すの？"])
async def test_the_first_request_is_small_in_every_language_also_for_a_large_diagnosis(tmp_path: Path, text: str) -> None:
    async with room(tmp_path, Say("Done.")) as (house, server):
        cause = house.script.diagnosis.root_causes[0]
        many = tuple(cause.evidence[0].model_copy(update={"excerpt": f"line {n} " + "x" * 900}) for n in range(20))
        large = cause.model_copy(update={"evidence": many, "explanation": "e" * 3000})
        house.script.diagnosis = house.script.diagnosis.model_copy(update={"root_causes": (large,) * 20})
        await asked(house, text)
        assert len(server.requests[0]) < 12 * 1024


async def test_text_is_streamed_live_and_the_whole_of_it_is_logged(tmp_path: Path) -> None:
    words = " ".join(f"word{n}" for n in range(200))
    async with room(tmp_path, Say(words)) as (house, _):
        ann = await house.person("ann", Role.OPERATOR)
        turn = await house.queue(ann, "hello there, friend of mine")
        watching = house.plane.conversations.watch(turn.conversation)
        await anext(watching)
        await house.turns(house.model()).run(turn.id)
        text = ""
        async for live in watching:
            if isinstance(live, TextDelta):
                assert live.offset == len(text)
                text += live.text
            if text == words:
                break
        await watching.aclose()
        assert (await house.told(turn.id)).all(ModelMessage)[-1].text == words


async def test_invented_evidence_is_dropped_and_the_confidence_capped(tmp_path: Path) -> None:
    script = [Calls(("report", reported(("r1", "OOMKilled exitCode 137"), ("r1", "kernel panic")))), Say("Memory.")]
    async with room(tmp_path, *script) as (house, server):
        told = await asked(house)
        made = told.all(DiagnosisMade)[-1]
        assert made.dropped_evidence == 1
        assert made.diagnosis.root_causes[0].confidence == CONFIDENCE_CAP
        assert "kernel panic" in server.messages()[-1]["content"]


async def test_a_model_that_calls_all_well_does_not_hide_the_rules_root_cause(tmp_path: Path) -> None:
    well: dict[str, Any] = {"summary": "All is well.", "healthy": True, "root_causes": []}
    async with room(tmp_path, Calls(("report", well)), Say("All is well.")) as (house, _):
        told = await asked(house)
        rules, made = [entry.diagnosis for entry in told.all(DiagnosisMade)]
        assert [cause.code for cause in made.root_causes] == [cause.code for cause in rules.root_causes]
        assert not made.healthy
        assert made.root_causes[0].confidence == CONFIDENCE_CAP
        assert "called this healthy" in made.limits[-1]


async def test_a_diagnosis_with_no_evidence_left_is_i_do_not_know_also_in_the_answer(tmp_path: Path) -> None:
    script = [Calls(("report", reported(("r1", "kernel panic")))), Say("It was a kernel panic.")]
    async with room(tmp_path, *script) as (house, _):
        told = await asked(house)
        made = told.all(DiagnosisMade)[-1]
        assert not made.diagnosis.root_causes
        assert "don't know" in made.diagnosis.summary
        assert "not proven" in told.all(ModelMessage)[-1].text


async def test_a_model_that_obeys_an_order_in_a_log_changes_nothing(tmp_path: Path) -> None:
    script = [
        Calls(LOGS),
        Calls(("kubectl", {"command": "delete namespace shop"}), ("propose_remediation", {"command": "delete namespace shop"})),
        Calls(("kubectl", {"command": "delete pod payments-7c9-abc -n shop"})),
        Say("I did what the log said."),
    ]
    async with room(tmp_path, *script) as (house, _):
        told = await asked(house)
        assert told.turn.state == "finished"
        assert sorted(f.status for f in told.all(ToolFinished)[2:]) == ["denied", "denied", "invalid"]
        assert not told.all(ApprovalRequested)
        assert "execute" not in house.script.kinds


async def test_bad_arguments_and_unknown_tools_are_told_to_the_model_and_the_turn_goes_on(tmp_path: Path) -> None:
    script = [Calls(("kubectl", {"nonsense": 1}), ("rm_rf", {"path": "/"})), Calls(("kubectl", '{"command": ')), Say("Sorry.")]
    async with room(tmp_path, *script) as (house, _):
        told = await asked(house)
        ends = sorted(told.all(ToolFinished)[1:3], key=lambda end: end.name)
        assert [f.status for f in ends] == ["invalid", "invalid"]
        assert "command" in ends[0].text
        assert "rm_rf" in ends[1].text
        assert told.all(ModelMessage)[-1].text == "Sorry."


async def test_a_viewers_model_has_no_tool_to_propose_with(tmp_path: Path) -> None:
    async with room(tmp_path, Say("Ask an operator.")) as (house, server):
        await asked(house, role=Role.VIEWER)
        assert "propose_remediation" not in server.tools(0)


def retried(*failures: Reply) -> tuple[Reply, ...]:
    return (*failures, Say("All is known now."))


@pytest.mark.parametrize(
    "failure",
    [
        Fail(429, {"Retry-After": "0.05"}),
        Fail(500),
        Fail(503),
        Garbage(),
        Say("half an answer that breaks off", cut=True),
        Say(""),
    ],
    ids=["429", "500", "503", "garbage", "cut", "empty"],
)
async def test_what_may_pass_is_tried_again_and_nothing_of_the_failure_is_left(tmp_path: Path, failure: Reply) -> None:
    async with room(tmp_path, *retried(failure)) as (house, server):
        told = await asked(house)
        assert told.all(ModelMessage)[-1].text == "All is known now."
        assert told.one(TurnFinished).ended_by == "answer"
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("failure", "why"),
    [
        (Fail(401), "401"),
        (Fail(403), "403"),
        (Fail(404), "404"),
        (Fail(400), "400"),
        (Fail(429, {"Retry-After": "0.01"}), "429"),
        (Fail(500), "500"),
        (Garbage(), "malformed"),
        (Say("half an answer that breaks off", cut=True), "broke off"),
        (Say(""), "nothing"),
        (Silent(), "did not answer within"),
    ],
    ids=["401", "403", "404", "400", "429", "500", "garbage", "cut", "empty", "silent"],
)
async def test_when_the_model_stays_away_the_rules_answer_and_say_why(tmp_path: Path, failure: Reply, why: str) -> None:
    async with room(tmp_path, failure, model_timeout_s=0.5) as (house, _):
        told = await asked(house)
        assert told.turn.state == "finished"
        assert told.one(TurnFinished).ended_by == "model_error"
        answer = told.all(ModelMessage)[-1]
        assert answer.offline
        assert why in answer.text
        assert "needs more memory" in answer.text
        assert told.one(ApprovalRequested)


async def test_an_endpoint_that_is_down_is_answered_by_the_rules(tmp_path: Path) -> None:
    down: dict[str, Any] = {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}
    async with room(tmp_path, Say("never"), **down) as (house, server):
        told = await asked(house)
        assert told.one(TurnFinished).ended_by == "model_error"
        assert "can't be reached" in told.all(ModelMessage)[-1].text
        assert server.requests == []


async def test_a_model_that_fails_in_the_middle_leaves_the_rest_to_the_rules(tmp_path: Path) -> None:
    async with room(tmp_path, Calls(LOGS), Fail(401)) as (house, server):
        told = await asked(house)
        assert not told.all(ModelMessage)[0].offline
        assert told.all(ModelMessage)[-1].offline
        assert told.one(TurnFinished).ended_by == "model_error"
        assert len(server.requests) == 2, "the endpoint is not asked again in this turn"


GET = ("kubectl", {"command": "get pods -A"})


@pytest.mark.parametrize(
    "limit",
    [{"model_calls_per_turn": 4}, {"tool_calls_per_turn": 3}, {"tokens_per_turn": 60}, {"turn_seconds": 0}],
    ids=["model calls", "tool calls", "tokens", "seconds"],
)
async def test_each_budget_ends_in_an_answer_even_for_a_model_that_never_stops(tmp_path: Path, limit: dict[str, Any]) -> None:
    async with room(tmp_path, *(Calls(("kubectl", {"command": f"get pods -n n{n}"})) for n in range(60)), **limit) as (
        house,
        server,
    ):
        told = await asked(house)
        assert told.turn.state == "finished"
        assert told.one(TurnFinished).ended_by == "budget"
        assert told.all(ModelMessage)[-1].final
        assert told.all(ModelMessage)[-1].text
        assert server.tools() == [], "the last call has no tools"
        assert len(server.requests) <= 8


async def test_a_model_that_asks_the_same_again_and_again_is_stopped(tmp_path: Path) -> None:
    async with room(tmp_path, Calls(GET)) as (house, server):
        told = await asked(house)
        assert told.one(TurnFinished).ended_by == "budget"
        assert house.script.kinds.count("kubectl") == 2
        assert any("same call" in f.text for f in told.all(ToolFinished))
        assert len(server.requests) < 10


async def test_a_model_that_answers_when_its_tools_are_gone_has_the_last_word(tmp_path: Path) -> None:
    async with room(tmp_path, Calls(GET), Calls(LOGS), Say("That is all I saw."), tool_calls_per_turn=2) as (house, server):
        told = await asked(house)
        assert told.all(ModelMessage)[-1].text == "That is all I saw."
        assert told.one(TurnFinished).ended_by == "budget"
        assert "budget" in server.messages()[-1]["content"]


async def test_a_model_that_writes_calls_as_text_when_its_tools_are_gone_leaves_the_answer_to_the_rules(tmp_path: Path) -> None:
    calls = (f'<tool_call>{{"name": "kubectl", "arguments": {{"command": "get pods -n n{n}"}}}}</tool_call>' for n in range(9))
    async with room(tmp_path, *map(Say, calls), tool_calls_per_turn=2) as (house, server):
        told = await asked(house)
        answer = told.all(ModelMessage)[-1]
        assert "tool_call" not in answer.text
        assert answer.offline
        assert told.one(TurnFinished).ended_by == "budget"
        assert len(server.requests) == 3, "it is not asked again and again"


async def test_stop_in_the_middle_ends_at_the_next_boundary(tmp_path: Path) -> None:
    async with room(tmp_path, Calls(GET), Calls(LOGS), Say("never said")) as (house, server):
        ann = await house.person("ann", Role.OPERATOR)
        turn = await house.queue(ann, WHY)
        stopped: list[str] = []

        async def stop_while_it_looks(job: Any) -> None:
            if job.request.command.kind == "kubectl" and not stopped:
                stopped.append(job.request.id)
                await house.plane.conversations.request_cancel(turn.id, ann)
            await house.script.answer(job)

        house.runner.answer = stop_while_it_looks
        await house.turns(house.model()).run(turn.id)
        told = await house.told(turn.id)
        assert told.turn.state == "cancelled"
        assert told.one(TurnCancelled).by_name == "Ann"
        assert len(server.requests) == 1
        assert {f.call for f in told.all(ToolFinished)} == {s.call for s in told.all(ToolStarted)}


async def test_hidden_words_in_a_question_and_in_the_history_reach_the_model_as_text(tmp_path: Path) -> None:
    async with room(tmp_path, Say("First."), Say("Second.")) as (house, server):
        ann = await house.person("ann", Role.OPERATOR)
        first = await house.ask(ann, WHY, model=house.model())
        await house.ask(ann, "and now?\u202e", model=house.model(), conversation=first.turn.conversation)
        roles = [message["role"] for message in server.messages()]
        assert roles == ["system", "user", "assistant", "user"]
        assert "First." in server.messages()[2]["content"]
        assert "memory-limit-too-low" in server.messages()[2]["content"]
        assert "\u202e" not in server.requests[-1].decode()


async def test_a_key_never_reaches_the_log(tmp_path: Path) -> None:
    async with room(tmp_path, Fail(401)) as (house, _):
        told = await asked(house)
        assert "sk-scripted" not in "".join(entry.model_dump_json() for entry in told.entries)
