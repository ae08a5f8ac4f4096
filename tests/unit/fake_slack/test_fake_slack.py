"""The real SDK against the fake Slack: it keeps, limits and refuses as Slack does."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from tests.fake_slack import FakeSlack, effects


@pytest.fixture
async def slack() -> AsyncGenerator[FakeSlack]:
    async with FakeSlack() as here:
        yield here


def client(slack: FakeSlack, token: str = "", **more: Any) -> Any:
    """The SDK's own client; its signatures are too loose for strict types."""
    return AsyncWebClient(token or slack.bot_token, base_url=f"{slack.url}/api/", **more)


async def refusal(calling: Any) -> Any:
    with pytest.raises(SlackApiError) as refused:
        await calling
    error: Any = refused.value
    return error.response


async def test_a_message_is_posted_changed_deleted_and_kept(slack: FakeSlack) -> None:
    ops = slack.add_channel("ops")
    posted = await client(slack).chat_postMessage(channel=ops.id, text="one")
    reply = await client(slack).chat_postMessage(channel=ops.id, text="below", thread_ts=posted["ts"])
    await client(slack).chat_update(channel=ops.id, ts=posted["ts"], text="two")
    message = slack.message(ops.id, posted["ts"])
    assert (message.text, [edit.text for edit in message.edits]) == ("two", ["one"])
    assert [one.text for one in slack.thread(ops.id, posted["ts"])] == ["two", "below"]
    replies = await client(slack).conversations_replies(channel=ops.id, ts=posted["ts"])
    assert [one["text"] for one in replies["messages"]] == ["two", "below"]
    await client(slack).chat_delete(channel=ops.id, ts=reply["ts"])
    assert slack.message(ops.id, reply["ts"]).deleted
    assert [one.text for one in slack.thread(ops.id, posted["ts"])] == ["two"]


async def test_text_without_blocks_takes_their_place(slack: FakeSlack) -> None:
    ops = slack.add_channel("ops")
    button = {"type": "button", "action_id": "approve", "text": {"type": "plain_text", "text": "Approve"}}
    card = [{"type": "actions", "elements": [button]}]
    posted = await client(slack).chat_postMessage(channel=ops.id, text="card", blocks=card)
    assert [one["action_id"] for one in slack.message(ops.id, posted["ts"]).elements()] == ["approve"]
    await client(slack).chat_update(channel=ops.id, ts=posted["ts"], text="decided")
    assert slack.message(ops.id, posted["ts"]).blocks == []


async def test_tokens_and_scopes_are_checked_before_anything_happens(slack: FakeSlack) -> None:
    ops = slack.add_channel("ops")
    answer = await client(slack).auth_test()
    assert answer["user_id"] == slack.bot.user_id
    assert "chat:write" in answer.headers["x-oauth-scopes"].split(",")
    slack.bot.scopes.discard("chat:write")
    refused = await refusal(client(slack).chat_postMessage(channel=ops.id, text="x"))
    assert (refused["error"], refused["needed"]) == ("missing_scope", "chat:write")
    assert "users:read" in refused["provided"]
    assert slack.world.in_channel(ops.id) == []
    assert (await refusal(client(slack, "xoxb-wrong").auth_test()))["error"] == "invalid_auth"
    assert (await refusal(client(slack).api_call("chat.shout")))["error"] == "unknown_method"
    assert (await refusal(client(slack).apps_connections_open(app_token=slack.bot_token)))["error"] == "not_allowed_token_type"
    await client(slack).auth_revoke()
    assert (await refusal(client(slack).auth_test()))["error"] == "token_revoked"


