"""What is old goes, what is young, open or decided stays, and one replica does it."""

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from control_plane.audit import Audit
from control_plane.conversations import Conversation
from control_plane.durable import Durable
from control_plane.errors import NotFound
from control_plane.model_requests import ModelRequests, packed
from control_plane.retention import Retention, is_due
from control_plane.settings import Settings
from control_plane.spending import Sent, Spender, Spending, Used
from control_plane.tables import (
    ApprovalRow,
    CommandEntryRow,
    ConversationRow,
    FeedbackRow,
    LogEntryRow,
    ModelCallRow,
    TurnRow,
)
from control_plane.tables.safety import NotificationRow, NotificationSeenRow
from protocol.approval import Role
from protocol.events import TurnFinished
from protocol.ids import new_id
from tests.integration.desk import Desk
from tests.integration.waiting import until

NIGHT = datetime(2026, 3, 1, 2, 30, tzinfo=UTC)
DONE = TurnFinished(took_ms=1, model_calls=1, tool_calls=0)


def retention(desk: Desk, **settings: Any) -> Retention:
    return Retention(desk.database, Durable(desk.settings), desk.settings.model_copy(update=settings), clock=desk.clock)


async def count(desk: Desk, table: Any) -> int:
    async with desk.database.read() as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


async def add_command(desk: Desk, *, ended: bool = True) -> str:
    now = desk.clock()
    row = CommandEntryRow(
        id=new_id(), cluster=desk.cluster.id, kind="kubectl", title="get pods", request="{}", scope="{}", issued_by="ann",
        status="ok" if ended else None, created_at=now, finished_at=now if ended else None,
    )  # fmt: skip
    async with desk.database.transaction() as session:
        session.add(row)
    return row.id


async def talk(desk: Desk, *, end: bool = True) -> Conversation:
    ann = await desk.person(new_id(), Role.OPERATOR)
    conversation = await desk.conversation(ann)
    turn = await desk.conversations.ask(conversation.id, ann, "what is wrong?", door="web", language="en")
    if end:
        await desk.conversations.end_turn(turn.id, "finished", DONE)
    return conversation


@pytest.mark.parametrize(
    ("now", "last", "due"),
    [
        (NIGHT, NIGHT - timedelta(days=1), True),
        (NIGHT.replace(hour=12), NIGHT, False),
        (NIGHT.replace(hour=12), NIGHT - timedelta(days=1), False),
        (NIGHT.replace(hour=12), NIGHT - timedelta(days=2), True),
        (NIGHT.replace(hour=12), None, True),
    ],
)
def test_it_is_due_at_night_or_when_it_was_long_ago(now: datetime, last: datetime | None, due: bool) -> None:
    assert is_due(now, last) is due


async def test_old_commands_go_and_young_and_unfinished_ones_stay(any_desk: Desk) -> None:
    old = [await add_command(any_desk) for _ in range(3)]
    open_one = await add_command(any_desk, ended=False)
    any_desk.clock.move(days=31)
    young = await add_command(any_desk)
    removed = await retention(any_desk).once_if_due()
    assert removed is not None
    assert removed.commands == len(old)
    async with any_desk.database.read() as session:
        assert set(await session.scalars(select(CommandEntryRow.id))) == {open_one, young}
    ann = await any_desk.person("root", Role.ADMIN)
    trail = await Audit(any_desk.database).list(ann.model_copy(update={"admin": True}), subject="retention")
    assert [(row.action, row.detail["commands"]) for row in trail] == [("retention.ran", "3")]


async def test_conversations_stay_for_ever_unless_configured(any_desk: Desk) -> None:
    await talk(any_desk)
    any_desk.clock.move(days=4000)
    removed = await retention(any_desk).once_if_due()
    assert removed is not None
    assert removed.conversations == 0
    assert await count(any_desk, LogEntryRow) == 2


async def test_an_old_conversation_goes_whole_and_what_was_decided_in_it_stays(any_desk: Desk) -> None:
    ann, bob = await any_desk.person("ann", Role.OPERATOR), await any_desk.person("bob", Role.APPROVER)
    with_approval = await any_desk.conversation(ann)
    approval = await any_desk.propose(ann, conversation=with_approval)
    await any_desk.approvals.withdraw(approval.id, ann)
    open_approval = await any_desk.conversation(bob)
    await any_desk.propose(bob, any_desk.plan("768Mi"), conversation=open_approval)
    plain, waiting, judged = await talk(any_desk), await talk(any_desk, end=False), await talk(any_desk)
    async with any_desk.database.transaction() as session:
        row = {"turn": new_id(), "cluster": any_desk.cluster.id, "account": "ann", "account_name": "Ann", "role": "operator"}
        now = any_desk.clock()
        session.add(
            FeedbackRow(
                id=new_id(), conversation=judged.id, verdict="helped", code="", said=1, created_at=now, updated_at=now, **row
            )
        )
    any_desk.clock.move(days=91)
    young = await talk(any_desk)

    removed = await retention(any_desk, keep_conversations_days=90).once_if_due()

    assert removed is not None
    assert removed.conversations == 3
    async with any_desk.database.read() as session:
        left = {row.id: row for row in await session.scalars(select(ConversationRow))}
        logs = set(await session.scalars(select(LogEntryRow.conversation)))
        turns = set(await session.scalars(select(TurnRow.conversation)))
        kept = await session.get_one(ApprovalRow, approval.id)
    assert set(left) == {open_approval.id, waiting.id, judged.id, young.id}
    assert plain.id not in left
    assert (kept.state, kept.conversation) == ("cancelled", None)
    assert (left[judged.id].title, left[judged.id].last_seq) == ("", 0), "named by somebody's word, so it stays, empty"
    assert logs == {open_approval.id, waiting.id, young.id}
    assert turns == {waiting.id, young.id}


