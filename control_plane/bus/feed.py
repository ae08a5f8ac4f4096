"""Live messages of a subject for many readers in this process, through one subscription on the wire."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from weakref import WeakSet

from control_plane.bus.link import Incoming, Link, Subscription

WAKE = b""
"""An item that says: messages may have been missed, read the table now."""
_MOST_WAITING = 1000
_SWEEP_S = 10.0


class Feed(AsyncIterator[bytes]):
    """What arrives on a subject from now on. Begins with WAKE once the subscription stands, and gives WAKE again after a
    reconnect and when this reader was so slow that its oldest messages were dropped. Ends with `aclose` or the bus."""

    def __init__(self, subject: str, *, most_waiting: int = _MOST_WAITING) -> None:
        self.subject = subject
        self._waiting: deque[bytes] = deque()
        self._most = most_waiting
        self._missed = False
        self._closed = False
        self._something = asyncio.Event()

    def put(self, data: bytes) -> None:
        if len(self._waiting) >= self._most:
            self._waiting.popleft()
            self._missed = True
        self._waiting.append(data)
        self._something.set()

    def wake(self) -> None:
        self._missed = True
        self._something.set()

    def end(self) -> None:
        self._closed = True
        self._something.set()

    async def aclose(self) -> None:
        self.end()

    @property
    def open(self) -> bool:
        return not self._closed

    async def __anext__(self) -> bytes:
        while True:
            if self._closed:
                raise StopAsyncIteration
            if self._missed:
                self._missed = False
                return WAKE
            if self._waiting:
                return self._waiting.popleft()
            self._something.clear()
            await self._something.wait()

    async def __aenter__(self) -> "Feed":
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.aclose()


class Feeds:
    """Which readers wait for which subject. A reader that is dropped without `aclose` is forgotten too."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._readers: dict[str, WeakSet[Feed]] = {}
        self._subscriptions: dict[str, Subscription] = {}
        self._changed = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._keeper = asyncio.create_task(self._keep(), name="bus feeds")

    async def stop(self) -> None:
        for feed in self._all():
            feed.end()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None

    def open(self, subject: str) -> Feed:
        feed = Feed(subject)
        self._readers.setdefault(subject, WeakSet()).add(feed)
        if subject in self._subscriptions:
            feed.wake()
        self._changed.set()
        return feed

    def wake_all(self) -> None:
        for feed in self._all():
            feed.wake()

    async def _keep(self) -> None:
        """Subscribe what is read, and unsubscribe what nobody has read for a while."""
        loop = asyncio.get_running_loop()
        swept = loop.time()
        while True:
            await self._subscribe_new()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SWEEP_S):
                    await self._changed.wait()
            if loop.time() - swept >= _SWEEP_S:
                await self._drop_unread()
                swept = loop.time()

    async def _subscribe_new(self) -> None:
        self._changed.clear()
        for subject in [s for s in self._readers if s not in self._subscriptions]:
            self._subscriptions[subject] = await self._link.listen(subject, self._deliver(subject))
            for feed in tuple(self._readers.get(subject, ())):
                feed.wake()

    async def _drop_unread(self) -> None:
        for subject, feeds in tuple(self._readers.items()):
            if any(feed.open for feed in tuple(feeds)):
                continue
            del self._readers[subject]
            subscription = self._subscriptions.pop(subject, None)
            if subscription is not None:
                await subscription.close()

    def _deliver(self, subject: str):
        async def deliver(message: Incoming) -> None:
            for feed in tuple(self._readers.get(subject, ())):
                if feed.open:
                    feed.put(message.data)

        return deliver

    def _all(self) -> list[Feed]:
        return [feed for feeds in tuple(self._readers.values()) for feed in tuple(feeds)]
