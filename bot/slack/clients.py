"""Who speaks to which workspace: one client a token, over one session, and who we are there."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.web_api import CALL_S, SlackRefused, SlackTrouble, WebApi
from control_plane.errors import ServiceError
from control_plane.settings import Settings

_AT_ONCE_S = 1.0


@dataclass(frozen=True)
class Me:
    """The app in one workspace, as `auth.test` told."""

    team: str
    user: str
    """Of the bot: what people mention."""
    bot: str
    name: str
    url: str
    """https://<domain>.slack.com/"""
    workspace: str = ""
    """Its name."""
    enterprise: str = ""
    """Of an Enterprise Grid."""

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> "Me":
        """What `auth.test` answered."""
        return cls(
            team=str(told.get("team_id", "")),
            user=str(told.get("user_id", "")),
            bot=str(told.get("bot_id", "")),
            name=str(told.get("user", "")),
            url=str(told.get("url", "")),
            workspace=str(told.get("team", "")),
            enterprise=str(told.get("enterprise_id") or ""),
        )


class Tokens(Protocol):
    """Where the tokens of other workspaces are kept."""

    async def token(self, team: str) -> str | None: ...


class Clients:
    """`start` before, `close` after. The configured token is of one workspace; others have theirs in the table."""

    def __init__(self, settings: Settings, tokens: Tokens | None = None) -> None:
        self._url = settings.slack_api_url
        self._own = settings.slack_bot() or ""
        self._tokens = tokens
        self._session: aiohttp.ClientSession | None = None
        self._apis: dict[str, WebApi] = {}
        self._me: dict[str, Me] = {}
        self._home: Me | None = None
        self._logger = logging.getLogger("slack_sdk")

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CALL_S), trust_env=True)

    async def close(self) -> None:
        session, self._session = self._session, None
        self._apis.clear()
        if session is not None:
            await session.close()

    async def respond(self, url: str, text: str, blocks: list[dict[str, Any]] | None) -> bool:
        """To a response_url, for the eyes of whom it is from alone. False when Slack did not take it, or the address is not one
        of Slack's."""
        ours, theirs = urlsplit(self._url), urlsplit(url)
        if (
            self._session is None
            or theirs.scheme != ours.scheme
            or theirs.hostname not in (ours.hostname, f"hooks.{ours.hostname}")
        ):
            return False
        body = {"response_type": "ephemeral", "text": text, **({"blocks": blocks} if blocks else {})}
        try:
            async with asyncio.timeout(CALL_S), self._session.post(url, json=body, allow_redirects=False) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    def client(self, token: str | None = None) -> AsyncWebClient:
        """The SDK's own, for Bolt and for socket mode. It never tries again by itself."""
        return AsyncWebClient(
            token=token, base_url=self._url, timeout=int(CALL_S), session=self._session, logger=self._logger, retry_handlers=[]
        )

    @property
    def api_url(self) -> str:
        """Where Slack's Web API is, with a slash at its end."""
        return self._url

    @property
    def has_home(self) -> bool:
        """Is a bot token configured?"""
        return bool(self._own)

    async def home(self) -> Me:
        """Who we are in the workspace of the configured token. Raises SlackTrouble."""
        if self._home is None:
            api = self._api(self._own)
            self._home = await _ask(api)
            self._me[self._home.team] = self._home
        return self._home

    async def of(self, team: str) -> WebApi:
        """Raises SlackTrouble: SlackRefused when the app is not installed there (any more)."""
        if self._own and await self._at_home(team):
            return self._api(self._own)
        token = await self._kept(team)
        if token is None:
            raise SlackRefused("auth.test", "not_authed")
        return self._api(token)

    async def me(self, team: str) -> Me:
        """Raises SlackTrouble."""
        known = self._me.get(team)
        if known is None:
            known = self._me[team] = await _ask(await self.of(team))
        return known

    async def known(self, team: str) -> tuple[WebApi, Me]:
        """As `of` and `me`; for a workspace that we do not know, the one of the configured token: its people act in shared
        channels. Raises SlackTrouble."""
        try:
            return await self.of(team), await self.me(team)
        except SlackRefused:
            if not self._own:
                raise
            return self._api(self._own), await self.home()

    def forget(self, team: str) -> None:
        """What was known of us there: the app was removed."""
        self._me.pop(team, None)
        if self._home is not None and self._home.team == team:
            self._home = None

    async def ours(self, team: str) -> bool:
        """Is the app installed there? True as well where that can't be told right now: what comes is then kept."""
        try:
            async with asyncio.timeout(_AT_ONCE_S):
                return (bool(self._own) and await self._at_home(team)) or await self._kept(team) is not None
        except (SlackTrouble, ServiceError, TimeoutError):
            return True

    async def bot_user(self, team: str) -> str:
        """ "" when Slack does not tell at once: who asks has three seconds to answer Slack."""
        try:
            async with asyncio.timeout(_AT_ONCE_S):
                return (await self.known(team))[1].user
        except (SlackTrouble, TimeoutError):
            return ""

    async def _at_home(self, team: str) -> bool:
        """Is the configured token of this workspace? What Slack says against that token is no word about the others."""
        try:
            return (await self.home()).team == team
        except SlackTrouble:
            if await self._kept(team) is None:
                raise
            return False

    async def _kept(self, team: str) -> str | None:
        return await self._tokens.token(team) if self._tokens is not None else None

    def _api(self, token: str) -> WebApi:
        return self._apis.setdefault(token, WebApi(self.client(token)))


async def _ask(api: WebApi) -> Me:
    return Me.of(await api.call("auth.test"))
