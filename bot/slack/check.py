"""Is Slack set up rightly? Tokens, scopes, channels, user groups, as rows that say what to mend. Nothing is changed, nobody is
written to: Slack is only asked."""

import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast
from urllib.parse import urlsplit

import aiohttp

from bot.slack.check_places import look_at_channels, look_at_groups, look_at_routes
from bot.slack.clients import Clients, Me
from bot.slack.manifest import EVENTS_PATH, SCOPES
from bot.slack.web_api import SLACKS, SlackRefused, SlackTrouble, WebApi
from control_plane.clock import utc_now
from control_plane.errors import ServiceError
from control_plane.principals import Principal
from control_plane.services import ControlPlane
from control_plane.settings import Settings
from control_plane.slack.backlog import Backlog
from protocol.checkup import CheckRow, Health, fail, ok, skip, warn
from protocol.text import one_line

_CLOCK_WARN_S, _CLOCK_FAIL_S = 60.0, 240.0
"""Slack's requests are refused when their time is off by 300 s."""
_WAITING_S, _REACH_S = 120.0, 5.0
_DOCS = "docs/slack.md has each step"
_APPS = "https://api.slack.com/apps"


@dataclass(frozen=True)
class Serving:
    """What a running serve knows besides the settings."""

    plane: ControlPlane
    principal: Principal
    """Whose channels, routes and groups are looked at."""
    connections: int | None = None
    """Open ones of socket mode in this process; None where there is no Slack in it."""


async def look_at_slack(settings: Settings, serving: Serving | None = None) -> list[CheckRow]:
    """All that can be seen from here. Never raises for what is wrong."""
    try:
        tokens = await asyncio.to_thread(_Tokens.read, settings)
    except (OSError, UnicodeDecodeError) as error:
        mend = "ls -l the files that OPSTHREAD_SLACK_…_FILE name; this user must be able to read them"
        return [fail("slack", "tokens", f"a file with a token can't be read: {one_line(str(error), 200)}", mend)]
    rows = [*_mode(settings, tokens, serving), *tokens.formed(), *_api_address(settings)]
    if tokens.mode == "http" and settings.public_url:
        rows.append(await _reachable(f"{settings.public_url.rstrip('/')}{EVENTS_PATH}"))
    clients = Clients(settings, serving.plane.slack_workspaces if serving is not None else None)
    await clients.start()
    try:
        if tokens.bot:
            rows += await _workspace(clients, WebApi(clients.client(tokens.bot)), "bot token", serving)
        if tokens.app and tokens.mode != "http":
            rows.append(await _app_token(WebApi(clients.client(tokens.app))))
            rows += await _same_app(clients, tokens)
        if serving is not None:
            rows += await _installed(clients, serving)
            rows += await look_at_routes(serving.plane, serving.principal)
            rows += await _waiting(serving.plane)
    finally:
        await clients.close()
    return rows


@dataclass(frozen=True, repr=False)
class _Tokens:
    mode: str
    bot: str
    app: str
    secret: str
    client: bool
    """Both of OAuth are there."""

    @classmethod
    def read(cls, settings: Settings) -> "_Tokens":
        return cls(
            settings.slack_in_use(),
            settings.slack_bot() or "",
            settings.slack_app() or "",
            settings.slack_secret() or "",
            bool(settings.slack_client_id and settings.slack_client()),
        )

    def formed(self) -> Iterable[CheckRow]:
        if self.bot and not self.bot.startswith("xoxb-"):
            found = f"it begins with {_kind(self.bot)}, not with xoxb-"
            mend = f"{_APPS} > the app > OAuth & Permissions > Bot User OAuth Token, into OPSTHREAD_SLACK_BOT_TOKEN_FILE"
            yield fail("slack", "bot token", found, mend)
        if self.app and not self.app.startswith("xapp-"):
            found = f"it begins with {_kind(self.app)}, not with xapp-"
            mend = f"{_APPS} > the app > Basic Information > App-Level Tokens, with connections:write"
            yield fail("slack", "app token", found, mend)
        if self.secret and not re.fullmatch(r"[0-9a-f]{32}", self.secret) and self.mode == "http":
            mend = f"{_APPS} > the app > Basic Information > Signing Secret (not the client secret)"
            yield warn("slack", "signing secret", "it has not the form of one: 32 signs of 0-9 and a-f", mend)


def _kind(token: str) -> str:
    """The harmless beginning of a token."""
    found = re.match(r"xox[a-z]\.?|xapp|xoxe", token)
    return f"{found.group()}-" if found else "something else"


def _mode(settings: Settings, tokens: _Tokens, serving: Serving | None) -> Iterable[CheckRow]:
    if tokens.mode == "":
        missing = [name for name, value in (("bot", tokens.bot), ("app", tokens.app)) if not value]
        found = f"Slack is off: no {' and no '.join(f'{name} token' for name in missing)}"
        mend = " and ".join(f"OPSTHREAD_SLACK_{name.upper()}_TOKEN_FILE=…" for name in missing)
        yield fail("slack", "mode", found, f"{mend}   # {_DOCS}")
    elif tokens.mode == "socket":
        yield from _socket(tokens, serving)
    else:
        yield from _http(settings, tokens)
    if serving is not None and serving.connections is None and tokens.mode:
        yield fail("slack", "serve", "this serve was started without Slack", "Restart it: settings are read at its start.")


