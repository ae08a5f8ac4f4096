"""Break-glass: one approver alone passes four-eyes and a freeze window, loudly; nothing else gives way."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from control_plane.approvals import Approval
from control_plane.break_glass import A_CLUSTER, A_PERSON, GOOD_FOR
from control_plane.errors import Conflict, Forbidden, NotFound
from control_plane.principals import Principal
from control_plane.tables.safety import NotificationRow, NotificationSeenRow
from protocol.approval import BREAK_GLASS, ApprovalState, Role, Trigger
from protocol.freeze import Once
from protocol.ids import new_id
from protocol.objects import ObjectRef
from protocol.remediation import Risk, ScaleWorkload
from tests.integration.desk import Desk, desk_over, refused
from tests.integration.postgres import Postgres
from tests.integration.waiting import until

WHY = "payments is down and nobody else is awake"


async def alone(desk: Desk, **more: Any) -> Principal:
    return await desk.person("olga", Role.APPROVER, fresh=True, **more)


async def broken(desk: Desk, approval: Approval, who: Principal, **more: Any) -> Approval:
    said: dict[str, Any] = {"break_glass": True, "reason": WHY, **more}
    return await desk.decide(approval, who, **said)


async def frozen(desk: Desk) -> Principal:
    root = await desk.person("root", Role.ADMIN)
    window = Once(starts_at=desk.clock(), ends_at=desk.clock() + timedelta(hours=8))
    await desk.freezes.add(root, cluster=None, window=window, reason="quarter end")
    return root


@pytest.mark.parametrize("risk", [Risk.LOW, Risk.MEDIUM, Risk.HIGH])
async def test_alone_and_in_a_freeze_it_approves_and_may_start(desk: Desk, risk: Risk) -> None:
    olga = await alone(desk)
    await frozen(desk)
    approval = await desk.propose(olga, desk.plan(risk=risk))
    assert await refused(desk.decide(approval, olga)) == "frozen"
    after = await broken(desk, approval, olga)
    assert (after.state, after.quorum, after.freeze) == (ApprovalState.APPROVED, BREAK_GLASS, None)
    assert after.break_glass is not None
    assert (after.break_glass.by_name, after.break_glass.reason) == ("Olga", WHY)
    assert after.expires_at <= desk.clock() + GOOD_FOR
    started = await desk.approvals.move(approval.id, Trigger.START)
    assert (started.state, started.break_glass) == (ApprovalState.RUNNING, after.break_glass)


async def test_who_was_one_of_two_can_break_it_and_then_answers_alone(desk: Desk) -> None:
    ann, olga = await desk.person("ann", Role.OPERATOR), await alone(desk)
    approval = await desk.propose(ann, desk.plan(risk=Risk.HIGH))
    assert (await desk.decide(approval, olga)).state is ApprovalState.PENDING
    assert await refused(desk.decide(approval, olga)) == "twice"
    after = await broken(desk, approval, olga)
    assert (after.state, len(after.decisions), after.decisions[0].break_glass) == (ApprovalState.APPROVED, 1, True)


async def test_it_is_good_for_five_minutes(desk: Desk) -> None:
    olga = await alone(desk)
    approval = await broken(desk, await desk.propose(olga), olga)
    desk.clock.move(minutes=5)
    assert await refused(desk.approvals.move(approval.id, Trigger.START), Conflict) == "expired"


async def test_without_a_reason_a_fresh_sign_in_on_the_web_or_the_role_it_is_nothing(desk: Desk) -> None:
    olga = await alone(desk)
    ann = await desk.person("ann", Role.OPERATOR, fresh=True)
    approval = await desk.propose(ann)
    assert await refused(broken(desk, approval, ann)) == "role"
    assert await refused(broken(desk, approval, olga, reason=" \n ")) == "break_glass"
    for door in ("rest", "cli", "slack"):
        assert await refused(broken(desk, approval, olga, door=door)) == "step_up"
    stale = olga.model_copy(update={"fresh_sign_in": False})
    assert await refused(broken(desk, approval, stale)) == "step_up"
    far = await desk.person("far", Role.APPROVER, namespaces=("other",), fresh=True)
    assert await refused(broken(desk, approval, far), NotFound) == "not_found"
    assert (await desk.approvals.get(approval.id)).break_glass is None
    assert await desk.notifications.unseen(await desk.person("root", Role.ADMIN)) == ()


async def test_it_never_passes_a_kill_switch_or_what_the_runner_may_not(desk: Desk) -> None:
    olga = await alone(desk)
    read_only = await desk.propose(olga, desk.plan(cannot_run="this runner is read-only"))
    assert await refused(broken(desk, read_only, olga)) == "cannot_run"
    approval = await desk.propose(olga)
    await desk.fleet.set_kill_switch(desk.cluster.id, True, by="admin", reason="stop")
    assert await refused(broken(desk, approval, olga), Conflict) in ("decided", "kill_switch")
    await desk.fleet.set_kill_switch(desk.cluster.id, False, by="admin", reason="")
    again = await broken(desk, await desk.propose(olga), olga)
    await desk.fleet.set_kill_switch(desk.cluster.id, True, by="admin", reason="stop")
    assert (await desk.approvals.get(again.id)).state is ApprovalState.CANCELLED
    assert await refused(broken(desk, read_only, olga), Conflict) == "decided"


async def test_an_altered_plan_or_another_plans_hash_is_not_passed(desk: Desk) -> None:
    olga = await alone(desk)
    approval = await desk.propose(olga)
    assert await refused(broken(desk, approval, olga, plan_hash="0" * 64)) == "plan_changed"


async def test_others_are_told_until_each_has_seen_it(desk: Desk) -> None:
    olga, root = await alone(desk), await desk.person("root", Role.ADMIN)
    bob = await desk.person("bob", Role.APPROVER, namespaces=("shop",))
    vera, far = await desk.person("vera", Role.VIEWER), await desk.person("far", Role.APPROVER, namespaces=("other",))
    approval = await broken(desk, await desk.propose(olga), olga)
    for person, told in ((root, 1), (bob, 1), (vera, 0), (far, 0), (olga, 0)):
        assert len(await desk.notifications.unseen(person)) == told, person.name
    (note,) = await desk.notifications.unseen(bob)
    assert (note.kind, note.by_name, note.reason, note.approval) == ("break_glass", "Olga", WHY, approval.id)
    assert note.what == approval.command_line
    for stranger in (vera, far):
        with pytest.raises(NotFound):
            await desk.notifications.seen(note.id, stranger)
    await desk.notifications.seen(note.id, bob)
    await desk.notifications.seen(note.id, bob)
    assert await desk.notifications.unseen(bob) == ()
    assert len(await desk.notifications.unseen(root)) == 1


async def test_two_clicks_at_once_see_it_once(postgres: Postgres, tmp_path: Path) -> None:
    async with desk_over(postgres.new_database(), tmp_path) as desk:
        olga, bob = await alone(desk), await desk.person("bob", Role.APPROVER)
        await broken(desk, await desk.propose(olga), olga)
        (note,) = await desk.notifications.unseen(bob)

        async def waits() -> bool:
            async with desk.database.read() as session:
                return bool(await session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))

        async with desk.database.transaction() as session:
            session.add(NotificationSeenRow(notification=note.id, account=bob.account, at=desk.clock()))
            await session.flush()
            second = asyncio.create_task(desk.notifications.seen(note.id, bob))
            await until(waits, "the second click waits for the first")
        await second
        assert await desk.notifications.unseen(bob) == ()


async def test_a_flood_elsewhere_hides_nobodys_notification(desk: Desk) -> None:
    olga = await alone(desk)
    bob = await desk.person("bob", Role.APPROVER, namespaces=("shop",))
    approval = await broken(desk, await desk.propose(olga), olga)
    desk.clock.move(minutes=1)
    other = {
        "kind": "break_glass",
        "cluster": "elsewhere",
        "cluster_name": "e",
        "namespace": "x",
        "by": "eve",
        "by_name": "Eve",
    }
    async with desk.database.transaction() as session:
        session.add_all(
            NotificationRow(id=new_id(), what="restart", reason="why", at=desk.clock(), **other) for _ in range(300)
        )
    assert [note.approval for note in await desk.notifications.unseen(bob)] == [approval.id]


async def test_the_audit_is_louder(desk: Desk) -> None:
    olga, root = await alone(desk), await frozen(desk)
    approval = await broken(desk, await desk.propose(olga, desk.plan(risk=Risk.HIGH)), olga)
    rows = await desk.audit.list(root, subject=f"approval:{approval.id}")
    assert [row.action for row in rows] == ["approval.decided", "approval.BREAK_GLASS", "approval.requested"]
    loud = rows[1].detail
    assert (loud["reason"], loud["plan_hash"]) == (WHY, approval.plan.plan_hash)
    assert loud["instead_of"] == "2 x approver"
    assert rows[0].detail["break_glass"] == WHY


async def test_a_cluster_can_do_without_it(desk: Desk) -> None:
    olga, root = await alone(desk), await desk.person("root", Role.ADMIN)
    approval = await desk.propose(olga)
    with pytest.raises(Forbidden):
        await desk.break_glass.set(desk.cluster.id, False, olga)
    await desk.break_glass.set(desk.cluster.id, False, root)
    assert not (await desk.approvals.get(approval.id)).break_glass_allowed
    assert await refused(broken(desk, approval, olga)) == "break_glass"
    await desk.break_glass.set(desk.cluster.id, True, root)
    assert (await broken(desk, approval, olga)).state is ApprovalState.APPROVED
    switched = [row.action for row in await desk.audit.list(root) if row.action.startswith("cluster.break_glass")]
    assert switched == ["cluster.break_glass_on", "cluster.break_glass_off"]


async def asked(desk: Desk, who: Principal, n: int) -> Approval:
    action = ScaleWorkload(target=ObjectRef.parse(f"Deployment/shop/web{n}"), replicas=3)
    return await desk.propose(who, desk.plan(action=action))


async def test_a_person_breaks_it_twice_an_hour(any_desk: Desk) -> None:
    """All at once, on either database: the limit holds."""
    desk = any_desk
    olga = await alone(desk)
    approvals = [await asked(desk, olga, n) for n in range(5)]
    results = await asyncio.gather(*(broken(desk, one, olga) for one in approvals), return_exceptions=True)
    good = [result for result in results if isinstance(result, Approval)]
    assert len(good) == A_PERSON[0]
    assert {result.code for result in results if isinstance(result, Forbidden)} == {"break_glass"}
    desk.clock.move(minutes=61)
    assert (await broken(desk, await asked(desk, olga, 9), olga)).state is ApprovalState.APPROVED


async def test_a_person_breaks_it_twice_an_hour_in_all_clusters_together(any_desk: Desk) -> None:
    """Each cluster is held by itself: the person, too, must be."""
    desk = any_desk
    olga = await alone(desk)
    approvals: list[Approval] = []
    for n in range(5):
        desk.cluster = await desk.fleet.create(f"cluster-{n}", by="system")
        approvals.append(await desk.propose(olga))
    results = await asyncio.gather(*(broken(desk, one, olga) for one in approvals), return_exceptions=True)
    assert len([result for result in results if isinstance(result, Approval)]) == A_PERSON[0]
    assert {result.code for result in results if isinstance(result, Forbidden)} == {"break_glass"}


async def test_a_cluster_sees_it_six_times_a_day(desk: Desk) -> None:
    people = [await desk.person(f"person{n}", Role.APPROVER, fresh=True) for n in range(4)]
    for n in range(A_CLUSTER[0]):
        await broken(desk, await asked(desk, people[n // 2], n), people[n // 2])
    assert await refused(broken(desk, await asked(desk, people[3], 99), people[3])) == "break_glass"


async def test_a_double_click_uses_it_once(any_desk: Desk) -> None:
    desk = any_desk
    olga = await alone(desk)
    approval = await desk.propose(olga)
    clicks = await asyncio.gather(*(broken(desk, approval, olga) for _ in range(5)), return_exceptions=True)
    assert [click.state for click in clicks if isinstance(click, Approval)] == [ApprovalState.APPROVED] * 5
    root = await desk.person("root", Role.ADMIN)
    assert len(await desk.notifications.unseen(root)) == 1
    assert [row.action for row in await desk.audit.list(root)].count("approval.BREAK_GLASS") == 1
