"""Says something to one person where they asked: for their eyes alone in a channel, in the open in a direct message. Nothing of
it is kept: after a crash it may be said twice, or never."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog

from bot.slack.blocks.limits import Block
from bot.slack.blocks.parts import Message
from bot.slack.clients import Clients
from bot.slack.mrkdwn import escape, plain
from bot.slack.web_api import SlackRefused, SlackTrouble

log = structlog.get_logger(__name__)

_TITLE = 80
_SAID: dict[str, Any] = {"event_type": "opsthread_said", "event_payload": {}}
"""So that it is not taken for a lost answer."""


_NOT_THERE = frozenset({"channel_not_found", "not_in_channel"})


@dataclass(frozen=True)
class Place:
    """Where somebody wrote, or pressed."""

    team: str
    channel: str
    user: str
    ts: str = ""
    """Of the message."""
    thread_ts: str = ""
    """Of the thread that it is in, or ""."""
    response_url: str = ""
    """Slack takes an answer there for half an hour, also where the bot is no member."""

    @property
    def direct(self) -> bool:
        """Nobody else reads it."""
        return self.channel.startswith(("D", "U", "W"))

    @property
    def thread(self) -> str:
        """The thread that an answer goes to."""
        return self.thread_ts or self.ts


def place_of(team: str, payload: Mapping[str, Any]) -> Place:
    """Of an item of the inbox."""
    names = {
        "ts": payload.get("ts") or payload.get("message_ts"),
        "thread_ts": payload.get("thread_ts"),
        "response_url": payload.get("response_url"),
    }
    told = {name: str(value or "") for name, value in names.items()}
    return Place(team, str(payload.get("channel", "")), str(payload.get("user", "")), **told)


class Telling:
    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    async def say(self, place: Place, text: str, blocks: list[Block] | None = None) -> None:
        """`text` is plain. A refusal of Slack's is only noted: there is nobody else to tell."""
        await self._tell(place, escape(text), blocks)

    async def show(self, place: Place, message: Message) -> None:
        """As `say`. Where there is no channel (a window, the Home tab) it goes to the person directly."""
        await self._tell(place if place.channel else replace(place, channel=place.user), message.text, message.blocks)

    async def _tell(self, place: Place, text: str, blocks: list[Block] | None) -> None:
        args = {
            "channel": place.channel,
            "text": text,
            "blocks": blocks,
            "thread_ts": (place.thread if place.direct else place.thread_ts) or None,
            "link_names": False,
            "parse": "none",
        }
        try:
            api = await self._clients.of(place.team)
            if place.direct:
                await api.call("chat.postMessage", **args, unfurl_links=False, unfurl_media=False, metadata=_SAID)
            else:
                await api.call("chat.postEphemeral", **args, user=place.user)
        except SlackRefused as error:
            if error.code in _NOT_THERE and await self._clients.respond(place.response_url, text, blocks):
                return
            log.warning("slack.not_told", channel=place.channel, why=error.code)

    async def status(self, team: str, channel: str, thread_ts: str, text: str) -> None:
        """What the bot is doing, above the field to write in; "" takes it away. Decoration: it may fail."""
        try:
            api = await self._clients.of(team)
            await api.call("assistant.threads.setStatus", channel_id=channel, thread_ts=thread_ts, status=text)
        except SlackTrouble as error:
            log.debug("slack.status", channel=channel, why=error.code)

    async def title(self, place: Place, text: str) -> None:
        """Of a thread in the assistant's list. Decoration: it may fail."""
        try:
            api = await self._clients.of(place.team)
            said = plain(text, _TITLE)
            await api.call("assistant.threads.setTitle", channel_id=place.channel, thread_ts=place.thread, title=said)
        except SlackTrouble as error:
            log.debug("slack.title", channel=place.channel, why=error.code)

    async def prompts(self, place: Place, prompts: list[tuple[str, str]]) -> None:
        """Suggestions in the assistant's pane: (title, question). Decoration: it may fail."""
        told = [{"title": title, "message": message} for title, message in prompts]
        try:
            api = await self._clients.of(place.team)
            await api.call(
                "assistant.threads.setSuggestedPrompts", channel_id=place.channel, thread_ts=place.thread, prompts=told
            )
        except SlackTrouble as error:
            log.debug("slack.prompts", channel=place.channel, why=error.code)