async def test_channels_refuse_who_is_not_in_them(slack: FakeSlack) -> None:
    rows = [
        (slack.add_channel("elsewhere", with_bot=False).id, "not_in_channel"),
        (slack.add_channel("secret", with_bot=False, is_private=True).id, "channel_not_found"),
        (slack.add_channel("old", is_archived=True).id, "is_archived"),
        ("C0NOWHERE", "channel_not_found"),
    ]
    for channel, code in rows:
        assert (await refusal(client(slack).chat_postMessage(channel=channel, text="x")))["error"] == code
    dana = slack.add_user("dana")
    ops = slack.add_channel("ops", dana)
    theirs = await slack.write(ops.id, dana.id, "mine")
    assert (await refusal(client(slack).chat_update(channel=ops.id, ts=theirs.ts, text="x")))["error"] == "cant_update_message"
    assert (await refusal(client(slack).chat_update(channel=ops.id, ts="1.2", text="x")))["error"] == "message_not_found"
    with pytest.warns(UserWarning, match="`text` argument is missing"):
        assert (await refusal(client(slack).chat_postMessage(channel=ops.id)))["error"] == "no_text"
    unseen = client(slack).api_call("conversations.info", json={"channel": ops.id})
    assert (await refusal(unseen))["error"] == "channel_not_found", "a JSON body is not read there"
    joined = await client(slack).conversations_join(channel=rows[0][0])
    assert joined["channel"]["is_member"]


async def test_limits_are_refused_with_the_place_of_the_trouble(slack: FakeSlack) -> None:
    ops = slack.add_channel("ops")
    section = {"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}
    refused = await refusal(client(slack).chat_postMessage(channel=ops.id, text="x", blocks=[section]))
    assert refused["error"] == "invalid_blocks"
    assert refused["errors"] == ["must be less than 3001 characters [json-pointer:/blocks/0/text/text]"]
    fine = [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 2700}} for _ in range(5)]
    assert (await refusal(client(slack).chat_postMessage(channel=ops.id, text="x", blocks=fine)))[
        "error"
    ] == "msg_blocks_too_long"
    with pytest.warns(UserWarning, match="`text` argument is missing"):
        posted = await client(slack).chat_postMessage(channel=ops.id, blocks=fine[:1])
    assert posted["response_metadata"]["warnings"] == ["missing_text_in_message"]
    assert (await refusal(client(slack).chat_postMessage(channel=ops.id, text="x" * 40_001)))["error"] == "msg_too_long"
    too_long = client(slack).chat_update(channel=ops.id, ts=posted["ts"], text="x" * 4_001)
    assert (await refusal(too_long))["error"] == "msg_too_long"


async def test_a_stream_is_built_from_its_pieces_and_stops(slack: FakeSlack) -> None:
    dana = slack.add_user("dana")
    ops = slack.add_channel("ops", dana)
    asked = await slack.mention(ops.id, dana.id, "why?")
    no_recipient = client(slack).chat_startStream(channel=ops.id, thread_ts=asked.ts)
    assert (await refusal(no_recipient))["error"] == "missing_recipient_team_id"
    stream = await client(slack).chat_stream(
        channel=ops.id, thread_ts=asked.ts, recipient_team_id=slack.team.id, recipient_user_id=dana.id, buffer_size=4
    )
    await stream.append(markdown_text="Looking")
    for status in ("in_progress", "complete"):
        task = {"type": "task_update", "id": "1", "title": "kubectl get pods", "status": status, "output": "3 pods;"}
        await stream.append(chunks=[task])
    await stream.append(markdown_text=" at it.")
    await stream.stop(blocks=[{"type": "divider"}])
    message = slack.thread(ops.id, asked.ts)[1]
    assert message.text == "Looking at it."
    assert [block["type"] for block in message.blocks] == ["markdown", "task_card", "markdown", "divider"]
    assert message.stream is not None
    assert message.stream.tasks["1"]["status"] == "complete"
    assert message.stream.tasks["1"]["output"] == "3 pods;3 pods;", "details and output grow with each update"
    late = client(slack).chat_appendStream(channel=ops.id, ts=message.ts, markdown_text="more")
    assert (await refusal(late))["error"] == "message_not_in_streaming_state"


