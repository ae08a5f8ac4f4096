"""What one workspace, one file or one limit does must reach no further. Real tables, the real client, a fake Slack."""

from typing import Any

from sqlalchemy import update

from control_plane.slack.installations import Facts
from control_plane.slack.outbox import Content, FileRef
from control_plane.slack.posts import forget_posts
from control_plane.tables import SlackOutboxRow, SlackPostRow, SlackWorkspaceRow
from tests.fake_slack import FakeSlack
from tests.integration.slack_rows import Rows
from tests.integration.test_slack_sender import ended, put, sending
from tests.integration.waiting import until

TOO_LONG: list[dict[str, Any]] = [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3_001}}]


async def test_a_workspace_whose_token_was_revoked_takes_no_other_with_it(slack: Rows) -> None:
    async with FakeSlack() as there:
        other = there.add_team("Other", "other")
        theirs = there.install(other.id)
        ops = there.add_channel("ops", team=other)
        await slack.workspaces.keep(Facts(team=other.id), theirs.value)
        there.bot.revoked = True  # the one of the configured token, before anybody asked who that is
        async with sending(slack, there):
            content = Content(text="hello")
            await slack.outbox.put_now(team=other.id, channel=ops.id, thread=None, key="hello", content=content)
            assert await ended(slack) == {"hello": "done"}
        kept = await slack.workspaces.get(other.id)
        assert kept is not None
        assert kept.revoked_at is None


async def test_a_picture_that_can_not_be_uploaded_does_not_hold_up_its_channel(slack: Rows) -> None:
    async with FakeSlack() as there:
        ops = there.add_channel("ops")
        broken = there.faults.server_error("files.getUploadURLExternal", times=1_000)
        async with sending(slack, there):
            await put(slack, there, ops.id, "chart", file=FileRef(source="chart", name="chart"))
            await put(slack, there, ops.id, "after")
            came = await ended(slack)
        assert came["chart"].startswith("failed")
        assert came["after"] == "done"
        assert len(broken.met) == 3


async def test_a_channel_that_is_too_loud_silences_no_other(slack: Rows) -> None:
    async with FakeSlack() as there:
        ops, dev = there.add_channel("ops"), there.add_channel("dev")
        loud = there.faults.rate_limited("chat.postMessage", 600, when=lambda call: call.text("channel") == ops.id)
        async with sending(slack, there):
            await put(slack, there, ops.id, "loud")
            await there.until(lambda: loud.met or None, "Slack has refused it")
            await put(slack, there, dev.id, "quiet")
            await there.until(lambda: there.world.in_channel(dev.id) or None, "the other is shown")
        assert there.world.in_channel(ops.id) == []


async def test_words_in_place_of_refused_blocks_wait_for_a_busy_slack_and_are_there_once(
    slack: Rows,
) -> None:
    async with FakeSlack() as there:
        ops = there.add_channel("ops")
        async with sending(slack, there):
            there.faults.rate_limited("chat.postMessage", 0, when=lambda call: "x" * 3_001 not in str(call.args))
            await put(slack, there, ops.id, "busy", "busy", blocks=TOO_LONG)
            assert (await ended(slack))["busy"] == "done"
            there.faults.lost_answer("chat.postMessage", when=lambda call: "x" * 3_001 not in str(call.args))
            await put(slack, there, ops.id, "lost", "lost", blocks=TOO_LONG)
            assert (await ended(slack))["lost"] == "done"
        assert [message.text for message in there.world.in_channel(ops.id)] == ["busy", "lost"]


async def test_a_message_outlasts_slack_and_gives_way_when_it_is_the_only_one_without_an_answer(slack: Rows) -> None:
    async with FakeSlack() as there:
        ops = there.add_channel("ops")
        await put(slack, there, ops.id, "patient")
        slack.desk.clock.move(minutes=20)  # it has waited longer than any message is tried for
        away = there.faults.server_error("*", times=20)
        async with sending(slack, there):
            assert await ended(slack) == {"patient": "done"}
            assert len(away.met) == 20
            there.faults.server_error("chat.postMessage", times=1_000, when=lambda call: "poison" in str(call.args))
            await put(slack, there, ops.id, "poison")
            await put(slack, there, ops.id, "behind")
            slack.desk.clock.move(minutes=20)
            came = await ended(slack)
        assert came["poison"].startswith("failed chat.postMessage") or "http_500" in came["poison"]
        assert came["behind"] == "done"