def _socket(tokens: _Tokens, serving: Serving | None) -> Iterable[CheckRow]:
    for name, value in (("bot", tokens.bot), ("app", tokens.app)):
        if not value:
            mend = f"OPSTHREAD_SLACK_{name.upper()}_TOKEN_FILE=…   # {_DOCS}"
            yield fail("slack", "mode", f"socket mode needs the {name} token, which is not there", mend)
    open_now = serving.connections if serving is not None else None
    if open_now == 0:
        mend = f"{_APPS} > the app > Socket Mode must be on; may this machine open wss:// to the internet? See serve's log."
        yield fail("slack", "socket mode", "no connection is open: nothing that people write arrives", mend)
    else:
        yield ok("slack", "socket mode", f"{open_now} connections are open" if open_now else "chosen")


def _http(settings: Settings, tokens: _Tokens) -> Iterable[CheckRow]:
    if not tokens.secret:
        mend = f"OPSTHREAD_SLACK_SIGNING_SECRET_FILE=…   # {_APPS} > the app > Basic Information"
        yield fail("slack", "HTTP", "no signing secret, so every request of Slack is refused", mend)
    if not settings.public_url.startswith("https://"):
        mend = "OPSTHREAD_PUBLIC_URL=https://…   # Slack sends to https addresses with a good certificate alone"
        yield fail("slack", "HTTP", "no public https address is set", mend)
    else:
        yield ok("slack", "HTTP", f"Slack sends to {settings.public_url.rstrip('/')}{EVENTS_PATH}")
    if not tokens.bot and not tokens.client:
        mend = "OPSTHREAD_SLACK_BOT_TOKEN_FILE, or OPSTHREAD_SLACK_CLIENT_ID and OPSTHREAD_SLACK_CLIENT_SECRET_FILE for OAuth"
        yield fail("slack", "HTTP", "neither a bot token nor OAuth's client is set", mend)


def _api_address(settings: Settings) -> Iterable[CheckRow]:
    parts = urlsplit(settings.slack_api_url)
    if parts.hostname in ("127.0.0.1", "::1", "localhost") or (parts.scheme == "https" and parts.hostname in SLACKS):
        return
    found = f"tokens are sent to {one_line(parts.hostname or '?', 80)}, which is not Slack's"
    if parts.scheme != "https":
        yield fail("slack", "API", f"{found}, and not encrypted", "OPSTHREAD_SLACK_API_URL must be https")
    else:
        yield warn("slack", "API", found, "OPSTHREAD_SLACK_API_URL=https://slack.com/api/   # unless it is your own proxy")


async def _reachable(url: str) -> CheckRow:
    """What is asked there unsigned is refused in our own words: so it is us who answer, with the body unread by others."""
    mend = "Is it this serve's address, with a good certificate, and does the proxy pass POST /slack/events on?"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_REACH_S), trust_env=True) as session,
            session.post(url, data=b"{}", allow_redirects=False) as answer,
        ):
            if answer.status in (401, 429):
                return ok("slack", "address", f"{url} answers")
            return fail("slack", "address", f"{url} answers {answer.status}, not as we do", mend)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        found = f"{url} can't be reached from here: {one_line(str(error) or 'no answer in time', 200)}"
        return warn("slack", "address", found, f"{mend} It may be that only this machine can't reach it.")


async def _workspace(clients: Clients, api: WebApi, name: str, serving: Serving | None) -> list[CheckRow]:
    """One installation, by its token."""
    try:
        told, headers = await api.headed("auth.test")
    except SlackRefused as error:
        return [_dead(name, error)]
    except SlackTrouble as error:
        return [_unreachable(clients, name, error)]
    me = Me.of(told)
    if not me.bot:
        mend = f"{_APPS} > the app > OAuth & Permissions > Bot User OAuth Token"
        return [fail("slack", name, "it is the token of a person, not of a bot", mend)]
    rows = [ok("slack", name, f"@{me.name} in {one_line(me.workspace, 80)} ({me.team}, {me.url})")]
    rows += [*_clock(headers), *_scopes(headers, me)]
    if serving is not None:
        rows += await look_at_channels(api, me, serving.plane, serving.principal)
        rows += await look_at_groups(api, me, serving.plane, serving.principal)
    return rows


def _dead(name: str, error: SlackRefused) -> CheckRow:
    mends = {
        "token_expired": "Turn token rotation off in the app's settings, and install it once more.",
        "account_inactive": f"{_APPS} > the app > Install App: it was removed from the workspace.",
    }
    mend = mends.get(error.code, f"{_APPS} > the app > OAuth & Permissions: copy the token once more, or reinstall")
    return fail("slack", name, f"Slack refuses it: {error.code}", mend)


