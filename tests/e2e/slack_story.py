"""The story that the pictures of docs/slack.md show, told by the real product over the fake Slack, in plain pages."""

from copy import deepcopy
from datetime import timedelta
from pathlib import Path

from control_plane.alerts.intake import alertmanager
from control_plane.alerts.routes import NewRoute
from control_plane.clock import utc_now
from protocol.approval import ApprovalState, Role
from tests.fake_slack import FakeSlack, RealClock
from tests.fake_slack.picture import Drawer, Line, line_of
from tests.fake_slack.records import Message, View
from tests.fake_slack.world import World
from tests.integration.alert_rows import alert, webhook
from tests.integration.slack_cards import Cards, buttons
from tests.integration.slack_house import ADMIN, SlackHouse, slack_house
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
        answer = await house.answer(ops.id, asked.ts)
        card = await slack.until(lambda: _with(slack.thread(ops.id, asked.ts), "approve"), "the card")
        await house.sent()
        thread = slack.thread(ops.id, asked.ts)
        told["slack-working"] = drawer.thread("#payments-oncall", [line_of(slack.world, asked), _streamed(slack.world, answer)])
        told["slack-answer"] = drawer.thread(
            "#payments-oncall", [line_of(slack.world, one) for one in thread if one.ts != card.ts]
        )
        told["slack-approval"] = drawer.thread("#payments-oncall", [line_of(slack.world, card)])
        told["slack-home"] = drawer.view("Opsthread", (await _home(house, "ann")).body)
        told["slack-details"] = drawer.view("Details", (await _details(house, card, "ann")).body, width=620)

        approval = await house.plane.approvals.get(str(card.elements()[0]["value"]).partition(".")[0])
        await slack.delivered(slack.click(card, "approve", house.people["ann"].id))
        await Cards(house).state(approval, ApprovalState.SUCCEEDED)
        await slack.until(lambda: "Healed" in str(card.blocks) or None, "the card says how it ended")
        told["slack-healed"] = drawer.thread("#payments-oncall", [line_of(slack.world, card)])

        told["slack-alert"] = drawer.thread("#payments-oncall", await _alert(house, ops.id))
        return told


def names(world: World) -> dict[str, str]:
    people = {one.id: one.real_name or one.name for one in world.users.values()}
    return (
        people | {one.id: one.name for one in world.channels.values()} | {one.id: one.handle for one in world.groups.values()}
    )


async def _stranger(house: SlackHouse, channel: str, user: str) -> list[Line]:
    asked = await house.slack.mention(channel, user, QUESTION)
    told = await house.slack.until(lambda: house.slack.ephemerals(user), "why they are not answered")
    return [line_of(house.slack.world, asked), line_of(house.slack.world, told[0])]


def _streamed(world: World, answer: Message) -> Line:
    """As it was when the last step had been taken, and before the answer took its place."""
    assert answer.stream is not None
    before = deepcopy(answer)
    before.edits, before.blocks, before.text = [], [], ""
    return line_of(world, before)


async def _home(house: SlackHouse, name: str) -> View:
    user = house.people[name].id
    await house.slack.open_home(user)
    return await house.slack.until(lambda: house.slack.world.homes.get((house.slack.team.id, user)), "the Home tab")


async def _details(house: SlackHouse, card: Message, name: str) -> View:
    user = house.people[name].id
    await house.slack.delivered(house.slack.click(card, "details", user))

    def whole() -> View | None:
        found = house.slack.open_views(user)
        return found[-1] if found and "128Mi" in str(found[-1].body) else None

    return await house.slack.until(whole, "the details")


async def _alert(house: SlackHouse, channel: str) -> list[Line]:
    route = NewRoute(clusters=(house.cluster,), team=house.slack.team.id, channel=channel)
    await house.plane.alert_routes.add(ADMIN, route)
    since = (utc_now() - timedelta(minutes=3)).isoformat()
    members = [alert(f"search-{n}", starts=since, severity="critical") for n in (1, 2)]
    read = alertmanager(webhook(*members, key="search"), cluster=house.cluster, clusters={})
    group = (await house.plane.alerts.take(read.reports)).groups[0]

    async def diagnosed() -> Message | None:
        post = await house.plane.slack_posts.get(house.slack.team.id, f"alert:{group}")
        if post is None or not post.ts:
            return None
        shown = house.slack.message(post.channel, post.ts)
        return shown if house.answers(channel, shown.ts) else None

    root = await until(diagnosed, "the alert's thread is answered", 60)
    await house.sent()
    return [line_of(house.slack.world, root)]


def _with(thread: list[Message], action: str) -> Message | None:
    return next((one for one in thread if action in buttons(one)), None)
