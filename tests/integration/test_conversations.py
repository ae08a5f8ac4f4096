"""Conversations: a log without gaps, turns one at a time in order of arrival, and readers who hold the whole scope."""

import asyncio
from contextlib import aclosing

import pytest
from sqlalchemy import insert

from control_plane.conversations import Conversation, Turn
from control_plane.errors import Forbidden, Invalid, NotFound, TooMany
from control_plane.principals import Principal
from control_plane.tables import LogEntryRow
from control_plane.wakeups import WORK
from protocol import subjects
from protocol.approval import Role
from protocol.events import (
    LiveProgress,
    ModelMessage,
    TextDelta,
    TurnCancelled,
    TurnFailed,
    TurnFinished,
    Unknown,
    UserMessage,
    Wake,
)
from protocol.ids import new_id
from tests.integration.desk import Desk

FINISHED = TurnFinished(took_ms=1)


async def ask(
    desk: Desk, conversation: Conversation, principal: Principal, text: str = "why?", *, client_id: str | None = None
) -> Turn:
    return await desk.conversations.ask(conversation.id, principal, text, door="web", language="en", client_id=client_id)


async def test_a_question_is_logged_and_queued_together(desk: Desk) -> None:
    ann = await desk.person("ann", Role.VIEWER)
    conversation = await desk.conversation(ann)
    turn = await ask(desk, conversation, ann, "why does payments restart?")
    (entry,) = await desk.conversations.log(conversation.id)
    assert entry.seq == 1
    assert entry.turn == turn.id
    assert entry.event == UserMessage(
        text="why does payments restart?", by=ann.account, by_name="Ann", door="web", language="en"
    )
    now = await desk.conversations.get(conversation.id, ann)
    assert (now.title, now.busy, now.last_seq) == ("why does payments restart?", True, 1)
    assert await desk.conversations.startable_turns() == (turn.id,)


async def test_fifty_appends_at_once_leave_no_gap_and_no_double(any_desk: Desk) -> None:
    ann = await any_desk.person("ann", Role.VIEWER)
    conversation = await any_desk.conversation(ann)
    appends = [any_desk.conversations.append(conversation.id, ModelMessage(text=str(n))) for n in range(50)]
    entries = await asyncio.gather(*appends)
    assert sorted(entry.seq for entry in entries) == list(range(1, 51))
    stored = await any_desk.conversations.log(conversation.id)
    assert [entry.seq for entry in stored] == list(range(1, 51))
    assert {entry.seq: entry.event for entry in entries} == {entry.seq: entry.event for entry in stored}


async def test_a_transaction_that_fails_gives_its_number_back(desk: Desk) -> None:
    ann = await desk.person("ann", Role.VIEWER)
    conversation = await desk.conversation(ann)
    for n in range(20):
        await ask(desk, conversation, ann, f"question {n}")
    with pytest.raises(TooMany):
        await ask(desk, conversation, ann, "one too many")
    entry = await desk.conversations.append(conversation.id, ModelMessage(text="next"))
    assert entry.seq == 21


async def test_the_same_post_again_is_the_same_turn(any_desk: Desk) -> None:
    ann = await any_desk.person("ann", Role.VIEWER)
    bob = await any_desk.person("bob", Role.VIEWER)
    conversation = await any_desk.conversation(ann)
    asked = [ask(any_desk, conversation, ann, client_id="c-1") for _ in range(8)]
    turns = await asyncio.gather(*asked)
    assert len({turn.id for turn in turns}) == 1
    assert len(await any_desk.conversations.log(conversation.id)) == 1
    assert (await ask(any_desk, conversation, ann, client_id="c-2")).id != turns[0].id
    assert (await ask(any_desk, conversation, bob, client_id="c-1")).id != turns[0].id


async def test_turns_run_one_at_a_time_in_order_of_arrival(desk: Desk) -> None:
    ann = await desk.person("ann", Role.VIEWER)
    conversation = await desk.conversation(ann)
    first, second, third = [await ask(desk, conversation, ann, text) for text in ("one", "two", "three")]
    assert await desk.conversations.claim_turn(second.id) is None
    assert (await desk.conversations.claim_turn(first.id)) is not None
    assert await desk.conversations.startable_turns() == ()
    assert await desk.conversations.running_turns() == (first.id,)
    assert await desk.conversations.claim_turn(second.id) is None
    await desk.conversations.end_turn(first.id, "finished", FINISHED)
    assert await desk.conversations.startable_turns() == (second.id,)
    assert await desk.conversations.claim_turn(third.id) is None
    assert (await desk.conversations.claim_turn(second.id)) is not None


