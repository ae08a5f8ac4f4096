"""Freeze windows around approvals: asked for, shown with their end, not approved and not started, and who may set them."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from control_plane.errors import Conflict, Forbidden, Invalid, NotFound
from control_plane.freezes import MOST, Freeze
from control_plane.principals import Principal
from control_plane.tables.safety import FreezeRow
from protocol.approval import ApprovalState, Role, Trigger
from protocol.freeze import Once, Weekly
from tests.integration.desk import Desk, crew, refused


def hours(desk: Desk, start: float, end: float) -> Once:
    return Once(starts_at=desk.clock() + timedelta(hours=start), ends_at=desk.clock() + timedelta(hours=end))


async def freeze(desk: Desk, admin: Principal, *, everywhere: bool = False, start: float = 0, end: float = 2) -> Freeze:
    cluster = None if everywhere else desk.cluster.id
    return await desk.freezes.add(admin, cluster=cluster, window=hours(desk, start, end), reason="black friday")


@pytest.mark.parametrize("everywhere", [False, True])
async def test_in_a_freeze_a_card_opens_says_until_when_and_can_not_be_approved(desk: Desk, everywhere: bool) -> None:
    ann, bob, _ = await crew(desk)
    root = await desk.person("root", Role.ADMIN)
    await freeze(desk, root, everywhere=everywhere)
    approval = await desk.propose(ann)
    assert approval.freeze is not None
    assert (approval.freeze.until, approval.freeze.reason) == (desk.clock() + timedelta(hours=2), "black friday")
    words = desk.approvals.may_decide(approval, bob)
    assert words is not None
    assert "frozen until 2026-03-01 14:00 UTC (black friday)" in words
    assert await refused(desk.decide(approval, bob)) == "frozen"
    assert (await desk.approvals.get(approval.id)).state is ApprovalState.PENDING
    assert (await desk.decide(approval, bob, "reject")).state is ApprovalState.REJECTED, "a no is always possible"
    asked = (await desk.audit.list(root, subject=f"approval:{approval.id}"))[-1]
    assert asked.detail["frozen_until"] == "2026-03-01T14:00:00+00:00"


async def test_a_freeze_of_another_cluster_does_not_hold_this_one(desk: Desk) -> None:
    ann, bob, _ = await crew(desk)
    root = await desk.person("root", Role.ADMIN)
    other = await desk.fleet.create("other", by="system")
    await desk.freezes.add(root, cluster=other.id, window=hours(desk, 0, 2), reason="moving house")
    assert (await desk.decide(await desk.propose(ann), bob)).state is ApprovalState.APPROVED


async def test_a_freeze_between_approval_and_start_holds_the_start_and_not_what_runs(any_desk: Desk) -> None:
    desk = any_desk
    ann, bob, _ = await crew(desk)
    root = await desk.person("root", Role.ADMIN)
    running = await desk.decide(await desk.propose(ann), bob)
    running = await desk.approvals.move(running.id, Trigger.START)
    other = desk.plan(action=desk.plan().body.action.model_copy(update={"container": "sidecar"}))
    with pytest.raises(Conflict):
        await desk.propose(ann, other)  # of the same object: it is being changed
    done = await desk.approvals.move(running.id, Trigger.CHECK_PASSED, outcome="healthy")
    waiting = await desk.decide(await desk.propose(ann, other), bob)
    await freeze(desk, root)
    assert done.state is ApprovalState.SUCCEEDED
    assert await refused(desk.approvals.move(waiting.id, Trigger.START), Conflict) == "frozen"
    assert (await desk.approvals.get(waiting.id)).freeze is not None


async def test_a_freeze_and_a_start_at_once_are_one_after_the_other(any_desk: Desk) -> None:
    """Whatever the order: once the window is there, no start is committed that has not seen it."""
    desk = any_desk
    ann, bob, _ = await crew(desk)
    root = await desk.person("root", Role.ADMIN)
    for n in range(4):
        approval = await desk.decide(await desk.propose(ann, desk.plan(f"{n + 1}Gi")), bob)
        start, added = await asyncio.gather(
            desk.approvals.move(approval.id, Trigger.START), freeze(desk, root), return_exceptions=True
        )
        assert isinstance(added, Freeze)
        after = await desk.approvals.get(approval.id)
        if isinstance(start, Conflict):
            assert (start.code, after.state) == ("frozen", ApprovalState.APPROVED)
            await desk.approvals.withdraw(approval.id, ann)
        else:
            await desk.approvals.move(approval.id, Trigger.CHECK_PASSED)
        await desk.freezes.end(added.id, root)


async def test_a_weekly_window_opens_and_closes_by_itself(desk: Desk) -> None:
    """12:00 UTC on 2026-03-01, a Sunday, is 21:00 in Tokyo."""
    ann, bob, _ = await crew(desk)
    root = await desk.person("root", Role.ADMIN)
    window = Weekly(days=("sun",), starts="21:10", ends="21:14", time_zone="Asia/Tokyo")
    await desk.freezes.add(root, cluster=desk.cluster.id, window=window, reason="batch jobs")
    approval = await desk.propose(ann)
    assert approval.freeze is None
    desk.clock.move(minutes=11)
    assert await refused(desk.decide(approval, bob)) == "frozen"
    desk.clock.move(minutes=3)
    assert (await desk.decide(approval, bob)).state is ApprovalState.APPROVED


async def test_who_may_freeze_what(desk: Desk) -> None:
    people: list[tuple[str, Role, dict[str, Any], bool, bool]] = [
        ("root", Role.ADMIN, {}, True, True),
        ("captain", Role.ADMIN, {"clusters": (desk.cluster.id,)}, True, False),
        ("named", Role.ADMIN, {"clusters": ("shop",)}, True, False),
        ("local", Role.ADMIN, {"namespaces": ("shop",)}, False, False),
        ("approver", Role.APPROVER, {}, False, False),
        ("elsewhere", Role.ADMIN, {"clusters": ("other",)}, False, False),
    ]
    for name, role, where, one, everything in people:
        person = await desk.person(name, role, **where)
        for everywhere, may in ((False, one), (True, everything)):
            if may:
                added = await freeze(desk, person, everywhere=everywhere)
                assert added.id in {shown.id for shown in await desk.freezes.list(person)}
                await desk.freezes.end(added.id, person)
            else:
                with pytest.raises(Forbidden):
                    await freeze(desk, person, everywhere=everywhere)


async def test_ending_it_lets_changes_through_and_only_who_may_ends_it(desk: Desk) -> None:
    ann, bob, _ = await crew(desk)
    root = await desk.person("root", Role.ADMIN)
    far = await desk.person("far", Role.VIEWER, clusters=("other",))
    added = await freeze(desk, root)
    with pytest.raises(Forbidden):
        await desk.freezes.end(added.id, bob)
    with pytest.raises(NotFound):
        await desk.freezes.end(added.id, far)
    await desk.freezes.end(added.id, root)
    with pytest.raises(Conflict):
        await desk.freezes.end(added.id, root)
    assert (await desk.decide(await desk.propose(ann), bob)).state is ApprovalState.APPROVED
    actions = [row.action for row in await desk.audit.list(root)]
    assert actions.count("freeze.added") == actions.count("freeze.ended") == 1


async def test_what_is_no_freeze_is_not_added(desk: Desk) -> None:
    root = await desk.person("root", Role.ADMIN)
    for window, reason in (({"kind": "weekly"}, "x"), (hours(desk, -2, -1), "x"), (hours(desk, 0, 1), " \n")):
        with pytest.raises(Invalid):
            await desk.freezes.add(root, cluster=desk.cluster.id, window=window, reason=reason)
    with pytest.raises(NotFound):
        await desk.freezes.add(root, cluster="nowhere", window=hours(desk, 0, 1), reason="x")


async def test_windows_that_are_over_leave_room_for_others(desk: Desk) -> None:
    """Nobody sees them in the list any more, so nobody could end them to make room."""
    root = await desk.person("root", Role.ADMIN)
    for _ in range(MOST):
        await freeze(desk, root)
    with pytest.raises(Conflict, match="200 freeze windows"):
        await freeze(desk, root)
    desk.clock.move(hours=3)
    assert await desk.freezes.list(root) == ()
    assert (await freeze(desk, root)).open_until is not None
    desk.clock.move(days=60)
    await freeze(desk, root)
    async with desk.database.read() as session:
        standing = await session.scalars(select(FreezeRow).where(FreezeRow.ended_at.is_(None)))
        assert len(standing.all()) == 1, "what was over long ago is not read at each decision any more"
