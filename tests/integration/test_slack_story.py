"""The main job in a thread of Slack; and while the fix is being checked all that goes on beside it: /opsthread, the Home tab,
feedback, a conversation of the web. The real SDK and Bolt, the real agent without a model, a fake Slack."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from bot.slack import sharing
from bot.slack.clients import Clients
from bot.slack.identity import FromSlack
from bot.slack.work.sight import Late, Sight
from control_plane.clock import utc_now
from control_plane.errors import Forbidden, NotFound
from control_plane.slack.outbox import Content, FileRef, Outgoing
from protocol.approval import ApprovalState, Role
from protocol.events import ActionFinished, CaseStored, TurnFinished, UserMessage
from tests.fake_slack import FakeSlack, RealClock, effects
from tests.fake_slack.records import Channel, Message, View
from tests.integration.slack_cards import Cards, buttons
from tests.integration.slack_house import SlackHouse, slack_house
from tests.integration.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(90)]

CHAT = "hello my friend, tell me about the weather please"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[SlackHouse]:
    async with FakeSlack(RealClock()) as slack, slack_house(tmp_path_factory.mktemp("slack"), slack) as here:
        for name in ("ida", "sol", "ann"):
            await here.person(name, Role.APPROVER)
        await here.person("dana", Role.OPERATOR)
        await here.person("vera", Role.VIEWER)
        (await here.person("jun", Role.OPERATOR)).locale = "ja-JP"
        await here.person("otto", Role.APPROVER, namespaces=("bank",))
        await here.person("ned", None)
        await here.plane.fleet.create("staging", by="system")
        yield here


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def story(house: SlackHouse) -> AsyncGenerator[asyncio.Task[None]]:
    task = asyncio.create_task(main_job(house), name="the main job")
    yield task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest_asyncio.fixture(loop_scope="module")
async def ops(house: SlackHouse) -> Channel:
    return await house.channel("ops", *house.people.values())


async def said(house: SlackHouse, who: str, channel: str, text: str) -> tuple[str, Message]:
    """What the inbox notes of a command, and what this person alone was told."""
    person = house.people[who].id
    before = len(house.slack.ephemerals(person))
    command = await house.slack.delivered(house.slack.slash(person, channel, text))
    assert command.tries[0].acked, "within three seconds"
    note = await house.noted(command)
    told = house.slack.ephemerals(person)[before:]
    assert len(told) == 1, [one.text for one in told]
    return note, told[0]


async def test_a_command_asks_in_a_thread_that_names_who_asks(house: SlackHouse, ops: Channel) -> None:
    dana, slack = house.people["dana"], house.slack
    command = await slack.delivered(slack.slash(dana.id, ops.id, f"ask {CHAT}"))
    conversation = await house.noted(command)
    thread = await house.plane.slack_threads.of_conversation(conversation)
    assert thread is not None
    await slack.until(lambda: [one for one in slack.world.messages.values() if one.channel == ops.id] or None, "the thread")
    root = next(one for one in slack.world.messages.values() if one.channel == ops.id)
    assert "*dana*" in root.text
    assert CHAT in str(root.blocks)
    answer = await house.answer(ops.id, root.ts)
    assert answer.thread_ts == root.ts
    log = await house.plane.conversations.log(conversation)
    asked = [entry.event for entry in log if isinstance(entry.event, UserMessage)]
    assert [(one.text, one.by, one.door) for one in asked] == [(CHAT, house.principals["dana"].account, "slack")]
    slack.world.app.events.add("message.channels")
    assert await house.noted(await slack.shortcut(answer, "follow", house.people["otto"].id)) == "narrower"
    assert await house.noted(await slack.shortcut(answer, "follow", house.people["vera"].id)) == "follows"
    await slack.write(ops.id, dana.id, "and tomorrow, my friend?", root.ts)
    await house.answer(ops.id, root.ts, 2)
    assert len(await house.plane.conversations.log(conversation)) > len(log), "the same conversation goes on"
    assert await house.noted(await slack.shortcut(answer, "unfollow", dana.id)) == "unfollows"


async def test_a_command_in_a_direct_message_asks_which_cluster(house: SlackHouse) -> None:
    slack, vera = house.slack, house.people["vera"]
    place = slack.world.direct_message(slack.bot.user_id, vera.id)
    command = await slack.delivered(slack.slash(vera.id, place.id, f"ask {CHAT}"))
    assert await house.noted(command) == "asked which cluster"
    ours = [one for one in slack.world.messages.values() if one.channel == place.id and one.elements()]
    names = [element["text"]["text"] for element in ours[-1].elements()]
    conversation = await house.noted(await slack.click(ours[-1], f"choose_cluster:{names.index('practice')}", vera.id))
    thread = await slack.until(
        lambda: next((m for m in slack.world.messages.values() if m.channel == place.id and CHAT in str(m.blocks)), None),
        "a thread",
    )
    await house.answer(place.id, thread.ts)
    asked = [entry.event for entry in await house.plane.conversations.log(conversation)]
    assert [one.text for one in asked if isinstance(one, UserMessage)] == [CHAT]


@pytest.mark.parametrize("text", ["help", "", "dance", "ask", "HELP me"])
async def test_what_it_does_not_know_is_answered_by_help(house: SlackHouse, ops: Channel, text: str) -> None:
    note, told = await said(house, "dana", ops.id, text)
    assert note == "help"
    assert "/opsthread ask" in str(told.blocks)


async def test_lists_are_of_what_channel_and_asker_both_see(house: SlackHouse, ops: Channel) -> None:
    for verb in ("status", "clusters"):
        _, told = await said(house, "dana", ops.id, verb)
        assert "practice" in str(told.blocks)
        assert "staging" not in str(told.blocks), "the channel is not bound to it"
    direct = house.slack.world.direct_message(house.slack.bot.user_id, house.people["dana"].id)
    _, told = await said(house, "dana", direct.id, "clusters")
    assert "staging" in str(told.blocks)
    _, told = await said(house, "otto", ops.id, "clusters")
    assert "nodes" not in str(told.blocks), "who sees one namespace is told nothing that counts the others"
    wild = house.slack.add_channel("wild", house.people["dana"])
    assert (await said(house, "dana", wild.id, "clusters"))[0] == "unbound"
    outside = house.slack.add_channel("outside", house.people["dana"], with_bot=False)
    assert (await said(house, "dana", outside.id, "help"))[0] == "help"
    note, told = await said(house, "ned", ops.id, "link")
    assert note == "offered"
    assert "/slack/link/" in str(told.blocks)
    note, told = await said(house, "ned", ops.id, "clusters")
    assert note == "unlinked"
    assert "practice" not in str(told.blocks)


async def test_the_assistant_means_the_cluster_of_the_channel_beside_it(house: SlackHouse, ops: Channel) -> None:
    slack, jun = house.slack, house.people["jun"]
    thread = await slack.assistant_open(jun.id)
    greeted = await slack.until(lambda: slack.thread(thread.channel, thread.thread_ts)[1:], "its greeting")
    assert "クラスター" in greeted[0].text
    await slack.until(lambda: thread.prompts or None, "what can be asked")
    await slack.assistant_look(thread, ops.id)
    asked = await slack.assistant_message(thread, CHAT)
    conversation = await house.handled(asked)
    assert (await house.plane.conversations.get(conversation)).cluster == house.cluster, "it did not ask which"
    await slack.until(lambda: thread.title or None, "a title")


async def test_my_approvals_are_those_that_wait_for_me(house: SlackHouse, ops: Channel) -> None:
    cards = Cards(house)
    approval, _ = await cards.open(await cards.thread(ops, "dana"), "dana")
    for who, theirs in (("ann", True), ("dana", False), ("vera", False), ("otto", False)):
        _, told = await said(house, who, ops.id, "approvals")
        assert (f"/approvals/{approval.id}" in str(told.blocks)) is theirs, who
    staging = (await house.plane.fleet.get("staging")).id
    elsewhere = await house.channel("staging-only", house.people["ann"], cluster=staging)
    _, told = await said(house, "ann", elsewhere.id, "approvals")
    assert approval.id not in str(told.blocks), "the channel is not bound to its cluster"
    assert "/approvals|" in str(told.blocks), "the page has all"
    await house.plane.approvals.withdraw(approval.id, house.principals["dana"])
    _, told = await said(house, "ann", ops.id, "approvals")
    assert approval.id not in str(told.blocks)


async def test_a_home_tab_is_one_persons_own_and_keeps_up(house: SlackHouse, ops: Channel) -> None:
    slack, cards = house.slack, Cards(house)
    approval, card = await cards.open(await cards.thread(ops, "dana"), "dana")
    homes: dict[str, View] = {}
    for who in ("ann", "vera", "ned", "otto"):
        person = house.people[who].id
        await slack.open_home(person)
        homes[who] = await slack.until(lambda person=person: slack.world.homes.get((slack.team.id, person)), f"{who}'s home")
    assert approval.id in str(homes["ann"].body)
    assert "practice" in str(homes["vera"].body)
    for who in ("vera", "ned", "otto"):
        assert approval.id not in str(homes[who].body), who
    assert "practice" not in str(homes["ned"].body)
    ann = house.people["ann"].id
    await slack.delivered(slack.click_in_view(homes["ann"], "details:0", ann))
    window = await slack.until(lambda: next(iter(slack.open_views(ann)), None), "the details")
    assert approval.plan.plan_hash in str(window.body)
    payload_of_another = await slack.click_in_view(homes["ann"], "details:0", house.people["vera"].id)
    assert payload_of_another.acked or await slack.until(lambda: payload_of_another.acked or None, "it is acknowledged")
    assert not slack.open_views(house.people["vera"].id), "somebody else's button opens nothing"
    await slack.delivered(slack.click(card, "approve", ann))
    await slack.until(lambda: approval.id not in str(homes["ann"].body) or None, "what was decided is gone", 20)
    await house.plane.accounts.disable(house.principals["vera"].account, by="system")
    try:
        await slack.until(lambda: "practice" not in str(homes["vera"].body) or None, "who is nobody any more reads nothing", 20)
    finally:
        await house.plane.accounts.enable(house.principals["vera"].account, by="system")


async def test_one_word_a_person_about_an_answer(house: SlackHouse, ops: Channel) -> None:
    slack, ann, dana = house.slack, house.people["ann"].id, house.people["dana"].id
    asked = await slack.mention(ops.id, dana, "why does payments crash?")
    answer = await house.answer(ops.id, asked.ts)
    thread = await house.plane.slack_threads.find(slack.team.id, ops.id, asked.ts)
    assert thread is not None
    assert await house.noted(await slack.click(answer, "feedback_up", ann)) == "right"
    assert await house.noted(await slack.click(answer, "feedback_up", ann)) == "said already"
    await slack.delivered(slack.click(answer, "feedback_down", ann))
    window = await slack.until(
        lambda: next((one for one in slack.open_views(ann) if "actual" in str(one.body)), None), "it asks"
    )
    done = await slack.submit(window, ann, {"actual": "image-tag-not-found", "reason": "the tag was wrong"})
    assert await house.noted(done) == "wrong"
    assert await house.noted(await slack.click(answer, "feedback_up", house.people["vera"].id)) == "right"
    given = {one.account: one for one in await house.plane.feedback.of_conversation(thread.conversation)}
    mine = given[house.principals["ann"].account]
    assert (mine.verdict, mine.actual, mine.note, mine.counted) == ("wrong", "image-tag-not-found", "the tag was wrong", True)
    assert given[house.principals["vera"].account].counted is False
    assert len(given) == 2
    assert await house.noted(await slack.click(answer, "feedback_up", house.people["otto"].id)) == "not_found"
    assert await house.noted(await slack.click(answer, "feedback_up", house.people["ned"].id)) == "unlinked"
    assert len(await house.plane.feedback.of_conversation(thread.conversation)) == 2


async def test_a_conversation_of_the_web_goes_on_in_a_channel_that_may_see_it(house: SlackHouse, ops: Channel) -> None:
    plane, slack = house.plane, house.slack
    ann, team = house.principals["ann"], slack.team.id
    mine = await plane.conversations.create(ann, cluster=house.cluster, title="the shop is <!channel> slow")
    await plane.conversations.ask(mine.id, ann, CHAT, door="web", language="en", client_id="1")
    await until_idle(house, mine.id)
    narrow = await house.channel("narrow", *house.people.values(), namespaces=("bank",))
    at = await plane.conversations.get(mine.id)
    assert {one.channel for one in await sharing.places(plane, at, ann)} >= {ops.id}
    with pytest.raises(NotFound):
        await sharing.begin(plane, at, ann, team=team, channel=narrow.id, language="en", door="web")
    with pytest.raises(Forbidden):
        await sharing.begin(plane, at, house.principals["vera"], team=team, channel=ops.id, language="en", door="web")
    for _ in range(2):
        await sharing.begin(plane, at, ann, team=team, channel=ops.id, language="en", door="web")
    root = await slack.until(lambda: next((m for m in slack.world.messages.values() if m.channel == ops.id), None), "its root")
    assert "Ann" in root.text
    assert not effects(root).pings
    await house.answer(ops.id, root.ts)
    thread = slack.thread(ops.id, root.ts)
    assert [("Ann" in one.text, CHAT in str(one.blocks)) for one in thread[:2]] == [(True, False), (True, True)]
    found = await plane.slack_threads.of_conversation(mine.id)
    assert found is not None
    assert await sharing.link(plane, found, ann) == f"https://payments.slack.com/archives/{ops.id}/p{root.ts.replace('.', '')}"
    await slack.mention(ops.id, house.people["dana"].id, "and tomorrow, my friend?", root.ts)
    await house.answer(ops.id, root.ts, 2)
    await plane.conversations.ask(mine.id, ann, "and the day after, my friend?", door="web", language="en", client_id="2")
    await house.answer(ops.id, root.ts, 3)
    log = [entry.event for entry in await plane.conversations.log(mine.id)]
    asked = [(one.by_name, one.door) for one in log if isinstance(one, UserMessage)]
    assert asked == [("Ann", "web"), ("Dana", "slack"), ("Ann", "web")], "one log"
    quoted = [one.text for one in slack.thread(ops.id, root.ts) if "outside of Slack" in one.text]
    assert len(quoted) == 2, "what was asked on the web is told in the thread"


async def until_idle(house: SlackHouse, conversation: str) -> None:
    async def idle() -> bool | None:
        return None if (await house.plane.conversations.get(conversation)).busy else True

    await until(idle, "it is answered")


async def test_payments_is_healed_in_a_thread(story: asyncio.Task[None]) -> None:
    """It began before the others: its check takes the practice cluster twenty seconds."""
    await story


async def main_job(house: SlackHouse) -> None:
    """Ask, watch, read why, approve by another person, healed, and kept as a case."""
    slack, (dana, ann) = house.slack, (house.people[name] for name in ("ida", "sol"))
    ops = await house.channel("incident", dana, ann)
    asked = await slack.mention(ops.id, dana.id, "why does payments keep restarting?")

    answer = await house.answer(ops.id, asked.ts)
    assert answer.stream is not None
    assert any("diagnose payments" in str(task) for task in answer.stream.tasks.values()), "a task for each look"
    assert "OOMKilled" in str(answer.blocks)

    card = await slack.until(lambda: card_in(slack.thread(ops.id, asked.ts)), "the card")
    assert card.stream is None, "buttons are never in a stream"
    assert "memory" in str(card.blocks)
    approval = await house.plane.approvals.get(str(card.elements()[0]["value"]).partition(".")[0])
    assert approval.requester == house.principals["ida"].account

    await slack.delivered(slack.click(card, "approve", dana.id))
    told = await slack.until(lambda: slack.ephemerals(dana.id)[-1:] or None, "why her own approval does not count")
    assert "somebody else has to approve" in told[0].text
    await slack.delivered(slack.click(card, "approve", ann.id))

    healed = await Cards(house).state(approval, ApprovalState.SUCCEEDED)
    await slack.until(lambda: "Healed" in str(card.blocks[0]) or None, "the card says how it ended")
    assert not {"approve", "reject"} & set(buttons(card))
    assert "Sol" in str(card.blocks)
    conclusion = await until(lambda: concluded(house, healed.conversation or ""), "what it concludes", 60)
    assert conclusion.ts > card.ts
    assert "payments" in str(conclusion.blocks)
    log = await house.plane.conversations.log(healed.conversation or "")
    events = [entry.event for entry in log]
    assert [one.state for one in events if isinstance(one, ActionFinished)] == ["succeeded"]

    async def case() -> CaseStored | None:
        kept = await house.plane.conversations.log(healed.conversation or "")
        return next((entry.event for entry in kept if isinstance(entry.event, CaseStored)), None)

    assert await until(case, "the case")
    assert [one.door for one in events if isinstance(one, UserMessage)] == ["slack", "action"]
    await house.sent()
    thread = slack.thread(ops.id, asked.ts)
    assert [one.ts for one in thread] == sorted(one.ts for one in thread)
    assert len([one for one in thread if buttons(one)[-1:] == ["open_web"] and "details" in buttons(one)]) == 1
    ours = [call for call in slack.calls if call.args.get("channel") == ops.id]
    refused = [call for call in ours if not call.answer.get("ok")]
    assert not refused, [(call.method, call.answer) for call in refused]


async def concluded(house: SlackHouse, conversation: str) -> Message | None:
    """The message of the turn that says what became of the fix."""
    log = await house.plane.conversations.log(conversation)
    turn = next((e.turn for e in log if isinstance(e.event, UserMessage) and e.event.door == "action"), None)
    if not any(e.turn == turn and isinstance(e.event, TurnFinished) for e in log if turn):
        return None
    post = await house.plane.slack_posts.get(house.slack.team.id, f"answer:{turn}")
    return house.slack.message(post.channel, post.ts) if post is not None and post.ts and not post.streaming else None


def card_in(thread: list[Message]) -> Message | None:
    return next((one for one in thread if "approve" in buttons(one)), None)


async def test_what_waited_for_slack_is_shown_as_far_as_it_still_may_be(house: SlackHouse) -> None:
    plane, late, team = house.plane, await house.channel("late"), house.slack.team.id
    where: dict[str, Any] = {"team": team, "channel": late.id}
    start: dict[str, Any] = {"cluster": house.cluster, "namespaces": None, "thread_ts": "1.000001", "kind": "channel", **where}
    thread = await plane.slack_threads.start_with(house.principals["dana"], **start)
    sight = Sight(plane, FromSlack(Clients(plane.settings), plane))
    later = Late(plane, sight, clock=lambda: utc_now() + timedelta(hours=1))
    row: dict[str, Any] = {"thread": thread.id, "number": 1, "state": "sending", "attempts": 1, **where}
    waited = Outgoing(content=Content(text="secret"), key="answer:x", created_at=utc_now(), **row)
    picture = waited.model_copy(update={"content": Content(text="secret", file=FileRef(source="x", name="chart"))})
    assert (await later(waited), await later(picture)) == (waited.content, picture.content)
    await house.bind(late, ("shop",))
    withheld = await later(waited)
    assert withheld is not None
    assert "secret" not in withheld.text
    assert await later(picture) is None
    assert await Late(plane, sight)(waited) == waited.content, "what is put now has been looked at now"
