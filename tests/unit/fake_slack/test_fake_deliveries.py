"""Real Bolt apps against the fake Slack: what people do reaches them by socket or signed HTTP, and comes again when it must."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp, AsyncAssistant
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from tests.fake_slack import Call, FakeSlack, Kind, Message

MODAL = {
    "type": "modal",
    "callback_id": "reason",
    "title": {"type": "plain_text", "text": "Why not?"},
    "submit": {"type": "plain_text", "text": "Reject"},
    "blocks": [
        {
            "type": "input",
            "block_id": "why",
            "label": {"type": "plain_text", "text": "Reason"},
            "element": {"type": "plain_text_input", "action_id": "reason"},
        }
    ],
}
CARD = [
    {
        "type": "actions",
        "block_id": "decide",
        "elements": [
            {"type": "button", "action_id": name, "value": "p1", "text": {"type": "plain_text", "text": name}}
            for name in ("approve", "reject")
        ],
    }
]


@dataclass
class Bot:
    """A small Bolt app that keeps what it heard."""

    app: Any
    heard: list[Any] = field(default_factory=list[Any])
    retries: list[str] = field(default_factory=list[str])
    deaf: bool = False
    """Refuses everything, as an app whose database is away does."""


def bot(slack: FakeSlack) -> Bot:
    app: Any = AsyncApp(
        client=AsyncWebClient(slack.bot_token, base_url=f"{slack.url}/api/"), signing_secret=slack.app.signing_secret
    )
    here = Bot(app)

    async def keep(body: Any, req: Any, next_: Callable[[], Awaitable[None]]) -> None:
        here.heard.append(body)
        here.retries += req.headers.get("x-slack-retry-num", [])
        if here.deaf:
            raise RuntimeError("the inbox is away")
        await next_()

    async def mentioned(event: Any, client: Any) -> None:
        await client.chat_postMessage(channel=event["channel"], thread_ts=event["ts"], text="card", blocks=CARD)

    async def approved(ack: Any, body: Any, client: Any) -> None:
        await ack()
        where = {"channel": body["channel"]["id"], "ts": body["message"]["ts"]}
        await client.chat_update(**where, text=f"approved by {body['user']['id']}", blocks=[])

    async def rejected(ack: Any, body: Any, client: Any) -> None:
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=MODAL)

    async def reason(ack: Any, view: Any) -> None:
        given = view["state"]["values"]["why"]["reason"]["value"]
        if len(given) < 5:
            await ack(response_action="errors", errors={"why": "Say more."})
        else:
            await ack()

    async def command(ack: Any, respond: Any, command: Any) -> None:
        await ack(f"you said {command['text']}")
        await respond("and more")

    async def home(event: Any, client: Any) -> None:
        block = {"type": "section", "text": {"type": "mrkdwn", "text": "all well"}}
        await client.views_publish(user_id=event["user"], view={"type": "home", "blocks": [block]})

    app.use(keep)
    app.event("app_mention")(mentioned)
    app.action("approve")(approved)
    app.action("reject")(rejected)
    app.view("reason")(reason)
    app.command("/opsthread")(command)
    app.event("app_home_opened")(home)
    return here


@asynccontextmanager
async def connected(slack: FakeSlack, *apps: Bot) -> AsyncGenerator[list[Any]]:
    """These apps over socket mode; pings every 50 ms, so that a cut is noticed at once."""
    handlers: list[Any] = [AsyncSocketModeHandler(one.app, slack.app_token, ping_interval=0.05) for one in apps]
    try:
        for handler in handlers:
            await handler.connect_async()
        await slack.connected(len(apps))
        yield handlers
    finally:
        for handler in handlers:
            await handler.close_async()


@asynccontextmanager
async def served(slack: FakeSlack, here: Bot) -> AsyncGenerator[str]:
    """The app behind HTTP, as Bolt's own adapters put it there."""

    async def answer(request: web.Request) -> web.Response:
        asked: Any = AsyncBoltRequest(body=await request.text(), query=request.query_string, headers=dict(request.headers))
        got: Any = await here.app.async_dispatch(asked)
        kind = got.headers.get("content-type", ["text/plain"])[0].partition(";")[0]
        return web.Response(status=got.status, text=got.body, content_type=kind)

    server = web.Application()
    server.router.add_post("/slack/events", answer)
    runner = web.AppRunner(server, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events"
    finally:
        await runner.cleanup()


@pytest.fixture
async def slack() -> AsyncGenerator[FakeSlack]:
    async with FakeSlack() as here:
        yield here


async def card(slack: FakeSlack, channel: str, user: str) -> Any:
    asked = await slack.mention(channel, user, "hi")
    return await slack.until(lambda: next((one for one in slack.thread(channel, asked.ts) if one.elements()), None), "a card")


async def test_only_what_names_the_bot_in_its_channels_is_a_mention(slack: FakeSlack) -> None:
    dana = slack.add_user("dana")
    ops, elsewhere = slack.add_channel("ops", dana), slack.add_channel("elsewhere", dana, with_bot=False)
    for quiet in (await slack.write(ops.id, dana.id, "nobody"), await slack.mention(elsewhere.id, dana.id, "not a member")):
        assert quiet.deliveries == []
    assert len((await slack.mention(ops.id, dana.id, "you")).deliveries) == 1
    slack.app.events.add("message.channels")
    assert len((await slack.mention(ops.id, dana.id, "you, and all")).deliveries) == 2
    assert len((await slack.write(ops.id, dana.id, "all")).deliveries) == 1
    slack.app.events.clear()
    assert (await slack.direct_message(dana.id, "not subscribed")).deliveries == []


async def test_a_mention_is_answered_and_a_click_decides(slack: FakeSlack) -> None:
    dana = slack.add_user("dana")
    ops = slack.add_channel("ops", dana)
    async with connected(slack, bot(slack)):
        message = await card(slack, ops.id, dana.id)
        pressed = await slack.delivered(slack.click(message, "approve", dana.id))
        assert pressed.acked
        await slack.until(lambda: message.text == f"approved by {dana.id}", "the decision")
        assert message.elements() == []
        with pytest.raises(AssertionError, match="no approve to press"):
            await slack.click(message, "approve", dana.id)


async def test_a_press_may_come_late_twice_in_another_order_or_made_up(slack: FakeSlack) -> None:
    dana, eve = slack.add_user("dana"), slack.add_user("eve")
    ops = slack.add_channel("ops", dana, eve)
    here = bot(slack)
    async with connected(slack, here):
        message = await card(slack, ops.id, dana.id)
        here.heard.clear()
        late = slack.click_payload(message, "approve", dana.id)
        slack.courier.holding = True
        first, second = slack.interact(late), slack.interact(slack.click_payload(message, "reject", eve.id))
        await slack.forge_click(ops.id, "1.000001", "approve", eve.id, value="made up")
        slack.courier.release(backwards=True)
        slack.interact(late)

        def updates() -> list[Call]:
            return [one for one in slack.calls_of("chat.update") if one.answer]

        await slack.until(lambda: len(updates()) == 3 and first.acked and second.acked, "every press to have its effect")
        tried = [one for one in updates() if one.text("ts") == "1.000001"]
        assert [one.error for one in tried] == ["message_not_found"]
        values = [(body["user"]["id"], body["actions"][0]["action_id"], body["actions"][0]["value"]) for body in here.heard]
        assert sorted(values) == sorted(
            [(eve.id, "approve", "made up"), (eve.id, "reject", "p1"), (dana.id, "approve", "p1"), (dana.id, "approve", "p1")]
        )


async def test_a_modal_opens_within_three_seconds_asks_and_closes(slack: FakeSlack) -> None:
    dana = slack.add_user("dana")
    ops = slack.add_channel("ops", dana)
    here = bot(slack)
    async with connected(slack, here):
        message = await card(slack, ops.id, dana.id)
        await slack.click(message, "reject", dana.id)
        modal = await slack.until(lambda: next(iter(slack.open_views(dana.id)), None), "the modal")
        with pytest.raises(AssertionError, match="is required"):
            await slack.submit(modal, dana.id)
        await slack.delivered(slack.submit(modal, dana.id, {"reason": "no"}))
        assert (modal.errors, modal.closed) == ({"why": "Say more."}, False)
        await slack.delivered(slack.submit(modal, dana.id, {"reason": "not during the sale"}))
        assert modal.closed
        late = slack.click_payload(message, "reject", dana.id)
        await slack.advance(4)
        slack.interact(late)
        tried = await slack.until(lambda: slack.calls_of("views.open")[1:], "the second modal")
        await slack.until(lambda: tried[0].error, "its answer")
        assert tried[0].error == "expired_trigger_id"


async def test_a_command_is_answered_with_its_ack_and_by_its_response_url(slack: FakeSlack) -> None:
    dana = slack.add_user("dana")
    ops = slack.add_channel("ops", dana)
    async with connected(slack, bot(slack)):
        await slack.slash(dana.id, ops.id, "status")
        await slack.until(lambda: len(slack.ephemerals(dana.id)) == 2, "two replies")
        assert {one.text for one in slack.ephemerals(dana.id)} == {"you said status", "and more"}


async def test_the_assistant_and_the_home_tab(slack: FakeSlack) -> None:
    dana = slack.add_user("dana")
    here = bot(slack)
    assistant: Any = AsyncAssistant()

    async def started(say: Any, set_suggested_prompts: Any) -> None:
        await say("How can I help?")
        await set_suggested_prompts(prompts=[{"title": "Status", "message": "status of prod"}])

    async def asked(payload: Any, set_status: Any, say: Any) -> None:
        await set_status("is looking")
        await say(f"about {payload['text']}")

    assistant.thread_started(started)
    assistant.user_message(asked)
    here.app.use(assistant)
    async with connected(slack, here):
        thread = await slack.assistant_open(dana.id)
        await slack.until(lambda: thread.prompts, "the prompts")
        await slack.assistant_message(thread, "prod")
        texts = await slack.until(
            lambda: (
                said if "about prod" in (said := [one.text for one in slack.thread(thread.channel, thread.thread_ts)]) else None
            ),
            "the answer",
        )
        assert texts == ["New Assistant Thread", "How can I help?", "prod", "about prod"]
        assert [status for _, status in thread.statuses] == ["is looking"]
        await slack.open_home(dana.id)
        view = await slack.until(lambda: slack.world.homes.get((slack.team.id, dana.id)), "the Home tab")
        assert view.body["blocks"][0]["text"]["text"] == "all well"


async def test_what_nobody_acknowledges_comes_again_three_times(slack: FakeSlack) -> None:
    dana = slack.add_user("dana")
    ops = slack.add_channel("ops", dana)
    here = bot(slack)
    here.deaf = True
    async with connected(slack, here):
        await slack.mention(ops.id, dana.id, "hi")
        delivery = slack.deliveries[0]
        for tries, seconds in ((1, 3), (2, 63), (3, 303)):
            await slack.until(lambda seen=tries: len(here.heard) == seen, f"try {tries}")
            await slack.advance(seconds)
        await slack.until(lambda: len(here.heard) == 4, "the last try")
        assert here.retries == ["1", "2", "3"]
        assert [one.trouble for one in delivery.tries[:3]] == ["timeout"] * 3
        await slack.advance(3)
        assert delivery.given_up
        here.deaf = False
        second = await slack.mention(ops.id, dana.id, "again")
        await slack.until(lambda: slack.deliveries[1].acked, "an ack")
        assert len(await slack.until(lambda: slack.thread(ops.id, second.ts)[1:], "an answer")) == 1
        slack.courier.again(slack.deliveries[1])
        await slack.until(lambda: len(here.heard) == 6, "the duplicate")
        assert here.heard[4]["event_id"] == here.heard[5]["event_id"]
        slack.courier.again(slack.deliveries[1], retry=2, reason="timeout")
        await slack.until(lambda: here.retries == ["1", "2", "3", "2"], "the retry of what was acknowledged")


async def test_each_envelope_goes_to_one_of_the_connections_and_all_of_them_get_some(slack: FakeSlack) -> None:
    dana = slack.add_user("dana")
    ops = slack.add_channel("ops", dana)
    bots = [bot(slack), bot(slack)]
    async with connected(slack, *bots):
        for number in range(12):
            await slack.mention(ops.id, dana.id, str(number))
        await slack.until(lambda: all(one.acked for one in slack.deliveries), "every ack")
        heard = [len(one.heard) for one in bots]
        assert sum(heard) == 12
        assert min(heard) > 0


async def test_the_eleventh_connection_is_turned_away(slack: FakeSlack) -> None:
    web_client: Any = AsyncWebClient(base_url=f"{slack.url}/api/")

    async def opened(session: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
        url = (await web_client.apps_connections_open(app_token=slack.app_token))["url"]
        return await session.ws_connect(url)

    async with aiohttp.ClientSession() as session:
        links = [await opened(session) for _ in range(10)]
        assert [(await one.receive_json())["num_connections"] for one in links] == list(range(1, 11))
        eleventh = await opened(session)
        refused = await eleventh.receive_json()
        assert (refused["type"], refused["reason"]) == ("disconnect", "too_many_websockets")
        used = (await web_client.apps_connections_open(app_token=slack.app_token))["url"]
        again = await session.ws_connect(used)
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(used)
        for one in (*links, eleventh, again):
            await one.close()


async def test_a_response_url_answers_five_times_within_half_an_hour(slack: FakeSlack) -> None:
    dana = slack.add_user("dana")
    ops = slack.add_channel("ops", dana)
    posted = slack.world.add(Message(ops.id, slack.world.new_ts(), slack.team.id, slack.bot.user_id, "card", CARD))
    url = slack.click_payload(posted, "approve", dana.id)["response_url"]
    late = slack.click_payload(posted, "approve", dana.id)["response_url"]
    hook: Any = AsyncWebhookClient(url)
    assert (await hook.send(text="done", replace_original=True)).body == "ok"
    assert (posted.text, posted.blocks, posted.edits[0].blocks) == ("done", [], CARD)
    for number in range(4):
        await hook.send(text=str(number), response_type="in_channel")
    assert [one.text for one in slack.world.in_channel(ops.id)] == ["done", "0", "1", "2", "3"]
    assert (await hook.send(text="6")).status_code == 404
    await slack.advance(1801)
    assert "expired_url" in (await AsyncWebhookClient(late).send(text="late")).body


@pytest.mark.parametrize("how", ["cut", "refresh_requested"])
async def test_the_handler_comes_back_after_a_cut_and_after_a_disconnect(slack: FakeSlack, how: str) -> None:
    dana = slack.add_user("dana")
    ops = slack.add_channel("ops", dana)
    async with connected(slack, bot(slack)):
        old = slack.sockets.open[0]
        if how == "cut":
            slack.sockets.cut()
        else:
            await slack.sockets.disconnect(how)
        await slack.until(lambda: slack.sockets.open and slack.sockets.open[-1] is not old, "a new connection")
        asked = await slack.mention(ops.id, dana.id, "still there?")
        assert await slack.until(lambda: slack.thread(ops.id, asked.ts)[1:], "an answer")


async def test_a_stalled_connection_swallows_envelopes_and_answers_no_ping(slack: FakeSlack) -> None:
    dana = slack.add_user("dana")
    ops = slack.add_channel("ops", dana)
    async with connected(slack, bot(slack)):
        await slack.sockets.ping()
        await slack.until(lambda: slack.sockets.open[0].pongs == 1, "a pong")
        old = slack.sockets.open[0]
        old.stalled = True
        await slack.mention(ops.id, dana.id, "lost at first")
        await slack.until(lambda: slack.sockets.open and slack.sockets.open[-1] is not old, "a new connection")
        assert not slack.deliveries[0].acked
        await slack.advance(3)
        await slack.until(lambda: slack.deliveries[0].acked, "the retry")


async def test_signed_http_carries_the_same_and_bad_signatures_are_refused(slack: FakeSlack) -> None:
    dana = slack.add_user("dana")
    ops = slack.add_channel("ops", dana)
    here = bot(slack)
    async with served(slack, here) as url:
        door = slack.use_http(url)
        assert (await slack.verify_url(door)).status == 200
        message = await card(slack, ops.id, dana.id)
        await slack.delivered(slack.click(message, "approve", dana.id))
        await slack.until(lambda: message.text.startswith("approved"), "the decision")
        await slack.slash(dana.id, ops.id, "help")
        await slack.until(lambda: len(slack.ephemerals(dana.id)) == 2, "two replies")
        payload = slack.deliveries[0].payload
        heard = len(here.heard)
        old = str(int(slack.clock.now()) - 301)
        for timestamp, signature in ((None, "v0=00"), (None, ""), (old, None), ("", None)):
            assert (await door.post(Kind.EVENT, payload, timestamp=timestamp, signature=signature)).status == 401
        assert len(here.heard) == heard


async def test_http_that_fails_is_tried_again_with_its_reason(slack: FakeSlack) -> None:
    dana = slack.add_user("dana")
    ops = slack.add_channel("ops", dana)
    here = bot(slack)
    here.deaf = True
    async with served(slack, here) as url:
        slack.use_http(url)
        await slack.mention(ops.id, dana.id, "hi")
        await slack.until(lambda: len(here.heard) == 2, "the first retry, at once")
        here.deaf = False
        await slack.until(lambda: len(slack.deliveries[0].tries) == 2 and slack.deliveries[0].tries[1].status, "its end")
        await slack.advance(60)
        await slack.until(lambda: slack.deliveries[0].acked, "the ack")
        assert here.retries == ["1", "2"]
        assert [(one.status, one.trouble) for one in slack.deliveries[0].tries] == [(500, "http_error")] * 2 + [(200, "")]


async def test_silence_over_http_is_a_time_out_and_an_app_can_ask_for_no_more(slack: FakeSlack) -> None:
    dana = slack.add_user("dana")
    ops = slack.add_channel("ops", dana)
    heard: list[str] = []
    let_go = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        heard.append(request.headers.get("X-Slack-Retry-Reason", ""))
        if len(heard) == 1:
            await let_go.wait()
        return web.Response(status=503, headers={"x-slack-no-retry": "1"})

    server = web.Application()
    server.router.add_post("/", answer)
    runner = web.AppRunner(server, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        slack.use_http(f"http://127.0.0.1:{runner.addresses[0][1]}/")
        await slack.mention(ops.id, dana.id, "hi")
        await slack.until(lambda: heard, "the first try")
        await slack.advance(3)
        await slack.until(lambda: slack.deliveries[0].given_up, "the end")
        assert heard == ["", "http_timeout"]
        assert [one.status for one in slack.deliveries[0].tries] == [0, 503]
    finally:
        let_go.set()
        await runner.cleanup()


async def test_external_people_and_edits_look_as_they_do_in_slack(slack: FakeSlack) -> None:
    dana, pat = slack.add_user("dana"), slack.add_user("pat", team=slack.add_team("Partner", "partner"))
    shared = slack.add_channel("shared", dana, pat)
    slack.app.events.add("message.channels")
    here = bot(slack)
    async with connected(slack, here):
        asked = await slack.mention(shared.id, pat.id, "hi")
        await slack.edit(asked, "hello")
        await slack.until(lambda: len(asked.deliveries) == 3 and len(here.heard) >= 3, "mention, message and edit")
        events = {(one["event"]["type"], one["event"].get("subtype", "")): one for one in here.heard}
        mention, edit = events[("app_mention", "")], events[("message", "message_changed")]
        assert (mention["is_ext_shared_channel"], mention["event"]["user_team"]) == (True, pat.team_id)
        assert (edit["event"]["message"]["text"], edit["event"]["previous_message"]["text"]) == (
            "hello",
            f"<@{slack.bot.user_id}> hi",
        )
        await slack.uninstall(slack.team.id)
        await slack.until(lambda: "app_uninstalled" in [one["event"]["type"] for one in here.heard], "the end")
        assert slack.bot.revoked


async def test_waiting_names_what_did_not_happen(slack: FakeSlack) -> None:
    with pytest.raises(AssertionError, match="an answer: not within"):
        await slack.until(lambda: None, "an answer", timeout_s=0.01)
    waiting = asyncio.create_task(slack.until(lambda: len(slack.world.channels) == 1, "a channel"))
    slack.add_channel("ops")
    slack.world.changed()
    assert await waiting
