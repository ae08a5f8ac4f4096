"""The inbox: what Slack sent is kept once, survives, and is handed out lane by lane in the order of what people did."""

import asyncio
from contextlib import aclosing
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY

from control_plane.errors import Invalid
from control_plane.replica import LeaseLost
from control_plane.slack.backlog import Backlog
from control_plane.slack.inbox import MOST_ATTEMPTS, MOST_BYTES, Received, forget_inbox
from control_plane.tables import SlackInboxRow
from tests.integration.slack_rows import Rows, incoming
from tests.integration.test_retention import retention


def said(items: tuple[Received, ...]) -> list[str]:
    return [str(item.payload["text"]) for item in items]


async def test_an_item_is_kept_once_however_often_and_on_however_many_replicas_it_comes(slack: Rows) -> None:
    item = incoming("Ev1", text="hello")
    before = REGISTRY.get_sample_value("opsthread_slack_kept_total", {"kind": "mention", "delivery": "again"}) or 0
    kept = await asyncio.gather(*(slack.inbox.keep(item) for _ in range(8)))
    assert sorted(kept) == [False] * 7 + [True]
    assert await slack.inbox.keep(incoming("Ev1", text="hello, delivered again")) is False
    assert await slack.inbox.keep(item.model_copy(update={"kind": "click"})) is True
    assert await slack.inbox.keep(item.model_copy(update={"team": "T0002"})) is True
    assert len(await slack.all(SlackInboxRow)) == 3
    assert set(said(await slack.inbox.due())) == {"hello"}
    again = {"kind": "mention", "delivery": "again"}
    assert (REGISTRY.get_sample_value("opsthread_slack_kept_total", again) or 0) - before == 8


async def test_what_was_kept_is_there_after_a_restart_and_a_redelivery_of_what_was_done_is_nothing_new(slack: Rows) -> None:
    await slack.inbox.keep(incoming("Ev1", text="one"))
    await slack.inbox.keep(incoming("Ev2", text="two", position="2.000001"))
    (first,) = await slack.inbox.due()
    begun = await slack.inbox.begin(first.id, await slack.lead())
    assert begun is not None
    await slack.desk.database.stop()
    await slack.desk.database.start()
    (again,) = await slack.inbox.due()
    assert (again.id, again.attempts, said((again,))) == (first.id, 1, ["one"])
    await slack.inbox.done(first.id, "asked")
    slack.desk.clock.move(hours=25)
    assert await slack.inbox.keep(incoming("Ev1", text="one")) is False
    assert said(await slack.inbox.due()) == ["two"]


async def test_a_lane_goes_in_the_order_of_what_people_did_and_lanes_do_not_wait_for_each_other(slack: Rows) -> None:
    lease = await slack.lead()
    await slack.inbox.keep(incoming("b", text="second", position="1712345678.000200"))
    await slack.inbox.keep(incoming("a", text="first", position="1712345678.000100"))
    await slack.inbox.keep(incoming("c", text="elsewhere", lane="user:U1", position="1712345679.000100"))
    first, elsewhere = sorted(await slack.inbox.due(), key=lambda item: item.position)
    assert said((first, elsewhere)) == ["first", "elsewhere"]
    assert await slack.inbox.due(besides=[(item.team, item.lane) for item in (first, elsewhere)]) == ()
    # What pauses holds up its own lane, and no other.
    await slack.inbox.begin(first.id, lease)
    assert await slack.inbox.again(first.id, 30, "Slack does not answer", lease=lease)
    await slack.inbox.done(elsewhere.id, lease=lease)
    assert await slack.inbox.due() == ()
    slack.desk.clock.move(seconds=31)
    (retried,) = await slack.inbox.due()
    assert (said((retried,)), retried.attempts, retried.note) == (["first"], 1, "Slack does not answer")
    await slack.inbox.failed(first.id, "it is no use", lease=lease)
    assert said(await slack.inbox.due()) == ["second"]


async def test_an_item_wears_out_and_its_lane_goes_on(slack: Rows) -> None:
    lease = await slack.lead()
    await slack.inbox.keep(incoming("poison", text="poison"))
    await slack.inbox.keep(incoming("next", text="next", position="2.0"))
    for attempt in range(1, MOST_ATTEMPTS + 1):
        (item,) = await slack.inbox.due()
        assert not item.worn_out
        begun = await slack.inbox.begin(item.id, lease)
        assert begun is not None
        assert begun.attempts == attempt
        if attempt < MOST_ATTEMPTS:
            assert await slack.inbox.again(item.id, 0, "no answer")
    # The process may have died in the last attempt: whoever comes next sees that it is worn out.
    (item,) = await slack.inbox.due()
    assert item.worn_out
    assert await slack.inbox.again(item.id, 0, "no answer") is False
    assert said(await slack.inbox.due()) == ["next"]
    assert await slack.inbox.begin(item.id, lease) is None
    (row,) = (row for row in await slack.all(SlackInboxRow) if row.id == item.id)
    assert (row.state, row.note) == ("failed", "no answer")


