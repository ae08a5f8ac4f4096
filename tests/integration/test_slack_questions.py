"""Questions in Slack, from the mention to the answer in its thread: the real SDK and Bolt, the real agent, a fake Slack."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator

import aiohttp
import pytest
import pytest_asyncio

from control_plane.principals import ScopedRole
from protocol.approval import Role
from protocol.events import UserMessage
from tests.fake_slack import FakeSlack, RealClock
from tests.fake_slack.records import Message
from tests.integration.scripted_model import Raw, Say, ScriptedModel, scripted_model
from tests.integration.slack_house import SlackHouse, slack_house, whole
from tests.integration.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

CHAT = "hello my friend, tell me about the weather please"
"""Nothing is diagnosed for it: the model answers at once."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model() -> AsyncGenerator[ScriptedModel]:
    async with scripted_model(Say("It is fine.")) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(model: ScriptedModel, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[SlackHouse]:
    how = {"OPENAI_API_KEY": "sk-slack", "OPENAI_BASE_URL": model.url}
    async with FakeSlack(RealClock()) as slack, slack_house(tmp_path_factory.mktemp("slack"), slack, **how) as here:
        await here.person("dana", Role.OPERATOR)
        yield here


@pytest.fixture(autouse=True)
def fresh(house: SlackHouse, model: ScriptedModel) -> None:
    house.slack.faults.clear()
    model.replies[:] = [Say("It is fine.")]
    model.go.set()


async def test_a_mention_is_answered_in_its_thread(house: SlackHouse, model: ScriptedModel) -> None:
    dana = house.people["dana"]
    model.go.clear()
    ops = await house.channel("ops", dana)
    lost = house.slack.faults.lost_answer("files.completeUploadExternal")
    asked = await house.slack.mention(ops.id, dana.id, "why does payments crash?")
    await house.slack.until(lambda: _looking(house.slack.thread(ops.id, asked.ts)), "a task for each look")
    model.go.set()
    answer = await house.answer(ops.id, asked.ts)
    assert "OOMKilled" in str(answer.blocks)
    assert "It is fine." in str(answer.blocks)
    assert answer.stream is not None
    assert answer.stream.recipient_user_id == dana.id
    assert answer.metadata["event_type"] == "opsthread_post"
    thread = await house.plane.slack_threads.find(house.slack.team.id, ops.id, asked.ts)
    assert thread is not None
    log = await house.plane.conversations.log(thread.conversation)
    question = log[0].event
    assert isinstance(question, UserMessage)
    assert (question.text, question.door, question.by) == (
        "why does payments crash?",
        "slack",
        house.principals["dana"].account,
    )
    assert answer.elements()[-1]["url"] == f"{house.running.url}/c/{thread.conversation}"
    await house.slack.until(lambda: lost.met or None, "the chart is sent")
    await house.sent()
    pictures = [file for one in house.slack.thread(ops.id, asked.ts) for file in one.files]
    assert len(pictures) == 1, "the upload whose end was not told was looked for"
    content = house.slack.world.files[pictures[0]].content or b""
    assert content.startswith(b"\x89PNG")


async def test_a_stream_that_slack_closes_is_not_the_only_copy(house: SlackHouse, model: ScriptedModel) -> None:
    dana, slack = house.people["dana"], house.slack
    ops = await house.channel("short", dana)
    model.replies[:] = [_slowly(10)]
    asked = await slack.mention(ops.id, dana.id, CHAT)
    streamed = await slack.until(lambda: _streaming_words(slack.thread(ops.id, asked.ts)), "the first words")
    life, slack.world.stream_life_s = slack.world.stream_life_s, 0.0
    try:
        answer = await house.answer(ops.id, asked.ts)
    finally:
        slack.world.stream_life_s = life
    assert answer.ts == streamed.ts, "the same message goes on"
    assert "word9" in str(answer.blocks)
    dead = [call for call in slack.calls if call.answer.get("error") == "message_not_in_streaming_state"]
    assert dead, "the stream did die"


async def test_what_comes_twice_is_asked_once(house: SlackHouse) -> None:
    dana, slack = house.people["dana"], house.slack
    ops = await house.channel("twice", dana)
    slack.world.app.events.add("message.channels")
    asked = await slack.mention(ops.id, dana.id, CHAT)
    assert len(house.deliveries(asked)) == 2, "as a mention and as a message"
    await slack.until(lambda: all(one.acked for one in house.deliveries(asked)) or None, "both are acknowledged")
    for delivery in house.deliveries(asked):
        slack.courier.again(delivery)
    await house.answer(ops.id, asked.ts)
    later = await slack.mention(ops.id, dana.id, "and tomorrow, my friend?", asked.ts)
    await house.answer(ops.id, asked.ts, 2)
    assert len([one for one in slack.thread(ops.id, asked.ts) if one.bot_id]) == 2
    assert await house.handled(later) == await house.handled(asked), "one conversation"


async def test_it_talks_over_nobody(house: SlackHouse) -> None:
    dana, slack = house.people["dana"], house.slack
    erin = await house.person("erin", Role.VIEWER)
    ops = await house.channel("quiet", dana, erin)
    slack.world.app.events.add("message.channels")
    assert await house.handled(await slack.write(ops.id, dana.id, "payments crashes again")) == "not kept"
    asked = await slack.mention(ops.id, dana.id, CHAT)
    await house.answer(ops.id, asked.ts)
    assert await house.handled(await slack.write(ops.id, erin.id, "I look at it", asked.ts)) == "not kept"
    assert await house.handled(await slack.mention(ops.id, erin.id, "follow this thread", asked.ts)) == "follows"
    await slack.write(ops.id, erin.id, CHAT, asked.ts)
    await house.answer(ops.id, asked.ts, 2)
    to_dana = await slack.write(ops.id, erin.id, f"<@{dana.id}> could you look?", asked.ts)
    assert await house.handled(to_dana) == "said to somebody else"
    assert await house.handled(await slack.mention(ops.id, dana.id, "unfollow", asked.ts)) == "unfollows"
    assert await house.handled(await slack.write(ops.id, erin.id, "I look at it", asked.ts)) == "not kept"
    assert len(house.answers(ops.id, asked.ts)) == 2
    thread = await house.plane.slack_threads.find(slack.team.id, ops.id, asked.ts)
    assert thread is not None
    log = await house.plane.conversations.log(thread.conversation)
    by = [entry.event.by for entry in log if isinstance(entry.event, UserMessage)]
    assert by == [house.principals["dana"].account, house.principals["erin"].account], "each under their own name"


async def test_who_may_not_is_told_so_alone(house: SlackHouse) -> None:
    dana, slack = house.people["dana"], house.slack
    narrow = await house.person("nora", Role.VIEWER, namespaces=("shop",))
    guest = await house.person("gus", Role.OPERATOR, is_restricted=True)
    nobody = await house.person("ned", None)
    ops = await house.channel("mixed", dana, narrow, guest, nobody)
    wild = slack.add_channel("wild", dana)
    asked = await slack.mention(ops.id, dana.id, CHAT)
    await house.answer(ops.id, asked.ts)
    assert await house.handled(await slack.mention(ops.id, narrow.id, CHAT, asked.ts)) == "narrower"
    for stranger, code in ((guest, "guest"), (nobody, "unlinked")):
        assert await house.handled(await slack.mention(ops.id, stranger.id, CHAT)) == code
    assert await house.handled(await slack.mention(wild.id, dana.id, CHAT)) == "unbound"
    for text in (CHAT, "unlink"):
        said_by_app = await slack.write(ops.id, dana.id, f"<@{slack.bot.user_id}> {text}", bot_id="B0OTHER")
        assert await house.handled(said_by_app) == "bot", "an app with dana's token is not dana"
    for one, word in (
        (narrow, "more than your roles"),
        (guest, "Guests"),
        (nobody, "which Opsthread account"),
        (dana, "not bound"),
    ):
        assert any(word in said.text for said in slack.ephemerals(one.id)), one.name
    own = await slack.mention(ops.id, narrow.id, CHAT)
    await house.answer(ops.id, own.ts)
    thread = await house.plane.slack_threads.find(slack.team.id, ops.id, own.ts)
    assert thread is not None
    conversation = await house.plane.conversations.get(thread.conversation)
    assert conversation.scope.namespaces == ("shop",), "what both the channel and the asker may see"


async def test_who_may_see_more_than_the_channel_is_told_where(house: SlackHouse) -> None:
    dana, slack = house.people["dana"], house.slack
    shop = await house.channel("shop", dana, namespaces=("shop",))
    asked = await slack.mention(shop.id, dana.id, CHAT)
    await house.answer(shop.id, asked.ts)
    told = await slack.until(lambda: next((m for m in slack.ephemerals(dana.id) if "only shop" in m.text), None), "the link")
    assert told.elements()[0]["url"] == f"{house.running.url}/?cluster={house.cluster}"
    await slack.mention(shop.id, dana.id, "and tomorrow, my friend?", asked.ts)
    await house.answer(shop.id, asked.ts, 2)
    assert len([one for one in slack.ephemerals(dana.id) if "only shop" in one.text]) == 1, "once a thread"


async def test_a_direct_message_asks_which_cluster(house: SlackHouse) -> None:
    slack = house.slack
    both = await house.person("bo", Role.OPERATOR)
    await house.plane.fleet.create("staging", by="system")
    asked = await slack.direct_message(both.id, CHAT)
    choice = await slack.until(
        lambda: next((one for one in slack.thread(asked.channel, asked.ts) if one.elements()), None), "the choice"
    )
    names = [element["text"]["text"] for element in choice.elements()]
    assert names == ["practice", "staging"]
    await slack.click(choice, "choose_cluster:0", both.id)
    await slack.click(choice, "choose_cluster:0", both.id)
    await house.answer(asked.channel, asked.ts)
    named = await slack.direct_message(both.id, f"{CHAT} in practice")
    await house.answer(named.channel, named.ts)
    assert len(house.answers(asked.channel, asked.ts)) == 1


async def test_a_stream_whose_start_was_not_answered_is_found_again(house: SlackHouse, model: ScriptedModel) -> None:
    dana, slack = house.people["dana"], house.slack
    ops = await house.channel("lossy", dana)
    model.replies[:] = [_slowly(4)]
    unanswered = slack.faults.server_error("chat.startStream", after=True)
    ghost = await slack.mention(ops.id, dana.id, CHAT)
    await house.answer(ops.id, ghost.ts)
    assert unanswered.met
    assert len(slack.thread(ops.id, ghost.ts)) == 2


async def test_an_answer_of_100_kb_is_told_in_a_few_messages(house: SlackHouse, model: ScriptedModel) -> None:
    dana, slack = house.people["dana"], house.slack
    ops = await house.channel("long", dana)
    model.replies[:] = [Say("\n\n".join(f"{n}. " + "the pods of this deployment were restarted " * 10 for n in range(230)))]
    began = len(slack.calls)
    asked = await slack.mention(ops.id, dana.id, CHAT)
    last = await house.answer(ops.id, asked.ts)
    ours = [one for one in slack.thread(ops.id, asked.ts) if one.bot_id]
    assert 2 <= len(ours) <= 4
    assert ours[-1] is last
    assert f"{house.running.url}/c/" in str(last.blocks)
    refused = [call for call in slack.calls[began:] if not call.answer.get("ok")]
    assert not refused, [(call.method, call.answer) for call in refused]


async def test_the_assistant_greets_and_answers_without_a_mention(house: SlackHouse) -> None:
    dana, slack = house.people["dana"], house.slack
    pane = await slack.assistant_open(dana.id)
    await slack.until(lambda: pane.prompts or None, "questions to press")
    asked = await slack.assistant_message(pane, f"{CHAT} in practice")
    answer = await house.answer(pane.channel, pane.thread_ts)
    assert answer.thread_ts == pane.thread_ts
    assert pane.title.startswith("hello my friend")
    assert await house.handled(asked)


async def test_blocks_that_slack_refuses_become_text_and_a_link(house: SlackHouse) -> None:
    dana, slack = house.people["dana"], house.slack
    ops = await house.channel("plain", dana)
    slack.faults.refuse("chat.startStream", "channel_type_not_supported")
    slack.faults.refuse("chat.postMessage", "invalid_blocks", when=lambda call: len(call.args.get("blocks") or []) > 2)
    asked = await slack.mention(ops.id, dana.id, CHAT)
    said = await slack.until(lambda: next((m for m in slack.thread(ops.id, asked.ts) if m.bot_id), None), "the text")
    assert "It is fine." in said.text
    assert f"{house.running.url}/c/" in str(said.blocks)


async def test_what_goes_on_elsewhere_is_shown_as_long_as_the_channel_may_see_it(house: SlackHouse) -> None:
    dana, slack = house.people["dana"], house.slack
    ops = await house.channel("bound", dana)
    asked = await slack.mention(ops.id, dana.id, CHAT)
    await house.answer(ops.id, asked.ts)
    thread = await house.plane.slack_threads.find(slack.team.id, ops.id, asked.ts)
    assert thread is not None

    async def on_the_web(text: str) -> None:
        asker = house.principals["dana"]
        await house.plane.conversations.ask(thread.conversation, asker, text, door="web", language="en")

        async def caught_up() -> bool | None:
            behind = [one.thread.id for one in await house.plane.slack_threads.behind()]
            quiet = not (await house.plane.conversations.get(thread.conversation)).busy
            return True if quiet and thread.id not in behind else None

        await until(caught_up, "the thread has caught up")
        await house.sent()

    await on_the_web("and what is new, my friend?")
    assert "and what is new" in str(slack.thread(ops.id, asked.ts)[2].blocks), "who asked what, and then the answer"
    assert len(house.answers(ops.id, asked.ts)) == 2
    await house.bind(ops, namespaces=("shop",))
    await on_the_web("and the secret, my friend?")
    assert "secret" not in str([one.blocks for one in slack.thread(ops.id, asked.ts)])
    assert len(slack.thread(ops.id, asked.ts)) == 4
    assert await house.handled(await slack.mention(ops.id, dana.id, CHAT, asked.ts)) == "channel_narrowed"


async def test_a_stream_ends_with_the_reach(house: SlackHouse, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    slack, ops = house.slack, await house.channel("narrowed", house.people["dana"])
    model.replies[:] = [_slowly(40)]
    asked = await slack.mention(ops.id, house.people["dana"].id, CHAT)
    streamed = await slack.until(lambda: _streaming_words(slack.thread(ops.id, asked.ts)), "the first words")
    monkeypatch.setattr("bot.slack.work.renderer.WEIGHED_S", 0.2)
    await house.bind(ops, namespaces=("shop",))
    await slack.until(lambda: "word" not in str(streamed.blocks) + streamed.text or None, "it is taken back", 3)


async def test_stop_in_slack_stops_the_turn(house: SlackHouse, model: ScriptedModel) -> None:
    dana, slack = house.people["dana"], house.slack
    ops = await house.channel("stopped", dana)
    model.replies[:] = [_slowly(10)]
    asked = await slack.mention(ops.id, dana.id, CHAT)
    streamed = await slack.until(lambda: _streaming_words(slack.thread(ops.id, asked.ts)), "the first words")
    await slack.stop_stream(streamed, dana.id)
    thread = await house.plane.slack_threads.find(slack.team.id, ops.id, asked.ts)
    assert thread is not None
    turn = (await house.plane.conversations.log(thread.conversation))[0].turn or ""

    async def stopped() -> bool | None:
        return True if await house.plane.conversations.stop_requested(turn) else None

    await until(stopped, "the turn is to stop")


async def test_thirty_channels_at_once_are_all_answered_within_slacks_limits(house: SlackHouse, model: ScriptedModel) -> None:
    dana, slack = house.people["dana"], house.slack
    channels = [await house.channel(f"busy-{n}", dana) for n in range(30)]
    slack.rates.on = True
    began = len(slack.calls)
    asked = await asyncio.gather(*(slack.mention(one.id, dana.id, CHAT) for one in channels))
    again = await asyncio.gather(
        *(slack.mention(one.channel, dana.id, "and tomorrow, my friend?", one.ts) for one in asked[:5])
    )
    for one in asked:
        await house.answer(one.channel, one.ts, timeout_s=60)
    for one in again:
        answers = [await house.answer(one.channel, one.thread_ts, n) for n in (1, 2)]
        assert answers[0].ts < answers[1].ts
    slack.rates.on = False
    refused = [call for call in slack.calls[began:] if call.status == 429]
    assert not refused, [call.method for call in refused]
    for one in asked:
        ours = [m for m in slack.thread(one.channel, one.ts) if m.bot_id]
        assert len(ours) == (2 if any(other.thread_ts == one.ts for other in again) else 1)
        assert all(whole(m) for m in ours)
    assert len(model.requests) >= 35


def _slowly(words: int) -> Raw:
    """An answer that takes 0.2 s a word."""
    chunk = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    deltas = [{"index": 0, "delta": {"content": f"word{n} "}, "finish_reason": None} for n in range(words)]
    lines = [json.dumps({**chunk, "choices": [delta]}) for delta in deltas]
    return Raw("".join(f"data: {line}\n\n" for line in [*lines, "[DONE]"]).encode(), every_s=0.1)


def _looking(thread: list[Message]) -> Message | None:
    return next((one for one in thread if one.stream is not None and "diagnose payments" in str(one.stream.tasks)), None)


def _streaming_words(thread: list[Message]) -> Message | None:
    return next((one for one in thread if one.stream is not None and "word" in one.text), None)


async def test_a_person_links_themselves_and_unlinks(house: SlackHouse) -> None:
    slack, plane = house.slack, house.plane
    lin = await house.person("lin", None)
    account = await plane.accounts.create("lin.web", "Lin Web", (ScopedRole(role=Role.OPERATOR),), by="system")
    ops = await house.channel("linking", lin)
    assert await house.handled(await slack.mention(ops.id, lin.id, CHAT)) == "unlinked"
    [offer] = slack.ephemerals(lin.id)
    url = str(offer.elements()[0]["url"])
    session = await plane.accounts.use_link(await plane.accounts.make_link(account.id, by="system"))
    cookie = {"Cookie": f"opsthread={session.token}"}
    async with aiohttp.ClientSession() as browser:
        async with browser.get(url, allow_redirects=False) as page:
            assert page.headers["Location"] == f"/sign-in?next_path=/slack/link/{url.rpartition('/')[2]}"
        async with browser.post(url, data={"csrf": session.csrf}, headers=cookie) as page:
            shown = re.search(r"link (\d{6})", await page.text())
    assert shown is not None
    code = shown[1]
    told = await slack.until(
        lambda: next((one for one in slack.world.messages.values() if "opened your link" in one.text), None), "they are told"
    )
    assert lin.id in slack.world.channels[told.channel].members
    assert code not in told.text
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    for said, note in (("hello?", "unlinked"), (f"link {wrong}", "wrong_code"), (f"link {code}", "linked")):
        assert await house.handled(await slack.mention(ops.id, lin.id, said)) == note
    words = ("your link was opened", "this is not the code", "from now on you act as lin web")
    for told, beginning in zip(slack.ephemerals(lin.id)[1:], words, strict=True):
        assert told.text.lower().startswith(beginning), told.text
    asked = await slack.mention(ops.id, lin.id, CHAT)
    await house.answer(ops.id, asked.ts)
    thread = await plane.slack_threads.find(slack.team.id, ops.id, asked.ts)
    assert thread is not None
    log = await plane.conversations.log(thread.conversation)
    assert {entry.event.by for entry in log if isinstance(entry.event, UserMessage)} == {account.id}
    for said_now, note in (("link", "linked already"), ("unlink", "unlinked"), (CHAT, "unlinked")):
        assert await house.handled(await slack.mention(ops.id, lin.id, said_now)) == note


async def test_strangers_read_where_a_channel_lets_them_and_a_disabled_account_does_not(house: SlackHouse) -> None:
    slack, plane = house.slack, house.plane
    guest = await house.person("gil", None, is_restricted=True)
    outside = slack.add_user("vera", team=slack.add_team("Vendor", "vendor"))
    ousted = await house.person("otto", Role.APPROVER)
    await plane.accounts.disable(house.principals["otto"].account, by="system")
    ops = await house.channel("open", guest, outside, ousted, namespaces=("shop",), strangers="read")
    bound = await plane.slack_channels.get(slack.team.id, ops.id)
    assert bound is not None
    for one in (guest, outside):
        asked = await slack.mention(ops.id, one.id, CHAT)
        await house.answer(ops.id, asked.ts)
        thread = await plane.slack_threads.find(slack.team.id, ops.id, asked.ts)
        assert thread is not None
        log = await plane.conversations.log(thread.conversation)
        asked_by = {(entry.event.by, entry.event.by_name) for entry in log if isinstance(entry.event, UserMessage)}
        assert asked_by == {(bound.stranger_account, f"People in open: {one.name} ({one.id})")}
        assert (await plane.conversations.get(thread.conversation)).scope.namespaces == ("shop",)
        follow = await slack.mention(ops.id, one.id, "follow this thread", asked.ts)
        assert await house.handled(follow) in ("guest", "foreign"), "they read, and change nothing"
    notes = [await house.handled(await slack.mention(ops.id, guest.id, "help")) for _ in range(20)]
    assert (notes.count("help"), "Too many" in notes[-1]) == (19, True)
    assert await house.handled(await slack.mention(ops.id, ousted.id, CHAT)) == "disabled"
    # Nobody of them becomes somebody by saying so.
    for one, code in ((guest, "guest"), (outside, "foreign")):
        assert await house.handled(await slack.mention(ops.id, one.id, "link")) == code
