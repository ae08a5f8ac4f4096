"""Approvals attacked: nothing is decided by the wrong person, late, or about another plan than was shown."""

import asyncio

import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from control_plane.errors import Conflict, NotFound, NotSignedIn
from control_plane.principals import ScopedRole
from control_plane.tables import ApprovalRow, LogEntryRow
from control_plane.wakeups import WORK
from protocol.approval import TRANSITIONS, ApprovalState, NotAllowed, Role, Trigger
from protocol.canonical import digest
from protocol.events import ActionFinished, ActionStarted, ApprovalDecided, ApprovalRequested
from protocol.ids import new_id
from protocol.objects import ObjectRef
from protocol.remediation import (
    CordonNode,
    DrainNode,
    RestartWorkload,
    Risk,
    ScaleWorkload,
    UncordonNode,
)
from tests.integration.desk import Desk, crew, refused

S, T = ApprovalState, Trigger
PAYMENTS = ObjectRef.parse("Deployment/shop/payments")
NODE = ObjectRef.parse("Node//worker-1")


async def test_an_approvers_click_approves_and_all_of_it_is_told(desk: Desk) -> None:
    ann, bob, _ = await crew(desk)
    conversation = await desk.conversation(ann)
    approval = await desk.propose(ann, conversation=conversation)
    assert approval.command_line == "kubectl set resources deployment/payments -n shop -c app --limits=memory=512Mi"
    assert approval.undo_line == "kubectl set resources deployment/payments -n shop -c app --limits=memory=128Mi"
    assert (await desk.conversations.get(conversation.id)).open_approvals == 1
    desk.clock.move(seconds=30)
    work = asyncio.ensure_future(anext(desk.wakeups.subscribe(WORK)))
    approved = await desk.decide(approval, bob)
    assert (approved.state, approved.version, approved.decided_by_name) == (S.APPROVED, 2, "Bob")
    (word,) = approved.decisions
    assert (word.by, word.by_name, word.at) == (bob.account, "Bob", desk.clock())
    assert await asyncio.wait_for(work, 5) == approval.id.encode()
    assert await desk.approvals.startable() == (approval.id,)
    assert [entry.event for entry in await desk.conversations.log(conversation.id)] == [
        ApprovalRequested(approval=approval.id),
        ApprovalDecided(approval=approval.id, state=S.APPROVED, by_name="Bob"),
    ]
    root = await desk.person("root", Role.ADMIN)
    rows = await desk.audit.list(root, subject=f"approval:{approval.id}")
    assert [(row.action, row.actor_name, row.door) for row in rows] == [
        ("approval.decided", "Bob", "web"),
        ("approval.requested", "Ann", ""),
    ]
    assert all(row.detail["plan_hash"] == approval.plan.plan_hash for row in rows)


async def test_the_requester_can_not_approve_but_may_take_it_back(desk: Desk) -> None:
    ann = await desk.person("ann", Role.APPROVER)
    approval = await desk.propose(ann)
    assert desk.approvals.may_decide(approval, ann) == "You asked for this change, so somebody else has to approve it."
    assert await refused(desk.decide(approval, ann)) == "requester"
    assert (await desk.decide(approval, ann, "reject")).state is S.CANCELLED


async def test_an_admin_who_asked_can_not_approve_either(desk: Desk) -> None:
    root = await desk.person("root", Role.ADMIN)
    assert await refused(desk.decide(await desk.propose(root), root)) == "requester"


async def test_low_risk_needs_one_operator_who_may_be_the_requester(desk: Desk) -> None:
    ann = await desk.person("ann", Role.OPERATOR)
    plan = desk.plan(action=RestartWorkload(target=PAYMENTS), undo=RestartWorkload(target=PAYMENTS), risk=Risk.LOW)
    assert (await desk.decide(await desk.propose(ann, plan), ann)).state is S.APPROVED


@pytest.mark.parametrize(("role", "code"), [(Role.VIEWER, "role"), (Role.OPERATOR, "role")])
async def test_a_role_that_is_too_low_does_not_count(desk: Desk, role: Role, code: str) -> None:
    ann, _, _ = await crew(desk)
    approval = await desk.propose(ann)
    low = await desk.person("low", role)
    assert await refused(desk.decide(approval, low)) == code
    assert desk.approvals.may_decide(approval, low) is not None
    assert (await desk.approvals.get(approval.id)).version == 1


