"""A thread is a conversation: one of each, whoever races; how far it is shown advances with what is put; both go together."""

import asyncio

import pytest

from control_plane.errors import Conflict, Forbidden, NotFound
from control_plane.replica import LeaseLost
from control_plane.slack.outbox import Content
from control_plane.slack.threads import Thread, permalink
from control_plane.tables import ConversationRow, SlackOutboxRow, SlackPostRow, SlackThreadRow
from protocol.approval import Role
from protocol.events import TurnFinished
from protocol.ids import new_id
from tests.integration.slack_rows import CHANNEL, TEAM, Rows
from tests.integration.test_retention import retention

TS = "1712345678.000100"


async def begin(slack: Rows, name: str = "ann", ts: str | None = TS) -> Thread:
    ann = await slack.desk.person(name, Role.OPERATOR)
    return await slack.threads.start_with(
        ann,
        cluster=slack.desk.cluster.id,
        namespaces=("shop",),
        title="why does payments restart?",
        team=TEAM,
        channel=CHANNEL,
        thread_ts=ts,
        kind="channel",
        language="ja",
        started_by="U1",
        recipient="U1",
    )


async def test_a_thread_and_its_conversation_are_begun_together(slack: Rows) -> None:
    thread = await begin(slack)
    assert (thread.thread_ts, thread.kind, thread.follow, thread.language, thread.rendered) == (TS, "channel", False, "ja", 0)
    for found in (
        await slack.threads.find(TEAM, CHANNEL, TS),
        await slack.threads.get(thread.id),
        await slack.threads.of_conversation(thread.conversation),
    ):
        assert found == thread
    conversation = await slack.desk.conversations.get(thread.conversation)
    assert (conversation.title, conversation.scope.namespaces) == ("why does payments restart?", ("shop",))
    assert await slack.threads.find("T0002", CHANNEL, TS) is None
    assert await slack.threads.get("nothing") is None


async def test_of_many_that_begin_the_same_thread_at_once_all_get_one_and_no_conversation_is_left_over(slack: Rows) -> None:
    people = [await slack.desk.person(f"ann{n}", Role.OPERATOR) for n in range(6)]
    threads = await asyncio.gather(
        *(
            slack.threads.start_with(
                ann,
                cluster=slack.desk.cluster.id,
                namespaces=None,
                team=TEAM,
                channel=CHANNEL,
                thread_ts=TS,
                kind="channel",
            )
            for ann in people
        )
    )
    assert len({thread.id for thread in threads}) == 1
    assert [row.id for row in await slack.all(ConversationRow)] == [threads[0].conversation]
    assert len(await slack.all(SlackThreadRow)) == 1


async def test_what_began_a_thread_of_ours_begins_it_once_however_often_it_is_handled(slack: Rows) -> None:
    ann = await slack.desk.person("ann", Role.OPERATOR)

    async def handle(item: str) -> Thread:
        return await slack.threads.start_with(
            ann,
            cluster=slack.desk.cluster.id,
            namespaces=None,
            team=TEAM,
            channel=CHANNEL,
            thread_ts=None,
            kind="channel",
            once=item,
        )

    at_once = await asyncio.gather(*(handle("command-1") for _ in range(5)))
    assert {thread.id for thread in at_once} == {(await handle("command-1")).id}
    assert (await handle("command-2")).id != at_once[0].id
    assert len(await slack.all(ConversationRow)) == len(await slack.all(SlackThreadRow)) == 2


async def test_who_may_not_see_the_cluster_or_its_namespaces_begins_nothing(slack: Rows) -> None:
    ann = await slack.desk.person("ann", Role.OPERATOR, namespaces=("shop",))
    for cluster, namespaces, refusal in (
        ("elsewhere", None, NotFound),
        (slack.desk.cluster.id, ("shop", "billing"), Forbidden),
    ):
        with pytest.raises(refusal):
            await slack.threads.start_with(
                ann, cluster=cluster, namespaces=namespaces, team=TEAM, channel=CHANNEL, thread_ts=TS, kind="channel"
            )
    assert await slack.all(ConversationRow) == []


async def test_a_conversation_has_one_thread_and_a_place_has_one_conversation(slack: Rows) -> None:
    ann = await slack.desk.person("ann", Role.OPERATOR)
    one, other = [(await slack.desk.conversation(ann)).id for _ in range(2)]

    async def start(conversation: str, ts: str | None) -> Thread:
        return await slack.threads.start(team=TEAM, channel=CHANNEL, thread_ts=ts, conversation=conversation, kind="alert")

    threads = await asyncio.gather(*(start(one, None) for _ in range(6)))
    assert len({thread.id for thread in threads}) == 1
    assert (await start(one, "9.000001")).thread_ts is None
    placed = await start(other, TS)
    third = (await slack.desk.conversation(ann)).id
    assert (await start(third, TS)).conversation == other
    assert await slack.threads.of_conversation(third) is None
    with pytest.raises(NotFound):
        await start(new_id(), "9.000002")
    # Two that wait for their first message are two threads.
    assert (await start(third, None)).id not in {threads[0].id, placed.id}


