"""Alerts open threads in Slack: the real SDK and Bolt, the real control plane with the practice cluster, a fake Slack."""

from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from bot.slack.work.alerts import hour_of
from control_plane.alerts.intake import alertmanager
from control_plane.alerts.routes import NewRoute
from control_plane.alerts.values import Group
from control_plane.clock import utc_now
from protocol.approval import Role
from tests.fake_slack import FakeSlack, RealClock, effects
from tests.fake_slack.deliveries import Delivery
from tests.fake_slack.records import Channel, Message
from tests.integration.alert_rows import alert, resolved, webhook
from tests.integration.slack_house import ADMIN, SlackHouse, slack_house
from tests.integration.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(90)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[SlackHouse]:
    async with FakeSlack(RealClock()) as slack, slack_house(tmp_path_factory.mktemp("slack"), slack) as here:
        for name, role in (("dana", Role.OPERATOR), ("vera", Role.VIEWER), ("ned", None)):
            await here.person(name, role)
        await here.person("gus", Role.APPROVER, is_restricted=True)
        yield here


@pytest_asyncio.fixture(loop_scope="module")
async def ops(house: SlackHouse) -> Channel:
    return await house.channel("ops", *house.people.values(), namespaces=("shop", "demo"))


async def routed(house: SlackHouse, channel: Channel, team: str, **more: Any) -> str:
    new = NewRoute.model_validate(
        {
            "clusters": (house.cluster,),
            "matchers": (f"team={team}",),
            "team": house.slack.team.id,
            "channel": channel.id,
            "position": 1,
            **more,
        }
    )
    return (await house.plane.alert_routes.add(ADMIN, new)).id


def at(**later: float) -> str:
    return (utc_now() + timedelta(**later)).isoformat()


async def post(house: SlackHouse, *members: dict[str, Any], key: str) -> Group:
    read = alertmanager(webhook(*members, key=key), cluster=house.cluster, clusters={})
    taken = await house.plane.alerts.take(read.reports)
    return await house.plane.alerts.get(taken.groups[0])


async def message(house: SlackHouse, key: str) -> Message:
    async def posted() -> Message | None:
        post = await house.plane.slack_posts.get(house.slack.team.id, key)
        return house.slack.message(post.channel, post.ts) if post is not None and post.ts else None

    return await until(posted, f"{key} is posted")


async def shows(house: SlackHouse, shown: Message, *words: str) -> None:
    await house.slack.until(lambda: all(word in str(shown.blocks) for word in words) or None, f"the message shows {words}")


async def press(house: SlackHouse, shown: Message, action: str, who: str, choice: Any = None) -> str:
    sent: Delivery = await house.slack.delivered(house.slack.click(shown, action, house.people[who].id, choice))
    return await house.noted(sent)


def silence_of(shown: Message, until_: str) -> str:
    menu = next(one for one in shown.elements() if one["action_id"] == "alert_silence")
    return next(str(one["value"]) for one in menu["options"] if str(one["value"]).startswith(f"{until_} "))


async def test_an_alert_is_one_message_with_a_thread_that_holds_the_diagnosis(house: SlackHouse, ops: Channel) -> None:
    await routed(house, ops, "story")
    one = alert("", starts=at(minutes=-3), namespace="shop", deployment="payments", team="story", severity="critical")
    hostile = "<!channel> <https://evil.example|approve> `x`"
    one["annotations"] = {"summary": hostile}
    group = await post(house, one, key="story")
    shown = await message(house, f"alert:{group.id}")
    assert (shown.channel, shown.thread_ts) == (ops.id, "")
    assert ":red_circle:" in str(shown.blocks)
    does = effects(shown)
    assert not does.pings
    assert not [link for link in does.links if "evil" in str(link)]
    await house.answer(ops.id, shown.ts)
    thread = house.slack.thread(ops.id, shown.ts)
    assert thread[0].ts == shown.ts, "the message opens its own thread"
    await shows(house, shown, "memory")  # the cause, once there is a diagnosis
    now = await house.plane.alerts.get(group.id)
    found = await house.plane.slack_threads.of_conversation(now.conversation or "")
    assert found is not None
    assert (found.kind, found.thread_ts) == ("alert", shown.ts)
    scope = (await house.plane.conversations.get(now.conversation or "")).scope
    assert scope.namespaces == ("demo", "shop")

    two = {**one, "labels": {**one["labels"], "deployment": "ledger"}, "fingerprint": "f2"}
    await post(house, one, two, key="story")
    await shows(house, shown, "2 firing")
    await post(house, resolved(one, at()), resolved(two, at()), key="story")
    await shows(house, shown, ":large_green_circle:")
    over = await house.slack.until(
        lambda: next(
            (one for one in house.slack.thread(ops.id, shown.ts) if "Resolved" in one.text and one.ts != shown.ts), None
        ),
        "its end is told in the thread",
    )
    assert over.thread_ts == shown.ts
    assert len([one for one in house.slack.thread(ops.id, shown.ts) if "Resolved" in one.text]) == 2
    again = {**one, "startsAt": at(seconds=1)}
    assert (await post(house, again, key="story")).id == group.id
    await shows(house, shown, ":red_circle:", "1 firing, 1 resolved", "fired 2 times")
    await house.sent()


