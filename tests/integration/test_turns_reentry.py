"""A turn whose process died: taken up from its log at every boundary, with nothing twice."""

from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest

from agent_runtime.turns.step import MAX_ATTEMPTS
from agent_runtime.turns.turn_log import opening_call
from protocol.approval import Role
from protocol.events import (
    AgentEvent,
    ApprovalRequested,
    DiagnosisMade,
    ModelMessage,
    ToolCall,
    ToolFinished,
    ToolStarted,
    TurnFailed,
    TurnFinished,
    TurnResumed,
    TurnStarted,
)
from tests.integration.agent_house import House, Told, agent_house

WHY = "why does payments keep restarting?"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncGenerator[House]:
    async with agent_house(tmp_path) as here:
        yield here


async def again(house: House, turn: str) -> Told:
    await house.turns().run(turn)
    return await house.told(turn)


async def test_at_every_boundary_of_a_whole_turn_the_log_ends_the_same_and_one_approval_is_open(house: House) -> None:
    """The whole turn is played once; then, for each of its events, a turn that died just after it is taken up again."""
    ann = await house.person("ann", Role.OPERATOR)
    whole = await house.ask(ann, WHY)
    played = [entry.event for entry in whole.entries][1:-1]
    plan_hash = (await house.plane.approvals.get(whole.one(ApprovalRequested).approval)).plan.plan_hash

    for cut in range(len(played) + 1):

        def died(turn: str, cut: int = cut) -> tuple[AgentEvent, ...]:
            # The approval of the whole turn stands for the one that this turn would have opened.
            return tuple(_of_turn(event, whole.turn.id, turn) for event in played[:cut])

        turn = await house.died_after(ann, WHY, died)
        told = await again(house, turn.id)
        where = f"after {cut} events: {told.types}"
        assert told.turn.state == "finished", where
        assert told.types[-1] == "turn_finished", where
        assert told.types.count("turn_finished") == 1, where
        assert len([m for m in told.all(ModelMessage) if m.final]) == 1, where
        assert len(told.all(ApprovalRequested)) <= 1, where
        started, finished = told.all(ToolStarted), told.all(ToolFinished)
        assert sorted(s.call for s in started) == sorted(f.call for f in finished), where
        assert len({s.call for s in started}) == len(started), where
        assert bool(told.all(TurnResumed)) is (0 < cut < len(played)), where
        if told.all(ApprovalRequested) and cut < len(played):
            opened = await house.plane.approvals.get(told.one(ApprovalRequested).approval)
            assert opened.plan.plan_hash == plan_hash, where
        before = told.entries
        assert (await again(house, turn.id)).entries == before, "an ended turn stays as it is"


def _of_turn(event: AgentEvent, old: str, new: str) -> AgentEvent:
    """The same event as it would stand in another turn: call ids hold the turn's id."""
    return type(event).model_validate_json(event.model_dump_json().replace(old, new))


async def resumed(house: House, events: Callable[[str], tuple[AgentEvent, ...]]) -> Told:
    turn = await house.died_after(await house.person("ann", Role.OPERATOR), WHY, events)
    return await again(house, turn.id)


async def test_a_tool_that_started_without_a_result_is_interrupted_and_diagnosis_is_made_again(house: House) -> None:
    told = await resumed(
        house,
        lambda turn: (
            TurnStarted(model="offline", offline=True),
            ToolStarted(call=opening_call(turn), name="diagnose", title="diagnose payments"),
        ),
    )
    first = told.all(ToolFinished)[0]
    assert first.status == "interrupted"
    assert "asked again once" in first.text
    assert told.one(TurnResumed)
    assert told.one(DiagnosisMade)
    assert told.one(ApprovalRequested)


async def test_a_call_that_was_asked_for_and_never_started_runs_without_asking_the_model_again(house: House) -> None:
    call = ToolCall(id="c7", name="kubectl", args={"command": "get pods -A"})
    told = await resumed(
        house, lambda _: (TurnStarted(model="offline", offline=True), ModelMessage(text="", tool_calls=(call,), offline=True))
    )
    assert next(s.call for s in told.all(ToolStarted)) == "c7"
    assert told.all(ToolFinished)[0].status == "ok"


async def test_a_call_to_an_unknown_tool_that_waits_is_answered(house: House) -> None:
    call = ToolCall(id="c7", name="rm_rf", args={})
    told = await resumed(
        house, lambda _: (TurnStarted(model="offline", offline=True), ModelMessage(text="", tool_calls=(call,), offline=True))
    )
    assert "no tool 'rm_rf'" in told.all(ToolFinished)[0].text
    assert told.turn.state == "finished"


async def test_a_proposal_whose_approval_was_open_before_the_crash_keeps_that_approval(house: House) -> None:
    ann = await house.person("ann", Role.OPERATOR)
    approval = await house.proposed(ann)
    call = ToolCall(id="p1", name="propose_remediation", args={"action": {}})

    def died(turn: str) -> tuple[AgentEvent, ...]:
        return (
            TurnStarted(model="offline", offline=True),
            ToolStarted(call=opening_call(turn), name="diagnose", title="diagnose payments"),
            DiagnosisMade(stage="rules", diagnosis=house.script.diagnosis),
            ToolFinished(call=opening_call(turn), name="diagnose", status="ok", text="[r1] diagnose payments: ok"),
            ModelMessage(text="", tool_calls=(call,), offline=True),
            ToolStarted(call="p1", name="propose_remediation", title="propose"),
            ApprovalRequested(approval=approval.id),
        )

    prepared = house.script.kinds.count("prepare")
    told = await again(house, (await house.died_after(ann, WHY, died)).id)
    ended = next(f for f in told.all(ToolFinished) if f.call == "p1")
    assert ended.status == "ok"
    assert approval.id in ended.text
    assert house.script.kinds.count("prepare") == prepared
    assert len(told.all(ApprovalRequested)) == 1


async def test_an_answer_that_was_written_is_not_written_again(house: House) -> None:
    told = await resumed(
        house, lambda _: (TurnStarted(model="gpt", offline=False), ModelMessage(text="It is fine.", offline=True, final=True))
    )
    assert [m.text for m in told.all(ModelMessage)] == ["It is fine."]
    assert told.one(TurnFinished).ended_by == "model_error", "a model was configured and the rules answered"


async def test_a_turn_that_is_interrupted_again_and_again_is_given_up(house: House) -> None:
    turn = await house.died_after(await house.person("ann", Role.OPERATOR), WHY, lambda _: ())
    for _ in range(MAX_ATTEMPTS - 1):
        assert await house.plane.conversations.claim_turn(turn.id)
    told = await again(house, turn.id)
    assert told.turn.state == "failed"
    assert "given up" in told.one(TurnFailed).message
