"""What the doors look up of what is kept of Slack, on both databases."""

from datetime import timedelta

from control_plane.slack.inbox import Incoming
from protocol.approval import Role
from tests.integration.slack_rows import CHANNEL, TEAM, Rows


async def keep(slack: Rows, kind: str, lane: str, dedupe: str, position: str = "", **payload: object) -> None:
    item = Incoming(team=TEAM, kind=kind, lane=lane, position=position, payload=payload, dedupe=dedupe)
    assert await slack.inbox.keep(item)


async def test_who_has_opened_the_home_tab_lately_each_once_and_the_latest_first(slack: Rows) -> None:
    await keep(slack, "home", f"{TEAM}/U1", "1", user="U1")
    slack.desk.clock.move(hours=25)
    for n, user in enumerate(("U2", "U3", "U2")):
        slack.desk.clock.move(minutes=1)
        await keep(slack, "home", f"{TEAM}/{user}", f"{n}/{user}", user=user)
    await keep(slack, "command", f"{TEAM}/U9", "c", user="U9")
    since = slack.desk.clock() - timedelta(hours=24)
    assert await slack.inbox.homes(since) == ((TEAM, "U2"), (TEAM, "U3"))
    assert await slack.inbox.homes(since, 1) == ((TEAM, "U2"),)


async def test_what_was_open_beside_the_assistant_last(slack: Rows) -> None:
    lane = f"{TEAM}/D1/5.000001"
    assert await slack.inbox.beside(TEAM, lane) == ""
    await keep(slack, "assistant_started", lane, "1", "5.000001", context={})
    assert await slack.inbox.beside(TEAM, lane) == ""
    await keep(slack, "assistant_looks", lane, "3", "7.000001", context={"channel_id": "C3"})
    await keep(slack, "assistant_looks", lane, "2", "6.000001", context={"channel_id": "C2"})
    assert await slack.inbox.beside(TEAM, lane) == "C3", "by Slack's time, however late it came"
    assert await slack.inbox.beside(TEAM, f"{TEAM}/D1/9.000001") == ""
    assert await slack.inbox.beside("T0002", lane) == ""


async def test_where_a_message_is_put_and_where_somebody_has_asked_directly(slack: Rows) -> None:
    ann = await slack.desk.person("ann", Role.OPERATOR)
    assert await slack.threads.direct_channel(TEAM, "U1") is None
    made: dict[str, str] = {}
    for channel, kind, user in (("D1", "direct", "U1"), (CHANNEL, "channel", "U1"), ("D2", "assistant", "U2")):
        slack.desk.clock.move(seconds=1)
        thread = await slack.threads.start_with(
            ann,
            cluster=slack.desk.cluster.id,
            namespaces=None,
            team=TEAM,
            channel=channel,
            thread_ts="1.000001",
            kind="direct" if kind == "direct" else "assistant" if kind == "assistant" else "channel",
            started_by=user,
        )
        made[channel] = thread.id
    assert await slack.threads.direct_channel(TEAM, "U1") == "D1", "a channel of many is nobody's own"
    assert await slack.threads.direct_channel(TEAM, "U2") == "D2"
    assert await slack.outbox.thread_of(TEAM, "asked:1") is None
    await slack.put("asked:1", thread=made["D1"])
    assert await slack.outbox.thread_of(TEAM, "asked:1") == made["D1"]
    row = await slack.take(await slack.lead())
    assert row.key == "asked:1"
    assert await slack.outbox.thread_of(TEAM, "asked:1") == made["D1"], "also while it is sent"
