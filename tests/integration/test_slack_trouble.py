"""What one workspace, one file or one limit does must not reach further than itself. Real tables, the real client, a fake Slack."""

from control_plane.slack.installations import Facts
from control_plane.slack.outbox import Content
from tests.fake_slack import FakeSlack
from tests.integration.slack_rows import Rows
from tests.integration.test_slack_sender import ended, put, sending


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