@pytest.mark.parametrize(
    ("clusters", "namespaces"), [(("*",), ("bank",)), (("other",), ("*",)), (("other",), ("shop",)), (("*",), ())]
)
async def test_a_role_elsewhere_does_not_see_it(desk: Desk, clusters: tuple[str, ...], namespaces: tuple[str, ...]) -> None:
    ann, _, _ = await crew(desk)
    approval = await desk.propose(ann)
    elsewhere = await desk.person("elsewhere", Role.ADMIN, clusters=clusters, namespaces=namespaces)
    assert await refused(desk.decide(approval, elsewhere), NotFound) == "not_found"
    assert await refused(desk.approvals.get(approval.id, elsewhere), NotFound) == "not_found"
    assert await refused(desk.approvals.withdraw(approval.id, elsewhere), NotFound) == "not_found"
    assert await desk.approvals.list(elsewhere) == ()
    assert desk.approvals.may_decide(approval, elsewhere) == "Your roles do not cover Deployment/shop/payments."


async def test_an_approver_of_the_namespace_is_enough_for_it_but_not_for_a_node(desk: Desk) -> None:
    ann, _, _ = await crew(desk)
    local = await desk.person("local", Role.APPROVER, clusters=("shop",), namespaces=("shop",))
    cordon = desk.plan(action=UncordonNode(target=NODE), undo=CordonNode(target=NODE))
    assert await refused(desk.decide(await desk.propose(ann, cordon), local), NotFound) == "not_found"
    assert (await desk.decide(await desk.propose(ann), local)).state is S.APPROVED


async def test_the_role_counts_as_it_stands_at_the_click(desk: Desk) -> None:
    ann, bob, carol = await crew(desk)
    approval = await desk.propose(ann)
    await desk.accounts.set_roles(bob.account, (ScopedRole(role=Role.VIEWER),), by="system")
    assert await refused(desk.decide(approval, bob)) == "role"  # his page is older than that
    await desk.accounts.disable(carol.account, by="system")
    await refused(desk.decide(approval, carol), NotSignedIn)
    forged = ann.model_copy(update={"roles": (ScopedRole(role=Role.ADMIN),), "admin": True})
    assert await refused(desk.decide(approval, forged)) == "role"


async def test_another_plan_than_was_shown_is_not_approved(desk: Desk) -> None:
    ann, bob, _ = await crew(desk)
    approval = await desk.propose(ann)
    other = desk.plan("1Gi").plan_hash
    assert await refused(desk.decide(approval, bob, plan_hash=other)) == "plan_changed"
    assert await refused(desk.decide(approval, bob, "reject", plan_hash=other)) == "plan_changed"


async def test_a_stored_plan_that_was_altered_is_not_approved(desk: Desk) -> None:
    ann, bob, _ = await crew(desk)
    approval = await desk.propose(ann)
    altered = approval.plan.model_copy(update={"body": desk.plan("64Gi").body})
    async with desk.database.transaction() as session:
        await session.execute(update(ApprovalRow).values(plan=altered.model_dump_json()))
    assert await refused(desk.decide(approval, bob)) == "plan_changed"
    consistent = altered.model_copy(update={"plan_hash": digest(altered.body)})
    async with desk.database.transaction() as session:
        await session.execute(update(ApprovalRow).values(plan=consistent.model_dump_json()))
    assert await refused(desk.decide(approval, bob)) == "plan_changed"
    assert await refused(desk.decide(approval, bob, plan_hash=consistent.plan_hash)) == "plan_changed"


async def test_silence_is_no_consent_and_late_is_too_late(desk: Desk) -> None:
    ann, bob, _ = await crew(desk)
    conversation = await desk.conversation(ann)
    approval = await desk.propose(ann, conversation=conversation)
    desk.clock.move(minutes=14, seconds=59)
    assert desk.approvals.may_decide(approval, bob) is None
    desk.clock.move(seconds=1)
    assert desk.approvals.may_decide(approval, bob) == "Its time is over. Ask for the change again."
    assert await refused(desk.decide(approval, bob)) == "expired"
    assert (await desk.approvals.get(approval.id)).state is S.EXPIRED
    assert await refused(desk.decide(approval, bob), Conflict) == "decided"
    assert [entry.event.type for entry in await desk.conversations.log(conversation.id)] == [
        "approval_requested",
        "approval_decided",
    ]