async def test_a_stream_dies_after_five_minutes_and_its_message_can_then_be_updated(slack: FakeSlack) -> None:
    dana = slack.add_user("dana")
    asked = await slack.direct_message(dana.id, "why?")
    where = {"channel": asked.channel, "thread_ts": asked.ts}
    started = await client(slack).chat_startStream(**where, markdown_text="a")
    here = {"channel": asked.channel, "ts": started["ts"]}
    assert (await refusal(client(slack).chat_update(**here, text="x")))["error"] == "streaming_state_conflict"
    await slack.advance(299)
    await client(slack).chat_appendStream(**here, markdown_text="b")
    await slack.advance(2)
    for late in (client(slack).chat_appendStream(**here, markdown_text="c"), client(slack).chat_stopStream(**here)):
        assert (await refusal(late))["error"] == "message_not_in_streaming_state"
    await client(slack).chat_update(**here, text="abc")
    assert slack.message(asked.channel, started["ts"]).text == "abc"


async def test_one_streamed_message_holds_twelve_thousand_bytes_however_they_come(slack: FakeSlack) -> None:
    dana = slack.add_user("dana")
    asked = await slack.direct_message(dana.id, "why?")
    started = await client(slack).chat_startStream(channel=asked.channel, thread_ts=asked.ts)
    here = {"channel": asked.channel, "ts": started["ts"]}
    await client(slack).chat_appendStream(**here, markdown_text="x" * 11_000)
    assert (await refusal(client(slack).chat_appendStream(**here, markdown_text="x" * 1_001)))["error"] == "msg_too_long"
    chunks = [{"type": "markdown_text", "text": "y"}]
    both = client(slack).chat_appendStream(**here, markdown_text="x", chunks=chunks)
    assert (await refusal(both))["error"] == "cannot_provide_both_markdown_text_and_chunks"
    other = client(slack).chat_appendStream(**here, chunks=chunks)
    assert (await refusal(other))["error"] == "streaming_mode_mismatch"
    await slack.stop_stream(slack.message(asked.channel, started["ts"]), dana.id)
    assert (await refusal(client(slack).chat_appendStream(**here, markdown_text="x")))["error"] == "stopped_by_user"


async def test_in_plan_mode_every_task_stands_in_one_plan(slack: FakeSlack) -> None:
    dana = slack.add_user("dana")
    asked = await slack.direct_message(dana.id, "why?")
    tasks = [{"type": "task_update", "id": str(one), "title": f"step {one}", "status": "complete"} for one in range(3)]
    chunks = [{"type": "plan_update", "title": "Looking"}, *tasks, {"type": "markdown_text", "text": "Found."}]
    started = await client(slack).chat_startStream(
        channel=asked.channel, thread_ts=asked.ts, chunks=chunks, task_display_mode="plan"
    )
    plan, text = slack.message(asked.channel, started["ts"]).blocks
    assert (plan["title"], [one["title"] for one in plan["tasks"]]) == ("Looking", ["step 0", "step 1", "step 2"])
    assert text["text"] == "Found."
    wrong = [{"type": "task_update", "id": "9", "title": "x", "status": "fine"}]
    refused = await refusal(client(slack).chat_appendStream(channel=asked.channel, ts=started["ts"], chunks=wrong))
    assert refused["error"] == "invalid_chunks"


async def test_a_home_tab_is_published_again_only_over_the_one_that_was_seen(slack: FakeSlack) -> None:
    dana = slack.add_user("dana")
    home = {"type": "home", "blocks": [{"type": "divider"}]}
    first = (await client(slack).views_publish(user_id=dana.id, view=home))["view"]
    second = (await client(slack).views_publish(user_id=dana.id, view=home, hash=first["hash"]))["view"]
    assert second["id"] == first["id"]
    stale = await refusal(client(slack).views_publish(user_id=dana.id, view=home, hash=first["hash"]))
    assert stale["error"] == "hash_conflict"
    assert len(slack.world.homes[(slack.team.id, dana.id)].history) == 1
    long = {"type": "home", "blocks": [{"type": "divider"}] * 101}
    assert (await refusal(client(slack).views_publish(user_id=dana.id, view=long)))["error"] == "invalid_arguments"


