"""An OpenAI-compatible server that answers as its script says, over real HTTP and SSE, for the real client.

async with scripted_model(Calls(("kubectl", {"command": "get pods"})), Say("All is well.")) as server:
    settings = Settings(openai_base_url=server.url, ...)

The last reply is given for ever. `server.requests` holds the bytes of each request.
"""

import asyncio
import json
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route


@dataclass(frozen=True)
class Say:
    text: str
    cut: bool = False
    """The connection breaks after the first half."""


@dataclass(frozen=True, init=False)
class Calls:
    calls: tuple[tuple[str, dict[str, Any] | str], ...]
    """(name, arguments); arguments as text are sent as they are, valid JSON or not."""
    text: str

    def __init__(self, *calls: tuple[str, dict[str, Any] | str], text: str = "") -> None:
        object.__setattr__(self, "calls", calls)
        object.__setattr__(self, "text", text)


@dataclass(frozen=True)
class Fail:
    status: int
    headers: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Silent:
    """Takes the request and never answers."""


@dataclass(frozen=True)
class Garbage:
    """200 with a stream that is no JSON."""


@dataclass(frozen=True)
class Raw:
    """These bytes, whatever they are; `every_s` sends them line by line so slowly."""

    body: bytes
    content_type: str = "text/event-stream"
    status: int = 200
    every_s: float = 0


Reply = Say | Calls | Fail | Silent | Garbage | Raw | Callable[[bytes], Any]
"""A function makes the reply from the request's bytes."""


def whole(message: dict[str, Any], *, usage: dict[str, int] | None = None, finish: str | None = "stop") -> Raw:
    """One body, as of a server that does not stream."""
    body: dict[str, Any] = {"id": "x", "choices": [{"index": 0, "message": message, "finish_reason": finish}]}
    return Raw(json.dumps(body | ({"usage": usage} if usage else {})).encode(), "application/json")


def deltas(*parts: dict[str, Any], finish: str | None = "stop", done: bool = True, usage: dict[str, int] | None = None) -> Raw:
    """A stream of these deltas."""
    chunks = [_chunk({"delta": part}) for part in parts]
    if finish is not None:
        chunks.append(_chunk({"delta": {}, "finish_reason": finish}))
    if usage is not None:
        chunks.append(_chunk(None, usage))
    return Raw(b"".join(chunks) + (b"data: [DONE]\n\n" if done else b""))


@dataclass
class ScriptedModel:
    url: str
    replies: list[Reply]
    requests: list[bytes] = field(default_factory=list[bytes])
    seconds: float = 0.0
    """Spent in this server."""
    tokens: int = 10
    """Told as used, in and out, for each answer."""
    refuses: dict[str, str] = field(default_factory=dict[str, str])
    """Fields that are answered with a 400 in these words."""
    paths: list[str] = field(default_factory=list[str])
    """Path and query of each request."""
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    go: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared, it thinks until it is set."""

    def __post_init__(self) -> None:
        self.go.set()

    def messages(self, n: int = -1) -> list[dict[str, Any]]:
        return cast(list[dict[str, Any]], json.loads(self.requests[n])["messages"])

    def tools(self, n: int = -1) -> list[str]:
        tools = cast(list[dict[str, Any]], json.loads(self.requests[n]).get("tools", []))
        return [tool["function"]["name"] for tool in tools]

    async def answer(self, request: Request) -> Response:
        began = time.perf_counter()
        self.requests.append(await request.body())
        self.paths.append(request.url.path + (f"?{request.url.query}" if request.url.query else ""))
        self.headers.append(dict(request.headers))
        asked = json.loads(self.requests[-1])
        for name, words in self.refuses.items():
            if name in asked and not (name == "stream" and asked[name] is False):
                return JSONResponse({"error": {"message": words, "type": "invalid_request_error"}}, 400)
        await self.go.wait()
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        while callable(reply):
            reply = reply(self.requests[-1])
        match reply:
            case Fail():
                error = {"error": {"message": f"scripted {reply.status}", "type": "scripted", "code": None}}
                response: Response = JSONResponse(error, reply.status, headers=reply.headers)
            case Silent():
                while (await request.receive())["type"] != "http.disconnect":
                    pass
                response = Response(status_code=499)
            case Garbage():
                response = Response(b"data: {this is no json\n\n", media_type="text/event-stream")
            case Raw(every_s=0):
                response = Response(reply.body, reply.status, media_type=reply.content_type)
            case Raw():
                response = StreamingResponse(drip(reply), media_type=reply.content_type)
            case _:
                response = StreamingResponse(stream(cast(Say | Calls, reply), self.tokens), media_type="text/event-stream")
        self.seconds += time.perf_counter() - began
        return response


async def drip(reply: Raw) -> AsyncIterator[bytes]:
    for line in reply.body.splitlines(keepends=True):
        yield line
        await asyncio.sleep(reply.every_s)


async def stream(reply: Say | Calls, tokens: int) -> AsyncIterator[bytes]:
    pieces: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    words = reply.text.split(" ")
    pieces += [{"content": word if n == 0 else f" {word}"} for n, word in enumerate(words)] if reply.text else []
    if isinstance(reply, Calls):
        for n, (name, args) in enumerate(reply.calls):
            text = args if isinstance(args, str) else json.dumps(args)
            function = {"name": name, "arguments": ""}
            pieces.append({"tool_calls": [{"index": n, "id": f"call_{n}", "type": "function", "function": function}]})
            half = len(text) // 2
            pieces += [{"tool_calls": [{"index": n, "function": {"arguments": part}}]} for part in (text[:half], text[half:])]
    if isinstance(reply, Say) and reply.cut:
        for piece in pieces[: len(pieces) // 2 + 1]:
            yield _chunk({"delta": piece})
        raise ConnectionResetError("scripted cut")
    for piece in pieces:
        yield _chunk({"delta": piece})
    yield _chunk({"delta": {}, "finish_reason": "tool_calls" if isinstance(reply, Calls) else "stop"})
    usage = {"prompt_tokens": tokens, "completion_tokens": tokens, "total_tokens": 2 * tokens}
    yield _chunk(None, usage)
    yield b"data: [DONE]\n\n"


def _chunk(choice: dict[str, Any] | None, usage: dict[str, int] | None = None) -> bytes:
    choices = [{"index": 0, "finish_reason": None, **choice}] if choice is not None else []
    body = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, "usage": usage}
    return f"data: {json.dumps(body)}\n\n".encode()


class _Server(uvicorn.Server):
    """In a test's loop, so it leaves the signals alone."""

    def install_signal_handlers(self) -> None:
        return None


@asynccontextmanager
async def scripted_model(*replies: Reply) -> AsyncGenerator[ScriptedModel]:
    # With its protocol named, asyncio turns Nagle off; without, each answer waits 40 ms for an acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    port = cast(int, listener.getsockname()[1])
    model = ScriptedModel(f"http://127.0.0.1:{port}/v1", list(replies))
    app = Starlette(routes=[Route("/{path:path}", model.answer, methods=["POST"])])
    server = _Server(uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1))
    serving = asyncio.create_task(server.serve([listener]))
    try:
        yield model
    finally:
        server.should_exit = True
        await serving
        listener.close()