async def test_high_risk_is_over_after_five_minutes(desk: Desk) -> None:
    ann, bob, _ = await crew(desk)
    approval = await desk.propose(ann, desk.plan(action=DrainNode(target=NODE), undo=UncordonNode(target=NODE)))
    assert approval.plan.risk is Risk.HIGH  # whatever the runner had said
    desk.clock.move(minutes=5)
    assert await refused(desk.decide(approval, bob)) == "expired"


async def test_high_risk_needs_two_others_and_the_second_freshly_signed_in_on_the_web(desk: Desk) -> None:
    ann, bob, carol = await crew(desk)
    dave = await desk.person("dave", Role.APPROVER)
    conversation = await desk.conversation(ann)
    approval = await desk.propose(ann, desk.plan(risk=Risk.HIGH), conversation=conversation)
    assert await refused(desk.decide(approval, ann)) == "role"
    first = await desk.decide(approval, bob, door="slack")
    assert (first.state, len(first.decisions), first.version) == (S.PENDING, 1, 2)
    assert await refused(desk.decide(approval, bob)) == "twice"
    assert await refused(desk.decide(approval, carol)) == "step_up"
    fresh = carol.model_copy(update={"fresh_sign_in": True})
    assert await refused(desk.decide(approval, fresh, door="slack")) == "step_up"
    assert await refused(desk.decide(approval, fresh, door="cli")) == "step_up"
    assert (await desk.decide(approval, fresh)).state is S.APPROVED
    assert await refused(desk.decide(approval, dave), Conflict) == "decided"
    events = [entry.event for entry in await desk.conversations.log(conversation.id)]
    assert events[1:] == [
        ApprovalDecided(approval=approval.id, state=S.PENDING, by_name="Bob"),
        ApprovalDecided(approval=approval.id, state=S.APPROVED, by_name="Carol"),
    ]


async def test_one_rejection_ends_it(desk: Desk) -> None:
    ann, bob, carol = await crew(desk)
    approval = await desk.propose(ann, desk.plan(risk=Risk.HIGH))
    await desk.decide(approval, bob)
    rejected = await desk.decide(approval, carol, "reject")
    assert (rejected.state, rejected.decided_by_name) == (S.REJECTED, "Carol")
    assert (await desk.decide(approval, bob)).state is S.REJECTED  # his word was counted once, and is not counted again
    assert await refused(desk.decide(approval, bob, "reject"), Conflict) == "decided"
    assert (await desk.decide(approval, carol, "reject")).version == rejected.version


async def test_the_story_ends_with_what_happened_and_how_long_it_took(desk: Desk) -> None:
    ann, bob, _ = await crew(desk)
    conversation = await desk.conversation(ann)
    approval = await desk.decide(await desk.propose(ann, conversation=conversation), bob)
    await desk.approvals.move(approval.id, T.START)
    desk.clock.move(seconds=42)
    final = await desk.approvals.move(approval.id, T.CHECK_PASSED, outcome="2 of 2 pods ready for 30 s")
    assert (final.state, final.outcome, final.finished_at) == (S.SUCCEEDED, "2 of 2 pods ready for 30 s", desk.clock())
    assert [entry.event for entry in await desk.conversations.log(conversation.id)][2:] == [
        ActionStarted(approval=approval.id),
        ActionFinished(approval=approval.id, state=S.SUCCEEDED, message="2 of 2 pods ready for 30 s", took_s=42),
    ]


async def test_the_table_holds_for_every_state_and_trigger(desk: Desk) -> None:
    ann, _, _ = await crew(desk)
    approval = await desk.propose(ann)
    reached: set[tuple[ApprovalState, Trigger]] = set()
    for state in S:
        for trigger in T:
            async with desk.database.transaction() as session:
                await session.execute(update(ApprovalRow).values(state=state.value, version=1))
            try:
                moved = await desk.approvals.move(approval.id, trigger)
            except NotAllowed:
                assert (state, trigger) not in TRANSITIONS
                assert (await desk.approvals.get(approval.id)).version == 1
            else:
                assert (moved.state, moved.version) == (TRANSITIONS[state, trigger], 2)
                reached.add((state, trigger))
    assert reached == set(TRANSITIONS)


