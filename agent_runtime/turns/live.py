"""What is live only: the text that a model is writing, coalesced to 100 ms and with offsets, and what tools are doing."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from protocol.events import Live, LiveProgress, TextDelta
from protocol.text import one_line

COALESCE_S = 0.1

Publish = Callable[[Live], Awaitable[None]]


class LiveText:
    """One turn's live text. A message that begins again, after a failed attempt, begins at offset 0."""

    def __init__(self, turn: str, publish: Publish, *, every_s: float = COALESCE_S) -> None:
        self._turn = turn
        self._publish = publish
        self._every_s = every_s
        self._text = ""
        self._sent = 0
        self._timer: asyncio.Task[None] | None = None

    def feed(self, piece: str) -> None:
        """More text of the same message. It goes out within the interval."""
        self._text += piece
        if self._timer is None:
            self._timer = asyncio.create_task(self._later())

    async def next_message(self) -> None:
        """Send what is left of this message; what is fed from now on is another one."""
        await self.close()
        self._text, self._sent = "", 0

    async def close(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
            await asyncio.wait({timer})
        await self._flush()

    async def _later(self) -> None:
        await asyncio.sleep(self._every_s)
        self._timer = None
        await self._flush()

    async def _flush(self) -> None:
        piece, offset = self._text[self._sent :], self._sent
        if piece:
            self._sent = len(self._text)
            await self._publish(TextDelta(turn=self._turn, text=piece, offset=offset))


class LiveNotes:
    """What tools of a turn are doing right now. Saying it never waits; with too much at once, notes are left out."""

    def __init__(self, turn: str, publish: Publish) -> None:
        self._turn = turn
        self._publish = publish
        self._notes: asyncio.Queue[LiveProgress] = asyncio.Queue(maxsize=100)
        self._task = asyncio.create_task(self._run())

    def say(self, call: str, note: str) -> None:
        with suppress(asyncio.QueueFull):
            self._notes.put_nowait(LiveProgress(turn=self._turn, call=call or None, note=one_line(note)))

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _run(self) -> None:
        while True:
            await self._publish(await self._notes.get())
