"""One watch a conversation in this process, however many tabs look at it; the text so far for who comes late."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from control_plane.accounts import Accounts
from control_plane.conversations import Conversations
from protocol.events import Live, TextDelta

log = structlog.get_logger(__name__)

Listener = Callable[[str, Live], None]
"""Called with the conversation and what happened; must not block."""
READY_S = 2.0
_RETRY_S = 1.0


@dataclass
class _TextSoFar:
    text: str
    offset: int


@dataclass
class _Channel:
    listeners: list[Listener] = field(default_factory=list[Listener])
    texts: dict[str, _TextSoFar] = field(default_factory=dict[str, _TextSoFar])
    """By turn: what is being written."""
    written: dict[str, str] = field(default_factory=dict[str, str])
    """By turn: the last whole message. A late delta of it is not the beginning of a new one."""
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Hub:
    """Owns the watch tasks. `join` and `leave` come in pairs."""

    def __init__(
        self,
        conversations: Conversations,
        accounts: Accounts,
        *,
        lists_changed: Callable[[], None],
        rights_changed: Callable[[str], None],
    ) -> None:
        self._conversations = conversations
        self._accounts = accounts
        self._lists_changed = lists_changed
        self._rights_changed = rights_changed
        self._channels: dict[str, _Channel] = {}
        self._lists: asyncio.Task[None] | None = None
        self._rights: asyncio.Task[None] | None = None

    def watch(self) -> None:
        """From now on calls `lists_changed` whenever a conversation or an approval changed anywhere, and `rights_changed`
        with the account whose rights or sessions have."""
        if self._lists is None:
            self._lists = asyncio.create_task(self._follow_lists(), name="watch lists")
            self._rights = asyncio.create_task(self._follow_rights(), name="watch rights")

    async def join(self, conversation: str, listener: Listener) -> None:
        """Comes back when the watch stands, so that nothing falls between what the caller reads next and what it hears;
        or after READY_S, when the bus is away."""
        channel = self._channels.get(conversation)
        if channel is None:
            channel = self._channels[conversation] = _Channel()
            channel.task = asyncio.create_task(self._follow(conversation, channel), name=f"watch {conversation}")
        channel.listeners.append(listener)
        with suppress(TimeoutError):
            await asyncio.wait_for(channel.ready.wait(), READY_S)

    async def leave(self, conversation: str, listener: Listener) -> None:
        channel = self._channels.get(conversation)
        if channel is None or listener not in channel.listeners:
            return
        channel.listeners.remove(listener)
        if not channel.listeners:
            del self._channels[conversation]
            await _end(channel.task)

    async def close(self) -> None:
        channels = list(self._channels.values())
        self._channels.clear()
        for channel in channels:
            await _end(channel.task)
        await _end(self._lists)
        await _end(self._rights)
        self._lists = self._rights = None

    def texts_so_far(self, conversation: str) -> list[TextDelta]:
        """What the model is writing right now, whole as far as this process has seen it."""
        channel = self._channels.get(conversation)
        if channel is None:
            return []
        return [
            TextDelta(turn=turn, text=so_far.text, offset=so_far.offset)
            for turn, so_far in channel.texts.items()
            if so_far.text not in channel.written.get(turn, "")
        ]

    def written(self, conversation: str, turn: str, text: str) -> None:
        """The log holds the whole message: its text so far is over."""
        channel = self._channels.get(conversation)
        if channel is not None:
            channel.written[turn] = text

    def ended(self, conversation: str, turn: str) -> None:
        channel = self._channels.get(conversation)
        if channel is not None:
            channel.texts.pop(turn, None)
            channel.written.pop(turn, None)

    async def _follow(self, conversation: str, channel: _Channel) -> None:
        while True:
            try:
                async for live in self._conversations.watch(conversation):
                    channel.ready.set()
                    _remember(channel, live)
                    for listener in tuple(channel.listeners):
                        listener(conversation, live)
            except Exception:
                # The bus is away. A watch that ended silently would cost this process's readers the live text for good.
                log.warning("conversation.watch_failed", conversation=conversation, exc_info=True)
            await asyncio.sleep(_RETRY_S)

    async def _follow_lists(self) -> None:
        while True:
            try:
                async for _ in self._conversations.watch_lists():
                    self._lists_changed()
            except Exception:
                log.warning("lists.watch_failed", exc_info=True)
            await asyncio.sleep(_RETRY_S)

    async def _follow_rights(self) -> None:
        while True:
            try:
                async for account in self._accounts.watch_rights():
                    self._rights_changed(account)
            except Exception:
                log.warning("rights.watch_failed", exc_info=True)
            await asyncio.sleep(_RETRY_S)


def _remember(channel: _Channel, live: Live) -> None:
    if not isinstance(live, TextDelta):
        return
    known = channel.texts.get(live.turn)
    if known is not None and live.offset > known.offset and live.offset <= known.offset + len(known.text):
        known.text = known.text[: live.offset - known.offset] + live.text
    else:
        channel.texts[live.turn] = _TextSoFar(live.text, live.offset)


async def _end(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
