"""Slack by HTTP: signed requests come to the same app as over a socket, everything else is refused; and workspaces are
installed by OAuth, by an admin, in the browser in which it was begun."""

import hashlib
import hmac
import json
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
import pytest_asyncio
from pydantic import SecretStr
from slack_bolt.request.async_request import AsyncBoltRequest
from sqlalchemy import func, select, text

from bot.api.charts import drawer_in
from bot.api.slack_http import COOKIE
from bot.slack.check import look_at_slack
from bot.slack.clients import Clients
from bot.slack.front.app import build
from bot.slack.manifest import EVENTS, SCOPE_NAMES
from bot.slack.service import Slack, slack
from bot.slack.web_api import SlackRefused
from control_plane.slack.inbox import Incoming
from control_plane.slack.installations import Facts
from control_plane.tables.accounts import SessionRow
from control_plane.tables.slack import SlackInboxRow
from protocol.approval import Role
from tests.fake_slack import Call, FakeSlack, RealClock, SlackError, methods
from tests.fake_slack.http_mode import HttpDoor
from tests.fake_slack.world import World
from tests.integration.doctor_rows import row
from tests.integration.http_server import Here, Person, http_server
from tests.integration.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]
PUBLIC = "http://ops.example"
REDIRECT = f"{PUBLIC}/slack/oauth_redirect"


@dataclass
class Desk:
    here: Here
    fake: FakeSlack
    slack: Slack
    door: HttpDoor
    admin: Person

    @property
    def events(self) -> str:
        return f"{self.here.url}/slack/events"

    async def kept(self) -> int:
        async with self.here.plane.database.read() as session:
            return await session.scalar(select(func.count()).select_from(SlackInboxRow)) or 0

    async def note(self, dedupe: str, kind: str, team: str) -> str:
        """What became of a row of the inbox, once it is handled."""
        item = Incoming(team=team, kind=kind, lane="", position="", payload={}, dedupe=dedupe)

        async def done() -> str | None:
            async with self.here.plane.database.read() as session:
                row = await session.get(SlackInboxRow, item.id)
            return row.note if row is not None and row.state == "done" else None

        return await until(done, f"{dedupe} is handled")

    async def sql(self, statement: str) -> None:
        async with self.here.plane.database.transaction() as session:
            await session.execute(text(statement))

    async def get(self, path: str, person: Person | None = None, cookie: str = "") -> aiohttp.ClientResponse:
        headers = person.page_headers() if person is not None else {}
        if cookie:
            headers["Cookie"] = "; ".join(part for part in (headers.get("Cookie", ""), f"{COOKIE}={cookie}") if part)
        answer = await self.here.client.get(self.here.url + path, headers=headers, allow_redirects=False)
        await answer.read()
        return answer

    async def begin(self, person: Person) -> tuple[str, str]:
        """To Slack: the state and the cookie."""
        answer = await self.get("/slack/install", person)
        asked = urlsplit(answer.headers["Location"])
        assert (answer.status, asked.netloc, asked.path) == (303, "slack.com", "/oauth/v2/authorize")
        said = parse_qs(asked.query)
        assert (said["client_id"], said["redirect_uri"]) == ([self.fake.app.client_id], [REDIRECT])
        assert set(said["scope"][0].split(",")) == set(SCOPE_NAMES)
        cookie = answer.cookies[COOKIE]
        assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "lax", "/slack")
        return said["state"][0], cookie.value


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Desk]:
    async with FakeSlack(RealClock()) as fake:
        fake.bot.scopes, fake.app.events = set(SCOPE_NAMES), set(EVENTS)
        settings: dict[str, Any] = {
            "slack_mode": "http",
            "slack_bot_token": SecretStr(fake.bot_token),
            "slack_signing_secret": SecretStr(fake.app.signing_secret),
            "slack_client_id": fake.app.client_id,
            "slack_client_secret": SecretStr(fake.app.client_secret),
            "slack_api_url": f"{fake.url}/api/",
            "public_url": PUBLIC,
        }
        async with (
            http_server(tmp_path_factory.mktemp("http"), **settings) as here,
            slack(here.plane, drawer_in(here.app), url=here.url) as running,
        ):
            here.app.state.slack = running
            door = fake.use_http(f"{here.url}/slack/events")
            yield Desk(here, fake, running, door, await here.person("admin", Role.ADMIN))


async def test_slack_is_told_that_the_address_is_ours(desk: Desk) -> None:
    assert (await desk.fake.verify_url(desk.door)).status == 200
    assert desk.slack.sockets == []


