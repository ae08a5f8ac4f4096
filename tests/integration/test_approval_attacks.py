"""Approvals under attack, at the service: four-eyes turned on meanwhile, roles taken away in between, floods of changes."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import update

from control_plane.approvals import Approval, Approvals
from control_plane.errors import Conflict, NotFound, TooMany
from control_plane.principals import Principal, ScopedRole
from control_plane.settings import Settings
from control_plane.tables import ApprovalRow
from protocol.approval import ApprovalState, NotAllowed, Role, Trigger, quorum_for
from protocol.objects import ObjectRef
from protocol.remediation import Owner, Risk, ScaleWorkload
from tests.integration.desk import Desk, crew, desk_over, refused

S, T = ApprovalState, Trigger


def four_eyed(desk: Desk, four_eyes: bool = True) -> Desk:
    """The same tables, as a process sees them that was started with the other setting."""
    settings = Settings(data_dir=desk.settings.data_dir, four_eyes=four_eyes)
    desk.approvals = Approvals(desk.database, settings, clock=desk.clock)
    return desk


async def test_four_eyes_turned_on_re_weighs_what_waits_and_what_was_approved_alone(tmp_path: Path) -> None:
    async with desk_over("", tmp_path, four_eyes=False) as desk:
        ann, bob = await desk.person("ann", Role.APPROVER), await desk.person("bob", Role.APPROVER)
        waiting = await desk.propose(ann)
        other = desk.plan(action=ScaleWorkload(target=ObjectRef.parse("Deployment/shop/cart"), replicas=3))
        approved = await desk.decide(await desk.propose(ann, other), ann)
        assert (approved.state, approved.quorum.requester_may, approved.four_eyes) == (S.APPROVED, True, False)
        four_eyed(desk)
        for known in (waiting, approved):
            seen = await desk.approvals.get(known.id)
            assert (seen.quorum, seen.four_eyes) == (quorum_for(seen.plan.risk), True)
        assert (await desk.approvals.get(approved.id)).yes == frozenset(), "the requester's own word no longer counts"
        assert await refused(desk.decide(waiting, ann)) == "requester"
        assert (await desk.decide(waiting, bob)).state is S.APPROVED


async def test_four_eyes_turned_off_takes_nothing_from_what_was_asked_for_with_it(desk: Desk) -> None:
    ann, bob, _ = await crew(desk)
    approval = await desk.propose(ann, desk.plan(risk=Risk.HIGH))
    four_eyed(desk, False)
    seen = await desk.approvals.get(approval.id)
    assert (seen.quorum, seen.four_eyes) == (quorum_for(Risk.HIGH), True)
    assert (await desk.decide(approval, bob)).state is S.PENDING


async def demote(desk: Desk, who: Principal, role: Role) -> None:
    await desk.accounts.set_roles(who.account, (ScopedRole(role=role),), by="system")


async def test_the_first_of_two_who_loses_the_role_or_is_disabled_no_longer_counts(any_desk: Desk) -> None:
    desk = any_desk
    ann = await desk.person("ann", Role.OPERATOR)
    bob, carol, dave = [await desk.person(name, Role.APPROVER, fresh=True) for name in ("bob", "carol", "dave")]
    for n, taken in enumerate(("role", "account")):
        approval = await desk.propose(ann, desk.plan(f"{n + 1}Gi", risk=Risk.HIGH))
        first = bob if taken == "role" else carol
        await desk.decide(approval, first)
        if taken == "role":
            await demote(desk, bob, Role.OPERATOR)
        else:
            await desk.accounts.disable(carol.account, by="system")
        partial = await desk.decide(approval, dave)
        assert partial.state is S.PENDING, f"{first.name}'s word was one of two and is none now"
        await desk.approvals.withdraw(approval.id, ann)


async def test_a_view_that_is_older_than_the_demotion_does_not_help(desk: Desk) -> None:
    """The card was open, the button was there: the click is weighed as of now. The same for an account that was disabled."""
    ann, bob, carol = await crew(desk)
    approval = await desk.propose(ann)
    assert desk.approvals.may_decide(await desk.approvals.get(approval.id), bob) is None
    await demote(desk, bob, Role.VIEWER)
    assert await refused(desk.decide(approval, bob)) == "role"
    await desk.accounts.set_roles(carol.account, (ScopedRole(role=Role.APPROVER, namespaces=("other",)),), by="system")
    assert await refused(desk.decide(approval, carol), NotFound) == "not_found"
    assert (await desk.approvals.get(approval.id)).state is S.PENDING


async def test_who_could_give_what_is_missing(desk: Desk) -> None:
    ann, bob, _ = await crew(desk)
    await desk.person("far", Role.APPROVER, namespaces=("other",))
    await desk.person("vera", Role.VIEWER)
    gone = await desk.person("gone", Role.APPROVER)
    await desk.accounts.disable(gone.account, by="system")
    high = await desk.propose(ann, desk.plan(risk=Risk.HIGH))
    assert (high.missing, high.electors) == (2, ("Bob", "Carol"))
    after = await desk.decide(high, bob)
    assert (after.missing, after.electors) == (1, ("Carol",))
    ended = await desk.approvals.withdraw(high.id, ann)
    assert (ended.missing, ended.electors) == (0, None)
    (listed, *_) = await desk.approvals.list(bob)
    assert listed.electors is None, "nobody looked: not the same as nobody there"


async def test_an_owner_that_reverts_needs_the_tick_and_the_reason_and_both_are_kept(desk: Desk) -> None:
    ann, bob, _ = await crew(desk)
    root = await desk.person("root", Role.ADMIN)
    owner = Owner(kind="argocd", name="shop", reverts=True, git_patch="--- a\n+++ b\n")
    approval = await desk.propose(ann, desk.plan(owner=owner))
    assert await refused(desk.decide(approval, bob)) == "owner"
    assert await refused(desk.decide(approval, bob, override_owner=True)) == "owner"
    after = await desk.decide(approval, bob, override_owner=True, reason="the pipeline is broken")
    assert (after.state, after.decisions[0].override_owner) == (S.APPROVED, True)
    (row, *_) = await desk.audit.list(root, subject=f"approval:{approval.id}")
    assert row.detail["owner_overridden"] == "the pipeline is broken"


async def ran(desk: Desk, ann: Principal, bob: Principal, conversation: str, n: int) -> Approval:
    approval = await asked(desk, ann, conversation, n)
    approval = await desk.decide(approval, bob)
    await desk.approvals.move(approval.id, T.START)
    return await desk.approvals.move(approval.id, T.CHECK_PASSED)


async def asked(desk: Desk, ann: Principal, conversation: str, n: int) -> Approval:
    action = ScaleWorkload(target=ObjectRef.parse(f"Deployment/shop/web{n}"), replicas=3)
    known = await desk.conversations.get(conversation)
    return await desk.propose(ann, desk.plan(action=action), conversation=known)


async def test_a_conversation_makes_no_more_than_its_share_in_ten_minutes_and_in_all(tmp_path: Path) -> None:
    async with desk_over("", tmp_path, changes_in_ten_minutes=2, changes_per_conversation=3) as desk:
        ann, bob, _ = await crew(desk)
        conversation = (await desk.conversation(ann)).id
        for n in range(2):
            await ran(desk, ann, bob, conversation, n)
        third = await asked(desk, ann, conversation, 3)
        assert await refused(desk.decide(third, bob)) == "budget"
        elsewhere = (await desk.conversation(ann)).id
        await ran(desk, ann, bob, elsewhere, 4)
        desk.clock.move(minutes=11)
        await desk.approvals.withdraw(third.id, ann)
        await ran(desk, ann, bob, conversation, 5)
        desk.clock.move(minutes=11)
        assert await refused(desk.decide(await asked(desk, ann, conversation, 6), bob)) == "budget"
        turn = await desk.conversations.ask(conversation, ann, "and now?", door="web", language="en")
        attempt = desk.approvals.open(
            desk.plan(), requester=ann, cluster=desk.cluster.id, conversation=conversation, turn=turn.id, why="x"
        )
        assert await refused(attempt, TooMany) == "too_many"


async def test_approvals_at_once_do_not_both_find_the_last_place_free(any_desk: Desk) -> None:
    desk = any_desk
    settings = Settings(data_dir=desk.settings.data_dir, changes_in_ten_minutes=1)
    desk.approvals = Approvals(desk.database, settings, clock=desk.clock)
    ann, bob, _ = await crew(desk)
    conversation = (await desk.conversation(ann)).id
    approvals = [await asked(desk, ann, conversation, n) for n in range(4)]
    results = await asyncio.gather(*(desk.decide(one, bob) for one in approvals), return_exceptions=True)
    assert sum(isinstance(result, Approval) for result in results) == 1
    assert {getattr(result, "code", "budget") for result in results if isinstance(result, Exception)} == {"budget"}


async def test_a_restart_does_not_bring_an_expired_one_back(desk: Desk) -> None:
    ann, bob, _ = await crew(desk)
    approved = await desk.decide(await desk.propose(ann), bob)
    desk.clock.move(minutes=15)
    fresh = Approvals(desk.database, desk.settings, clock=desk.clock)
    assert await fresh.startable() == ()
    assert await fresh.expire_due(desk.clock()) == (approved.id,)
    desk.clock.move(minutes=-10)  # a clock that jumps back does not either
    assert await fresh.startable() == ()
    assert await fresh.expire_due(desk.clock()) == ()
    for trigger in (T.START, T.QUORUM):
        with pytest.raises(NotAllowed):
            await fresh.move(approved.id, trigger)


async def test_a_clock_that_is_set_back_keeps_no_question_open_for_longer(desk: Desk) -> None:
    ann, bob, _ = await crew(desk)
    waiting = await desk.propose(ann)
    desk.clock.move(seconds=-20)  # replicas whose clocks differ a little
    approved = await desk.decide(waiting, bob)
    assert await desk.approvals.startable() == (approved.id,)
    desk.clock.move(hours=-2)
    assert await refused(desk.approvals.move(approved.id, Trigger.START), Conflict) == "expired"
    assert await desk.approvals.expire_due(desk.clock()) == (approved.id,)
    assert "clock was set back" in (await desk.approvals.get(approved.id)).outcome
    desk.clock.move(hours=2)
    again = await desk.propose(ann)
    desk.clock.move(hours=-2)
    assert await refused(desk.decide(again, bob)) == "expired"
    assert (await desk.approvals.get(again.id)).state is ApprovalState.EXPIRED


async def test_what_was_approved_and_did_not_begin_says_so(desk: Desk) -> None:
    ann, bob, _ = await crew(desk)
    approved = await desk.decide(await desk.propose(ann), bob)
    desk.clock.move(hours=1)
    await desk.approvals.expire_due(desk.clock())
    assert (await desk.approvals.get(approved.id)).outcome == "it was approved, and did not begin in time"


async def test_a_plan_altered_in_the_row_after_the_approval_never_starts(desk: Desk) -> None:
    """Its hash is looked at again by the action's re-check; here the row lies about both."""
    ann, bob, _ = await crew(desk)
    approval = await desk.decide(await desk.propose(ann), bob)
    evil = desk.plan("64Gi")
    lie = approval.plan.model_copy(update={"body": evil.body})
    async with desk.database.transaction() as session:
        await session.execute(update(ApprovalRow).where(ApprovalRow.id == approval.id).values(plan=lie.model_dump_json()))
    seen = await desk.approvals.get(approval.id)
    assert not seen.plan.verify_hash()
    assert await desk.approvals.startable() == (approval.id,)  # the action's re-check cancels it: tests/unit … test_recheck
    consistent = lie.model_copy(update={"plan_hash": evil.plan_hash})
    async with desk.database.transaction() as session:
        values = {"plan": consistent.model_dump_json(), "plan_hash": evil.plan_hash}
        await session.execute(update(ApprovalRow).where(ApprovalRow.id == approval.id).values(**values))
    assert (await desk.approvals.get(approval.id)).yes == frozenset(), "nobody approved that plan"
