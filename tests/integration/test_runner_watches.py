"""Watches that stall, and API servers that forget every place: the copy catches up, and the server is not run over."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from runner.cache.reflector import Reflector
from runner.kube.access import Access
from runner.kube.client import KubeClient
from runner.kube.discovery import Discovery
from tests.integration.waiting import until

PODS = {"name": "pods", "kind": "Pod", "namespaced": True, "verbs": ["get", "list", "watch"], "singularName": "pod"}


class Server:
    """The API of pods and nothing else. `stall`: a watch is taken and never says a word. `forget`: each watch has expired."""

    def __init__(self) -> None:
        self.names = ["first"]
        self.lists = self.watches = 0
        self.stall = self.forget = False

    def pod(self, name: str) -> dict[str, Any]:
        metadata = {"name": name, "namespace": "shop", "resourceVersion": str(len(self.names))}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {}, "status": {}}

    async def pods(self, request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            self.lists += 1
            items = [self.pod(name) for name in self.names]
            return web.json_response({"kind": "PodList", "metadata": {"resourceVersion": str(len(self.names))}, "items": items})
        self.watches += 1
        answer = web.StreamResponse()
        await answer.prepare(request)
        if self.forget:
            gone = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}}
            await answer.write(json.dumps(gone).encode() + b"\n")
            return answer
        seen = int(request.query["resourceVersion"])
        while True:
            for name in self.names[seen:] if not self.stall else []:
                await answer.write(json.dumps({"type": "ADDED", "object": self.pod(name)}).encode() + b"\n")
                seen += 1
            await asyncio.sleep(0.01)


@asynccontextmanager
async def reflected(server: Server, silence_s: float) -> AsyncGenerator[Reflector]:
    app = web.Application()
    app.router.add_get("/api", answering({"versions": ["v1"]}))
    app.router.add_get("/apis", answering({"groups": []}))
    app.router.add_get("/api/v1", answering({"groupVersion": "v1", "resources": [PODS]}))
    app.router.add_get("/api/v1/pods", server.pods)
    listening = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await listening.setup()
    site = web.TCPSite(listening, "127.0.0.1", 0)
    await site.start()
    port = listening.addresses[0][1]
    try:
        async with KubeClient(Access(server=f"http://127.0.0.1:{port}", ssl_context=None)) as client:
            reflector = Reflector(client, Discovery(client), "Pod", "", unheard, silence_s=silence_s)
            running = asyncio.create_task(reflector.run())
            await asyncio.wait_for(reflector.settled.wait(), 10)
            yield reflector
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    finally:
        await listening.cleanup()


def answering(body: dict[str, Any]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response(body)

    return answer


def unheard(*_: object) -> None:
    """Changes are not what these tests are about."""


def names(reflector: Reflector) -> set[str]:
    return {name for _, name in reflector.objects}


async def test_a_watch_that_says_nothing_any_more_is_given_up_and_nothing_is_missed() -> None:
    server = Server()
    server.stall = True
    async with reflected(server, silence_s=0.3) as reflector:
        server.names.append("second")
        await until(lambda: reflector.health.state == "stale", "the silence is noticed")
        assert "silent" in reflector.health.note
        server.stall = False
        await until(lambda: names(reflector) == {"first", "second"}, "the change behind the silence is seen")
        await until(lambda: reflector.health.state == "warm", "and the copy is good again")
        assert server.lists == 1, "the place was known, so nothing was listed again"


async def test_a_server_that_forgets_every_place_is_asked_less_and_less_often() -> None:
    server = Server()
    server.forget = True
    async with reflected(server, silence_s=5) as reflector:
        await until(lambda: server.lists >= 3, "it lists again")
        began, before = asyncio.get_running_loop().time(), server.lists
        await until(lambda: server.lists >= before + 2, "and again")
        assert (asyncio.get_running_loop().time() - began) / 2 > 0.2, "with pauses that grow"
        server.forget = False
        server.names.append("second")
        await until(lambda: names(reflector) == {"first", "second"}, "it catches up")
