"""Workspaces: what is known of each, and bot tokens that nobody reads from a database, a log or the audit."""

import asyncio

import pytest
import structlog
from nacl.signing import SigningKey
from structlog.testing import capture_logs

from control_plane.errors import Conflict
from control_plane.slack.installations import Facts, Workspaces
from control_plane.slack.outbox import Content
from control_plane.slack.secrets import TokenBox
from control_plane.tables import AuditEntryRow, SlackWorkspaceRow
from tests.integration.slack_rows import GRANT_KEY, Rows

TOKEN = "-".join(("xoxb", "1234567890", "abcdefghijklmnop"))
FACTS = Facts(
    team="T0001",
    name="Acme",
    url="https://acme.slack.com/",
    app="A1",
    bot="B1",
    bot_user="U0BOT",
    scopes=("chat:write", "app_mentions:read"),
)


async def test_a_token_is_read_by_every_replica_with_the_same_grant_key_and_stands_nowhere(slack: Rows) -> None:
    with capture_logs() as logs:
        workspace = await slack.workspaces.keep(FACTS, TOKEN, by="U1")
        structlog.get_logger().info("kept", workspace=workspace, box=TokenBox(GRANT_KEY))
    assert (workspace.own_token, workspace.installed_by, workspace.scopes) == (True, "U1", ("app_mentions:read", "chat:write"))
    other = Workspaces(slack.desk.database, TokenBox(SigningKey(GRANT_KEY.encode())), clock=slack.desk.clock)
    assert await other.token("T0001") == TOKEN
    (row,) = await slack.all(SlackWorkspaceRow)
    trail = [(entry.action, entry.actor, entry.subject) for entry in await slack.all(AuditEntryRow)]
    assert ("slack.installed", "U1", "slack:T0001") in trail
    seen = [repr(workspace), workspace.model_dump_json(), repr(slack.workspaces), repr(logs), row.token]
    seen += [f"{entry.detail} {entry.subject}" for entry in await slack.all(AuditEntryRow)]
    secret_part = TOKEN.split("-")[-1]
    assert not [text for text in seen if secret_part in text]
    assert row.token


async def test_a_token_under_another_key_or_of_another_workspace_is_refused_in_words_that_hold_none_of_it(slack: Rows) -> None:
    await slack.workspaces.keep(FACTS, TOKEN)
    await slack.workspaces.keep(FACTS.model_copy(update={"team": "T0002"}), TOKEN + "2")
    stranger = Workspaces(slack.desk.database, TokenBox(SigningKey.generate()), clock=slack.desk.clock)
    with pytest.raises(Conflict, match="T0001 can't be read: it was stored under another grant key") as refused:
        await stranger.token("T0001")
    assert refused.value.__cause__ is None
    async with slack.desk.database.transaction() as session:
        one, other = [await session.get(SlackWorkspaceRow, team) for team in ("T0001", "T0002")]
        assert one is not None
        assert other is not None
        one.token, other.token = other.token, "v1:not base64 at all"
    for team in ("T0001", "T0002"):
        with pytest.raises(Conflict, match="install the app in that workspace once more"):
            await slack.workspaces.token(team)
    # Which mends it.
    await slack.workspaces.keep(FACTS, TOKEN)
    assert await slack.workspaces.token("T0001") == TOKEN


async def test_revoking_erases_the_token_and_installing_again_brings_a_new_one(slack: Rows) -> None:
    await slack.workspaces.keep(FACTS, TOKEN)
    for team, text in (("T0001", "hello"), ("T0002", "elsewhere")):
        content = Content(text=text)
        await slack.outbox.put_now(team=team, channel="C1", thread=None, key="answer", content=content)
    assert await slack.workspaces.revoke("T0001", by="U1") is True
    assert await slack.workspaces.revoke("T0001") is False
    assert await slack.workspaces.revoke("T9999") is False
    (row,) = await slack.all(SlackWorkspaceRow)
    assert (row.token, row.revoked_at) == ("", slack.desk.clock())
    assert await slack.workspaces.token("T0001") is None
    assert await slack.due() == [("answer", "elsewhere")], "nothing waits for a workspace that is closed to us"
    await slack.workspaces.keep(FACTS, TOKEN + "-new")
    assert await slack.workspaces.token("T0001") == TOKEN + "-new"
    (workspace,) = await slack.workspaces.list()
    assert workspace.revoked_at is None
    actions = [entry.action for entry in await slack.all(AuditEntryRow) if entry.action.startswith("slack.")]
    assert actions[-3:] == ["slack.installed", "slack.revoked", "slack.installed"]


async def test_an_internal_app_keeps_its_facts_here_and_its_token_in_the_configuration(slack: Rows) -> None:
    # Each replica says it at each start: it is told once.
    kept = await asyncio.gather(*(slack.workspaces.keep(FACTS, "") for _ in range(4)))
    assert {workspace.own_token for workspace in kept} == {False}
    renamed = await slack.workspaces.keep(FACTS.model_copy(update={"name": "Acme Corp"}), "")
    assert await slack.workspaces.get("T0001") == renamed
    assert renamed.name == "Acme Corp"
    assert await slack.workspaces.token("T0001") is None
    assert await slack.workspaces.get("T9999") is None
    assert len([entry for entry in await slack.all(AuditEntryRow) if entry.action == "slack.installed"]) == 1


async def test_a_workspace_without_a_token_of_its_own_speaks_with_its_organisations(slack: Rows) -> None:
    await slack.workspaces.keep(FACTS.model_copy(update={"team": "E0001", "enterprise": "E0001"}), TOKEN + "-org")
    assert await slack.workspaces.token("T0001") is None
    assert await slack.workspaces.token("T0001", "E0001") == TOKEN + "-org"
    await slack.workspaces.keep(FACTS, TOKEN)
    assert await slack.workspaces.token("T0001", "E0001") == TOKEN
    await slack.workspaces.revoke("T0001")
    await slack.workspaces.revoke("E0001")
    assert await slack.workspaces.token("T0001", "E0001") is None


async def test_newer_facts_leave_an_installed_token_as_it_is(slack: Rows) -> None:
    await slack.workspaces.keep(FACTS, TOKEN)
    await slack.workspaces.keep(FACTS.model_copy(update={"name": "Acme Corp"}))
    assert await slack.workspaces.token("T0001") == TOKEN
