"""Who a person of Slack is to us. `Identity` is what others ask; `ByEmail` answers by the address that Slack has verified."""

import time
from dataclasses import dataclass
from typing import Any, Protocol, cast

from bot.slack.clients import Clients
from bot.slack.web_api import SlackRefused
from control_plane.accounts import Accounts
from control_plane.errors import NotSignedIn
from control_plane.principals import Principal
from protocol.text import one_line

KNOWN_S = 60.0
"""So long what Slack said of a person holds for reads."""
_MOST_KNOWN = 2_000


class Identity(Protocol):
    async def principal_of(self, team: str, user: str) -> Principal | None:
        """As it stands now. None for strangers: no account, guests, people of other workspaces, bots. Raises SlackTrouble."""
        ...

    async def name_of(self, team: str, user: str) -> str:
        """What people call them; their id when Slack does not tell."""
        ...


@dataclass(frozen=True)
class _Known:
    told: dict[str, Any]
    until: float


class ByEmail:
    """An account's name is the address. Guests and people of other workspaces are strangers, whatever their address."""

    def __init__(self, clients: Clients, accounts: Accounts) -> None:
        self._clients = clients
        self._accounts = accounts
        self._known: dict[tuple[str, str], _Known] = {}

    async def principal_of(self, team: str, user: str) -> Principal | None:
        told = await self._user(team, user)
        home = str(told.get("team_id") or team) == team
        strange = any(told.get(name) for name in ("deleted", "is_bot", "is_restricted", "is_ultra_restricted", "is_stranger"))
        profile = cast(dict[str, Any], told.get("profile") or {})
        email = str(profile.get("email", "")).casefold()
        if strange or not home or not email:
            return None
        account = next((one for one in await self._accounts.list() if one.name.casefold() == email), None)
        try:
            return await self._accounts.principal(account.id) if account is not None else None
        except NotSignedIn:
            return None

    async def name_of(self, team: str, user: str) -> str:
        told = await self._user(team, user)
        profile = cast(dict[str, Any], told.get("profile") or {})
        name = profile.get("display_name") or profile.get("real_name") or told.get("real_name") or told.get("name")
        return one_line(str(name or user), 80)

    async def _user(self, team: str, user: str) -> dict[str, Any]:
        now = time.monotonic()
        known = self._known.get((team, user))
        if known is None or known.until < now:
            try:
                answer = await (await self._clients.of(team)).call("users.info", user=user)
            except SlackRefused as error:
                if error.dead or error.code == "missing_scope":
                    raise
                answer = {"user": {"is_stranger": True}}
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            known = self._known[team, user] = _Known(cast(dict[str, Any], answer.get("user") or {}), now + KNOWN_S)
        return known.told
