"""The outbox: what a message shall look like, in order within its channel, sent by one replica, and never lost or doubled."""

import asyncio
from contextlib import aclosing
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY

from control_plane.errors import Invalid
from control_plane.replica import LeaseLost
from control_plane.slack.outbox import MOST_BYTES, Content, FileRef, Outgoing, forget_outbox
from control_plane.tables import SlackOutboxRow, SlackPostRow
from protocol.approval import Role
from protocol.ids import new_id
from tests.integration.slack_rows import CHANNEL, TEAM, Rows, incoming


def said(one: Outgoing) -> tuple[str, str]:
    return one.key, one.content.text


async def test_a_channel_is_served_in_order_and_channels_do_not_wait_for_each_other(slack: Rows) -> None:
    lease = await slack.lead()
    for key, channel in (("a", "C1"), ("b", "C1"), ("c", "C2")):
        await slack.put(key, channel=channel)
    assert await slack.due() == [("a", "hello"), ("c", "hello")]
    first = await slack.take(lease)
    assert await slack.due() == [("c", "hello")], "a channel has one message on its way at a time"
    await slack.outbox.sent(first.number, "1.1", first.content.hash, lease)
    assert await slack.due() == [("b", "hello"), ("c", "hello")]
    # A pause that Slack asks for holds up its channel alone.
    second = await slack.take(lease)
    await slack.outbox.again(second.number, 30, "ratelimited", lease)
    await slack.put("d", channel="C1")
    assert await slack.due() == [("c", "hello")]
    await slack.put("b", "newer, but the pause stands", channel="C1")
    assert await slack.due() == [("c", "hello")]
    slack.desk.clock.move(seconds=31)
    assert await slack.due() == [("b", "newer, but the pause stands"), ("c", "hello")]


async def test_what_is_scheduled_for_later_holds_up_nothing_and_comes_when_its_time_has_come(slack: Rows) -> None:
    await slack.put("digest", not_before=slack.desk.clock() + timedelta(hours=1))
    await slack.put("answer")
    assert await slack.due() == [("answer", "hello")]
    await slack.put("digest", "sooner")
    assert await slack.due() == [("digest", "sooner")]


async def test_a_clock_that_was_set_back_stops_nothing(slack: Rows) -> None:
    lease = await slack.lead()
    for key, channel in (("tried", "C1"), ("new", "C2")):
        await slack.put(key, channel=channel)
    tried = await slack.take(lease)
    await slack.outbox.again(tried.number, 30, "ratelimited", lease)
    await slack.inbox.keep(incoming("said"))
    slack.desk.clock.move(hours=-3)
    await slack.put("digest", not_before=slack.desk.clock() + timedelta(hours=1))
    assert await slack.due() == [("tried", "hello"), ("new", "hello")]
    assert len(await slack.inbox.due()) == 1


async def test_what_was_tried_and_is_put_off_by_newer_content_holds_up_nothing(slack: Rows) -> None:
    lease = await slack.lead()
    for key in ("digest", "answer"):
        await slack.put(key)
    digest = await slack.take(lease)
    await slack.outbox.again(digest.number, 0, "no answer", lease)
    await slack.put("digest", "later", not_before=slack.desk.clock() + timedelta(hours=1))
    assert await slack.due() == [("answer", "hello")]
    slack.desk.clock.move(hours=2)
    assert await slack.due() == [("digest", "later")]


async def test_how_long_messages_take_is_counted(slack: Rows) -> None:
    def seconds() -> float:
        return REGISTRY.get_sample_value("opsthread_slack_message_seconds_sum") or 0

    lease, before = await slack.lead(), seconds()
    await slack.put("digest", not_before=slack.desk.clock() + timedelta(hours=1))
    slack.desk.clock.move(hours=1, seconds=2)
    digest = await slack.take(lease)
    await slack.outbox.sent(digest.number, "1.1", digest.content.hash, lease)
    assert seconds() - before == pytest.approx(2)
    await slack.put("answer")
    answer = await slack.take(lease)
    await slack.outbox.again(answer.number, 30, "ratelimited", lease)
    slack.desk.clock.move(seconds=40)
    answer = await slack.take(lease)
    await slack.outbox.sent(answer.number, "1.2", answer.content.hash, lease)
    assert seconds() - before == pytest.approx(42)


