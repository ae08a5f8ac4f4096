"""A Slack for tests, with state: Web API, socket mode, people. The real SDK and Bolt run against it.

    async with FakeSlack() as slack:
        dana = slack.add_user("dana")
        ops = slack.add_channel("ops", dana)              # the bot is a member unless with_bot=False
        client = AsyncWebClient(slack.bot_token, base_url=slack.url + "/api/")
        # start the bot with slack.bot_token, slack.app_token and that base URL, then
        await slack.connected()                           # at least one socket mode connection is open
        asked = await slack.mention(ops.id, dana.id, "why does api crash?")
        reply = await slack.until(lambda: slack.thread(ops.id, asked.ts)[1:], "an answer in the thread")
        slack.calls_of("chat.postMessage"); slack.deliveries; slack.message(ops.id, asked.ts).edits

Time stands still (`StillClock`) until `await slack.clock.advance(seconds)`; give `RealClock()` for benchmarks.
"""

from tests.fake_slack.clock import Clock, RealClock, StillClock
from tests.fake_slack.errors import SlackError
from tests.fake_slack.fake import EVENTS, SCOPES, FakeSlack

__all__ = ["EVENTS", "SCOPES", "Clock", "FakeSlack", "RealClock", "SlackError", "StillClock"]
