"""Who a person of Slack is to us, asked of Slack at each click.

`who` is what others ask. For reads what Slack said may be a minute old. For approvals (`fresh`) Slack is asked at that moment,
for the person and for every user group that gives a role; what can't be asked then is refused.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

import structlog

from bot.slack.clients import Clients
from bot.slack.standing import Told, told
from bot.slack.web_api import SlackBusy, SlackRefused, SlackTrouble, SlackUnsure
from control_plane.errors import NotSignedIn, ServiceError
from control_plane.principals import Principal
from control_plane.services import ControlPlane
from control_plane.slack.groups import RENEW
from control_plane.slack.inbox import Received
from control_plane.slack.installations import Facts
from protocol.events import Language

log = structlog.get_logger(__name__)

KNOWN_S = 60.0
"""So long what Slack said of a person, or of a group, holds for reads."""
_MOST_KNOWN = 2_000
_NOBODY = frozenset({"user_not_found", "user_not_visible", "users_not_found"})

Code = Literal["", "deleted", "bot", "guest", "foreign", "unknown", "unlinked", "unconfirmed", "disabled", "unchecked"]
"""Why somebody is nobody to us; "" when they are somebody. Each has its words: `who.<code>`."""
_AS_STRANGER: frozenset[Code] = frozenset({"bot", "guest", "foreign", "unknown", "unlinked", "unconfirmed"})


@dataclass(frozen=True)
class Person:
    team: str
    user: str
    name: str
    """What people call them; their id when Slack does not tell."""
    language: Language | None
    """Of their Slack; None for one that we have no words in."""
    principal: Principal | None
    """Never with a fresh sign-in. None: see `code`."""
    code: Code = ""

    @property
    def stranger(self) -> bool:
        """They may read what a channel lets strangers read. Never more, and never decide."""
        return self.principal is None and self.code in _AS_STRANGER

    @property
    def may_link(self) -> bool:
        """A full member whom we don't know: an offer to link helps."""
        return self.code in ("unlinked", "unconfirmed")


class Identity(Protocol):
    async def who(self, team: str, user: str, *, fresh: bool = False) -> Person:
        """As it stands now; `fresh` for whatever decides something. Raises SlackTrouble: the app is not installed there any
        more, or, for reads, Slack does not answer."""
        ...

    async def principal_of(self, team: str, user: str) -> Principal | None:
        """As `who`, for reads. None for everybody who has no account here, or may not use it."""
        ...

    async def name_of(self, team: str, user: str) -> str:
        """What people call them; their id when Slack does not tell."""
        ...


@dataclass(frozen=True)
class _Known:
    value: Mapping[str, Any]
    at: float