async def test_racing_claims_of_two_turns_run_one(any_desk: Desk) -> None:
    ann = await any_desk.person("ann", Role.VIEWER)
    for _ in range(5):
        conversation = await any_desk.conversation(ann)
        turns = [await ask(any_desk, conversation, ann, text) for text in ("one", "two")]
        claims = [any_desk.conversations.claim_turn(turn.id) for turn in turns for _ in range(5)]
        await asyncio.gather(*claims)
        running = await any_desk.conversations.running_turns()
        assert running == (turns[0].id,)
        await any_desk.conversations.end_turn(turns[0].id, "finished", FINISHED)


async def test_racing_claims_of_a_turn_make_one_first_attempt(any_desk: Desk) -> None:
    ann = await any_desk.person("ann", Role.VIEWER)
    conversation = await any_desk.conversation(ann)
    turn = await ask(any_desk, conversation, ann)
    claims = await asyncio.gather(*(any_desk.conversations.claim_turn(turn.id) for _ in range(6)))
    assert sorted(claim.attempt for claim in claims if claim is not None) == [1, 2, 3, 4, 5, 6]


async def test_a_running_turn_is_taken_up_again_and_an_ended_one_is_not(desk: Desk) -> None:
    ann = await desk.person("ann", Role.VIEWER)
    conversation = await desk.conversation(ann)
    turn = await ask(desk, conversation, ann)
    await desk.conversations.claim_turn(turn.id)
    again = await desk.conversations.claim_turn(turn.id)
    assert again is not None
    assert (again.state, again.attempt) == ("running", 2)
    await desk.conversations.end_turn(turn.id, "failed", TurnFailed(message="x"))
    assert await desk.conversations.claim_turn(turn.id) is None


async def test_a_turn_ends_once(any_desk: Desk) -> None:
    ann = await any_desk.person("ann", Role.VIEWER)
    conversation = await any_desk.conversation(ann)
    turn = await ask(any_desk, conversation, ann)
    await any_desk.conversations.claim_turn(turn.id)
    ends = [any_desk.conversations.end_turn(turn.id, "finished", FINISHED) for _ in range(5)]
    ends += [any_desk.conversations.end_turn(turn.id, "failed", TurnFailed(message="x")) for _ in range(5)]
    await asyncio.gather(*ends)
    closing = [entry.event.type for entry in await any_desk.conversations.turn_log(turn.id)][1:]
    assert closing in (["turn_finished"], ["turn_failed"])
    assert f"turn_{(await any_desk.conversations.turn(turn.id)).state}" == closing[0]


async def test_stop_ends_what_waits_and_asks_what_runs(desk: Desk) -> None:
    ann = await desk.person("ann", Role.VIEWER)
    conversation = await desk.conversation(ann)
    first, second = await ask(desk, conversation, ann), await ask(desk, conversation, ann)
    await desk.conversations.claim_turn(first.id)
    await desk.conversations.request_cancel(first.id, ann)
    await desk.conversations.request_cancel(second.id, ann)
    running, waiting = await desk.conversations.turn(first.id), await desk.conversations.turn(second.id)
    assert (running.state, running.cancel_requested, running.cancelled_by_name) == ("running", True, "Ann")
    assert waiting.state == "cancelled"
    assert (await desk.conversations.log(conversation.id))[-1].event == TurnCancelled(by_name="Ann")
    await desk.conversations.end_turn(first.id, "cancelled", TurnCancelled(by_name="Ann"))
    await desk.conversations.request_cancel(first.id, ann)
    assert len(await desk.conversations.log(conversation.id)) == 4


