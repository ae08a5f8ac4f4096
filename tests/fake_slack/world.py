"""One Slack in memory: workspaces, people, channels, messages; and the bell that rings at each change."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import TypeVar

from tests.fake_slack.chance import Chance
from tests.fake_slack.clock import Clock
from tests.fake_slack.errors import SlackError
from tests.fake_slack.records import (
    App,
    AssistantThread,
    Channel,
    File,
    Grant,
    Message,
    ResponseUrl,
    Team,
    Token,
    User,
    UserGroup,
    View,
)

Found = TypeVar("Found")

STREAM_LIFE_S = 300.0
"""Slack closes a stream about five minutes after it began, or after as long without a word."""
STATUS_LIFE_S = 120.0
TRIGGER_LIFE_S = 3.0
LOOK_OUTSIDE_S = 0.05


class World:
    """Everything that the fake knows. Look-ups raise `SlackError` with Slack's own code."""

    def __init__(self, app: App, clock: Clock, seed: int = 0) -> None:
        self.app = app
        self.clock = clock
        self.chance = Chance(seed)
        self.teams: dict[str, Team] = {}
        self.users: dict[str, User] = {}
        self.channels: dict[str, Channel] = {}
        self.groups: dict[str, UserGroup] = {}
        self.messages: dict[tuple[str, str], Message] = {}
        self._by_channel: dict[str, list[Message]] = {}
        self.ephemerals: list[Message] = []
        self.tokens: dict[str, Token] = {}
        self.views: dict[str, View] = {}
        self.homes: dict[tuple[str, str], View] = {}
        self.files: dict[str, File] = {}
        self.assistant_threads: dict[tuple[str, str], AssistantThread] = {}
        self.triggers: dict[str, tuple[float, str]] = {}
        """Trigger ids with the time when they were made and their person."""
        self.used_triggers: set[str] = set()
        self.codes: dict[str, Grant] = {}
        """OAuth codes that were handed out and not yet exchanged."""
        self.upload_tickets: dict[str, str] = {}
        """The secret parts of upload URLs, with their file."""
        self.tickets: set[str] = set()
        """Socket mode URLs that were handed out and not yet used."""
        self.base = ""
        """Where the fake listens, without a slash at the end; known once it is started."""
        self.stream_life_s = STREAM_LIFE_S
        self.stream_idle_s = STREAM_LIFE_S
        self.echo: Callable[[str, Message], None] = lambda _what, _message: None
        """Told of each message of a bot: posted, changed, deleted."""
        self.response_urls: dict[str, ResponseUrl] = {}
        self._count = 0
        self._last_microsecond = 0
        self._bell: asyncio.Event = asyncio.Event()

    @property
    def socket_base(self) -> str:
        return self.base.replace("http://", "ws://", 1)

    def new_id(self, prefix: str) -> str:
        """An id of Slack's shape: a letter that says what it is, then capitals and digits."""
        self._count += 1
        return f"{prefix}0{self._count:08X}"

    def new_ts(self) -> str:
        """A message's name and time; later than every one before."""
        self._last_microsecond = max(int(self.clock.now() * 1_000_000), self._last_microsecond + 1)
        return f"{self._last_microsecond // 1_000_000}.{self._last_microsecond % 1_000_000:06d}"

    def new_trigger(self, user: str) -> str:
        trigger = f"{self.chance.number() % 10**12}.{self.chance.number() % 10**12}.{self.chance.hex()}"
        self.triggers[trigger] = (self.clock.now(), user)
        return trigger

    def new_response_url(self, team_id: str, channel: str, user: str, of: Message | None = None) -> str:
        """An address where the app may answer an interaction without a token."""
        ticket = self.chance.hex()
        self.response_urls[ticket] = ResponseUrl(self.clock.now(), team_id, channel, user, of)
        return f"{self.base}/response/{ticket}"

    def bot_of(self, team_id: str) -> User:
        """The app's bot in a workspace."""
        return next(one for one in self.users.values() if one.bot_id and one.team_id == team_id)

    def changed(self) -> None:
        """Ring the bell: who waits in `until` looks again."""
        bell, self._bell = self._bell, asyncio.Event()
        bell.set()

    async def until(self, look: Callable[[], Found | None], what: str, timeout_s: float = 20) -> Found:
        """What `look` gives once it is true; it is asked after each change, and now and then for what lies outside.

        AssertionError naming `what` after `timeout_s`.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    bell = self._bell
                    found = look()
                    if found:
                        return found
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(bell.wait(), LOOK_OUTSIDE_S)
        except TimeoutError:
            raise AssertionError(f"{what}: not within {timeout_s:g} s") from None

    def channel(self, channel: str) -> Channel:
        """By id, or by `#name`; a person's id is the direct message with the person, as chat.postMessage takes it."""
        found = self.channels.get(channel)
        if found is None and channel.startswith("#"):
            found = next((one for one in self.channels.values() if one.name == channel[1:]), None)
        if found is None:
            raise SlackError("channel_not_found")
        return found

    def message(self, channel: str, ts: str) -> Message:
        found = self.messages.get((channel, ts))
        if found is None or found.deleted:
            raise SlackError("message_not_found")
        return found

    def thread(self, channel: str, ts: str) -> list[Message]:
        """The messages of a thread that are still there, its root first."""
        return [one for one in self.in_channel(channel) if one.thread == ts]

    def in_channel(self, channel: str) -> list[Message]:
        """Oldest first, without deleted ones."""
        return [one for one in self._by_channel.get(channel, []) if not one.deleted]

    def user(self, user: str) -> User:
        found = self.users.get(user)
        if found is None:
            raise SlackError("user_not_found")
        return found

    def direct_message(self, bot_user: str, person: str) -> Channel:
        """The direct message of the two; made when there is none."""
        for channel in self.channels.values():
            if channel.is_im and channel.members == {bot_user, person}:
                return channel
        team = self.users[bot_user].team_id
        made = Channel(self.new_id("D"), team, "directmessage", {bot_user, person}, is_im=True, user=person)
        self.channels[made.id] = made
        return made

    def add(self, message: Message) -> Message:
        self.messages[(message.channel, message.ts)] = message
        self._by_channel.setdefault(message.channel, []).append(message)
        self.changed()
        return message

    def streaming(self, message: Message) -> bool:
        """Whether its stream still takes pieces."""
        stream, now = message.stream, self.clock.now()
        return (
            stream is not None
            and not stream.stopped
            and now - stream.started_at < self.stream_life_s
            and now - stream.touched_at < self.stream_idle_s
        )
