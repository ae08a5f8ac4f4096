"""Approvals in a race, on both databases: nothing is decided, started or expired twice."""

import asyncio
from typing import Literal

from control_plane.approvals import Approval
from control_plane.errors import Conflict, ServiceError
from control_plane.principals import Principal
from protocol.approval import ApprovalState, NotAllowed, Role, Trigger
from protocol.events import ActionStarted, ModelMessage
from protocol.objects import ObjectRef
from protocol.remediation import (
    Risk,
    ScaleWorkload,
)
from tests.integration.desk import Desk, crew

S, T = ApprovalState, Trigger


async def test_the_sweep_expires_each_once(any_desk: Desk) -> None:
    ann, bob, _ = await crew(any_desk)
    conversation = await any_desk.conversation(ann)
    pending = await any_desk.propose(ann, conversation=conversation)
    other = any_desk.plan(action=ScaleWorkload(target=ObjectRef.parse("Deployment/shop/cart"), replicas=3), undo=None)
    approved = await any_desk.decide(await any_desk.propose(ann, other), bob)
    assert await any_desk.approvals.expire_due(any_desk.clock()) == ()
    now = any_desk.clock.move(minutes=15)
    swept = await asyncio.gather(*(any_desk.approvals.expire_due(now) for _ in range(4)))
    assert sorted(one for sweep in swept for one in sweep) == sorted([pending.id, approved.id])
    assert await any_desk.approvals.startable() == ()
    assert [entry.event.type for entry in await any_desk.conversations.log(conversation.id)] == [
        "approval_requested",
        "approval_decided",
    ]


async def test_a_double_click_is_one_decision(any_desk: Desk) -> None:
    ann, bob, _ = await crew(any_desk)
    conversation = await any_desk.conversation(ann)
    approval = await any_desk.propose(ann, conversation=conversation)
    clicks = await asyncio.gather(*(any_desk.decide(approval, bob) for _ in range(6)))
    assert {(click.state, click.version, len(click.decisions)) for click in clicks} == {(S.APPROVED, 2, 1)}
    assert len(await any_desk.conversations.log(conversation.id)) == 2


async def test_of_many_approvers_at_once_exactly_one_decides(any_desk: Desk) -> None:
    ann = await any_desk.person("ann", Role.OPERATOR)
    approvers = [await any_desk.person(f"approver{n}", Role.APPROVER) for n in range(8)]
    approval = await any_desk.propose(ann)
    results = await asyncio.gather(*(any_desk.decide(approval, who) for who in approvers), return_exceptions=True)
    lost = [result for result in results if isinstance(result, BaseException)]
    assert len(lost) == 7
    assert all(isinstance(error, Conflict) and "already decided by Approver" in error.message for error in lost)
    final = await any_desk.approvals.get(approval.id)
    assert (final.state, final.version, len(final.decisions)) == (S.APPROVED, 2, 1)


async def test_two_windows_one_approves_and_one_rejects(any_desk: Desk) -> None:
    ann, bob, carol = await crew(any_desk)
    for n in range(6):
        approval = await any_desk.propose(ann, any_desk.plan(f"{n + 1}Gi"))
        results = await asyncio.gather(
            any_desk.decide(approval, bob), any_desk.decide(approval, carol, "reject"), return_exceptions=True
        )
        assert sum(isinstance(result, Approval) for result in results) == 1
        final = await any_desk.approvals.get(approval.id)
        assert final.version == 2
        assert len(final.decisions) == 1
        if final.state is S.APPROVED:
            await any_desk.approvals.withdraw(approval.id, ann)


async def test_two_approvers_of_a_high_risk_at_once_are_both_counted(any_desk: Desk) -> None:
    ann = await any_desk.person("ann", Role.OPERATOR)
    fresh = [await any_desk.person(name, Role.APPROVER, fresh=True) for name in ("bob", "carol", "dave")]
    approval = await any_desk.propose(ann, any_desk.plan(risk=Risk.HIGH))
    results = await asyncio.gather(*(any_desk.decide(approval, who) for who in fresh), return_exceptions=True)
    assert sum(isinstance(result, Conflict) for result in results) == 1
    final = await any_desk.approvals.get(approval.id)
    assert (final.state, final.version, len({word.by for word in final.decisions})) == (S.APPROVED, 3, 2)


async def test_racing_starts_start_once(any_desk: Desk) -> None:
    ann, bob, _ = await crew(any_desk)
    conversation = await any_desk.conversation(ann)
    approval = await any_desk.decide(await any_desk.propose(ann, conversation=conversation), bob)
    starts = [any_desk.approvals.move(approval.id, T.START, from_version=approval.version) for _ in range(8)]
    results = await asyncio.gather(*starts, return_exceptions=True)
    assert sum(isinstance(result, Approval) for result in results) == 1
    assert sum(isinstance(result, Conflict) for result in results) == 7
    events = [entry.event for entry in await any_desk.conversations.log(conversation.id)]
    assert events.count(ActionStarted(approval=approval.id)) == 1
    assert await any_desk.approvals.running() == (approval.id,)


