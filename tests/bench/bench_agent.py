"""The agent loop: what a round costs besides the model and the tools, and how large the first request is.

A round is one model call with one tool call and its result, logged. The scripted endpoint runs in a process of its own and
answers at once; its time and the tools' time are taken away from a turn's time. Run: python -m tests.bench.bench_agent
"""

import asyncio
import json
import re
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import aiohttp
import structlog
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from protocol.approval import Role
from protocol.commands import CommandStatus
from protocol.events import ToolFinished, TurnFinished
from protocol.kubectl import parse, render
from tests.bench.measure import percentile, report
from tests.integration.agent_house import House, Told, agent_house
from tests.integration.scripted_model import Calls, Say, stream

ROUNDS = (1, 5, 30)
TURNS = {1: 40, 5: 30, 30: 12}
WARM_UP = 3
AIM_MS = "< 10 ms p50"


async def main() -> None:
    structlog.configure(processors=[_drop])
    rows: list[tuple[str, str, str]] = []
    raw: dict[str, Any] = {}
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.bench_agent", "--server", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert server.stdout is not None
        url = (await asyncio.wait_for(server.stdout.readline(), 60)).decode().strip()
        for rounds in ROUNDS:
            figures, first = await _measure(url, rounds)
            raw[f"rounds_{rounds}"] = figures
            p50, p99 = percentile(figures["framework_ms"], 0.5), percentile(figures["framework_ms"], 0.99)
            rows.append((f"framework time a round, {rounds} rounds, p50 / p99", f"{p50:.1f} / {p99:.1f} ms", AIM_MS))
            cpu = f"{percentile(figures['cpu_ms'], 0.5):.1f} ms"
            rows.append((f"CPU of a round in this process, tool, runner and log included, {rounds} rounds, p50", cpu, ""))
            rows.append((f"whole turn, {rounds} rounds, p50", f"{percentile(figures['turn_ms'], 0.5):.0f} ms", ""))
            raw["first_request_bytes"] = first
        rows.append(("first model request", f"{raw['first_request_bytes']} B", "< 12,288 B"))
        offline = await _offline()
        raw["offline_turn_ms"] = offline
        rows.append(("turn without a model (diagnose, 2 looks, proposal), p50", f"{percentile(offline, 0.5):.0f} ms", ""))
    finally:
        server.terminate()
        await server.wait()
    report("bench_agent", rows, raw)


async def _measure(url: str, rounds: int) -> tuple[dict[str, list[float]], int]:
    """Milliseconds by turn, and the bytes of the first request with the rules' evidence in it."""
    figures: dict[str, list[float]] = {"framework_ms": [], "turn_ms": [], "server_ms": [], "tools_ms": [], "cpu_ms": []}
    settings: dict[str, Any] = {
        "OPENAI_API_KEY": "sk-bench",
        "OPENAI_BASE_URL": f"{url}/v1",
        "model": f"rounds-{rounds}",
        "model_calls_per_turn": 100,
        "tool_calls_per_turn": 100,
    }
    with tempfile.TemporaryDirectory() as folder:
        async with agent_house(Path(folder), **settings) as house, aiohttp.ClientSession() as client:
            ann = await house.person("ann", Role.OPERATOR)
            model = house.model()
            house.script.lines |= {render(parse(_command(n))): "NAME READY\npayments 1/1" for n in range(max(ROUNDS))}
            await house.ask(ann, "why does payments keep restarting?", model=model)
            first = (await _stats(client, url))["first_bytes"]
            for n in range(WARM_UP + TURNS[rounds]):
                turn = await house.queue(ann, "hello my friend, tell me about the weather please")
                before = (await _stats(client, url))["seconds"]
                began, cpu = time.perf_counter(), time.process_time()
                await house.turns(model).run(turn.id)
                took, cpu = (time.perf_counter() - began) * 1000, (time.process_time() - cpu) * 1000
                spent = ((await _stats(client, url))["seconds"] - before) * 1000
                told = await house.told(turn.id)
                tools = _checked(told, rounds)
                if n >= WARM_UP:
                    figures["turn_ms"].append(took)
                    figures["server_ms"].append(spent)
                    figures["tools_ms"].append(tools)
                    figures["cpu_ms"].append(cpu / (rounds + 1))
                    figures["framework_ms"].append((took - spent - tools) / (rounds + 1))
    return figures, int(first)


def _checked(told: Told, rounds: int) -> float:
    """Milliseconds in tools, of a turn that did what it should."""
    finished = told.one(TurnFinished)
    assert (finished.ended_by, finished.model_calls, finished.tool_calls) == ("answer", rounds + 1, rounds), finished
    ends = told.all(ToolFinished)
    assert all(end.status == CommandStatus.OK for end in ends)
    return sum(end.duration_ms for end in ends)


async def _offline() -> list[float]:
    times: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        async with agent_house(Path(folder)) as house:
            for n in range(WARM_UP + 20):
                took = await _one_offline(house, f"ann{n}")
                if n >= WARM_UP:
                    times.append(took)
    return times


async def _one_offline(house: House, name: str) -> float:
    turn = await house.queue(await house.person(name, Role.OPERATOR), "why does payments keep restarting?")
    began = time.perf_counter()
    await house.turns().run(turn.id)
    took = (time.perf_counter() - began) * 1000
    assert (await house.told(turn.id)).turn.state == "finished"
    return took


async def _stats(client: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    async with client.get(f"{url}/stats", timeout=aiohttp.ClientTimeout(total=10)) as answer:
        return cast(dict[str, Any], await answer.json())


def _command(n: int) -> str:
    """A different one each round, or the guard against repeats would end the turn."""
    return f"get pods -A -l round={n}"


def _drop(_: Any, __: str, ___: Any) -> Any:
    raise structlog.DropEvent


class _Endpoint:
    """Answers by the model's name (`rounds-5`) and by how many tool results the request holds."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.first_bytes = 0

    async def complete(self, request: Request) -> StreamingResponse:
        began = time.perf_counter()
        raw = await request.body()
        self.first_bytes = self.first_bytes or len(raw)
        body = cast(dict[str, Any], json.loads(raw))
        wanted = re.fullmatch(r"rounds-(\d+)", str(body["model"]))
        done = sum(message["role"] == "tool" for message in body["messages"])
        answered = wanted is None or done >= int(wanted.group(1))
        reply = Say("That is all.") if answered else Calls(("kubectl", {"command": _command(done)}))
        return StreamingResponse(self._timed(stream(reply, 10), began), media_type="text/event-stream")

    async def _timed(self, pieces: AsyncIterator[bytes], began: float) -> AsyncIterator[bytes]:
        whole = b"".join([piece async for piece in pieces])
        self.seconds += time.perf_counter() - began
        yield whole

    async def stats(self, _: Request) -> JSONResponse:
        answer = {"seconds": self.seconds, "first_bytes": self.first_bytes}
        self.first_bytes = 0
        return JSONResponse(answer)


def serve() -> None:
    endpoint = _Endpoint()
    # With its protocol named, asyncio turns Nagle off; without, each answer waits 40 ms for an acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    routes = [Route("/v1/chat/completions", endpoint.complete, methods=["POST"]), Route("/stats", endpoint.stats)]
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_level="critical")).run([listener])


if __name__ == "__main__":
    if "--server" in sys.argv:
        serve()
    else:
        uvloop.run(main())  # as in production
