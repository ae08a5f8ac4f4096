"""Who was shown which plan is in the audit once, by whatever door and however often; who may not see it is not."""

import asyncio
from pathlib import Path

from sqlalchemy import func, select, text

from control_plane.approvals import Approval, Approvals
from control_plane.audit import Audit, AuditRow
from control_plane.database import Database
from control_plane.principals import Principal
from control_plane.showings import Showings
from control_plane.tables import AuditEntryRow
from protocol.approval import ApprovalState, Role
from tests.integration.desk import Desk, crew
from tests.integration.http_server import Person, http_server
from tests.integration.waiting import until

SHOWN = "approval.shown"
SECRET = "ghp_" + "0123456789abcdefghijABCDEFGHIJ012345"


async def showings(audit: Audit, root: Principal, approval: Approval) -> list[AuditRow]:
    """Oldest first."""
    rows = await audit.list(root, subject=f"approval:{approval.id}")
    return [row for row in reversed(rows) if row.action == SHOWN]


async def test_one_row_a_person_and_plan_and_a_newer_plan_is_another(any_desk: Desk) -> None:
    ann, bob, _ = await crew(any_desk)
    root = await any_desk.person("root", Role.ADMIN)
    elsewhere = await any_desk.person("eve", Role.APPROVER, namespaces=("billing",))
    first = await any_desk.propose(ann)
    for who in (bob, bob, ann, elsewhere, bob):
        await any_desk.approvals.shown([first], who, door="slack", source=f"T1/C2/1.2 token={SECRET}")
    one, two = await showings(any_desk.audit, root, first)
    assert [(row.actor_name, row.door) for row in (one, two)] == [("Bob", "slack"), ("Ann", "slack")]
    assert (one.detail["plan_hash"], one.detail["state"]) == (first.plan.plan_hash, "pending")
    assert one.detail["source"].startswith("T1/C2/1.2")
    assert SECRET not in one.detail["source"]
    newer = await any_desk.propose(ann, any_desk.plan("768Mi"))
    assert (await any_desk.approvals.get(first.id)).state is ApprovalState.SUPERSEDED
    await any_desk.approvals.shown([newer, await any_desk.approvals.get(first.id)], bob, door="web")
    (again,) = await showings(any_desk.audit, root, newer)
    assert again.detail["plan_hash"] == newer.plan.plan_hash != first.plan.plan_hash
    assert len(await showings(any_desk.audit, root, first)) == 2
    assert await any_desk.audit.verify() is None


async def test_many_looks_at_two_replicas_are_one_row_each(any_desk: Desk) -> None:
    ann, bob, carol = await crew(any_desk)
    cards = [await any_desk.propose(ann), await any_desk.propose(ann, any_desk.plan(action=any_desk.plan().body.undo))]
    other = Database(any_desk.database.url)
    await other.start()
    try:
        replicas = any_desk.approvals, Approvals(other, any_desk.settings, clock=any_desk.clock)
        looks = [
            replica.shown(cards[::way], who, door="web")
            for replica in replicas
            for who in (bob, carol)
            for way in (1, -1)
            for _ in range(3)
        ]
        await asyncio.gather(*looks)
    finally:
        await other.stop()
    async with any_desk.database.read() as session:
        counted = await session.scalar(select(func.count()).where(AuditEntryRow.action == SHOWN))
    assert counted == len(cards) * 2
    assert await any_desk.audit.verify() is None


async def test_what_was_noted_is_not_written_again_and_not_even_by_a_process_that_has_forgotten(desk: Desk) -> None:
    ann, bob, _ = await crew(desk)
    card = await desk.propose(ann)
    await desk.approvals.shown([card], bob, door="web")
    forgetful = Approvals(desk.database, desk.settings, clock=desk.clock)
    async with desk.database.transaction():  # SQLite has one writer: who wanted to write would wait for this block
        async with asyncio.timeout(5):
            await desk.approvals.shown([card], bob, door="web")
            await forgetful.shown([card], bob, door="web")


