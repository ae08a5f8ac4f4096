"""What a call without an answer is settled with: what an endpoint may have worked on is paid for, what it refused is not."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from langchain_core.messages import HumanMessage
from openai import APIError

from agent_runtime.models.endpoint import Endpoint, Hooks, Line, Spec
from control_plane.settings import Price
from control_plane.spending import Used

QUESTION = HumanMessage("what is wrong? " * 100)


@dataclass
class Book:
    settled: list[Used] = field(default_factory=list[Used])

    async def begin(self, spec: Spec, url: str, body: bytes) -> str:
        del spec, url, body
        return "call"

    async def end(self, call: str, used: Used) -> None:
        assert call == "call"
        self.settled.append(used)


@asynccontextmanager
async def silent(answer: bytes = b"") -> AsyncGenerator[tuple[str, asyncio.Event]]:
    """An endpoint that reads a request and answers with some bytes, or not at all."""
    reached, tasks = asyncio.Event(), set[asyncio.Task[None] | None]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        await reader.readuntil(b"\r\n\r\n")
        reached.set()
        if answer:
            writer.write(answer)
            await writer.drain()
        await reader.read(-1)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", reached
    finally:
        server.close()
        await asyncio.wait_for(asyncio.gather(*(task for task in tasks if task)), 5)


@asynccontextmanager
async def endpoint(url: str, timeout_s: float = 10) -> AsyncGenerator[tuple[Endpoint, Book]]:
    spec = Spec("gpt", url, "key", timeout_s=timeout_s, price=Price(input=10, output=10))
    line, book = Line(spec), Book()
    try:
        yield Endpoint(spec=spec, line=line, hooks=Hooks(ledger=book)), book
    finally:
        await line.close()


async def test_who_gives_up_waiting_pays_for_what_was_read() -> None:
    async with silent() as (url, _), endpoint(url, timeout_s=0.2) as (model, book):
        with pytest.raises(APIError):
            await model.respond([QUESTION], [])
    (used,) = book.settled
    assert used.failed
    assert used.estimated
    assert used.input_tokens > 300
    assert used.money > 0


async def test_a_call_that_is_cancelled_before_its_first_word_is_paid_for() -> None:
    async with silent() as (url, reached), endpoint(url) as (model, book):
        asking = asyncio.create_task(model.respond([QUESTION], []))
        await asyncio.wait_for(reached.wait(), 5)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    (used,) = book.settled
    assert used.input_tokens > 300


async def test_what_was_refused_costs_nothing() -> None:
    refusal = b"HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    async with silent(refusal) as (url, _), endpoint(url) as (model, book):
        with pytest.raises(APIError):
            await model.respond([QUESTION], [])
    (used,) = book.settled
    assert (used.failed, used.input_tokens, used.money) == (True, 0, 0)


async def test_what_never_arrived_costs_nothing() -> None:
    async with silent() as (url, _):
        pass
    async with endpoint(url) as (model, book):
        with pytest.raises(APIError):
            await model.respond([QUESTION], [])
    assert book.settled[0].money == 0