class FromSlack:
    """One for a process: what it was told last is shared by all who ask it."""

    def __init__(self, clients: Clients, plane: ControlPlane, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` tells seconds."""
        self._clock = clock
        self._clients = clients
        self._plane = plane
        self._users: dict[tuple[str, str], _Known] = {}
        self._groups: dict[tuple[str, str], _Known] = {}

    async def who(self, team: str, user: str, *, fresh: bool = False) -> Person:
        try:
            known = await self._told(team, user, oldest_s=0 if fresh else KNOWN_S)
        except SlackTrouble as error:
            if not fresh or (isinstance(error, SlackRefused) and error.dead):
                raise
            return Person(team, user, user, None, None, "unchecked")
        code, principal = await self._resolved(team, known, fresh=fresh)
        return Person(team, user, known.name, known.language, principal, code)

    async def principal_of(self, team: str, user: str) -> Principal | None:
        return (await self.who(team, user)).principal

    async def name_of(self, team: str, user: str) -> str:
        return (await self._told(team, user, oldest_s=KNOWN_S)).name

    async def group_changed(self, item: Received) -> str:
        """Handles kind `group`: Slack says that people came into a user group or left it."""
        usergroup = str(item.payload.get("usergroup", ""))
        if usergroup in await self._plane.slack_groups.to_ask(item.team):
            await self._refresh(item.team)
            return "looked at"
        return "gives no role"

    async def refresh_groups(self) -> None:
        """Look at every membership that gives a role. A workspace that does not answer is left as it is: what it gave ends by
        itself."""
        for team in await self._plane.slack_groups.teams():
            try:
                await self._refresh(team)
            except (SlackTrouble, ServiceError) as error:  # such as a token that can't be read
                log.warning("slack.groups_not_checked", team=team, why=error.code)

    async def keep_groups(self) -> None:
        """`refresh_groups` again and again, until cancelled. For the replica that works for Slack; which workspace the
        configured token is of is written down first."""
        kept = not self._clients.has_home
        while True:
            kept = kept or await self._keep_home()
            await self.refresh_groups()
            await asyncio.sleep(RENEW.total_seconds())

    async def _keep_home(self) -> bool:
        """False: Slack does not tell."""
        try:
            home = await self._clients.home()
            # Asked anew: what is remembered may be from before the app was removed.
            await (await self._clients.of(home.team)).call("auth.test")
        except SlackTrouble as error:
            log.warning("slack.home_unknown", why=error.code)
            return False
        known = await self._plane.slack_workspaces.get(home.team)
        facts = Facts(
            team=home.team,
            enterprise=home.enterprise,
            name=home.workspace,
            url=home.url,
            app=known.app if known is not None else "",
            bot=home.bot,
            bot_user=home.user,
            scopes=known.scopes if known is not None else (),
        )
        await self._plane.slack_workspaces.keep(facts, "" if known is None else None)
        return True

    async def _resolved(self, team: str, known: Told, *, fresh: bool) -> tuple[Code, Principal | None]:
        plane = self._plane
        if known.standing:
            await self._lose_groups(team, known.user)
            return known.standing, None
        account = await plane.slack_people.account_of(team, known.user, known.address)
        if account is None:
            return "unconfirmed" if known.unconfirmed else "unlinked", None
        try:
            if not await self._followed(team, known.user, account, fresh=fresh):
                return "unchecked", None
            return "", await plane.accounts.principal(account)
        except NotSignedIn:
            return "disabled", None

    async def _followed(self, team: str, user: str, account: str, *, fresh: bool) -> bool:
        """The account's roles follow from the user groups of this person. False when that must be certain and Slack does not
        say; for reads what was known before goes on counting, for as long as it may."""
        groups = self._plane.slack_groups
        asked = await groups.to_ask(team)
        if not asked:
            return True
        try:
            mine = await self._member_of(team, user, asked, oldest_s=0 if fresh else KNOWN_S)
            if not await groups.sync(account, team, mine, asked=asked, certain=fresh):
                # What Slack said a while ago gives nobody a role: it may have been taken away since.
                mine = await self._member_of(team, user, asked, oldest_s=0)
                await groups.sync(account, team, mine, asked=asked, certain=True)
        except SlackTrouble as error:
            log.warning("slack.groups_not_checked", team=team, why=error.code)
            return not fresh
        return True

    async def _lose_groups(self, team: str, user: str) -> None:
        """Whoever is no full member any more holds nothing from groups, whatever lists say."""
        linked = await self._plane.slack_people.get(team, user)
        if linked is not None:
            asked = await self._plane.slack_groups.to_ask(team)
            await self._plane.slack_groups.sync(linked.account, team, (), asked=asked, certain=True)

    async def _refresh(self, team: str) -> None:
        groups = self._plane.slack_groups
        asked = await groups.to_ask(team)
        lists = await self._lists(team, oldest_s=0)
        members = set[str]().union(*(lists.get(one, frozenset()) for one in asked))
        holders = await groups.holders(team)
        for user, account in (await self._plane.slack_people.users_in(team)).items():
            if user in members or account in holders:
                await self._look_again(team, user)

    async def _look_again(self, team: str, user: str) -> None:
        """One of many: Slack is given the time that it asks for, and one fault is not the others'."""
        for _ in range(2):
            try:
                known = await self._told(team, user, oldest_s=RENEW.total_seconds())
                await self._resolved(team, known, fresh=False)
                return
            except SlackBusy as busy:
                await asyncio.sleep(min(busy.after_s, KNOWN_S))
            except SlackUnsure as error:
                log.warning("slack.person_not_checked", team=team, user=user, why=error.code)
                return

    async def _member_of(self, team: str, user: str, asked: tuple[str, ...], *, oldest_s: float) -> tuple[str, ...]:
        lists = await self._lists(team, oldest_s=oldest_s)
        return tuple(one for one in asked if user in lists.get(one, frozenset()))

    async def _lists(self, team: str, *, oldest_s: float) -> dict[str, frozenset[str]]:
        """Members by user group; switched off and deleted ones are not there. One call for all of them: Slack allows twenty a
        minute, so that one a group would soon be refused. Raises SlackTrouble."""
        method = "usergroups.list"
        answer = await self._asked(self._groups, (team, ""), oldest_s, method, frozenset(), include_users=True)
        found: dict[str, frozenset[str]] = {}
        for group in cast(list[Any], answer.get("usergroups") or []):
            shown = cast(Mapping[str, Any], group)
            users = shown.get("users")
            if not isinstance(users, list):
                raise SlackUnsure(method, "no_users")
            if not shown.get("date_delete"):
                found[str(shown.get("id", ""))] = frozenset(str(one) for one in cast(list[Any], users))
        return found

    async def _told(self, team: str, user: str, *, oldest_s: float) -> Told:
        answer = await self._asked(self._users, (team, user), oldest_s, "users.info", _NOBODY, user=user, include_locale=True)
        found = answer.get("user")
        workspace = await self._plane.slack_workspaces.get(team)
        return told(
            cast(Mapping[str, Any], found) if isinstance(found, Mapping) else {},
            user=user,
            team=team,
            enterprise=workspace.enterprise if workspace is not None else "",
        )

    async def _asked(
        self,
        kept: dict[tuple[str, str], _Known],
        key: tuple[str, str],
        oldest_s: float,
        method: str,
        nothing: frozenset[str],
        **args: Any,
    ) -> Mapping[str, Any]:
        """What Slack says now, or said at most `oldest_s` ago. `nothing` are the codes by which it says that there is none."""
        now = self._clock()
        known = kept.get(key)
        if known is None or oldest_s <= 0 or now - known.at > oldest_s:
            # Never with another workspace's token: its own people would be taken for members here.
            api = await self._clients.of(key[0])
            try:
                answer: Mapping[str, Any] = await api.call(method, **args)
            except SlackRefused as error:
                if error.code not in nothing:
                    raise
                answer = {}
            if len(kept) >= _MOST_KNOWN:
                kept.clear()
            known = kept[key] = _Known(answer, now)
        return known.value