async def test_a_process_remembers_a_bounded_number(desk: Desk) -> None:
    ann, bob, _ = await crew(desk)
    root = await desk.person("root", Role.ADMIN)
    cards = [await desk.propose(ann, desk.plan(f"{n}Gi")) for n in range(1, 5)]
    showing = Showings(desk.database, clock=desk.clock, remembers=2)
    for _ in range(2):
        for card in cards:
            await showing.note([card], bob, door="web", source="")
            assert showing.known <= 2
    assert [len(await showings(desk.audit, root, card)) for card in cards] == [1, 1, 1, 1]


async def test_where_nothing_can_be_written_a_card_is_still_read_and_the_next_look_is_noted(desk: Desk) -> None:
    ann, bob, _ = await crew(desk)
    root = await desk.person("root", Role.ADMIN)
    card = await desk.propose(ann)
    async with desk.database.transaction() as session:
        refuse = "CREATE TRIGGER full BEFORE INSERT ON approval_showings BEGIN SELECT RAISE(ABORT, 'no room'); END"
        await session.execute(text(refuse))
    await desk.approvals.shown([card], bob, door="web")
    assert await showings(desk.audit, root, card) == []
    async with desk.database.transaction() as session:
        await session.execute(text("DROP TRIGGER full"))
    await desk.approvals.shown([card], bob, door="web")
    assert len(await showings(desk.audit, root, card)) == 1


async def test_each_door_that_hands_over_a_card_says_so_and_a_list_of_lines_does_not(tmp_path: Path) -> None:
    async with http_server(tmp_path) as here:
        ann, root = await here.person("ann", Role.OPERATOR), await here.person("root", Role.ADMIN)
        conversation = await here.conversation(ann)
        card = await here.approval(ann, conversation)
        path = f"/api/v1/approvals/{card.id}"

        async def shown_to(who: Person) -> list[tuple[str, str, str]]:
            rows = await showings(here.plane.audit, root.principal, card)
            assert all(row.detail["plan_hash"] == card.plan.plan_hash for row in rows)
            return [(row.door, row.detail["state"], row.detail["source"]) for row in rows if row.actor == who.account.id]

        doors = [
            ("rest", path),
            ("cli", "/api/v1/approvals?state=pending"),
            ("web", f"/c/{conversation.id}"),
            ("web", "/approvals"),
            ("web", f"/approvals/{card.id}"),
        ]
        for n, (door, where) in enumerate(doors):
            who = await here.person(f"reader-{n}", Role.VIEWER)
            read = who.browse if door == "web" else who.call
            for _ in range(2):
                status, _body = await read("GET", where, headers={"X-Opsthread-Door": door})
                assert status == 200, where
            assert await shown_to(who) == [(door, "pending", "127.0.0.1")], where

        stranger = await here.person("eve", Role.APPROVER, namespaces=("billing",))
        assert (await stranger.call("GET", path))[0] == 404
        assert (await stranger.call("GET", "/api/v1/approvals"))[1]["approvals"] == []
        assert await shown_to(stranger) == []

        assert await shown_to(ann) == [], "who asked for it has not seen it yet"
        async with ann.stream(f"?c={conversation.id}:0") as events:
            assert (await events.next("approval")).data["plan_hash"] == card.plan.plan_hash
            assert await until(lambda: shown_to(ann), "the stream's card noted", 10) == [("web", "pending", "127.0.0.1")]

        bob = await here.person("bob", Role.APPROVER)
        body = {"verdict": "reject", "plan_hash": card.plan.plan_hash, "reason": "not now"}
        assert (await bob.browse("POST", f"{path}/decide", body))[0] == 200
        assert await shown_to(bob) == [("web", "rejected", "127.0.0.1")], "the answer to a decision is a card, too"
        late = await here.person("late", Role.VIEWER)
        assert (await late.browse("GET", "/approvals"))[0] == 200
        assert await shown_to(late) == [], "what was decided before is a line in the inbox, without its plan"
        assert await here.plane.audit.verify() is None
