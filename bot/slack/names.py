"""Channels and user groups by the names that people use for them, asked of Slack."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, cast

from bot.api.slack import Named
from bot.slack.clients import Clients
from bot.slack.web_api import SlackTrouble, WebApi
from control_plane.errors import NotFound, Unavailable
from protocol.text import one_line

Row = Mapping[str, Any]

_PAGE = 200
_MOST_PAGES = 25


class Names:
    """Implements bot.api.slack.Names."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    async def channel(self, team: str, text: str) -> Named:
        """One that the bot is in."""
        wanted = text.removeprefix("#").casefold()
        try:
            async with aclosing(_channels(await self._clients.of(team))) as channels:
                async for one in channels:
                    if str(one.get("name", "")).casefold() == wanted:
                        return Named(str(one["id"]), str(one["name"]))
        except SlackTrouble as error:
            raise _silent("channel", error) from None
        raise NotFound(f"the bot is in no channel named {one_line(text, 80)!r}; invite it, or name the channel by its id")

    async def usergroup(self, team: str, text: str) -> Named:
        wanted = text.removeprefix("@").casefold()
        try:
            answer = await (await self._clients.of(team)).call("usergroups.list")
        except SlackTrouble as error:
            raise _silent("user group", error) from None
        for one in cast(list[Row], answer.get("usergroups") or []):
            if str(one.get("handle", "")).casefold() == wanted:
                return Named(str(one["id"]), str(one["handle"]))
        raise NotFound(f"there is no user group with the handle {one_line(text, 80)!r} in Slack, or it is switched off")


def _silent(what: str, error: SlackTrouble) -> Unavailable:
    return Unavailable(f"Slack does not tell which {what} that is ({error.code}); name it by its id")


async def _channels(api: WebApi) -> AsyncGenerator[Row]:
    cursor = ""
    for _ in range(_MOST_PAGES):
        kinds = "public_channel,private_channel"
        answer = await api.call("users.conversations", types=kinds, exclude_archived=True, limit=_PAGE, cursor=cursor or None)
        for one in cast(list[Row], answer.get("channels") or []):
            yield one
        cursor = str(cast(Row, answer.get("response_metadata") or {}).get("next_cursor") or "")
        if not cursor:
            return