async def test_the_newest_content_of_a_key_is_sent_once_in_the_place_of_the_first(slack: Rows) -> None:
    lease = await slack.lead()
    await slack.put("answer", "one")
    await slack.put("other")
    (seen,) = await slack.outbox.due()
    for text in ("two", "three"):
        await slack.put("answer", text)
    taken = await slack.outbox.sending(seen.number, lease)
    assert taken is not None
    assert said(taken) == ("answer", "three"), "what is sent is what stands there when it is taken"
    # An endless updater goes behind what has waited meanwhile.
    await slack.put("answer", "four")
    await slack.outbox.sent(taken.number, "1.1", taken.content.hash, lease)
    assert await slack.due() == [("other", "hello")]
    other = await slack.take(lease)
    await slack.outbox.sent(other.number, "1.2", other.content.hash, lease)
    update = await slack.take(lease)
    assert (said(update), update.uncertain) == (("answer", "four"), False)
    assert update.post is not None
    assert taken.post is not None
    assert (update.post.id, update.post.ts, update.post.shown) == (taken.post.id, "1.1", taken.content.hash)


async def test_many_that_put_at_once_leave_one_message_to_send(slack: Rows) -> None:
    await asyncio.gather(*(slack.put("answer", f"version {n}") for n in range(12)))
    (row,) = await slack.all(SlackOutboxRow)
    assert row.state == "waiting"
    assert await slack.due() == [("answer", Content.model_validate_json(row.content).text)]


async def test_putting_while_it_is_sent_and_tried_again_loses_nothing(slack: Rows) -> None:
    lease = await slack.lead()
    await slack.put("answer", "version 0")

    async def writes() -> None:
        for n in range(1, 16):
            await slack.put("answer", f"version {n}")

    async def sends() -> None:
        for _ in range(15):
            taken = await slack.take(lease)
            await slack.outbox.again(taken.number, 0, "no answer", lease, uncertain=True)

    await asyncio.gather(writes(), sends())
    assert await slack.due() == [("answer", "version 15")]
    rows = await slack.all(SlackOutboxRow)
    assert sorted({row.state for row in rows} - {"dropped"}) == ["waiting"]
    assert len(await slack.all(SlackPostRow)) == 1


async def test_an_answer_that_got_lost_makes_the_next_attempt_look_first_and_a_refusal_does_not(slack: Rows) -> None:
    lease = await slack.lead()
    await slack.put("answer", "one")
    first = await slack.take(lease)
    assert first.post is not None
    assert (first.uncertain, first.attempts, first.post.ts) == (False, 1, "")
    await slack.outbox.again(first.number, 0, "ratelimited", lease)
    refused = await slack.take(lease)
    assert (refused.uncertain, refused.note) == (False, "ratelimited")
    await slack.put("answer", "two")
    await slack.outbox.again(refused.number, 0, "time-out", lease, uncertain=True)
    looked = await slack.take(lease)
    assert (looked.uncertain, looked.attempts, said(looked)) == (True, 3, ("answer", "two"))
    assert (refused.number, refused.post and refused.post.id) == (looked.number, looked.post and looked.post.id)
    await slack.outbox.sent(looked.number, "1.1", looked.content.hash, lease)
    assert await slack.due() == []