async def test_slack_can_be_away_and_come_back(slack: FakeSlack) -> None:
    ops = slack.add_channel("ops")
    async with slack.away():
        with pytest.raises(aiohttp.ClientError):
            await client(slack, retry_handlers=[]).chat_postMessage(channel=ops.id, text="lost")
    await client(slack).chat_postMessage(channel=ops.id, text="back")
    assert [one.text for one in slack.world.in_channel(ops.id)] == ["back"]


async def test_a_late_answer_comes_when_its_time_has_gone_by(slack: FakeSlack) -> None:
    slack.faults.late("auth.test", 5)
    asking = asyncio.create_task(client(slack).auth_test())
    await slack.until(lambda: slack.calls, "the call")
    await slack.advance(4)
    assert not asking.done()
    await slack.advance(1)
    assert (await asking)["ok"]


async def test_files_are_uploaded_shared_and_kept_with_their_bytes(slack: FakeSlack) -> None:
    dana = slack.add_user("dana")
    ops = slack.add_channel("ops", dana)
    asked = await slack.mention(ops.id, dana.id, "chart?")
    done = await client(slack).files_upload_v2(
        content=b"\x89PNG...", filename="memory.png", title="Memory", alt_txt="it grows", channel=ops.id, thread_ts=asked.ts
    )
    file = slack.world.files[done["file"]["id"]]
    assert (file.content, file.title, file.alt_text) == (b"\x89PNG...", "Memory", "it grows")
    assert slack.thread(ops.id, asked.ts)[1].files == [file.id]
    assert (await refusal(client(slack).files_getUploadURLExternal(filename="empty", length=0)))["ok"] is False


async def test_an_upload_must_be_as_long_as_announced_and_whole_before_it_is_shared(slack: FakeSlack) -> None:
    ops = slack.add_channel("ops")
    asked = await client(slack).files_getUploadURLExternal(filename="memory.png", length=3)
    async with aiohttp.ClientSession() as session:
        for body, status in ((b"PNG!", 400), (b"PNG", 200)):
            early = client(slack).files_completeUploadExternal(files=[{"id": asked["file_id"]}], channel_id=ops.id)
            assert (await refusal(early))["error"] == "file_not_found"
            assert (await session.post(asked["upload_url"], data=body)).status == status
    await client(slack).files_completeUploadExternal(files=[{"id": asked["file_id"]}], channel_id=ops.id)
    assert slack.world.in_channel(ops.id)[0].files == [asked["file_id"]]


async def test_a_trigger_opens_one_view(slack: FakeSlack) -> None:
    dana = slack.add_user("dana")
    view = {"type": "modal", "title": {"type": "plain_text", "text": "x"}, "blocks": [{"type": "divider"}]}
    trigger = slack.world.new_trigger(dana.id)
    opened = await client(slack).views_open(trigger_id=trigger, view=view)
    assert (await refusal(client(slack).views_open(trigger_id=trigger, view=view)))["error"] == "exchanged_trigger_id"
    assert (await refusal(client(slack).views_open(trigger_id="1.2.3", view=view)))["error"] == "invalid_trigger_id"
    changed = {**view, "blocks": [{"type": "divider"}] * 2}
    await client(slack).views_update(view_id=opened["view"]["id"], hash=opened["view"]["hash"], view=changed)
    assert len(slack.open_views(dana.id)[0].body["blocks"]) == 2
    await slack.close(slack.open_views(dana.id)[0], dana.id)
    assert (await refusal(client(slack).views_update(view_id=opened["view"]["id"], view=view)))["error"] == "not_found"