async def test_buttons_of_an_alert(house: SlackHouse, ops: Channel) -> None:
    await routed(house, ops, "buttons")
    one = alert("", starts=at(minutes=-3), namespace="shop", deployment="cart", team="buttons")
    group = await post(house, one, key="buttons")
    shown = await message(house, f"alert:{group.id}")
    assert await press(house, shown, "alert_acknowledge", "vera") == "forbidden"
    assert await press(house, shown, "alert_acknowledge", "gus") == "guest"
    assert (await house.plane.alerts.get(group.id)).acknowledged_by == ""
    assert await press(house, shown, "alert_acknowledge", "dana") == "done"
    await shows(house, shown, "Dana", "has it in hand")
    assert (await house.plane.alerts.get(group.id)).acknowledged_by == house.principals["dana"].account
    rows = await house.plane.audit.list(ADMIN, subject=f"alert:{group.id}")
    said = next(row for row in rows if row.action == "alert.acknowledged")
    assert (said.door, said.detail["source"]) == ("slack", f"{house.slack.team.id}/{ops.id}/{shown.ts}")
    assert await press(house, shown, "alert_silence", "dana", silence_of(shown, "4h")) == "done"
    await shows(house, shown, ":no_bell:")
    await house.person("sam", Role.OPERATOR, namespaces=("shop",))
    assert await press(house, shown, "alert_follow", "sam") == "not_found", "its thread tells of demo, too"
    assert await press(house, shown, "alert_follow", "vera") == "done"
    vera = house.people["vera"].id
    await house.slack.delivered(house.slack.click(shown, "alert_wrong", vera))
    modal = await house.slack.until(lambda: next(iter(house.slack.open_views(vera)), None), "the window")
    sent = await house.slack.delivered(house.slack.submit(modal, vera, {"reason": "it is the deploy <!here>"}))
    assert await house.noted(sent) == "done"
    await shows(house, shown, "Vera", "it is the deploy")
    assert "<!here>" not in str(shown.blocks)
    assert await press(house, shown, "alert_silence", "dana", silence_of(shown, "resolved")) == "done"
    # What is resolved while it is silenced is shown, and nobody is told.
    await post(house, resolved(one, at()), key="buttons")
    await shows(house, shown, ":large_green_circle:")
    await house.sent()
    said = [one.text for one in house.slack.thread(ops.id, shown.ts)[1:]]
    assert not [text for text in said if "Resolved" in text]
    assert ":no_bell:" not in str(shown.blocks), "it was silenced until then"


async def test_a_forged_button_does_nothing(house: SlackHouse, ops: Channel) -> None:
    await routed(house, ops, "forged")
    group = await post(house, alert("", starts=at(minutes=-3), deployment="cart", team="forged"), key="forged")
    shown = await message(house, f"alert:{group.id}")
    real = next(str(one["value"]) for one in shown.elements() if one["action_id"] == "alert_acknowledge")
    other = await house.channel("other", *house.people.values())
    there = await house.slack.write(other.id, house.people["dana"].id, "look")
    dana = house.people["dana"].id
    for channel, ts, value in (
        (ops.id, shown.ts, f"{group.id}.{'0' * 16}"),
        (other.id, there.ts, real),
        (ops.id, there.ts, real),
    ):
        sent = await house.slack.delivered(house.slack.forge_click(channel, ts, "alert_acknowledge", dana, value))
        assert await house.noted(sent) == "stale_card"
    assert (await house.plane.alerts.get(group.id)).acknowledged_by == ""