async def test_the_check_and_the_status_say_that_it_comes_by_http(desk: Desk) -> None:
    told = await look_at_slack(desk.here.plane.settings.model_copy(update={"public_url": desk.here.url}))
    assert row(told, "address").found == f"{desk.events} answers"
    async with desk.here.client.get(f"{desk.here.url}/health/status") as answer:
        part = (await answer.json())["components"]["slack"]
    assert (part["healthy"], part["mode"], part["connections"]) == (True, "http", 0)
    assert set(part["waiting"]["from_slack"]) == {"count", "oldest_s", "failed_in_24_h"}
    status, whole = await desk.admin.call("POST", "/api/v1/doctor", {})
    assert status == 200
    assert {one["name"] for one in whole["rows"] if one["area"] == "slack"} >= {"HTTP", "bot token", "scopes", "from Slack"}


async def test_events_clicks_and_commands_come_to_one_address_and_are_kept(desk: Desk) -> None:
    fake, before = desk.fake, await desk.kept()
    erin = fake.add_user("erin")
    ops = fake.add_channel("ops", erin)
    asked = await fake.mention(ops.id, erin.id, "why?")
    await fake.until(lambda: all(one.acked for one in fake.deliveries) or None, "they are acknowledged")
    assert await desk.note(f"message/{ops.id}/{asked.ts}", "message", fake.team.id)
    told = await fake.delivered(fake.forge_click(ops.id, asked.ts, "nothing", erin.id))
    said = await fake.delivered(fake.slash(erin.id, ops.id, "help"))
    assert (told.acked, said.acked, {one.to for one in told.tries + said.tries}) == (True, True, {desk.events})
    assert await desk.kept() >= before + 3


