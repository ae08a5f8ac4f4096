"""The stream: nothing lost, nothing twice, and closed when the right to read has ended."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from bot.api.stream import Pace
from control_plane.conversations import Conversation
from protocol.approval import Role
from protocol.events import LiveProgress, ModelMessage, TextDelta, ToolFinished, ToolStarted
from protocol.ids import new_id
from tests.integration.http_server import PACE, Events, Here, Person, http_server
from tests.integration.waiting import until


@pytest.fixture
async def here(tmp_path: Path) -> AsyncGenerator[Here]:
    async with http_server(tmp_path) as running:
        yield running


@pytest.fixture
async def dana(here: Here) -> Person:
    return await here.person("dana", Role.OPERATOR)


async def write(here: Here, conversation: Conversation, numbers: range) -> None:
    for n in numbers:
        await here.plane.conversations.append(conversation.id, ToolStarted(call=f"c{n}", name="t", title=str(n)))


async def seqs(events: Events, until: int) -> list[int]:
    while True:
        event = await events.next("log")
        if event.data["seq"] == until:
            return [e.data["seq"] for e in events.seen if e.kind == "log"]


async def hears(here: Here, conversation: Conversation, events: Events) -> None:
    """Until live messages come through: what is said before the subscription stands is lost, as live text may be."""
    calling = asyncio.create_task(_call(here, conversation))
    while (await events.next("live")).data.get("note") != "over":
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)
        await here.plane.conversations.publish_live(conversation.id, LiveProgress(note="over"))


async def _call(here: Here, conversation: Conversation) -> None:
    while True:
        await here.plane.conversations.publish_live(conversation.id, LiveProgress(note="calling"))
        await asyncio.sleep(0.05)


async def test_the_whole_log_then_what_comes(here: Here, dana: Person) -> None:
    conversation = await here.conversation(dana)
    await write(here, conversation, range(5))
    async with dana.stream(f"?c={conversation.id}:0") as events:
        assert await seqs(events, 6) == [1, 2, 3, 4, 5, 6]
        await write(here, conversation, range(5, 8))
        assert await seqs(events, 9) == list(range(1, 10))


async def test_resume_loses_nothing_and_repeats_nothing(here: Here, dana: Person) -> None:
    """Cut the connection again and again while the log grows; Last-Event-ID alone goes on."""
    conversation = await here.conversation(dana)
    growing = asyncio.create_task(write(here, conversation, range(60)))
    got: list[int] = []
    last: str | None = None
    while not got or got[-1] < 61:
        async with dana.stream(f"?c={conversation.id}:0", last_event_id=last) as events:
            stop_at = len(got) + 7
            async for event in events:
                last = event.id or last
                if event.kind == "log":
                    got.append(event.data["seq"])
                if len(got) >= stop_at or (got and got[-1] == 61):
                    break
    await growing
    assert got == list(range(1, 62))


async def test_one_stream_follows_several_conversations(here: Here, dana: Person) -> None:
    one, two = await here.conversation(dana), await here.conversation(dana)
    async with dana.stream(f"?c={one.id}:0&c={two.id}:0") as events:
        await events.next("lists")
        await write(here, two, range(1))
        last = await events.next("log")
        assert last.data["conversation"] == two.id
    async with dana.stream(f"?c={one.id}:0&c={two.id}:0", last_event_id=last.id) as events:
        await write(here, one, range(1))
        event = await events.next("log")
        assert (event.data["conversation"], event.data["seq"]) == (one.id, 2)


async def test_live_text_and_the_text_so_far_for_who_comes_late(here: Here, dana: Person) -> None:
    conversation = await here.conversation(dana)
    path = f"?c={conversation.id}:0"
    live = here.plane.conversations.publish_live
    async with dana.stream(path) as first:
        await first.next("lists")
        await hears(here, conversation, first)
        await live(conversation.id, TextDelta(turn="t1", text="Hello ", offset=0))
        await live(conversation.id, TextDelta(turn="t1", text="world", offset=6))
        await live(conversation.id, LiveProgress(turn="t1", call="c1", note="reading logs"))
        assert (await first.next("live")).data["text"] == "Hello "
        assert (await first.next("live")).data["text"] == "world"
        assert (await first.next("live")).data["note"] == "reading logs"
        async with dana.stream(path) as late:
            assert (await late.next("live")).data == {
                "conversation": conversation.id,
                "type": "text_delta",
                "turn": "t1",
                "text": "Hello world",
                "offset": 0,
            }
        await here.plane.conversations.append(conversation.id, ModelMessage(text="Hello world", final=True), turn="t1")
        assert (await first.next("log")).data["tree"] == [{"t": "p", "c": ["Hello world"]}]
        async with dana.stream(path) as later:
            await later.next("lists")
            assert [e for e in later.seen if e.kind == "live"] == []


async def test_an_approval_comes_as_this_person_sees_it(here: Here, dana: Person) -> None:
    alex = await here.person("alex", Role.APPROVER)
    conversation = await here.conversation(dana)
    async with dana.stream(f"?c={conversation.id}:0") as hers, alex.stream(f"?c={conversation.id}:0") as his:
        await hers.next("lists")
        await his.next("lists")
        approval = await here.approval(dana, conversation)
        asked, decides = await hers.next("approval"), await his.next("approval")
        assert (asked.data["you"]["may_approve"], decides.data["you"]["may_approve"]) == (False, True)
        lists = await his.next("lists")
        while not lists.data["pending_approvals"]:
            lists = await his.next("lists")
        assert lists.data["pending_approvals"][0]["id"] == approval.id
        body = {"verdict": "approve", "plan_hash": approval.plan.plan_hash}
        assert (await alex.browse("POST", f"/api/v1/approvals/{approval.id}/decide", body))[0] == 200
        assert (await hers.next("approval")).data["state"] == "approved"


async def test_a_long_tool_text_is_a_preview_and_the_whole_is_one_call_away(here: Here, dana: Person) -> None:
    conversation = await here.conversation(dana)
    text = "line\n" * 5_000
    entry = await here.plane.conversations.append(
        conversation.id, ToolFinished(call="c1", name="t", status="ok", text=text), turn="t1"
    )
    async with dana.stream(f"?c={conversation.id}:1") as events:
        event = await events.next("log")
        assert len(event.data["event"]["text"]) == event.data["cut_at"] < len(text)
    whole = (await dana.call("GET", f"/api/v1/conversations/{conversation.id}/log/{entry.seq}"))[1]
    assert whole["event"]["text"] == text


async def test_it_closes_on_sign_out(here: Here, dana: Person) -> None:
    conversation = await here.conversation(dana)
    async with dana.stream(f"?c={conversation.id}:0") as events:
        await events.next("lists")
        form = {"csrf": dana.session.csrf}
        headers = {"Cookie": dana.page_headers()["Cookie"], "Sec-Fetch-Site": "same-origin"}
        async with here.client.post(here.url + "/sign-out", data=form, headers=headers, allow_redirects=False) as answer:
            assert answer.status == 303
        assert (await events.to_the_end())[-1].data == {"conversation": None, "why": "signed_out"}
    async with dana.stream() as events:
        assert events.answer.status == 401


async def test_it_closes_when_the_session_ends_elsewhere(here: Here, dana: Person) -> None:
    """As by another replica: only the check at intervals can see it."""
    async with dana.stream() as events:
        await events.next("lists")
        await here.plane.accounts.sign_out(dana.session.id)
        assert (await events.to_the_end())[-1].data["why"] == "signed_out"


async def test_what_one_may_no_longer_read_goes_and_the_rest_stays(here: Here, dana: Person) -> None:
    conversation = await here.conversation(dana)
    async with dana.stream(f"?c={conversation.id}:0") as events:
        await events.next("lists")
        await here.plane.accounts.set_roles(dana.account.id, (), by="system")
        assert (await events.next("gone")).data["conversation"] == conversation.id
        while (await events.next("lists")).data["conversations"]:
            pass
        await write(here, conversation, range(1))
        await events.next("ping", timeout_s=20)
        assert [e.data["seq"] for e in events.seen if e.kind == "log"] == [1]


async def test_a_stranger_hears_nothing_of_a_conversation(here: Here, dana: Person) -> None:
    conversation = await here.conversation(dana)
    eve = await here.person("eve", Role.VIEWER, namespaces=("elsewhere",))
    async with eve.stream(f"?c={conversation.id}:0&c={new_id()}:0") as events:
        await events.next("lists")
        assert [(e.kind, e.data.get("why")) for e in events.seen[1:3]] == [("gone", "not_found")] * 2
        assert not [e for e in events.seen if e.kind == "log"]


async def test_streams_of_an_account_are_capped(here: Here, dana: Person) -> None:
    async with dana.stream() as a, dana.stream() as b, dana.stream() as c:
        for events in (a, b, c):
            await events.next("lists")
        async with dana.stream() as one_more:
            assert one_more.answer.status == 429
            assert (await one_more.answer.json(content_type=None))["code"] == "too_many"


async def test_shutdown_ends_every_stream(tmp_path: Path) -> None:
    async with http_server(tmp_path, pace=Pace(recheck_s=60, lists_s=60)) as here:
        dana = await here.person("dana", Role.OPERATOR)
        async with dana.stream() as events:
            await events.next("lists")
            await here.app.state.streams.close()
            assert (await events.to_the_end())[-1].data["why"] == "restart"


async def test_a_reader_that_went_away_is_forgotten(here: Here, dana: Person) -> None:
    """Else the cap would fill with ghosts."""
    for _ in range(PACE.streams_per_account * 3):
        async with dana.stream() as events:
            await events.next("hello")

    async def opens() -> bool:
        async with dana.stream() as events:
            return events.answer.status == 200

    await until(opens, "a stream opens again")


async def test_what_is_not_a_stream_is_refused(here: Here, dana: Person) -> None:
    nine = "&".join(f"c={new_id()}:0" for _ in range(9))
    for query in ("c=../../etc:1", f"c={new_id()}:x", nine):
        async with dana.stream(f"?{query}") as events:
            assert events.answer.status == 422