async def test_a_new_leader_finds_what_may_have_been_sent_and_the_late_one_writes_nothing(slack: Rows) -> None:
    late = await slack.lead("a")
    await slack.put("answer", "one")
    await slack.put("behind")
    taken = await slack.take(late)
    await slack.desk.database.stop()
    await slack.desk.database.start()
    lease = await slack.lead("b")
    assert await slack.due() == [], "nothing goes out behind what may be on its way"
    (found,) = await slack.outbox.uncertain()
    assert (found.number, found.uncertain, found.post) == (taken.number, True, taken.post)
    assert taken.post is not None
    for attempt in (
        slack.outbox.sending(taken.number, late),
        slack.outbox.resume(taken.number, late),
        slack.outbox.sent(taken.number, "1.1", "x", late),
        slack.outbox.again(taken.number, 0, "x", late),
        slack.outbox.failed(taken.number, "x", late),
        slack.outbox.dropped(taken.number, late),
        slack.posts.reserve(TEAM, "more", CHANNEL, None, lease=late),
        slack.posts.release(taken.post.id, lease=late),
        slack.posts.posted(taken.post.id, "1.1", "x", lease=late),
        slack.posts.streaming(taken.post.id, "1.1", lease=late),
        slack.posts.stream_ended(taken.post.id, lease=late),
    ):
        with pytest.raises(LeaseLost):
            await attempt
    assert await slack.outbox.uncertain() == (found,)
    # Found by its nonce: it is adopted, and what waited behind it goes on.
    await slack.outbox.sent(found.number, "1.1", found.content.hash, lease)
    post = await slack.posts.get(TEAM, "answer")
    assert post is not None
    assert (post.id, post.ts, post.shown) == (taken.post.id, "1.1", taken.content.hash)
    assert await slack.due() == [("behind", "hello")]


async def test_what_a_failed_task_has_left_is_taken_up_again_and_what_is_done_is_not(slack: Rows) -> None:
    lease = await slack.lead()
    await slack.put("answer", "one")
    await slack.put("behind")
    taken = await slack.take(lease)
    await slack.put("answer", "two")
    resumed = await slack.outbox.resume(taken.number, lease)
    assert resumed is not None
    assert (said(resumed), resumed.uncertain, resumed.attempts) == (("answer", "one"), True, 2)
    assert resumed.post == taken.post
    await slack.outbox.sent(resumed.number, "1.1", resumed.content.hash, lease)
    assert await slack.outbox.resume(taken.number, lease) is None
    # An update whose answer got lost needs no search: it is made again.
    behind = await slack.take(lease)
    await slack.outbox.dropped(behind.number, lease)
    update = await slack.take(lease)
    (left,) = await slack.outbox.uncertain()
    again = await slack.outbox.resume(update.number, lease)
    assert again is not None
    assert again.post is not None
    assert (left.uncertain, again.uncertain, again.post.ts) == (False, False, "1.1")


async def test_what_still_waits_can_not_be_called_sent(slack: Rows) -> None:
    lease = await slack.lead()
    await slack.put("answer", "one")
    (seen,) = await slack.outbox.due()
    await slack.put("answer", "two")
    await slack.outbox.sent(seen.number, "1.1", seen.content.hash, lease)
    assert await slack.due() == [("answer", "two")]


async def test_what_failed_for_good_or_is_dropped_lets_the_others_go_on(slack: Rows) -> None:
    lease = await slack.lead()
    for key in ("a", "b", "c"):
        await slack.put(key)
    failed = await slack.take(lease)
    await slack.outbox.failed(failed.number, "channel_not_found", lease)
    assert await slack.posts.get(TEAM, "a") is None, "Slack has refused it: nobody need look for it"
    (waiting,) = await slack.outbox.due()
    await slack.outbox.dropped(waiting.number, lease)
    assert await slack.due() == [("c", "hello")]
    assert await slack.outbox.sending(failed.number, lease) is None
    assert {row.key: (row.state, row.note) for row in await slack.all(SlackOutboxRow)} == {
        "a": ("failed", "channel_not_found"),
        "b": ("dropped", ""),
        "c": ("waiting", ""),
    }