async def test_what_cannot_be_kept_comes_again(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    fake = desk.fake
    fay = fake.add_user("fay")
    ops = fake.add_channel("lost", fay)
    await desk.sql("ALTER TABLE slack_inbox RENAME TO away")
    try:
        asked = await fake.mention(ops.id, fay.id, "why does the violet one crash?")
        lost = fake.deliveries[-1]
        await fake.until(lambda: lost.tries and lost.tries[0].trouble, "it was not taken")
        assert (lost.tries[0].status, lost.acked) == (500, False)
        assert "slack_inbox" in caplog.text, "what is wrong is said"
        assert "violet" not in caplog.text, "and nothing of what people wrote"
    finally:
        await desk.sql("ALTER TABLE away RENAME TO slack_inbox")
    fake.courier.again(lost, retry=1, reason="http_error")
    assert await desk.note(f"message/{ops.id}/{asked.ts}", "message", fake.team.id)


OPENED = {"type": "app_home_opened", "user": "U1"}
EVENT: dict[str, Any] = {"type": "event_callback", "team_id": "T1", "event_id": "Ev1", "event": OPENED}


@pytest.mark.parametrize(
    ("stamp", "signature"),
    [
        (None, "v0=" + "0" * 64),
        (None, ""),
        (None, "v0=é"),
        (None, "v1="),
        ("", None),
        ("not a number", None),
        ("-5", None),
        ("١٧", None),
        ("1e9", None),
        ("9" * 40, None),
        (-302, None),
        (400, None),
    ],
)
async def test_what_slack_did_not_sign_now_is_refused_and_never_an_error(
    desk: Desk, stamp: str | int | None, signature: str | None
) -> None:
    """A number is seconds from now."""
    before = await desk.kept()
    body = json.dumps(EVENT).encode()
    at = stamp if isinstance(stamp, str) else str(int(time.time()) + (stamp or 0))
    right = hmac.new(desk.fake.app.signing_secret.encode(), b"v0:" + at.encode() + b":" + body, hashlib.sha256).hexdigest()
    told = f"v0={right}" if signature is None else signature
    answer = await _raw(desk, {"X-Slack-Request-Timestamp": at, "X-Slack-Signature": told}, body)
    assert (answer, await desk.kept()) == (401, before)


async def test_a_body_that_was_changed_or_is_no_text_or_too_long_is_refused(desk: Desk) -> None:
    before = await desk.kept()
    at = str(int(time.time()))
    for signed, sent, status in (
        (b'{"type":"a"}', b'{"type":"b"}', 401),
        (b"\xff\xfe", b"\xff\xfe", 401),
        (b"x" * 600_000, b"x" * 600_000, 413),
    ):
        right = hmac.new(desk.fake.app.signing_secret.encode(), b"v0:" + at.encode() + b":" + signed, hashlib.sha256)
        headers = {"X-Slack-Request-Timestamp": at, "X-Slack-Signature": f"v0={right.hexdigest()}"}
        assert await _raw(desk, headers, sent) == status
    assert await desk.kept() == before


async def test_a_workspace_that_nobody_has_installed_it_in_leaves_nothing_behind(desk: Desk) -> None:
    """Slack's page installs a distributed app for whoever opens it; without our state no token is ever fetched for them."""
    before, at = await desk.kept(), str(int(time.time()))
    said = {"type": "message", "channel_type": "im", "channel": "D1", "user": "U1", "text": "hello", "ts": "1.000001"}
    for event in (OPENED, said):
        body = json.dumps({**EVENT, "team_id": "TSTRANGE1", "event_id": f"Ev{event['type']}", "event": event}).encode()
        right = hmac.new(desk.fake.app.signing_secret.encode(), b"v0:" + at.encode() + b":" + body, hashlib.sha256)
        headers = {"X-Slack-Request-Timestamp": at, "X-Slack-Signature": f"v0={right.hexdigest()}"}
        assert await _raw(desk, headers, body) == 200
    assert await desk.kept() == before


async def test_one_person_fills_no_disk(desk: Desk) -> None:
    app = build(desk.here.plane, desk.slack.clients, most_an_hour=3)
    before = await desk.kept()
    for n, user in enumerate(["UFLOOD"] * 6 + ["UOTHER"]):
        event = {"type": "message", "channel_type": "im", "channel": "D9", "user": user, "text": "x", "ts": f"{n}.000001"}
        body = {**EVENT, "team_id": desk.fake.team.id, "event_id": f"EvF{n}", "event": event}
        answer = await app.async_dispatch(AsyncBoltRequest(body=body, mode="socket_mode"))
        assert answer.status == 200, "Slack need not send it again"
    assert await desk.kept() - before == 4


async def test_whoever_signs_nothing_soon_hears_only_that_it_is_too_much_and_slack_is_heard_all_the_same(desk: Desk) -> None:
    answers = [await _raw(desk, {}, b"{}") for _ in range(40)]
    assert set(answers) == {401, 429}
    assert (await desk.fake.verify_url(desk.door)).status == 200


async def _raw(desk: Desk, headers: dict[str, str], body: bytes) -> int:
    sent = {"Content-Type": "application/json", **{name: value for name, value in headers.items() if value}}
    encoded = {name: value.encode("utf-8", "surrogateescape").decode("latin-1") for name, value in sent.items()}
    async with desk.here.client.post(desk.events, data=body, headers=encoded) as answer:
        return answer.status


async def test_an_admin_installs_it_in_a_second_workspace_which_then_has_its_own_token(desk: Desk) -> None:
    fake, plane = desk.fake, desk.here.plane
    second = fake.add_team("Second", "second")
    gus = fake.add_user("gus", team=second)
    state, cookie = await desk.begin(desk.admin)
    code = fake.consent(gus, REDIRECT, frozenset(SCOPE_NAMES))
    done = await desk.get(f"/slack/oauth_redirect?code={code}&state={state}", desk.admin, cookie)
    assert (done.status, done.headers["Location"]) == (303, "/slack")
    workspace = await plane.slack_workspaces.get(second.id)
    assert workspace is not None
    assert (workspace.name, workspace.own_token, workspace.installed_by) == ("Second", True, desk.admin.account.id)
    assert workspace.scopes == SCOPE_NAMES
    (exchange,) = fake.calls_of("oauth.v2.access")
    assert exchange.answer["ok"] is True
    there = fake.add_channel("there", gus, team=second)
    asked = await fake.mention(there.id, gus.id, "why?")
    assert await desk.note(f"message/{there.id}/{asked.ts}", "message", second.id)
    told = await fake.until(lambda: fake.ephemerals(gus.id), "they are told who they are to us")
    assert told[0].user == fake.world.bot_of(second.id).id
    again = await desk.get(f"/slack/oauth_redirect?code={code}&state={state}", desk.admin, cookie)
    assert again.status == 422, "a state is used once"
    await fake.uninstall(second.id)

    async def gone() -> bool | None:
        found = await plane.slack_workspaces.get(second.id)
        return True if found is not None and found.revoked_at is not None and not found.own_token else None

    await until(gone, "its token is erased")


async def test_a_dead_token_in_the_configuration_takes_no_other_workspace_with_it(desk: Desk) -> None:
    fake, plane = desk.fake, desk.here.plane
    other = fake.add_team("Other", "other")
    await plane.slack_workspaces.keep(Facts(team=other.id), fake.install(other.id).value)
    dead = plane.settings.model_copy(update={"slack_bot_token": SecretStr("xoxb-dead")})
    clients = Clients(dead, plane.slack_workspaces)
    await clients.start()
    try:
        assert (await clients.me(other.id)).team == other.id
        with pytest.raises(SlackRefused):
            await clients.of(fake.team.id)
    finally:
        await clients.close()


async def test_a_removal_that_is_told_late_does_not_undo_the_next_installation(desk: Desk) -> None:
    fake, plane = desk.fake, desk.here.plane
    third = fake.add_team("Third", "third")
    ivy = fake.add_user("ivy", team=third)
    for _ in range(2):
        state, cookie = await desk.begin(desk.admin)
        code = fake.consent(ivy, REDIRECT, frozenset(SCOPE_NAMES))
        assert (await desk.get(f"/slack/oauth_redirect?code={code}&state={state}", desk.admin, cookie)).status == 303
    late = fake.event({"type": "app_uninstalled", "event_ts": "1.000001"}, third.id, fake.world.bot_of(third.id).id)
    await fake.until(lambda: late.acked or None, "it is heard")
    note = await desk.note(f"event/{late.payload['event_id']}", "gone", third.id)
    workspace = await plane.slack_workspaces.get(third.id)
    assert workspace is not None
    assert (note, workspace.revoked_at, workspace.own_token) == ("it is installed again", None, True)


async def test_the_page_for_administrators_leads_there(desk: Desk) -> None:
    assert 'href="/slack/install"' in await (await desk.get("/slack", desk.admin)).text()


async def test_who_may_not_install_and_from_where(desk: Desk) -> None:
    here, fake = desk.here, desk.fake
    dana = await here.person("dana", Role.APPROVER)
    assert (await desk.get("/slack/install")).headers["Location"].startswith("/sign-in?next_path=/slack/install")
    assert (await desk.get("/slack/install", dana)).status == 403
    bearer = {"Authorization": f"Bearer {desk.admin.token}"}
    async with here.client.get(f"{here.url}/slack/install", headers=bearer, allow_redirects=False) as answer:
        assert answer.status == 403, "a token that was lost installs nothing"
    state, cookie = await desk.begin(desk.admin)
    code = fake.consent(fake.add_user("hal"), REDIRECT)
    where = f"/slack/oauth_redirect?code={code}&state={state}"
    other = await here.person("other", Role.ADMIN)
    for person, held in ((desk.admin, ""), (desk.admin, "made-up"), (other, cookie), (dana, cookie)):
        assert (await desk.get(where, person, held)).status == 422, "another browser, or another person"
    assert (await desk.get(where, None, cookie)).status == 303, "signed out meanwhile"
    assert (await desk.get(f"/slack/oauth_redirect?code={code}&state=x.y", desk.admin, cookie)).status == 422
    assert not [call for call in fake.calls_of("oauth.v2.access") if call.args.get("code") == code]
    refused = await desk.get(f"/slack/oauth_redirect?error=access_denied&state={state}", desk.admin, cookie)
    assert (refused.status, "access_denied" in await refused.text()) == (422, True)


async def test_an_admin_who_signed_in_a_while_ago_does_so_again_first(desk: Desk) -> None:
    late = await desk.here.person("late", Role.ADMIN)
    async with desk.here.plane.database.transaction() as session:
        row = await session.get_one(SessionRow, late.session.id)
        assert row.authenticated_at is not None
        row.authenticated_at = row.authenticated_at.replace(year=2020)
    asked = await desk.get("/slack/install", late)
    assert (asked.status, asked.headers["Location"]) == (303, "/confirm?next_path=/slack/install")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"is_enterprise_install": True}, "whole organisation"),
        ({"expires_in": 43_200, "refresh_token": "xoxe-1"}, "Token rotation is on"),
        ({"token_type": "user"}, "no token of a bot"),
        ({"ok": False, "error": "invalid_code"}, "Slack refuses the installation: invalid_code"),
    ],
)
async def test_installations_that_would_not_work_are_refused_in_words(
    desk: Desk, more: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = methods.METHODS["oauth.v2.access"]

    def changed(world: World, call: Call) -> dict[str, Any]:
        answer = {**before.run(world, call), **more}
        if not answer["ok"]:
            raise SlackError(str(answer["error"]))
        return answer

    monkeypatch.setitem(methods.METHODS, "oauth.v2.access", methods.method(changed, tokens=()))
    state, cookie = await desk.begin(desk.admin)
    code = desk.fake.consent(desk.fake.add_user("jo", team=desk.fake.add_team("Odd", "odd")), REDIRECT)
    answer = await desk.get(f"/slack/oauth_redirect?code={code}&state={state}", desk.admin, cookie)
    assert answer.status in (409, 422)
    assert words in await answer.text()