async def test_who_may_stop_a_turn(desk: Desk) -> None:
    ann = await desk.person("ann", Role.VIEWER)
    conversation = await desk.conversation(ann)
    turn = await ask(desk, conversation, ann)
    await desk.conversations.claim_turn(turn.id)
    with pytest.raises(Forbidden):
        await desk.conversations.request_cancel(turn.id, await desk.person("viewer", Role.VIEWER))
    with pytest.raises(NotFound):
        await desk.conversations.request_cancel(turn.id, await desk.person("stranger", Role.ADMIN, clusters=("other",)))
    await desk.conversations.request_cancel(turn.id, await desk.person("operator", Role.OPERATOR))


async def test_readers_hold_the_whole_scope(desk: Desk) -> None:
    both = await desk.person("both", Role.VIEWER, namespaces=("shop", "bank"))
    shop = await desk.person("shop", Role.ADMIN, namespaces=("shop",))
    wide = await desk.conversation(both)
    narrow = await desk.conversations.create(both, cluster="shop", namespaces=("shop",))
    assert wide.scope.namespaces == ("bank", "shop")
    assert (await desk.conversations.get(narrow.id, shop)).id == narrow.id
    with pytest.raises(NotFound) as hidden:
        await desk.conversations.get(wide.id, shop)
    with pytest.raises(NotFound) as missing:
        await desk.conversations.get(new_id(), shop)
    assert hidden.value.code == missing.value.code
    with pytest.raises(NotFound):
        await ask(desk, wide, shop)
    assert [found.id for found in (await desk.conversations.list(shop))[0]] == [narrow.id]
    everything = await desk.conversation(await desk.person("root", Role.ADMIN))
    with pytest.raises(NotFound):
        await desk.conversations.get(everything.id, both)


async def test_a_new_conversation_shows_no_more_than_its_asker_sees(desk: Desk) -> None:
    ann = await desk.person("ann", Role.VIEWER, namespaces=("shop",))
    with pytest.raises(Forbidden, match="bank"):
        await desk.conversations.create(ann, cluster="shop", namespaces=("shop", "bank"))
    with pytest.raises(NotFound):
        await desk.conversations.create(ann, cluster="nowhere")
    with pytest.raises(NotFound):
        await desk.conversations.create(await desk.person("bob", Role.ADMIN, clusters=("other",)), cluster="shop")
    with pytest.raises(Forbidden):
        await desk.conversations.create(ann, cluster="shop", namespaces=())


@pytest.mark.parametrize("text", ["", "   \n", "\u200b\x00", "x" * 20_001])
async def test_empty_and_endless_questions_are_refused(desk: Desk, text: str) -> None:
    ann = await desk.person("ann", Role.VIEWER)
    conversation = await desk.conversation(ann)
    with pytest.raises(Invalid):
        await ask(desk, conversation, ann, text)
    assert await desk.conversations.log(conversation.id) == ()


async def test_a_question_is_stored_clean_and_without_secrets(desk: Desk) -> None:
    ann = await desk.person("ann", Role.VIEWER)
    conversation = await desk.conversation(ann)
    await ask(desk, conversation, ann, "why\x00 \x1b[31mred\x1b[0m \u202egnp.exe? password=hunter2-hunter2")
    (entry,) = await desk.conversations.log(conversation.id)
    assert isinstance(entry.event, UserMessage)
    assert entry.event.text == "why red gnp.exe? password=[redacted]"


async def test_an_event_of_a_newer_version_is_shown_as_unknown(desk: Desk) -> None:
    ann = await desk.person("ann", Role.VIEWER)
    conversation = await desk.conversation(ann)
    async with desk.database.transaction() as session:
        row = {"conversation": conversation.id, "seq": 1, "cluster": desk.cluster.id, "at": desk.clock(), "v": 9}
        await session.execute(insert(LogEntryRow).values(**row, kind="hologram", event='{"type":"hologram","size":3}'))
    (entry,) = await desk.conversations.log(conversation.id)
    assert entry.event == Unknown(kind="hologram", raw={"type": "hologram", "size": 3})