async def test_a_start_and_a_withdrawal_at_once_end_in_one_of_them(any_desk: Desk) -> None:
    ann, bob, _ = await crew(any_desk)
    for n in range(6):
        approval = await any_desk.decide(await any_desk.propose(ann, any_desk.plan(f"{n + 1}Gi")), bob)
        results = await asyncio.gather(
            any_desk.approvals.move(approval.id, T.START),
            any_desk.approvals.withdraw(approval.id, ann),
            return_exceptions=True,
        )
        final = await any_desk.approvals.get(approval.id)
        assert sum(isinstance(result, Approval) for result in results) == 1
        assert (final.state, final.version) in ((S.RUNNING, 3), (S.CANCELLED, 3))
        if final.state is S.RUNNING:
            await any_desk.approvals.move(approval.id, T.CHECK_PASSED)


async def test_a_proposal_and_the_kill_switch_at_once_leave_nothing_open(any_desk: Desk) -> None:
    ann, bob, _ = await crew(any_desk)
    for n in range(6):
        await asyncio.gather(
            any_desk.propose(ann, any_desk.plan(f"{n + 1}Gi")),
            any_desk.fleet.set_kill_switch("shop", True, by=bob.account, reason="drill"),
            return_exceptions=True,
        )
        assert await any_desk.approvals.list(bob, states=(S.PENDING, S.APPROVED)) == ()
        await any_desk.fleet.set_kill_switch("shop", False, by=bob.account, reason="drill over")


async def test_the_same_plan_again_is_the_same_question(any_desk: Desk) -> None:
    ann, _, _ = await crew(any_desk)
    conversation = await any_desk.conversation(ann)
    opened = await asyncio.gather(*(any_desk.propose(ann, conversation=conversation) for _ in range(5)))
    assert len({one.id for one in opened}) == 1
    assert [entry.event.type for entry in await any_desk.conversations.log(conversation.id)] == ["approval_requested"]


async def test_of_many_plans_for_one_object_at_once_one_stays_open(any_desk: Desk) -> None:
    ann, bob, _ = await crew(any_desk)
    conversations = [await any_desk.conversation(ann) for _ in range(3)]
    plans = [any_desk.propose(ann, any_desk.plan(f"{n + 1}Gi"), conversation=conversations[n % 3]) for n in range(9)]
    opened = await asyncio.gather(*plans)
    assert len(opened) == 9
    (left,) = await any_desk.approvals.list(bob, states=(S.PENDING,))
    states = {one.id: one.state for one in await any_desk.approvals.list(bob)}
    assert list(states.values()).count(S.SUPERSEDED) == 8
    assert (await any_desk.decide(left, bob)).state is S.APPROVED


async def test_everything_at_once_neither_deadlocks_nor_leaves_a_gap(any_desk: Desk) -> None:
    ann, bob, carol = await crew(any_desk)
    conversations = [await any_desk.conversation(ann) for _ in range(3)]
    words: tuple[tuple[Principal, Literal["approve", "reject"]], ...] = (
        (bob, "approve"),
        (carol, "reject"),
        (carol, "approve"),
    )

    async def act(worker: int, n: int) -> None:
        where = conversations[n % 3]
        target = ObjectRef.parse(f"Deployment/shop/web-{worker if n % 2 else 'shared'}")
        plan = any_desk.plan(action=ScaleWorkload(target=target, replicas=10 * worker + n + 1), undo=None)
        approval = await any_desk.propose(ann, plan, conversation=where)
        await any_desk.decide(approval, *words[(worker + n) % 3])
        await any_desk.conversations.append(where.id, ModelMessage(text=str(n)))
        await any_desk.approvals.move(approval.id, T.START)
        await any_desk.approvals.move(approval.id, T.CHECK_FAILED if n % 2 else T.CHECK_PASSED)

    async def work(worker: int) -> list[BaseException | None]:
        done: list[BaseException | None] = []
        for n in range(6):
            if (worker, n) in ((2, 2), (5, 4)):
                await any_desk.fleet.set_kill_switch("shop", True, by=bob.account, reason="drill")
                await any_desk.fleet.set_kill_switch("shop", False, by=bob.account, reason="drill over")
            done += await asyncio.gather(act(worker, n), return_exceptions=True)
        return done

    results = [result for done in await asyncio.gather(*map(work, range(8))) for result in done]
    assert [repr(result) for result in results if not isinstance(result, ServiceError | NotAllowed | None)] == []
    assert results.count(None) > 0
    for conversation in conversations:
        seqs = [entry.seq for entry in await any_desk.conversations.log(conversation.id)]
        assert seqs == list(range(1, len(seqs) + 1))
    assert await any_desk.audit.verify() is None
