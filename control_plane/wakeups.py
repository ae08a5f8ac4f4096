"""Wake-ups: short messages that say "read the table". Losing one costs the reader five seconds, never an event."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from typing import Protocol, runtime_checkable

from protocol.subjects import PREFIX

POLL_S = 5.0
"""Readers look at the table this often, whatever the bus says."""

WORK = f"{PREFIX}.work"
"""A turn was queued or stopped, or an approval was decided: agent_runtime looks for work."""

LISTS = f"{PREFIX}.lists"
"""A conversation or an approval was made or changed: side bars and inboxes look again."""


RIGHTS = f"{PREFIX}.rights"
"""The account of this id has other roles, was disabled, or a session of it has ended: open streams look at once."""

SLACK = f"{PREFIX}.slack"
"""Something came in from Slack: the replica that works for it looks at the inbox."""

SLACK_OUTBOX = f"{PREFIX}.slackout"
"""A message is to look different: the replica that sends looks at the outbox."""

ALERTS = f"{PREFIX}.alerts"
"""A group of alerts has changed: whoever shows it looks again."""


class Wakeups(Protocol):
    """The part of the bus that wake-ups and live text need. `Bus` is one."""

    async def publish(self, subject: str, data: bytes) -> None: ...

    def subscribe(self, subject: str) -> AsyncIterator[bytes]: ...


class LocalWakeups:
    """Wake-ups inside one process, without a broker: for tools and tests that need no runner."""

    def __init__(self) -> None:
        self._readers: dict[str, set[asyncio.Queue[bytes]]] = defaultdict(set)

    async def publish(self, subject: str, data: bytes) -> None:
        for queue in self._readers[subject]:
            with suppress(asyncio.QueueFull):
                queue.put_nowait(data)

    async def subscribe(self, subject: str) -> AsyncIterator[bytes]:
        queue: asyncio.Queue[bytes] = asyncio.Queue(maxsize=1000)
        self._readers[subject].add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._readers[subject].discard(queue)


async def messages_or_silence(wakeups: Wakeups, subject: str) -> AsyncGenerator[bytes | None]:
    """Each message of a subject as it comes. None means "read the table": at once, whenever the bus says that messages may
    have been missed (an empty one), and whenever POLL_S have passed without any."""
    stream = wakeups.subscribe(subject)
    upcoming: asyncio.Future[bytes] = asyncio.ensure_future(anext(stream))
    try:
        # The subscription stands before the caller first reads the table, so that nothing falls between the two.
        await asyncio.sleep(0)
        yield None
        while True:
            done, _ = await asyncio.wait({upcoming}, timeout=POLL_S)
            if not done:
                yield None
                continue
            try:
                message = upcoming.result()
            except StopAsyncIteration:
                return
            upcoming = asyncio.ensure_future(anext(stream))
            yield message or None
    finally:
        upcoming.cancel()
        with suppress(asyncio.CancelledError, StopAsyncIteration):
            await upcoming
        if isinstance(stream, _Closeable):
            await stream.aclose()


async def wakes(wakeups: Wakeups, subject: str) -> AsyncGenerator[None]:
    """Read the table: at once, whenever a message comes, and whenever POLL_S have passed without any. What comes while the
    reader is at work counts once: fifty questions in a second are one look more, not fifty."""
    rung = asyncio.Event()

    async def listen() -> None:
        async with aclosing(messages_or_silence(wakeups, subject)) as messages:
            async for _ in messages:
                rung.set()

    listening = asyncio.create_task(listen(), name=f"listen to {subject}")
    try:
        while True:
            waiting = asyncio.create_task(rung.wait())
            try:
                await asyncio.wait({waiting, listening}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiting.cancel()
            if listening.done():
                listening.result()
                return
            rung.clear()
            yield None
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


@runtime_checkable
class _Closeable(Protocol):
    """A stream that holds a subscription."""

    async def aclose(self) -> None: ...