async def test_a_picture_block_shows_an_uploaded_file_and_no_other(slack: FakeSlack) -> None:
    ops = slack.add_channel("ops")
    done = await client(slack).files_upload_v2(content=b"PNG", filename="memory.png")
    for file, refused in ((done["file"]["id"], False), ("F0NOWHERE", True)):
        block = {"type": "image", "slack_file": {"id": file}, "alt_text": "memory"}
        posting = client(slack).chat_postMessage(channel=ops.id, text="chart", blocks=[block])
        if refused:
            assert (await refusal(posting))["errors"] == ["invalid slack file [json-pointer:/blocks/0/slack_file]"]
        else:
            assert (await posting)["ok"]


async def test_a_status_is_gone_after_two_minutes_or_with_the_answer(slack: FakeSlack) -> None:
    dana = slack.add_user("dana")
    ops = slack.add_channel("ops", dana)
    asked = await slack.mention(ops.id, dana.id, "why?")
    thread = {"channel_id": ops.id, "thread_ts": asked.ts}
    await client(slack).assistant_threads_setStatus(**thread, status="is looking")
    assert slack.status(ops.id, asked.ts) == "is looking"
    await slack.advance(121)
    assert slack.status(ops.id, asked.ts) == ""
    await client(slack).assistant_threads_setStatus(**thread, status="is looking")
    await client(slack).chat_postMessage(channel=ops.id, thread_ts=asked.ts, text="found")
    assert slack.status(ops.id, asked.ts) == ""


async def test_channels_are_listed_as_far_as_the_bot_may_see_them(slack: FakeSlack) -> None:
    slack.add_channel("ops")
    slack.add_channel("secret", is_private=True)
    slack.add_channel("hidden", is_private=True, with_bot=False)
    slack.add_channel("other", with_bot=False)
    listed = await client(slack).conversations_list(types="public_channel,private_channel")
    assert {one["name"]: one["is_member"] for one in listed["channels"]} == {"ops": True, "secret": True, "other": False}
    mine = await client(slack).users_conversations(types="public_channel,private_channel")
    assert [one["name"] for one in mine["channels"]] == ["ops", "secret"]
    slack.bot.scopes.discard("groups:read")
    refused = await refusal(client(slack).conversations_list(types="public_channel,private_channel"))
    assert (refused["error"], refused["needed"]) == ("missing_scope", "groups:read")


async def test_people_are_seen_as_the_scopes_and_their_company_allow(slack: FakeSlack) -> None:
    dana = slack.add_user("dana", email="dana@payments.example")
    partner = slack.add_user("pat", team=slack.add_team("Partner", "partner"))
    guest = slack.add_user("guest", is_ultra_restricted=True)
    gone = slack.add_user("gone", deleted=True)
    sre = slack.add_group("sre", dana, gone)
    found = await client(slack).users_lookupByEmail(email="Dana@payments.example")
    assert found["user"]["id"] == dana.id
    for email in (partner.email, gone.email, "nobody@payments.example"):
        assert (await refusal(client(slack).users_lookupByEmail(email=email)))["error"] == "users_not_found"
    seen = (await client(slack).users_info(user=partner.id))["user"]
    assert (seen["is_stranger"], "email" in seen["profile"], seen["team_id"]) == (True, False, partner.team_id)
    assert (await client(slack).users_info(user=guest.id))["user"]["is_ultra_restricted"]
    assert (await client(slack).users_info(user=gone.id))["user"]["deleted"]
    assert (await client(slack).usergroups_users_list(usergroup=sre.id))["users"] == [dana.id]
    slack.bot.scopes.discard("users:read.email")
    assert "email" not in (await client(slack).users_info(user=dana.id))["user"]["profile"]


