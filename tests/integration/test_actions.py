"""Actions over a real control plane and a fake runner: one approved plan, run once, and said what became of it."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.case_keeper import CaseKeeper
from control_plane.approvals import Approval
from control_plane.clock import utc_now
from control_plane.principals import Principal
from protocol.approval import Role, Trigger
from protocol.commands import REVERTED, CommandStatus, Execute
from protocol.events import ActionFinished, ApprovalDecided, CaseStored, DiagnosisMade, ModelMessage, UserMessage
from protocol.grant import GRANT_SECONDS
from tests.integration.agent_house import House, Told, agent_house
from tests.integration.waiting import until


@pytest.fixture
async def house(tmp_path: Path) -> AsyncGenerator[House]:
    async with agent_house(tmp_path) as here:
        yield here


async def approved(house: House) -> tuple[Approval, Principal, Principal]:
    ann, bob = await house.person("ann", Role.OPERATOR), await house.person("bob", Role.APPROVER)
    return await house.approve(await house.proposed(ann), bob), ann, bob


async def run(house: House, approval: Approval, **more: Any) -> Approval:
    await house.actions(**more).run(approval.id)
    return await house.plane.approvals.get(approval.id)


async def whole_log(house: House, approval: Approval) -> Told:
    assert approval.conversation is not None
    assert approval.turn is not None
    return Told(await house.plane.conversations.turn(approval.turn), await house.plane.conversations.log(approval.conversation))


async def test_an_approved_plan_runs_once_under_a_grant_and_is_healed(house: House) -> None:
    house.script.checks = ["waiting", "healthy"]
    approval, ann, _ = await approved(house)
    ended = await run(house, approval)

    assert (ended.state, ended.outcome) == ("succeeded", "it is healthy")
    assert house.script.executions == ["action"]
    sent = next(job.request.command for job in house.runner.jobs if isinstance(job.request.command, Execute))
    assert isinstance(sent, Execute)
    grant = sent.grant.grant
    assert grant.authority == f"approval:{approval.id}"
    assert grant.plan_hash == approval.plan.plan_hash
    assert grant.runner_boot == house.runner.boot
    assert ended.started_at is not None
    assert (grant.expires_at - ended.started_at).total_seconds() == GRANT_SECONDS
    log = await whole_log(house, approval)
    assert log.types.count("action_started") == log.types.count("action_finished") == 1
    question = log.all(UserMessage)[-1]
    assert (question.door, question.by) == ("action", ann.account)


async def test_the_concluding_turn_says_healed_and_may_not_propose(house: House) -> None:
    approval, _, _ = await approved(house)
    await run(house, approval)
    turn = (await house.plane.conversations.startable_turns())[0]
    await house.turns().run(turn)
    told = await house.told(turn)
    assert told.turn.state == "finished"
    assert not told.turn.may_propose
    answer = told.all(ModelMessage)[-1].text
    assert "**Healed.**" in answer
    assert "Deployment/shop/payments" in answer


async def test_a_healed_incident_is_stored_as_a_case_and_found_again(tmp_path: Path) -> None:
    async with agent_house(tmp_path, cases=True) as house:
        approval, ann, _ = await approved(house)
        await run(house, approval)
        stored = (await whole_log(house, approval)).one(CaseStored)
        case = (await house.plane.cases.current([stored.case]))[stored.case]
        assert (case.code, case.object, case.outcome) == ("memory-limit-too-low", "Deployment/shop/payments", "provisional")
        assert case.fix == approval.command_line
        await run(house, approval)
        assert len((await whole_log(house, approval)).all(CaseStored)) == 1
        await CaseKeeper(house.plane, lambda: house.cases).once()
        told = await house.ask(ann, "why does payments keep restarting?")
        similar = told.all(DiagnosisMade)[0].diagnosis.similar_cases
        assert [(one.id, one.outcome) for one in similar][:1] == [(stored.case, "provisional")]


@pytest.mark.parametrize(
    ("script", "state", "words", "executions"),
    [
        ({"executed": "refused"}, "failed", "changed nothing", ["action"]),
        ({"executed": "failed"}, "failed", "It failed", ["action"]),
        ({"executed": "unknown"}, "unknown", "not known", ["action"]),
        ({"checks": ["waiting"]}, "failed", "Not healthy within 2 s", ["action"]),
        ({"checks": ["unknown"]}, "unknown", "can't be seen", ["action"]),
        ({"checks": ["worse"]}, "rolled_back", "The change was undone.", ["action", "undo"]),
        ({"checks": ["worse"], "check_code": REVERTED}, "failed", "Nothing is left to undo", ["action"]),
        ({"stopped": True}, "failed", "stopped half-way by order. it was applied. Undo it by hand: kubectl", ["action"]),
        ({"checks": ["worse"], "undone": "refused"}, "failed", "Undo it by hand: kubectl", ["action", "undo"]),
        ({"checks": ["worse"], "undone": "unknown"}, "unknown", "Whether the undo ran", ["action", "undo"]),
        ({"failing": {"execute": CommandStatus.DENIED}}, "failed", "changed nothing", ["action"]),
    ],
)
async def test_each_end_of_an_action_has_its_state_and_words(
    house: House, script: dict[str, Any], state: str, words: str, executions: list[str]
) -> None:
    approval, _, _ = await approved(house)
    for name, value in script.items():
        setattr(house.script, name, value)
    ended = await run(house, approval)
    assert ended.state == state
    assert words in ended.outcome
    assert house.script.executions == executions
    assert (await whole_log(house, approval)).one(ActionFinished).message == ended.outcome


async def test_a_runner_that_takes_the_plan_and_is_lost_is_asked_and_never_sent_to_again(house: House) -> None:
    approval, _, _ = await approved(house)

    async def take_and_die(job: Any) -> None:
        if job.request.command.kind == "execute":
            house.script.executions.append("action")
            house.runner.answer = house.script.answer
            await job.accept()
            await job.finish("", status=CommandStatus.LOST, error="the runner was not heard of again")
            return
        await house.script.answer(job)

    house.runner.answer = take_and_die
    ended = await run(house, approval)
    assert ended.state == "succeeded"
    assert house.script.executions == ["action"]
    assert "grant_status" in house.script.kinds


async def test_a_runner_that_never_answers_again_leaves_nobody_to_tell(house: House) -> None:
    approval, _, _ = await approved(house)
    house.script.failing = dict.fromkeys(("execute", "grant_status", "check"), CommandStatus.LOST)
    ended = await run(house, approval)
    assert ended.state == "unknown"
    assert house.script.executions == ["action"]


async def test_a_role_that_was_taken_away_after_the_approval_stops_the_action(house: House) -> None:
    approval, _, bob = await approved(house)
    await house.plane.accounts.disable(bob.account, by="admin")
    ended = await run(house, approval)
    assert ended.state == "cancelled"
    assert "no longer counted: Bob" in ended.outcome
    assert house.script.executions == []
    assert "Bob" in (await whole_log(house, approval)).all(ApprovalDecided)[-1].reason


async def test_an_approval_that_expired_meanwhile_does_not_run(house: House) -> None:
    approval, _, _ = await approved(house)
    ended = await run(house, approval, now=lambda: utc_now() + timedelta(hours=1))
    assert ended.state == "cancelled"
    assert "expired" in ended.outcome
    assert house.script.executions == []


async def test_the_kill_switch_stops_what_is_approved(house: House) -> None:
    approval, _, _ = await approved(house)
    await house.plane.fleet.set_kill_switch(house.cluster.id, True, by="admin", reason="freeze")
    ended = await run(house, approval)
    assert ended.state == "cancelled"
    assert house.script.executions == []


async def test_the_kill_switch_tells_the_runner_to_stop_what_it_is_doing(house: House) -> None:
    approval, _, _ = await approved(house)
    house.script.silent = {"execute"}
    acting = asyncio.create_task(run(house, approval))
    await until(lambda: house.script.executions, "the runner has the plan")
    sent = next(job.request for job in house.runner.jobs if isinstance(job.request.command, Execute))
    await house.plane.fleet.set_kill_switch(house.cluster.id, True, by="admin", reason="freeze")
    await until(lambda: sent.id in house.runner.cancelled, "the runner is told")
    acting.cancel()
    await asyncio.wait({acting})


async def test_an_execution_goes_on_when_the_process_that_waits_for_it_stops(house: House) -> None:
    approval, ann, _ = await approved(house)
    house.script.silent = {"execute"}
    acting = asyncio.create_task(run(house, approval))
    await until(lambda: house.script.executions, "the runner has the plan")
    sent = next(job.request for job in house.runner.jobs if isinstance(job.request.command, Execute))
    acting.cancel()
    await asyncio.wait({acting})
    told = await house.ask(ann, "kubectl get pods -A")
    assert told.turn.state == "finished"
    assert sent.id not in house.runner.cancelled


async def test_a_pending_approval_does_not_run(house: House) -> None:
    approval = await house.proposed(await house.person("ann", Role.OPERATOR))
    assert (await run(house, approval)).state == "pending"
    assert house.script.executions == []


async def test_an_action_that_is_run_again_after_its_end_does_nothing_twice(house: House) -> None:
    approval, _, _ = await approved(house)
    await run(house, approval)
    log = await whole_log(house, approval)
    await run(house, approval)
    assert (await whole_log(house, approval)).entries == log.entries
    assert house.script.executions == ["action"]


async def started(house: House) -> Approval:
    """An action whose process died after it wrote `running`."""
    approval, _, _ = await approved(house)
    return await house.plane.approvals.move(approval.id, Trigger.START)


@pytest.mark.parametrize(
    ("became", "state", "words"),
    [
        ({"action": "applied"}, "succeeded", "it is healthy"),
        ({"action": "refused"}, "failed", "changed nothing"),
        ({"action": "failed"}, "failed", "It failed"),
        ({"action": "unknown"}, "unknown", "not known"),
        ({"action": "applied", "undo": "applied"}, "rolled_back", "undone"),
        ({"action": "applied", "undo": "failed"}, "failed", "by hand"),
    ],
)
async def test_after_a_crash_while_running_it_asks_and_never_sends_again(
    house: House, became: dict[str, Any], state: str, words: str
) -> None:
    approval = await started(house)
    house.script.became = became
    ended = await run(house, approval)
    assert ended.state == state
    assert words in ended.outcome
    assert house.script.executions == []
    assert (await whole_log(house, approval)).types.count("action_started") == 1


async def test_after_a_crash_a_plan_that_never_arrived_is_failed_once_its_grant_is_over(house: House) -> None:
    approval = await started(house)
    assert approval.started_at is not None
    asked = 0
    over = approval.started_at + timedelta(seconds=GRANT_SECONDS)

    def clock() -> Any:
        nonlocal asked
        asked += 1
        return over if asked > 6 else utc_now()

    ended = await run(house, approval, now=clock)
    assert ended.state == "failed"
    assert "never reached the runner" in ended.outcome
    assert house.script.kinds.count("grant_status") > 2, "it asks again until the grant can't be used any more"
    assert house.script.executions == []


async def test_after_a_crash_with_the_runner_gone_nobody_can_tell(house: House) -> None:
    approval = await started(house)
    await house.runner.leave()
    ended = await run(house, approval)
    assert ended.state == "unknown"
    assert house.script.executions == []


async def test_after_a_crash_that_came_before_the_conclusion_it_is_asked_for_once(house: House) -> None:
    approval = await started(house)
    await house.plane.approvals.move(approval.id, Trigger.CHECK_PASSED, outcome="it is healthy")
    for _ in range(2):
        await run(house, approval)
    log = await whole_log(house, approval)
    assert [message.door for message in log.all(UserMessage)] == ["web", "action"]


async def test_after_a_crash_a_plan_that_made_it_worse_is_undone_once(house: House) -> None:
    approval = await started(house)
    house.script.became = {"action": "applied"}
    house.script.checks = ["worse"]
    ended = await run(house, approval)
    assert ended.state == "rolled_back"
    assert house.script.executions == ["undo"]


@pytest.mark.parametrize("status", [CommandStatus.CANCELLED, CommandStatus.FAILED, CommandStatus.FORBIDDEN])
async def test_an_execution_that_ends_without_an_outcome_is_asked_about_and_not_called_harmless(
    house: House, status: CommandStatus
) -> None:
    """A runner that is stopped in the middle says `cancelled`: the change may have been made all the same."""
    approval, _, _ = await approved(house)
    house.script.failing = {"execute": status}
    house.script.became = {"action": "unknown"}
    ended = await run(house, approval)
    assert ended.state == "unknown"
    assert "changed nothing" not in ended.outcome
    assert house.script.executions == ["action"]


async def test_after_a_crash_what_the_runner_is_still_doing_is_waited_for(house: House) -> None:
    approval = await started(house)
    house.script.codes = ["running", "running", ""]
    house.script.became = {"undo": "never_seen", "action": "applied"}
    ended = await run(house, approval)
    assert ended.state == "succeeded"
    assert house.script.codes == []


async def test_an_undo_that_ran_before_is_not_called_undone_by_hand(house: House) -> None:
    approval, _, _ = await approved(house)
    house.script.checks = ["worse"]
    house.script.undone = "refused"
    house.script.refused_code = "ran_already"
    house.script.became = {"undo": "applied"}
    ended = await run(house, approval)
    assert ended.state == "rolled_back"


async def test_a_runner_that_is_gone_after_a_crash_is_not_said_to_have_made_it_worse(house: House) -> None:
    approval = await started(house)
    assert approval.plan.body.undo is not None
    await house.runner.leave()
    ended = await run(house, approval)
    assert ended.state == "unknown"
    assert "worse" not in ended.outcome


async def test_a_process_that_was_held_up_after_the_start_sends_no_fresh_grant(house: House) -> None:
    """By then another one may have said that the plan never reached the runner."""
    approval, _, _ = await approved(house)
    late = utc_now() + timedelta(seconds=GRANT_SECONDS + 5)
    calls = 0

    def clock() -> Any:
        nonlocal calls
        calls += 1
        return utc_now() if calls == 1 else late

    await run(house, approval, now=clock)
    sent = next(job.request.command for job in house.runner.jobs if isinstance(job.request.command, Execute))
    assert isinstance(sent, Execute)
    assert sent.grant.grant.expires_at < late
