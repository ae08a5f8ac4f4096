"""Socket mode under supervision: connections that Slack renews, cuts or leaves silent; what can't be kept is not taken."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.front.socket import Socket
from tests.fake_slack import FakeSlack, RealClock
from tests.fake_slack.records import Message

PING_S = 0.05
"""A connection that says nothing for four times this is silent."""


@dataclass
class Front:
    """Keeps what it is told, unless it is made to fail."""

    socket: Socket
    kept: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    fails: bool = False
    failed: int = 0


@asynccontextmanager
async def front(slack: FakeSlack) -> AsyncGenerator[Front]:
    async def keep(body: dict[str, Any], next_: Callable[[], Awaitable[BoltResponse]]) -> BoltResponse:
        del next_
        if here.fails:
            here.failed += 1
            raise RuntimeError("the database is away")
        here.kept.append(body)
        return BoltResponse(status=200, body="")

    def client() -> AsyncWebClient:
        return AsyncWebClient(slack.bot_token, base_url=f"{slack.url}/api/", retry_handlers=[])

    app = AsyncApp(client=client(), before_authorize=keep, signing_secret="")
    here = Front(Socket(app, slack.app_token, client, ping_s=PING_S))
    task = asyncio.create_task(here.socket.run())
    try:
        await slack.connected()
        yield here
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await slack.until(lambda: not slack.sockets.open or None, "the connection is closed")


async def _heard(slack: FakeSlack, here: Front, asked: Message) -> None:
    """Its event came in and was acknowledged."""
    mine = [one for one in slack.deliveries if one.id in asked.deliveries]
    await slack.until(lambda: all(one.acked for one in mine) or None, "it is acknowledged")
    assert any(body["event"]["ts"] == asked.ts for body in here.kept)


async def test_a_connection_is_made_anew_when_slack_asks_cuts_or_falls_silent() -> None:
    async with FakeSlack(RealClock()) as slack, front(slack) as here:
        dana = slack.add_user("dana")
        ops = slack.add_channel("ops", dana)
        for harm in ("refresh", "cut", "silent"):
            first = slack.sockets.open[0]
            match harm:
                case "refresh":
                    await slack.sockets.disconnect()
                case "cut":
                    slack.sockets.cut()
                case _:
                    first.stalled = True
            await slack.until(lambda old=first: [c for c in slack.sockets.open if c is not old] or None, f"anew after {harm}")
            await slack.until(lambda old=first: old not in slack.sockets.open or None, f"the old one is gone after {harm}")
            await _heard(slack, here, await slack.mention(ops.id, dana.id, f"after {harm}"))


async def test_what_can_not_be_kept_is_not_acknowledged_and_comes_again() -> None:
    async with FakeSlack() as slack, front(slack) as here:
        dana = slack.add_user("dana")
        ops = slack.add_channel("ops", dana)
        here.fails = True
        asked = await slack.mention(ops.id, dana.id, "why?")
        delivery = next(one for one in slack.deliveries if one.id in asked.deliveries)
        await slack.until(lambda: here.failed or None, "it came")
        await slack.advance(3)
        await slack.until(lambda: here.failed == 2 or None, "it came again at once")
        assert not delivery.acked
        here.fails = False
        await slack.advance(63)
        await _heard(slack, here, asked)
        assert len(here.kept) == 1