async def test_rates_are_refused_with_the_seconds_to_wait(slack: FakeSlack) -> None:
    ops, other = slack.add_channel("ops"), slack.add_channel("other")
    slack.rates.on = True
    for number in range(4):
        await client(slack).chat_postMessage(channel=ops.id, text=str(number))
    refused = await refusal(client(slack).chat_postMessage(channel=ops.id, text="too fast"))
    assert (refused.status_code, refused["error"], refused.headers["Retry-After"]) == (429, "ratelimited", "4")
    await client(slack).chat_postMessage(channel=other.id, text="another channel is free")
    await slack.advance(4)
    posted = await client(slack).chat_postMessage(channel=ops.id, text="in time")
    for number in range(50):
        await client(slack).chat_update(channel=ops.id, ts=posted["ts"], text=str(number))
    refused = await refusal(client(slack).chat_update(channel=ops.id, ts=posted["ts"], text="51"))
    assert refused.headers["Retry-After"] == "60"
    slack.rates.a_minute["conversations.replies"] = 1
    await client(slack).conversations_replies(channel=ops.id, ts=posted["ts"])
    assert (await refusal(client(slack).conversations_replies(channel=ops.id, ts=posted["ts"]))).status_code == 429


async def test_an_answer_can_be_lost_after_the_effect_or_the_call_before_it(slack: FakeSlack) -> None:
    ops = slack.add_channel("ops")
    slack.faults.lost_answer("chat.postMessage", when=lambda call: call.text("text") == "lost")
    slack.faults.cut("chat.postMessage", when=lambda call: call.text("text") == "cut")
    for text in ("lost", "cut"):
        with pytest.raises(aiohttp.ClientError):
            await client(slack, retry_handlers=[]).chat_postMessage(channel=ops.id, text=text)
    assert [one.text for one in slack.world.in_channel(ops.id)] == ["lost"]
    slack.faults.server_error("chat.postMessage")
    assert (await refusal(client(slack).chat_postMessage(channel=ops.id, text="500"))).status_code == 500
    slack.faults.rate_limited("chat.postMessage", 7)
    refused = await refusal(client(slack).chat_postMessage(channel=ops.id, text="429"))
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "7")
    slack.faults.refuse("chat.postMessage", "internal_error")
    assert (await refusal(client(slack).chat_postMessage(channel=ops.id, text="x")))["error"] == "internal_error"
    held = slack.faults.hold("chat.postMessage", after=True)
    with pytest.raises(TimeoutError):
        await client(slack, timeout=0.2).chat_postMessage(channel=ops.id, text="done, but nobody heard")
    held.release()
    assert [one.text for one in slack.world.in_channel(ops.id)] == ["lost", "done, but nobody heard"]


async def test_oauth_gives_a_token_for_a_consent_once(slack: FakeSlack) -> None:
    other = slack.add_team("Search", "search")
    code = slack.consent(slack.add_user("ada", team=other), "https://bot.example/slack/callback")
    ask = {"client_id": slack.app.client_id, "code": code}
    exchange = client(slack).oauth_v2_access
    assert (await refusal(exchange(**ask, client_secret="wrong")))["error"] == "bad_client_secret"
    redirect = "https://bot.example/slack/callback"
    granted = await exchange(**ask, client_secret=slack.app.client_secret, redirect_uri=redirect)
    assert granted["team"]["id"] == other.id
    assert (await client(slack, granted["access_token"]).auth_test())["team_id"] == other.id
    again = exchange(**ask, client_secret=slack.app.client_secret, redirect_uri=redirect)
    assert (await refusal(again))["error"] == "invalid_code"


async def test_a_hostile_post_is_seen_to_ping_and_to_link(slack: FakeSlack) -> None:
    ops = slack.add_channel("ops")
    text = "<!channel> <https://evil.example|click> &lt;!here&gt;"
    posted = await client(slack).chat_postMessage(channel=ops.id, text=text)
    found = effects(slack.message(ops.id, posted["ts"]))
    assert (found.pings, found.links) == (["channel"], ["https://evil.example"])
