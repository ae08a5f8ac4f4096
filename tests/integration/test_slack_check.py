"""`opsthread slack check` over a fake Slack: what is wrong with an installation, row by row, and what mends it."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr

from bot.cli.connection import Connection
from bot.cli.slack import examine
from bot.doctor.round import round_alone
from bot.slack.check import Serving, look_at_slack
from bot.slack.manifest import EVENTS, SCOPE_NAMES
from control_plane.alerts.routes import NewRoute
from control_plane.principals import ScopedRole
from control_plane.settings import Settings
from control_plane.slack.channels import Reach
from control_plane.slack.installations import Facts
from protocol.approval import Role
from protocol.checkup import CheckRow, Health
from tests.fake_slack import FakeSlack, RealClock
from tests.integration.doctor_rows import row
from tests.integration.http_server import Here, Person, http_server

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]
ADDRESS: dict[str, Any] = {"public_url": "https://ops.example"}


@dataclass
class Desk:
    here: Here
    slack: FakeSlack
    admin: Person

    def settings(self, **changed: Any) -> Settings:
        given = {"slack_bot_token": self.slack.bot_token, "slack_app_token": self.slack.app_token, **changed}
        secrets: dict[str, Any] = {
            name: SecretStr(value) if "token" in name or "secret" in name else value for name, value in given.items()
        }
        address: dict[str, Any] = {"slack_api_url": f"{self.slack.url}/api/"}
        return Settings(data_dir=self.here.plane.settings.data_dir, **(address | secrets))

    async def rows(self, connections: int | None = 2, **changed: Any) -> list[CheckRow]:
        return await look_at_slack(self.settings(**changed), Serving(self.here.plane, self.admin.principal, connections))

    async def bind(self, channel: str, name: str, **more: Any) -> None:
        reach = [Reach(cluster=self.here.cluster.id)]
        await self.here.plane.slack_channels.bind(
            self.admin.principal, team=self.slack.team.id, channel=channel, name=name, reach=reach, **more
        )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Desk]:
    async with FakeSlack(RealClock()) as slack, http_server(tmp_path_factory.mktemp("check")) as here:
        slack.bot.scopes = set(SCOPE_NAMES)
        slack.app.events = set(EVENTS)
        yield Desk(here, slack, await here.person("admin", Role.ADMIN))


@pytest.fixture(autouse=True)
def well(desk: Desk) -> None:
    desk.slack.faults.clear()
    desk.slack.bot.scopes = set(SCOPE_NAMES)


async def test_all_is_well(desk: Desk) -> None:
    dana = desk.slack.add_user("dana")
    sre = desk.slack.add_group("sre", dana)
    ops = desk.slack.add_channel("ops", dana)
    await desk.bind(ops.id, "ops")
    await desk.here.plane.slack_groups.map(
        desk.admin.principal, team=desk.slack.team.id, usergroup=sre.id, handle="sre", role=ScopedRole(role=Role.APPROVER)
    )
    rows = await desk.rows()
    assert {one.health for one in rows} == {Health.OK}, [one for one in rows if one.health is not Health.OK]
    assert row(rows, "socket mode").found == "2 connections are open"
    assert f"({desk.slack.team.id}, https://payments.slack.com/)" in row(rows, "bot token").found
    assert row(rows, "scopes").found == f"all {len(SCOPE_NAMES)} that are used, and no other"
    assert row(rows, "app token").found == "opens connections"
    assert row(rows, "#ops").found == f"reaches {desk.here.cluster.name}"
    assert row(rows, "user groups").found == "all 1 that give roles can be read"
    sre.disabled = True
    assert row(await desk.rows(), "@sre").health is Health.WARN
    del desk.slack.world.groups[sre.id]
    assert row(await desk.rows(), f"user group {sre.id}").health is Health.FAIL


@pytest.mark.parametrize(
    ("changed", "name", "found"),
    [
        ({"slack_bot_token": "xoxp-1-2"}, "bot token", "it begins with xoxp-, not with xoxb-"),
        ({"slack_bot_token": "xoxb-nobody"}, "bot token", "Slack refuses it: invalid_auth"),
        ({"slack_app_token": "xoxb-1-2"}, "app token", "it begins with xoxb-, not with xapp-"),
        ({"slack_app_token": "xapp-1-AOTHER-2"}, "app token", "Slack opens no connection with it: invalid_auth"),
        ({"slack_app_token": ""}, "mode", "Slack is off: no app token"),
        ({"slack_bot_token": "", "slack_app_token": ""}, "mode", "Slack is off: no bot token and no app token"),
        ({"slack_bot_token": "", "slack_mode": "socket"}, "mode", "socket mode needs the bot token, which is not there"),
        ({"slack_mode": "http", **ADDRESS}, "HTTP", "no signing secret, so every request of Slack is refused"),
        ({"slack_mode": "http", "slack_signing_secret": "0" * 32}, "HTTP", "no public https address is set"),
        ({"slack_api_url": "http://[::ffff:127.0.0.1]:9/api/"}, "API", "which is not Slack's, and not encrypted"),
        ({"slack_mode": "http", "slack_bot_token": "", **ADDRESS}, "HTTP", "neither a bot token nor OAuth's client is set"),
    ],
)  # fmt: skip
async def test_what_is_wrong_with_the_settings(desk: Desk, changed: dict[str, Any], name: str, found: str) -> None:
    rows = await desk.rows(**changed)
    (told,) = [one for one in rows if one.name == name and found in one.found]
    assert told.health is Health.FAIL
    assert told.mend


async def test_a_token_of_another_app_opens_connections_that_nothing_comes_through(desk: Desk) -> None:
    other = "xapp-1-A0OTHER-1-x"
    desk.slack.world.tokens[other] = desk.slack.world.tokens[desk.slack.app_token]
    rows = await desk.rows(slack_app_token=other)
    assert f"it is of app A0OTHER, the bot token of app {desk.slack.app.id}" in [one.found for one in rows]


async def test_scopes_are_held_against_the_manifest(desk: Desk) -> None:
    desk.slack.bot.scopes = set(SCOPE_NAMES) - {"files:write", "app_mentions:read"} | {"channels:join"}
    rows = await desk.rows()
    missing = row(rows, "app_mentions:read")
    assert (missing.health, missing.found) == (Health.FAIL, "this scope is missing, so it can't hear that it is mentioned")
    assert "add app_mentions:read, then reinstall into Payments" in missing.mend
    assert row(rows, "files:write").health is Health.WARN, "it works without charts"
    assert row(rows, "scopes").found == "more than is used: channels:join"


async def test_channels_that_the_bot_is_not_in(desk: Desk) -> None:
    slack = desk.slack
    there = slack.add_user("erin")
    away = slack.add_user("far", team=slack.add_team("Partner", "partner"))
    channels = {
        "outside": slack.add_channel("outside", there, with_bot=False),
        "secret": slack.add_channel("secret", there, with_bot=False, is_private=True),
        "old": slack.add_channel("old", there, is_archived=True),
        "shared": slack.add_channel("shared", there, away),
        "open": slack.add_channel("open", there, away),
    }
    for name, channel in channels.items():
        await desk.bind(channel.id, name, strangers="read" if name == "open" else "refuse")
    rows = await desk.rows()
    told = {name: row(rows, f"#{name}") for name in channels}
    assert {name: str(one.health) for name, one in told.items()} == {
        "outside": "fail", "secret": "fail", "old": "fail", "shared": "warn", "open": "warn",
    }  # fmt: skip
    assert told["outside"].mend.startswith("/invite @opsthread")
    assert "is private and @opsthread is not in it" in told["secret"].found
    assert told["old"].mend == f"opsthread slack unbind {channels['old'].id} --team {slack.team.id}"
    assert "its people may read what it reaches" in told["open"].found
    slack.bot.scopes.discard("channels:read")
    assert row(await desk.rows(), "#outside").health is Health.SKIP


async def test_a_route_whose_channel_shows_nothing_any_more(desk: Desk) -> None:
    plane, admin, team = desk.here.plane, desk.admin.principal, desk.slack.team.id
    channel = desk.slack.add_channel("alerts", desk.slack.add_user("finn"))
    await desk.bind(channel.id, "alerts")
    route = await plane.alert_routes.add(admin, NewRoute(team=team, channel=channel.id, clusters=(desk.here.cluster.id,)))
    name = f"alert route {route.position}"
    assert name not in [one.name for one in await desk.rows()]
    await plane.slack_channels.unbind(admin, team, channel.id)
    assert row(await desk.rows(), name).health is Health.WARN


async def test_by_http_the_address_itself_is_tried(desk: Desk) -> None:
    how: dict[str, Any] = {"slack_mode": "http", "slack_signing_secret": "0" * 32}
    answers = row(await desk.rows(public_url=desk.here.url, **how), "address")
    assert (answers.health, f"{desk.here.url}/slack/events answers 404, not as we do" in answers.found) == (Health.FAIL, True)
    nobody = row(await desk.rows(public_url="http://127.0.0.1:9", **how), "address")
    assert (nobody.health, "can't be reached from here" in nobody.found) == (Health.WARN, True)


async def test_no_connection_slack_away_and_a_serve_without_slack(desk: Desk) -> None:
    assert "nothing that people write arrives" in row(await desk.rows(connections=0), "socket mode").found
    assert row(await desk.rows(connections=None), "serve").health is Health.FAIL
    desk.slack.faults.cut("*", times=100)
    away = row(await desk.rows(), "bot token")
    assert (away.health, away.mend.split(" ")[0]) == (Health.FAIL, "curl")


async def test_workspaces_of_oauth_are_looked_at_with_their_own_tokens(desk: Desk) -> None:
    slack, plane = desk.slack, desk.here.plane
    team = slack.add_team("Second", "second")
    token = slack.install(team.id, frozenset(SCOPE_NAMES))
    await plane.slack_workspaces.keep(Facts(team=team.id, name="Second"), token.value)
    how: dict[str, Any] = {
        "slack_mode": "http",
        "slack_signing_secret": "0" * 32,
        "slack_client_id": "1.2",
        "slack_client_secret": "c",
        **ADDRESS,
    }
    rows = await desk.rows(slack_bot_token="", slack_app_token="", **how)
    assert row(rows, f"Second ({team.id})").health is Health.OK
    token.revoked = True
    assert "token_revoked" in row(await desk.rows(**how), f"Second ({team.id})").found
    await plane.slack_workspaces.revoke(team.id)
    assert not [one for one in await desk.rows(**how) if one.name.startswith("Second")]


async def test_the_command_asks_the_serve_that_runs_and_tells_it_in_json(desk: Desk) -> None:
    connection = Connection(url=desk.here.url, token=desk.admin.token)
    found = await examine(connection, data_dir=None, remote=True)
    assert row(found.rows, "mode").found == "Slack is off: no bot token and no app token"
    assert (found.serving, found.healthy) == (True, False)
    dana = await desk.here.person("dana", Role.OPERATOR)
    refused = await examine(Connection(url=desk.here.url, token=dana.token), data_dir=None, remote=True)
    assert "does not tell" in row(refused.rows, "serve").found


async def test_without_a_serve_the_tokens_alone_are_tested(desk: Desk) -> None:
    found = await round_alone(desk.settings(), [], ask_model=False)
    assert row(found.rows, "scopes").health is Health.OK
    alone = await round_alone(desk.settings(slack_bot_token="", slack_app_token="").model_copy(
        update={"slack_bot_token": None, "slack_app_token": None}
    ), [], ask_model=False)  # fmt: skip
    assert not [one for one in alone.rows if one.area == "slack"], "who has not begun with Slack hears nothing of it"
