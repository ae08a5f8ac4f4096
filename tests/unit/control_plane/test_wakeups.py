"""Wake-ups inside one process, and the reading that never misses what it was not told."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from control_plane import wakeups
from control_plane.wakeups import LocalWakeups, messages_or_silence, wakes


async def test_it_begins_with_a_look_and_hears_what_is_said_after_it() -> None:
    bus = LocalWakeups()
    async with aclosing(messages_or_silence(bus, "here")) as messages:
        assert await anext(messages) is None
        await bus.publish("here", b"one")
        await bus.publish("elsewhere", b"not mine")
        await bus.publish("here", b"two")
        assert [await anext(messages), await anext(messages)] == [b"one", b"two"]


async def test_an_empty_message_means_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wakeups, "POLL_S", 60)
    bus = LocalWakeups()
    async with aclosing(messages_or_silence(bus, "here")) as messages:
        await anext(messages)
        await bus.publish("here", b"")
        assert await asyncio.wait_for(anext(messages), 5) is None


async def test_silence_is_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wakeups, "POLL_S", 0.02)
    async with aclosing(messages_or_silence(LocalWakeups(), "here")) as messages:
        assert [await asyncio.wait_for(anext(messages), 5) for _ in range(3)] == [None, None, None]


async def test_a_reader_that_leaves_is_forgotten() -> None:
    bus = LocalWakeups()
    async with aclosing(messages_or_silence(bus, "here")) as messages:
        await anext(messages)
    assert not any(bus.__dict__["_readers"].values())


async def test_every_reader_hears_it() -> None:
    bus = LocalWakeups()
    async with aclosing(messages_or_silence(bus, "here")) as one, aclosing(messages_or_silence(bus, "here")) as two:
        await anext(one)
        await anext(two)
        await bus.publish("here", b"x")
        assert (await anext(one), await anext(two)) == (b"x", b"x")


async def test_what_comes_while_the_reader_is_at_work_is_one_look_more() -> None:
    bus = LocalWakeups()
    async with aclosing(wakes(bus, "here")) as bells:
        await asyncio.wait_for(anext(bells), 5)
        for _ in range(50):
            await bus.publish("here", b"x")
        for _ in range(2_000):  # the reader is at work; what was said has been heard
            await asyncio.sleep(0)
        await asyncio.wait_for(anext(bells), 5)
        late = asyncio.ensure_future(anext(bells))
        await asyncio.sleep(0)
        assert not late.done()
        await bus.publish("here", b"y")
        await asyncio.wait_for(late, 5)


class _Broken:
    async def publish(self, subject: str, data: bytes) -> None:
        del subject, data

    async def subscribe(self, subject: str) -> AsyncGenerator[bytes]:
        yield subject.encode()
        raise OSError("the bus is away")


async def test_a_bus_that_breaks_is_told_to_the_reader() -> None:
    async def read() -> None:
        async with aclosing(wakes(_Broken(), "here")) as bells:
            async for _ in bells:
                pass

    with pytest.raises(OSError, match="the bus is away"):
        await asyncio.wait_for(read(), 5)