def _unreachable(clients: Clients, name: str, error: SlackTrouble) -> CheckRow:
    mend = f"curl -sS {clients.api_url}api.test   # can this machine reach it? HTTPS_PROXY, or OPSTHREAD_SLACK_API_URL"
    return fail("slack", name, f"Slack does not answer: {one_line(error.code, 200)}", mend)


def _clock(headers: Mapping[str, str]) -> Iterable[CheckRow]:
    try:
        at = parsedate_to_datetime(headers.get("date", ""))
    except ValueError:
        return
    off = (datetime.now(UTC) - at.replace(tzinfo=at.tzinfo or UTC)).total_seconds()
    said, mend = f"ours is {off:+.0f} s against Slack's", "timedatectl set-ntp true"
    if abs(off) >= _CLOCK_FAIL_S:
        yield fail("slack", "clock", f"{said}: what Slack signs counts for 300 s", mend)
    elif abs(off) >= _CLOCK_WARN_S:
        yield warn("slack", "clock", said, mend)


def _scopes(headers: Mapping[str, str], me: Me) -> Iterable[CheckRow]:
    told = headers.get("x-oauth-scopes")
    if told is None:
        yield skip("slack", "scopes", "Slack does not tell them")
        return
    given = {scope.strip() for scope in told.split(",") if scope.strip()}
    missing = [scope for scope in SCOPES if scope.name not in given]
    more = sorted(given - {scope.name for scope in SCOPES})
    where = f"{_APPS} > the app > OAuth & Permissions > Scopes"
    for scope in missing:
        mend = f"{where}: add {scope.name}, then reinstall into {one_line(me.workspace, 80)}"
        row = warn if scope.optional else fail
        yield row("slack", scope.name, f"this scope is missing, so it can't {scope.why}", mend)
    if more:
        yield warn("slack", "scopes", f"more than is used: {', '.join(more)}", f"{where}: remove them, then reinstall")
    elif not missing:
        yield ok("slack", "scopes", f"all {len(SCOPES)} that are used, and no other")


async def _app_token(api: WebApi) -> CheckRow:
    try:
        await api.call("apps.connections.open")
    except SlackRefused as error:
        mend = f"{_APPS} > the app > Basic Information > App-Level Tokens: one with connections:write; and Socket Mode is on"
        return fail("slack", "app token", f"Slack opens no connection with it: {error.code}", mend)
    except SlackTrouble as error:
        mend = "Slack, or the way to it, is in trouble; try again, and see https://slack-status.com"
        return fail("slack", "app token", f"Slack does not answer: {one_line(error.code, 200)}", mend)
    return ok("slack", "app token", "opens connections")


async def _same_app(clients: Clients, tokens: _Tokens) -> list[CheckRow]:
    """An app token of another app opens connections too: nothing would ever come through them."""
    named = re.match(r"xapp-\d+-(A[A-Z0-9]+)-", tokens.app)
    if named is None or not tokens.bot:
        return []
    try:
        api = WebApi(clients.client(tokens.bot))
        told = await api.call("bots.info", bot=Me.of(await api.call("auth.test")).bot)
    except SlackTrouble:
        return []  # the rows of the bot token say what is wrong
    of_bot = str(cast(Mapping[str, Any], told.get("bot") or {}).get("app_id", ""))
    if not of_bot or of_bot == named.group(1):
        return []
    mend = f"{_APPS}/{of_bot} > Basic Information > App-Level Tokens"
    return [fail("slack", "app token", f"it is of app {named.group(1)}, the bot token of app {of_bot}", mend)]


async def _installed(clients: Clients, serving: Serving) -> list[CheckRow]:
    """Workspaces that were installed by OAuth, each with its own token."""
    rows: list[CheckRow] = []
    for workspace in await serving.plane.slack_workspaces.list():
        if not workspace.own_token or workspace.revoked_at is not None:
            continue
        name = one_line(f"{workspace.name or 'workspace'} ({workspace.team})", 100)
        try:
            token = await serving.plane.slack_workspaces.token(workspace.team)
        except ServiceError as error:
            rows.append(fail("slack", name, error.message, "Open /slack/install and install the app there once more."))
            continue
        if token:
            rows += await _workspace(clients, WebApi(clients.client(token)), name, serving)
    return rows


async def _waiting(plane: ControlPlane) -> list[CheckRow]:
    return [
        _backlog("from Slack", await plane.slack_inbox.backlog()),
        _backlog("to Slack", await plane.slack_outbox.backlog()),
    ]


def _backlog(name: str, found: Backlog) -> CheckRow:
    log = "Look into serve's log for why (events slack.…)."
    waited = (utc_now() - found.oldest).total_seconds() if found.oldest is not None else 0.0
    said = f"{found.waiting} wait" + (f", the oldest for {waited:.0f} s" if found.waiting else "")
    if waited > _WAITING_S:
        return fail("slack", name, said, log)
    if found.failed:
        return warn("slack", name, f"{said}; {found.failed} failed within a day", log)
    return CheckRow(area="slack", name=name, health=Health.OK, found=said)
