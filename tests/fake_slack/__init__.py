"""A Slack for tests, with state: Web API, socket mode, signed HTTP, people. The real SDK and Bolt run against it.

    async with FakeSlack(seed=0) as slack:                # a free port; time stands still: slack.advance(60)
        dana = slack.add_user("dana")                     # also add_team, add_group; guests, external people, bots
        ops = slack.add_channel("ops", dana)              # the bot is a member unless with_bot=False
        AsyncWebClient(slack.bot_token, base_url=slack.url + "/api/")   # and slack.app_token, slack.app.signing_secret
        await slack.connected(2)                          # so many socket mode connections are open
        asked = await slack.mention(ops.id, dana.id, "why?", thread_ts="")   # write, direct_message, edit, delete, open_home
        await slack.write(ops.id, dana.id, as_typed("a < b & http://x"))   # text is what apps get; as_typed makes it of words
        thread = await slack.assistant_open(dana.id); await slack.assistant_message(thread, "why?")
        card = await slack.until(lambda: next((m for m in slack.thread(ops.id, asked.ts) if m.elements()), None), "a card")
        done = await slack.delivered(slack.click(card, "approve", dana.id))  # slash, shortcut, submit, close, click_in_view too
        done.acked, done.answer, done.tries               # slack.deliveries has all of them
        late = slack.click_payload(card, "approve", dana.id); slack.interact(late); slack.interact(late)   # late, twice
        await slack.forge_click(ops.id, card.ts, "approve", dana.id, value="made up")
        modal = slack.open_views(dana.id)[-1]; await slack.submit(modal, dana.id, {"reason": "no"}); modal.errors
        slack.message(ops.id, card.ts).edits; slack.ephemerals(dana.id); slack.calls_of("chat.update")
        slack.world.homes; slack.world.files; slack.world.views; slack.world.assistant_threads; message.stream.tasks
        effects(card).pings; effects(card).links; unfurls(card); of_mrkdwn(text); of_markdown(text)    # what a text does
        slack.faults.lost_answer("chat.postMessage")      # cut, server_error, rate_limited, refuse, late, hold(...).release()
        async with slack.away(): ...                      # every connection and call breaks
        slack.rates.on = True; slack.rates.a_minute["conversations.replies"] = 1
        await slack.sockets.disconnect(); slack.sockets.cut(); slack.sockets.open[0].stalled = True; await slack.sockets.ping()
        slack.courier.holding = True; slack.courier.release(backwards=True); slack.courier.again(done, retry=1)
        door = slack.use_http("http://…/slack/events"); await slack.verify_url(door)
        await door.post(Kind.EVENT, payload, timestamp="not a number", signature="v0=wrong", retry=1, reason="http_timeout")
        slack.app.events.add("message.channels"); slack.bot.scopes.discard("files:write"); slack.consent(dana)   # OAuth code

Events that nobody acknowledges within 3 s come again (at once, after 60 s, after 300 s), interactions and commands do not;
streams die after 300 s; triggers after 3 s; all on `slack.clock`. `RealClock()` is for benchmarks. Limits are rows in `limits`.
"""

from tests.fake_slack.blocks import problems_of_blocks
from tests.fake_slack.calls import Call
from tests.fake_slack.clock import Clock, RealClock, StillClock
from tests.fake_slack.deliveries import Delivery, Kind
from tests.fake_slack.errors import SlackError
from tests.fake_slack.fake import EVENTS, SCOPES, FakeSlack
from tests.fake_slack.limits import LIMITS
from tests.fake_slack.payloads import as_typed
from tests.fake_slack.records import Message, User, View
from tests.fake_slack.rendering import Effects, effects, of_blocks, of_markdown, of_mrkdwn, shown, unfurls

__all__ = [
    "EVENTS",
    "LIMITS",
    "SCOPES",
    "Call",
    "Clock",
    "Delivery",
    "Effects",
    "FakeSlack",
    "Kind",
    "Message",
    "RealClock",
    "SlackError",
    "StillClock",
    "User",
    "View",
    "as_typed",
    "effects",
    "of_blocks",
    "of_markdown",
    "of_mrkdwn",
    "problems_of_blocks",
    "shown",
    "unfurls",
]