async def test_an_item_that_kills_the_process_each_time_ends_although_nobody_can_say_so(slack: Rows) -> None:
    lease = await slack.lead()
    await slack.inbox.keep(incoming("poison", text="poison"))
    await slack.inbox.keep(incoming("next", text="next", position="2.0"))
    (item,) = await slack.inbox.due()
    begun = [await slack.inbox.begin(item.id, lease) for _ in range(MOST_ATTEMPTS + 2)]
    assert [one is not None for one in begun] == [True] * (MOST_ATTEMPTS + 1) + [False]
    assert said(await slack.inbox.due()) == ["next"]
    (row,) = (row for row in await slack.all(SlackInboxRow) if row.id == item.id)
    assert (row.state, row.note) == ("failed", f"begun {MOST_ATTEMPTS + 1} times, and never ended")


async def test_what_slack_gives_no_time_for_goes_by_when_it_came(slack: Rows) -> None:
    at = slack.desk.clock().timestamp()
    await slack.inbox.keep(incoming("modal", text="modal", position=""))
    await slack.inbox.keep(incoming("before", text="before", position=f"{at - 5:.6f}"))
    await slack.inbox.keep(incoming("after", text="after", position=f"{at + 5:.6f}"))
    order: list[str] = []
    for _ in range(3):
        (item,) = await slack.inbox.due()
        order += said((item,))
        await slack.inbox.done(item.id)
    assert order == ["before", "modal", "after"]


async def test_a_replica_that_has_lost_the_lead_begins_and_ends_nothing(slack: Rows) -> None:
    await slack.inbox.keep(incoming("Ev1", text="hello"))
    (item,) = await slack.inbox.due()
    late = await slack.lead("a")
    await slack.lead("b")
    for attempt in (
        slack.inbox.begin(item.id, late),
        slack.inbox.done(item.id, lease=late),
        slack.inbox.failed(item.id, "no", lease=late),
        slack.inbox.again(item.id, 60, "no", lease=late),
    ):
        with pytest.raises(LeaseLost):
            await attempt
    assert [(one.id, one.attempts) for one in await slack.inbox.due()] == [(item.id, 0)]


async def test_keeping_wakes_who_works_and_a_redelivery_wakes_nobody(slack: Rows) -> None:
    async with aclosing(slack.inbox.watch()) as news:
        await anext(news)
        await slack.inbox.keep(incoming("Ev1", text="hello"))
        async with asyncio.timeout(3):  # a wake-up, not the look every five seconds
            await anext(news)
        assert said(await slack.inbox.due()) == ["hello"]
        await slack.inbox.keep(incoming("Ev1", text="hello"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await anext(news)


async def test_hostile_text_is_kept_and_what_was_not_trimmed_is_refused(slack: Rows) -> None:
    hostile = "nul \0, half a pair \ud83d, <!channel>"
    assert await slack.inbox.keep(incoming("half \ud83d", text=hostile, lane="a\0b", position="1.0"))
    assert said(await slack.inbox.due()) == ["nul \0, half a pair ?, <!channel>"]
    with pytest.raises(Invalid, match="trim it"):
        await slack.inbox.keep(incoming("large", text="x" * MOST_BYTES))
    assert len(await slack.all(SlackInboxRow)) == 1


async def test_how_much_waits_and_since_when_is_seen(slack: Rows) -> None:
    lease, began = await slack.lead(), slack.desk.clock()
    empty = Backlog(waiting=0, oldest=None, failed=0)
    assert (await slack.inbox.backlog(), await slack.outbox.backlog()) == (empty, empty)
    for name in ("a", "b", "c"):
        await slack.inbox.keep(incoming(name, lane=name, text=name))
        await slack.put(name, channel=name)
        slack.desk.clock.move(minutes=1)
    await slack.put("digest", not_before=slack.desk.clock() + timedelta(hours=1))
    first, second, _ = await slack.inbox.due()
    await slack.inbox.failed(first.id, "no")
    await slack.inbox.again(second.id, 60, "no answer")
    taken = await slack.take(lease)
    await slack.outbox.failed(taken.number, "no", lease)
    await slack.outbox.sending((await slack.outbox.due())[0].number, lease)
    expected = Backlog(waiting=2, oldest=began + timedelta(minutes=1), failed=1)
    assert (await slack.inbox.backlog(), await slack.outbox.backlog()) == (expected, expected)
    slack.desk.clock.move(hours=25)
    assert ((await slack.inbox.backlog()).failed, (await slack.outbox.backlog()).failed) == (0, 0)
    assert (await slack.outbox.backlog()).waiting == 3


async def test_at_night_what_was_done_goes_and_what_failed_stays_longer(slack: Rows) -> None:
    for name in ("done", "failed", "waiting"):
        await slack.inbox.keep(incoming(name, text=name, lane=name))
    by_name = {str(item.payload["text"]): item.id for item in await slack.inbox.due()}
    await slack.inbox.done(by_name["done"])
    await slack.inbox.failed(by_name["failed"], "no")
    slack.desk.clock.move(days=7, seconds=1)
    removed = await retention(slack.desk).once_if_due()
    assert removed is not None
    assert removed.slack == 1
    assert {row.lane for row in await slack.all(SlackInboxRow)} == {"failed", "waiting"}
    slack.desk.clock.move(days=23)
    async with slack.desk.database.transaction() as session:
        assert await forget_inbox(session, slack.desk.clock(), 500) == 1
    assert {row.lane for row in await slack.all(SlackInboxRow)} == {"waiting"}