async def test_an_action_does_not_start_late_or_under_the_kill_switch(desk: Desk) -> None:
    ann, bob, _ = await crew(desk)
    late = await desk.decide(await desk.propose(ann), bob)
    desk.clock.move(minutes=15)
    assert await desk.approvals.startable() == ()
    assert await refused(desk.approvals.move(late.id, T.START), Conflict) == "expired"
    await desk.approvals.expire_due(desk.clock())
    approved = await desk.decide(await desk.propose(ann), bob)
    await desk.fleet.set_kill_switch("shop", True, by=bob.account, reason="audit")
    with pytest.raises(NotAllowed):
        await desk.approvals.move(approved.id, T.START)


async def test_the_kill_switch_cancels_what_is_open_and_lets_nothing_new_in(desk: Desk) -> None:
    ann, bob, _ = await crew(desk)
    conversation = await desk.conversation(ann)
    pending = await desk.propose(ann, conversation=conversation)
    cart = desk.plan(action=ScaleWorkload(target=ObjectRef.parse("Deployment/shop/cart"), replicas=3), undo=None)
    approved = await desk.decide(await desk.propose(ann, cart), bob)
    search = desk.plan(action=ScaleWorkload(target=ObjectRef.parse("Deployment/shop/search"), replicas=3), undo=None)
    running = await desk.decide(await desk.propose(ann, search), bob)
    await desk.approvals.move(running.id, T.START)
    await desk.fleet.set_kill_switch("shop", True, by=bob.account, reason="incident 7")
    states = [(await desk.approvals.get(one.id)).state for one in (pending, approved, running)]
    assert states == [S.CANCELLED, S.CANCELLED, S.RUNNING]
    last = (await desk.conversations.log(conversation.id))[-1].event
    assert last == ApprovalDecided(approval=pending.id, state=S.CANCELLED, reason="incident 7")
    assert await refused(desk.propose(ann), Conflict) == "kill_switch"
    await desk.fleet.set_kill_switch("shop", False, by=bob.account, reason="over")
    assert (await desk.propose(ann)).state is S.PENDING


async def test_who_may_withdraw(desk: Desk) -> None:
    ann, bob, _ = await crew(desk)
    root = await desk.person("root", Role.ADMIN)
    approval = await desk.propose(ann)
    assert await refused(desk.approvals.withdraw(approval.id, bob)) == "forbidden"
    assert (await desk.approvals.withdraw(approval.id, root, "not now")).outcome == "not now"
    assert await refused(desk.approvals.withdraw(approval.id, ann), Conflict) == "decided"
    approved = await desk.decide(await desk.propose(ann), bob)
    assert (await desk.approvals.withdraw(approved.id, ann)).state is S.CANCELLED
    assert await refused(desk.approvals.withdraw(new_id(), ann), NotFound) == "not_found"


async def test_nothing_is_told_when_nothing_was_decided(desk: Desk) -> None:
    ann, bob, _ = await crew(desk)
    conversation = await desk.conversation(ann)
    approval = await desk.propose(ann, conversation=conversation)
    async with desk.database.transaction() as session:  # the next event can't be stored
        session.add(
            LogEntryRow(
                conversation=conversation.id, seq=2, cluster=desk.cluster.id, at=desk.clock(), v=1, kind="x", event="{}"
            )
        )
    with pytest.raises(IntegrityError):
        await desk.decide(approval, bob)
    still = await desk.approvals.get(approval.id)
    assert (still.state, still.version, still.decisions) == (S.PENDING, 1, ())
    assert await desk.audit.verify() is None


async def test_the_list_shows_newest_first_by_state_and_conversation(desk: Desk) -> None:
    ann, bob, _ = await crew(desk)
    conversation = await desk.conversation(ann)
    ids: list[str] = []
    for n in range(4):
        desk.clock.move(seconds=1)
        target = ObjectRef.parse(f"Deployment/shop/web-{n}")
        plan = desk.plan(action=RestartWorkload(target=target), undo=RestartWorkload(target=target), risk=Risk.LOW)
        ids.append((await desk.propose(ann, plan, conversation=conversation if n < 2 else None)).id)
    assert [one.id for one in await desk.approvals.list(bob)] == ids[::-1]
    assert [one.id for one in await desk.approvals.list(bob, limit=2)] == ids[:1:-1]
    assert [one.id for one in await desk.approvals.list(bob, conversation=conversation.id)] == [ids[1], ids[0]]
    assert await desk.approvals.list(bob, states=(S.APPROVED,)) == ()
