"""The real SDK and Bolt against the fake Slack: it answers as Slack does."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from tests.fake_slack import FakeSlack


@pytest.fixture
async def slack() -> AsyncGenerator[FakeSlack]:
    async with FakeSlack() as here:
        yield here


def client(slack: FakeSlack) -> Any:
    """The SDK's own client; its signatures are too loose for strict types."""
    return AsyncWebClient(slack.bot_token, base_url=f"{slack.url}/api/")


async def test_a_message_is_posted_changed_and_kept(slack: FakeSlack) -> None:
    ops = slack.add_channel("ops")
    posted = await client(slack).chat_postMessage(channel=ops.id, text="one")
    await client(slack).chat_update(channel=ops.id, ts=str(posted["ts"]), text="two")
    message = slack.message(ops.id, str(posted["ts"]))
    assert (message.text, [edit.text for edit in message.edits]) == ("two", ["one"])
    assert (await client(slack).auth_test())["user_id"] == slack.bot.user_id


async def test_bolt_answers_a_mention_over_socket_mode(slack: FakeSlack) -> None:
    dana = slack.add_user("dana")
    ops = slack.add_channel("ops", dana)
    app: Any = AsyncApp(client=client(slack))

    async def answer(event: dict[str, Any], client: Any) -> None:
        await client.chat_postMessage(channel=event["channel"], thread_ts=event["ts"], text="hello")

    app.event("app_mention")(answer)
    handler: Any = AsyncSocketModeHandler(app, slack.app_token)
    await handler.connect_async()
    try:
        await slack.connected()
        asked = await slack.mention(ops.id, dana.id, "hi")
        answers = await slack.until(lambda: slack.thread(ops.id, asked.ts)[1:], "an answer")
        assert [one.text for one in answers] == ["hello"]
        assert slack.deliveries[0].acked
    finally:
        await handler.close_async()