async def test_a_message_is_taken_away_and_one_for_a_single_person_leaves_no_post(slack: Rows) -> None:
    lease = await slack.lead()
    await slack.put("card")
    card = await slack.take(lease)
    await slack.outbox.sent(card.number, "1.1", card.content.hash, lease)
    await slack.put("card", delete=True)
    await slack.put("hint", ephemeral_to="U1")
    away = await slack.take(lease)
    assert away.post is not None
    assert away.post.ts == "1.1"
    await slack.outbox.sent(away.number, "", "", lease)
    hint = await slack.take(lease)
    assert (hint.post, hint.content.ephemeral_to) == (None, "U1")
    await slack.outbox.sent(hint.number, "", "", lease)
    assert await slack.all(SlackPostRow) == []


async def test_the_first_message_of_a_thread_opens_it(slack: Rows) -> None:
    lease = await slack.lead()
    ann = await slack.desk.person("ann", Role.OPERATOR)
    thread = await slack.threads.start(
        team=TEAM, channel=CHANNEL, thread_ts=None, kind="alert", conversation=(await slack.desk.conversation(ann)).id
    )
    for key in ("chart:1", "alert:1", "answer:1"):
        await slack.put(key, thread=thread.id)
    chart = await slack.take(lease)
    await slack.outbox.sent(chart.number, "file:F1", chart.content.hash, lease)
    alert = await slack.take(lease)
    assert alert.thread_ts is None
    await slack.outbox.sent(alert.number, "7.000001", alert.content.hash, lease)
    assert (await slack.outbox.due())[0].thread_ts == "7.000001"
    answer = await slack.take(lease)
    await slack.outbox.sent(answer.number, "7.000002", answer.content.hash, lease)
    found = await slack.threads.find(TEAM, CHANNEL, "7.000001")
    assert found is not None
    assert (found.id, found.thread_ts) == (thread.id, "7.000001")
    post = await slack.posts.at(TEAM, CHANNEL, "7.000002")
    assert post is not None
    assert (post.key, post.thread) == ("answer:1", thread.id)
    assert [one.key for one in await slack.posts.of_thread(thread.id)] == ["alert:1", "answer:1", "chart:1"]


async def test_a_thread_that_somebody_began_under_a_message_before_we_knew_it_does_not_stop_the_sender(slack: Rows) -> None:
    lease = await slack.lead()
    ann = await slack.desk.person("ann", Role.OPERATOR)
    ours, theirs = [(await slack.desk.conversation(ann)).id for _ in range(2)]
    thread = await slack.threads.start(team=TEAM, channel=CHANNEL, thread_ts=None, kind="alert", conversation=ours)
    await slack.put("alert:1", thread=thread.id)
    alert = await slack.take(lease)
    begun = await slack.threads.start(team=TEAM, channel=CHANNEL, thread_ts="7.1", kind="channel", conversation=theirs)
    await slack.outbox.sent(alert.number, "7.1", alert.content.hash, lease)
    assert await slack.threads.find(TEAM, CHANNEL, "7.1") == begun
    post = await slack.posts.get(TEAM, "alert:1")
    assert post is not None
    assert post.ts == "7.1"
    assert await slack.due() == []


async def test_what_is_put_goes_with_its_transaction_and_wakes_the_sender(slack: Rows) -> None:
    async def two_of_which_one_is_refused() -> None:
        async with slack.desk.database.transaction() as session:
            for text in ("fits", "x" * MOST_BYTES):
                await slack.outbox.put(
                    session, team=TEAM, channel=CHANNEL, thread=None, key=text[:9], content=Content(text=text)
                )

    async with aclosing(slack.outbox.watch()) as news:
        await anext(news)
        with pytest.raises(Invalid):
            await two_of_which_one_is_refused()
        assert await slack.due() == []
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await anext(news)
    async with aclosing(slack.outbox.watch()) as news:
        await anext(news)
        await slack.put("a")
        async with asyncio.timeout(3):  # a wake-up, not the look every five seconds
            await anext(news)
    assert await slack.due() == [("a", "hello")]