async def test_what_is_shown_and_how_far_it_goes_commit_together_and_once(slack: Rows) -> None:
    thread = await begin(slack)
    assert await slack.threads.behind() == ()
    ann = await slack.desk.accounts.principal((await slack.desk.accounts.list())[0].id)
    turn = await slack.desk.conversations.ask(thread.conversation, ann, "why?", door="slack", language="en")
    (behind,) = await slack.threads.behind()
    assert (behind.thread, behind.last_seq) == (thread, 1)
    assert await slack.threads.busy() == (thread,)

    async def render(text: str) -> None:
        async with slack.desk.database.transaction() as session:
            content = Content(text=text)
            key = f"note:{text}"
            await slack.outbox.put(session, team=TEAM, channel=CHANNEL, thread=thread.id, key=key, content=content)
            await slack.threads.advance(session, thread.id, 0, 1)

    results = await asyncio.gather(*(render(text) for text in ("a", "b", "c")), return_exceptions=True)
    assert [type(result) for result in results if result is not None] == [Conflict, Conflict]
    assert len(await slack.all(SlackOutboxRow)) == 1
    assert await slack.threads.behind() == ()
    done = TurnFinished(took_ms=1, model_calls=0, tool_calls=0)
    await slack.desk.conversations.end_turn(turn.id, "finished", done)
    (behind,) = await slack.threads.behind()
    assert (behind.thread.rendered, behind.last_seq) == (1, 2)
    assert await slack.threads.busy() == ()


async def test_following_and_who_asked_last_are_remembered(slack: Rows) -> None:
    thread = await begin(slack)
    await slack.threads.follow(thread.id, True)
    await slack.threads.recipient(thread.id, "U2")
    found = await slack.threads.get(thread.id)
    assert found is not None
    assert (found.follow, found.recipient, found.started_by) == (True, "U2", "U1")
    await slack.threads.follow(thread.id, False)
    assert await slack.threads.among([thread.id]) == (found.model_copy(update={"follow": False}),)


async def test_a_thread_of_ours_is_placed_once_and_by_the_leader(slack: Rows) -> None:
    thread = await begin(slack, ts=None)
    late, lease = await slack.lead("a"), await slack.lead("b")
    with pytest.raises(LeaseLost):
        await slack.threads.posted(thread.id, TS, lease=late)
    await slack.threads.posted(thread.id, TS, lease=lease)
    await slack.threads.posted(thread.id, "9.000001", lease=lease)
    found = await slack.threads.find(TEAM, CHANNEL, TS)
    assert found is not None
    assert found.id == thread.id


async def test_an_old_conversation_takes_its_thread_and_messages_with_it(slack: Rows) -> None:
    lease = await slack.lead()
    old, young = await begin(slack), await begin(slack, "bob", "1712345679.000100")
    for thread in (old, young):
        ann = await slack.desk.accounts.principal((await slack.desk.accounts.list())[0].id)
        turn = await slack.desk.conversations.ask(thread.conversation, ann, "why?", door="slack", language="en")
        done = TurnFinished(took_ms=1, model_calls=0, tool_calls=0)
        await slack.desk.conversations.end_turn(turn.id, "finished", done)
        await slack.put(f"answer:{thread.id}", thread=thread.id)
        taken = await slack.take(lease)
        await slack.outbox.sent(taken.number, f"{thread.id[:4]}.1", taken.content.hash, lease)
        slack.desk.clock.move(days=60)
    for thread in (old, young):
        await slack.put(f"card:{thread.id}", thread=thread.id)
    removed = await retention(slack.desk, keep_conversations_days=90).once_if_due()
    assert removed is not None
    assert removed.conversations == 1
    assert [row.id for row in await slack.all(ConversationRow)] == [young.conversation]
    assert [row.id for row in await slack.all(SlackThreadRow)] == [young.id]
    assert {row.thread for row in await slack.all(SlackPostRow)} == {young.id}
    assert {row.thread for row in await slack.all(SlackOutboxRow)} == {young.id}
    # A question under the old messages begins anew.
    assert (await begin(slack, "carol")).conversation != old.conversation


@pytest.mark.parametrize(
    ("url", "ts", "thread_ts", "link"),
    [
        ("https://acme.slack.com/", TS, None, "https://acme.slack.com/archives/C0001/p1712345678000100"),
        ("https://acme.slack.com", TS, TS, "https://acme.slack.com/archives/C0001/p1712345678000100"),
        (
            "https://acme.slack.com",
            "1712345679.000200",
            TS,
            f"https://acme.slack.com/archives/C0001/p1712345679000200?thread_ts={TS}&cid=C0001",
        ),
        ("", TS, None, ""),
        ("javascript:alert(1)", TS, None, ""),
        ("https://acme.slack.com", "", None, ""),
        ("https://acme.slack.com", "1.1/../..", None, ""),
    ],
)
def test_where_a_message_is_read(url: str, ts: str, thread_ts: str | None, link: str) -> None:
    assert permalink(url, "C0001", ts, thread_ts) == link