async def test_the_list_pages_from_newest_to_oldest_and_skips_what_is_hidden(desk: Desk) -> None:
    root = await desk.person("root", Role.ADMIN)
    shop = await desk.person("shop", Role.VIEWER, namespaces=("shop",))
    mine: list[str] = []
    for n in range(12):
        desk.clock.move(seconds=n % 2)  # some share their time
        mine.append((await desk.conversations.create(shop, cluster="shop", title=f"mine {n}")).id)
        await desk.conversations.create(root, cluster="shop", title=f"hidden {n}")
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page, cursor = await desk.conversations.list(shop, limit=5, before=cursor)
        seen += [conversation.id for conversation in page]
        if cursor is None:
            break
        assert len(page) == 5
    assert sorted(seen) == sorted(mine)
    assert len(await everything(desk, root)) == 24
    with pytest.raises(Invalid, match="cursor"):
        await desk.conversations.list(shop, before="nonsense")


async def everything(desk: Desk, principal: Principal) -> tuple[Conversation, ...]:
    found, cursor = await desk.conversations.list(principal, limit=200)
    assert cursor is None
    return found


async def test_what_grew_last_comes_first(desk: Desk) -> None:
    ann = await desk.person("ann", Role.VIEWER)
    old, new = await desk.conversation(ann), await desk.conversation(ann)
    desk.clock.move(seconds=1)
    await ask(desk, old, ann)
    assert [found.id for found in await everything(desk, ann)] == [old.id, new.id]


async def test_a_watcher_is_woken_with_the_new_end_of_the_log(desk: Desk) -> None:
    ann = await desk.person("ann", Role.VIEWER)
    conversation = await desk.conversation(ann)
    async with aclosing(desk.conversations.watch(conversation.id)) as live:
        assert await anext(live) == Wake(seq=0)
        await desk.conversations.append(conversation.id, ModelMessage(text="hello"))
        assert await anext(live) == Wake(seq=1)
        delta = TextDelta(turn=new_id(), text="hel", offset=0)
        await desk.conversations.publish_live(conversation.id, delta)
        assert await anext(live) == delta
        await desk.wakeups.publish(subjects.conversation(conversation.id), b'{"type":"hologram"}')
        await desk.wakeups.publish(subjects.conversation(conversation.id), b"\xff not JSON")
        await desk.conversations.publish_live(conversation.id, LiveProgress(note="still there"))
        assert await anext(live) == LiveProgress(note="still there")


async def test_a_lost_wake_up_costs_a_poll_and_no_event(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("control_plane.wakeups.POLL_S", 0.05)
    ann = await desk.person("ann", Role.VIEWER)
    conversation = await desk.conversation(ann)
    async with aclosing(desk.conversations.watch(conversation.id)) as live:
        assert await anext(live) == Wake(seq=0)
        quiet = type(desk.database)(desk.settings.database)  # its wake-ups reach nobody
        await quiet.start()
        others = type(desk.conversations)(quiet, desk.wakeups, desk.fleet, clock=desk.clock)
        await others.append(conversation.id, ModelMessage(text="hello"))
        await quiet.stop()
        assert await asyncio.wait_for(anext(live), 5) == Wake(seq=1)


async def test_the_runtime_is_woken_by_a_question_a_stop_and_an_end(desk: Desk) -> None:
    ann = await desk.person("ann", Role.VIEWER)
    conversation = await desk.conversation(ann)
    heard = desk.wakeups.subscribe(WORK)
    waiting = asyncio.ensure_future(anext(heard))
    turn = await ask(desk, conversation, ann)
    assert await waiting == turn.id.encode()
    await desk.conversations.claim_turn(turn.id)
    for act in (
        desk.conversations.request_cancel(turn.id, ann),
        desk.conversations.end_turn(turn.id, "finished", FINISHED),
    ):
        waiting = asyncio.ensure_future(anext(heard))
        await act
        assert await asyncio.wait_for(waiting, 5) == turn.id.encode()


async def test_work_and_lists_are_looked_at_at_once_and_when_something_changes(desk: Desk) -> None:
    ann = await desk.person("ann", Role.VIEWER)
    async with aclosing(desk.conversations.watch_work()) as work, aclosing(desk.conversations.watch_lists()) as lists:
        await anext(work)
        await anext(lists)
        conversation = await desk.conversation(ann)
        await asyncio.wait_for(anext(lists), 2)
        await ask(desk, conversation, ann)
        await asyncio.wait_for(anext(work), 2)
        await asyncio.wait_for(anext(lists), 2)