async def asked(desk: Desk, conversation: str, turn: str) -> str:
    """A request to a model, whose bytes are kept."""
    body = b'{"messages":[]}'
    spending = Spending(desk.database, desk.settings, clock=desk.clock)
    who = Spender(cluster=desk.cluster.id, account="ann", conversation=conversation, turn=turn)
    sent = Sent("gpt", "http://localhost/v1", hashlib.sha256(body).hexdigest(), len(body), packed(body))
    call = await spending.begin(who, sent, tokens=10, money=0)
    await spending.end(call, Used("an answer"))
    return call


async def bytes_of(desk: Desk, call: str) -> bytes | None:
    async with desk.database.read() as session:
        return (await session.get_one(ModelCallRow, call)).body


async def test_bytes_of_requests_go_in_time_also_where_no_model_is_asked_any_more(any_desk: Desk) -> None:
    root = await any_desk.person("root", Role.ADMIN)
    conversation = await any_desk.conversation(root)
    turn = await any_desk.conversations.ask(conversation.id, root, "what is wrong?", door="web", language="en")
    call = await asked(any_desk, conversation.id, turn.id)
    requests = ModelRequests(any_desk.database, any_desk.settings, clock=any_desk.clock)
    assert await requests.body(turn.id, call, root, door="rest")

    any_desk.clock.move(days=8)
    with pytest.raises(NotFound, match="not kept any more"):
        await requests.body(turn.id, call, root, door="rest")
    assert [row.kept for row in await requests.list(turn.id, root, door="rest")] == [False]

    assert await retention(any_desk).once_if_due() is not None
    assert await bytes_of(any_desk, call) is None


async def test_bytes_of_requests_go_with_their_conversation(any_desk: Desk) -> None:
    old, other = await talk(any_desk), await talk(any_desk, end=False)
    first, second = await asked(any_desk, old.id, new_id()), await asked(any_desk, other.id, new_id())
    any_desk.clock.move(days=3)

    await retention(any_desk, keep_conversations_days=2).once_if_due()

    assert await bytes_of(any_desk, first) is None
    assert await bytes_of(any_desk, second) is not None


async def test_of_many_replicas_one_does_it(any_desk: Desk) -> None:
    await add_command(any_desk)
    any_desk.clock.move(days=31)
    replicas = [retention(any_desk) for _ in range(4)]
    done = await asyncio.gather(*(each.once_if_due() for each in replicas))
    assert [removed.commands for removed in done if removed is not None] == [1]


async def test_the_next_night_it_is_done_again(desk: Desk) -> None:
    replicas = [retention(desk) for _ in range(2)]
    assert [await each.once_if_due() is not None for each in replicas] == [True, False]
    desk.clock.move(hours=14)  # it is night, and was done today
    assert [await each.once_if_due() is not None for each in replicas] == [False, False]
    desk.clock.move(days=1)
    assert [await each.once_if_due() is not None for each in replicas] == [True, False]


async def test_a_clock_that_jumps_a_year_ahead_takes_nothing_young_and_back_again_stops_nothing(desk: Desk) -> None:
    await retention(desk).once_if_due()
    young = await add_command(desk)
    desk.clock.move(hours=36)
    desk.clock.move(days=365)
    for _ in range(2):
        desk.clock.move(days=2)
        removed = await retention(desk).once_if_due()
        assert removed is not None
        assert removed.commands == 0, "one night lets go of a week's worth at most"
    desk.clock.move(days=-365)
    for _ in range(8):
        desk.clock.move(days=4)
        assert await retention(desk).once_if_due() is not None, "what was noted for next year holds nobody back"
    async with desk.database.read() as session:
        assert await session.get(CommandEntryRow, young) is None, "when it is old it goes, like any other"


async def test_notifications_go_some_time_after_nobody_is_shown_them(any_desk: Desk) -> None:
    olga = await any_desk.person("olga", Role.APPROVER, fresh=True)
    bob = await any_desk.person("bob", Role.APPROVER)
    await any_desk.decide(await any_desk.propose(olga), olga, break_glass=True, reason="nobody else is awake")
    (note,) = await any_desk.notifications.unseen(bob)
    await any_desk.notifications.seen(note.id, bob)
    any_desk.clock.move(days=31)
    await retention(any_desk).once_if_due()
    assert (await count(any_desk, NotificationRow), await count(any_desk, NotificationSeenRow)) == (0, 0)


async def test_workflows_that_ended_go_and_active_ones_stay(tmp_path: Path) -> None:
    durable = Durable(Settings(data_dir=tmp_path))
    go = asyncio.Event()

    async def step(argument: str) -> None:
        if argument == "active":
            await go.wait()

    durable.register("turn_v1", step)
    await durable.launch()
    try:
        for name in ("a", "b", "active"):
            await durable.start("turn_v1", f"turn:{name}", name)

        async def two_ended() -> bool:
            return not await durable.active("turn:a") and not await durable.active("turn:b")

        await until(two_ended, "two have ended")
        soon = datetime.now(UTC) + timedelta(hours=1)
        assert await durable.forget_ended(soon - timedelta(days=1), 10) == 0
        assert await durable.forget_ended(soon, 1) == 1
        assert await durable.forget_ended(soon, 10) == 1
        assert await durable.forget_ended(soon, 10) == 0
        assert await durable.active("turn:active")
    finally:
        go.set()
        await durable.close()