async def test_a_post_that_was_begun_a_moment_ago_is_given_time_to_come_about(slack: Rows) -> None:
    async with FakeSlack() as there:
        ops = there.add_channel("ops")
        fault = there.faults.server_error("chat.postMessage")
        async with sending(slack, there):
            await put(slack, there, ops.id, "slow")
            await there.until(lambda: len(there.calls_of("conversations.history")) > 1 or None, "it is looked for again")
            assert there.world.in_channel(ops.id) == []
            assert await ended(slack) == {"slow": "done"}
        assert fault.met


async def test_an_answer_whose_message_was_deleted_is_said_once_more_and_other_messages_are_not(slack: Rows) -> None:
    async with FakeSlack() as there:
        ops = there.add_channel("ops")
        async with sending(slack, there):
            for key in ("answer:1", "alert:1"):
                await put(slack, there, ops.id, key, "so far")
            await ended(slack)
            for message in there.world.in_channel(ops.id):
                await there.delete(message)
            for key in ("answer:1", "alert:1"):
                await put(slack, there, ops.id, key, f"{key}, the whole")
            came = await ended(slack)
        assert came == {"answer:1": "done", "alert:1": "failed chat.update: message_not_found"}
        assert [message.text for message in there.world.in_channel(ops.id)] == ["answer:1, the whole"]


async def test_messages_of_no_thread_are_forgotten_when_nobody_changes_them_any_more(slack: Rows) -> None:
    lease = await slack.lead()
    for key in ("digest:1", "digest:2"):
        await slack.put(key)
        row = await slack.take(lease)
        await slack.outbox.sent(row.number, "1.1", row.content.hash, lease)
        slack.desk.clock.move(days=60)
    async with slack.desk.database.transaction() as session:
        assert await forget_posts(session, slack.desk.clock(), 500) == 1
    assert [row.key for row in await slack.all(SlackPostRow)] == ["digest:2"]


async def test_a_token_that_can_not_be_read_is_waited_for_without_haste(slack: Rows) -> None:
    async with FakeSlack() as there:
        other = there.add_team("Other", "other")
        ops = there.add_channel("ops", team=other, with_bot=False)
        await slack.workspaces.keep(Facts(team=other.id), "xoxb-some-token")
        async with slack.desk.database.transaction() as session:
            await session.execute(update(SlackWorkspaceRow).values(token="v1:of another key"))
        content = Content(text="hello")
        await slack.outbox.put_now(team=other.id, channel=ops.id, thread=None, key="hello", content=content)
        async with sending(slack, there):

            async def waits() -> Any:
                return next((row for row in await slack.all(SlackOutboxRow) if row.note), None)

            row = await until(waits, "it waits")
        assert row.state == "waiting"
        assert row.not_before > slack.desk.clock()


async def test_what_a_dead_token_could_not_show_for_a_day_is_left(slack: Rows) -> None:
    async with FakeSlack() as there:
        ops = there.add_channel("ops")
        there.faults.refuse("chat.postMessage", "invalid_auth", times=1_000)
        await put(slack, there, ops.id, "old")
        slack.desk.clock.move(days=2)
        await put(slack, there, ops.id, "new")
        async with sending(slack, there):

            async def tried() -> dict[str, str] | None:
                rows = {row.key: f"{row.state} {row.note}" for row in await slack.all(SlackOutboxRow)}
                return rows if all("invalid_auth" in row for row in rows.values()) else None

            came = await until(tried, "both are tried")
        assert came["old"].startswith("dropped")
        assert came["new"].startswith("waiting")