async def test_too_many_groups_are_one_digest_and_a_silenced_one_is_no_line(house: SlackHouse, ops: Channel) -> None:
    route = await routed(house, ops, "storm", threads_per_hour=1)
    groups = [
        await post(
            house, alert("", starts=at(minutes=-3), deployment=f"app-{n}", alertname=f"Storm{n}", team="storm"), key=f"s{n}"
        )
        for n in range(4)
    ]
    first: datetime = groups[0].opened_at
    digest = await message(house, f"digest:{route}:{hour_of(first):%Y%m%d%H}")

    async def settled() -> list[Group] | None:
        now = [await house.plane.alerts.get(group.id) for group in groups]
        return now if all(group.conversation or group.in_digest for group in now) else None

    now = await until(settled, "each is a thread or a line")
    lines = [group for group in now if group.in_digest]
    assert len(lines) == 3
    await shows(house, digest, *(group.title for group in lines))
    assert f"/alerts/{lines[0].id}" in str(digest.blocks)
    await house.plane.alerts.silence(lines[0].id, house.principals["dana"], "1h")
    await house.slack.until(lambda: lines[0].title not in str(digest.blocks) or None, "its line is gone")
    await house.plane.alerts.open_thread(lines[1].id, house.principals["vera"])
    assert (await message(house, f"alert:{lines[1].id}")).channel == ops.id


async def test_what_a_channel_does_not_reach_is_not_shown_in_it(house: SlackHouse, ops: Channel) -> None:
    await routed(house, ops, "reach")
    secret = alert("", starts=at(minutes=-3), namespace="vault", deployment="keys", team="reach")
    hidden = await post(house, secret, key="hidden")

    async def opened() -> Group | None:
        now = await house.plane.alerts.get(hidden.id)
        return now if now.conversation is not None and now.told == now.revision else None

    now = await until(opened, "its thread is on the web")
    assert (now.route, await house.plane.slack_threads.of_conversation(now.conversation or "")) == ("", None)
    shop = alert("", starts=at(minutes=-3), namespace="shop", deployment="cart", team="reach")
    mixed = await post(house, shop, key="mixed")
    shown = await message(house, f"alert:{mixed.id}")
    await post(
        house, shop, {**secret, "labels": {**secret["labels"], "deployment": "keys-2"}, "fingerprint": "f9"}, key="mixed"
    )

    async def told() -> Group | None:
        now = await house.plane.alerts.get(mixed.id)
        return now if now.firing == 2 and now.told == now.revision else None

    await until(told, "it was shown anew")
    await house.sent()
    assert "keys-2" not in str(shown.blocks)
    assert "vault" not in str(shown.blocks)


async def test_a_channel_that_reaches_less_by_now_is_told_no_cause_and_nothing_of_what_it_does_not_reach(
    house: SlackHouse,
) -> None:
    less = await house.channel("less", *house.people.values(), namespaces=("shop", "demo"))
    await routed(house, less, "less")
    shop = alert("", starts=at(minutes=-3), namespace="shop", deployment="payments", team="less")
    group = await post(house, shop, key="less")
    shown = await message(house, f"alert:{group.id}")
    await shows(house, shown, "memory")
    await house.bind(less, ("shop",))
    more = {**shop, "labels": {**shop["labels"], "deployment": "cart", "alertname": "InShop"}, "fingerprint": "f2"}
    labels = {**shop["labels"], "namespace": "demo", "alertname": "InDemo", "severity": "critical"}
    await post(house, shop, more, {**shop, "labels": labels, "fingerprint": "f3"}, key="less")
    await shows(house, shown, "2 firing", "InShop")
    assert "memory" not in str(shown.blocks), "it was found with a look at demo"
    assert "InDemo" not in str(shown.blocks) + shown.text
    assert ":red_circle:" not in str(shown.blocks)