async def test_a_reservation_that_slack_refused_is_released_and_what_was_posted_is_not(slack: Rows) -> None:
    lease = await slack.lead()
    refused, posted, open_ = [await slack.posts.reserve(TEAM, f"answer:{n}", CHANNEL, None, lease=lease) for n in range(3)]
    await slack.posts.posted(posted.id, "1.1", lease=lease)
    await slack.posts.streaming(open_.id, "1.2", lease=lease)
    for post in (refused, posted, open_):
        await slack.posts.release(post.id, lease=lease)
    assert {row.key for row in await slack.all(SlackPostRow)} == {"answer:1", "answer:2"}
    await slack.put("answer:0")
    assert not (await slack.take(lease)).uncertain


async def test_streams_that_were_not_closed_are_found_after_a_restart(slack: Rows) -> None:
    lease = await slack.lead()
    posts = [await slack.posts.reserve(TEAM, f"answer:{n}", CHANNEL, None, lease=lease) for n in range(3)]
    assert await slack.posts.reserve(TEAM, "answer:0", CHANNEL, None, lease=lease) == posts[0]
    for n, post in enumerate(posts[:2]):
        await slack.posts.streaming(post.id, f"1.{n}", lease=lease)
    await slack.posts.stream_ended(posts[0].id, lease=lease)
    await slack.desk.database.stop()
    await slack.desk.database.start()
    (orphan,) = await slack.posts.streams_open()
    assert (orphan.id, orphan.ts, orphan.streaming) == (posts[1].id, "1.1", True)
    # The answer goes out under the same key: an update of the stream's message.
    await slack.put("answer:1", "the whole answer")
    taken = await slack.take(await slack.lead("b"))
    assert taken.post == orphan
    assert not taken.uncertain


async def test_at_night_what_was_sent_goes_and_what_waits_and_the_posts_stay(slack: Rows) -> None:
    lease = await slack.lead()
    for key in ("sent", "failed", "waits"):
        await slack.put(key)
    sent = await slack.take(lease)
    await slack.outbox.sent(sent.number, "1.1", sent.content.hash, lease)
    failed = await slack.take(lease)
    await slack.outbox.failed(failed.number, "no", lease)
    for gone in (0, 2):
        async with slack.desk.database.transaction() as session:
            assert await forget_outbox(session, slack.desk.clock(), 500) == gone
        slack.desk.clock.move(days=3, seconds=1)
    assert [row.key for row in await slack.all(SlackOutboxRow)] == ["waits"]
    assert await slack.posts.get(TEAM, "sent") is not None


async def test_content_is_the_same_when_it_looks_the_same_and_has_an_end() -> None:
    one = Content(text="hello", blocks=[{"type": "section", "text": {"type": "mrkdwn", "text": "é"}}])
    same = Content.model_validate_json(one.model_dump_json())
    reordered = Content(text="hello", blocks=[{"text": {"text": "é", "type": "mrkdwn"}, "type": "section"}])
    assert one.hash == same.hash == reordered.hash
    others = (
        one.model_copy(update={"text": "hi"}),
        one.model_copy(update={"blocks": []}),
        one.model_copy(update={"file": FileRef(source="chart:1", name="chart.png")}),
    )
    assert len({one.hash, *(other.hash for other in others)}) == 4
    assert Content(text="half a pair \ud83d").text == "half a pair ?"
    assert Content(blocks=[{"text": "\ud83d"}]).blocks == [{"text": "?"}]


async def test_content_that_is_too_large_and_keys_that_are_none_are_refused(slack: Rows) -> None:
    with pytest.raises(Invalid, match="cap it before"):
        await slack.put("a", "x" * MOST_BYTES)
    for key in ("", "x" * 121):
        with pytest.raises(Invalid, match="no key"):
            await slack.put(key)
    await slack.put(f"note:{new_id()}:{'9' * 90}", "nul \0 and half a pair \ud83d")
    assert [text for _, text in await slack.due()] == ["nul \0 and half a pair ?"]
