"""The story that the pictures of docs/slack.md show, told by the real product over the fake Slack, in plain pages."""

import json
import re
from copy import deepcopy
from datetime import timedelta
from pathlib import Path

from bot.slack.words import say
from control_plane.alerts.intake import alertmanager
from control_plane.alerts.routes import NewRoute
from control_plane.clock import utc_now
from protocol.approval import ApprovalState, Role
from protocol.commands import Kubectl, ScopeLimit
from protocol.kubectl import parse
from protocol.kubectl.calls import GetCall
from tests.fake_slack import FakeSlack, RealClock
from tests.fake_slack.picture import Drawer, Line, line_of
from tests.fake_slack.records import Message, View
from tests.fake_slack.world import World
from tests.integration.alert_rows import alert, webhook
from tests.integration.scripted_model import Calls, Raw, scripted_model
from tests.integration.slack_cards import Cards, buttons
from tests.integration.slack_house import ADMIN, SlackHouse, slack_house
from tests.integration.test_slack_story import concluded
from tests.integration.waiting import until

QUESTION = "why does payments keep restarting?"


async def pages(folder: Path) -> dict[str, str]:
    """HTML by the name of its picture."""
    async with FakeSlack(RealClock()) as slack, slack_house(folder, slack) as house:
        for name in ("dana", "ann"):
            await house.person(name, Role.APPROVER)
        ned = await house.person("ned", None)
        ops = await house.channel("payments-oncall", *house.people.values())
        drawer = Drawer(names(slack.world))
        told = {"slack-link-notice": drawer.thread("#payments-oncall", await _stranger(house, ops.id, ned.id))}

        asked = await slack.mention(ops.id, house.people["dana"].id, QUESTION)
        await house.answer(ops.id, asked.ts)
        card = await slack.until(lambda: _with(slack.thread(ops.id, asked.ts), "approve"), "the card")
        await house.sent()
        thread = slack.thread(ops.id, asked.ts)
        told["slack-answer"] = drawer.thread(
            "#payments-oncall", [line_of(slack.world, one) for one in thread if one.ts != card.ts]
        )
        told["slack-approval"] = drawer.thread("#payments-oncall", [line_of(slack.world, card)])
        told["slack-home"] = drawer.view("Opsthread", (await _home(house, "ann")).body)
        told["slack-details"] = drawer.view("Details", (await _details(house, card, "ann")).body, width=620)

        approval = await house.plane.approvals.get(str(card.elements()[0]["value"]).partition(".")[0])
        await slack.delivered(slack.click(card, "approve", house.people["ann"].id))
        await Cards(house).state(approval, ApprovalState.SUCCEEDED)
        await slack.until(lambda: say("en", "state.succeeded") in str(card.blocks[0]) or None, "the card says how it ended")
        conclusion = await until(lambda: concluded(house, approval.conversation or ""), "what it concludes", 60)
        await house.sent()
        told["slack-healed"] = drawer.thread("#payments-oncall", [line_of(slack.world, one) for one in (card, conclusion)])

        told["slack-alert"] = drawer.thread("#payments-oncall", await _alert(house, ops.id))
        return told


async def working(folder: Path) -> str:
    """A page: an answer that is being written, after some steps. Its model says what it is told to say, slowly."""
    steps = ("get pods -n shop", "get events -n shop", "describe deployment/payments -n shop")
    replies = [Calls(("kubectl", {"command": step})) for step in steps]
    async with (
        scripted_model(
            *replies, _slowly("payments is killed at its memory limit: each of its pods asks for more than ")
        ) as model,
        FakeSlack(RealClock()) as slack,
        slack_house(folder, slack, OPENAI_API_KEY="sk", OPENAI_BASE_URL=model.url) as house,
    ):
        dana = await house.person("dana", Role.APPROVER)
        ops = await house.channel("payments-oncall", dana)
        asked = await slack.mention(ops.id, dana.id, "what changed in shop, and is payments fine?")

        def written() -> Message | None:
            """Two steps at least, and some words."""
            found = slack.thread(ops.id, asked.ts)[1:]
            streamed = next((one for one in found if one.stream is not None and not one.edits), None)
            ready = (
                streamed is not None and len(streamed.stream.tasks if streamed.stream else ()) > 1 and len(streamed.text) > 30
            )
            return deepcopy(streamed) if ready else None

        answer = await slack.until(written, "an answer that is being written", 40)
        drawer = Drawer(names(slack.world))
        return drawer.thread("#payments-oncall", [line_of(slack.world, one) for one in (asked, answer)])


def _slowly(words: str) -> Raw:
    chunk = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    parts = [{"index": 0, "delta": {"content": f"{word} "}, "finish_reason": None} for word in words.split()]
    lines = [json.dumps({**chunk, "choices": [part]}) for part in parts]
    return Raw("".join(f"data: {line}\n\n" for line in [*lines, "[DONE]"]).encode(), every_s=0.3)


def names(world: World) -> dict[str, str]:
    people = {one.id: one.real_name or one.name for one in world.users.values()}
    return (
        people | {one.id: one.name for one in world.channels.values()} | {one.id: one.handle for one in world.groups.values()}
    )


async def _stranger(house: SlackHouse, channel: str, user: str) -> list[Line]:
    asked = await house.slack.mention(channel, user, QUESTION)
    told = await house.slack.until(lambda: house.slack.ephemerals(user), "why they are not answered")
    return [line_of(house.slack.world, asked), line_of(house.slack.world, told[0])]


async def _home(house: SlackHouse, name: str) -> View:
    user = house.people[name].id
    await house.slack.open_home(user)
    return await house.slack.until(lambda: house.slack.world.homes.get((house.slack.team.id, user)), "the Home tab")


async def _details(house: SlackHouse, card: Message, name: str) -> View:
    user = house.people[name].id
    await house.slack.delivered(house.slack.click(card, "details", user))
    return (await house.slack.until(lambda: house.slack.open_views(user), "the details"))[-1]


async def _alert(house: SlackHouse, channel: str) -> list[Line]:
    route = NewRoute(clusters=(house.cluster,), team=house.slack.team.id, channel=channel)
    await house.plane.alert_routes.add(ADMIN, route)
    since = (utc_now() - timedelta(minutes=3)).isoformat()
    call = parse("get pods -n shop")
    assert isinstance(call, GetCall)
    pods = await house.plane.commands.run(house.cluster, Kubectl(call=call), principal=ADMIN, scope=ScopeLimit())
    named = sorted(set(re.findall(r"checkout-\w+-\w+", pods.model_dump_json())))
    members = [alert(pod, starts=since, alertname="KubePodNotReady", severity="critical") for pod in named]
    read = alertmanager(webhook(*members, key="checkout"), cluster=house.cluster, clusters={})
    group = (await house.plane.alerts.take(read.reports)).groups[0]

    async def diagnosed() -> Message | None:
        post = await house.plane.slack_posts.get(house.slack.team.id, f"alert:{group}")
        if post is None or not post.ts:
            return None
        shown = house.slack.message(post.channel, post.ts)
        caused = any(block["type"] == "rich_text" and "quote" in str(block) for block in shown.blocks)
        return shown if caused and house.answers(channel, shown.ts) else None

    root = await until(diagnosed, "the alert's thread is answered, and it says why", 60)
    await house.sent()
    return [line_of(house.slack.world, root)]


def _with(thread: list[Message], action: str) -> Message | None:
    return next((one for one in thread if action in buttons(one)), None)
