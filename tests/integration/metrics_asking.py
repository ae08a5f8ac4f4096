"""Questions to the runner's metrics client, as a command asks them, and the cluster's side of finding a server to ask."""

import contextlib
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from protocol.commands import PromQuery, ScopeLimit
from runner.commands.answer import Answer, Refusal
from runner.commands.prometheus import query
from runner.config import RunnerConfig
from runner.metrics.client import Prometheus
from tests.integration.metrics_servers import NOW

MEMORY = "container_memory_working_set_bytes"
EVERYTHING = ScopeLimit()


def config(url: str | None, **more: Any) -> RunnerConfig:
    return RunnerConfig(prometheus_url=url, **more)


async def ask(settings: RunnerConfig, expr: str, hours: float = 0, scope: ScopeLimit = EVERYTHING, **more: Any) -> Answer:
    async with Prometheus(settings) as client:
        start = NOW - timedelta(hours=hours) if hours else None
        return await query(PromQuery(expr=expr, start=start, end=NOW, **more), client, scope, NOW, 20)


async def refusal(settings: RunnerConfig, expr: str = "1", timeout_s: float = 20) -> Refusal:
    async with Prometheus(settings) as client:
        with pytest.raises(Refusal) as caught:
            await query(PromQuery(expr=expr), client, EVERYTHING, NOW, timeout_s)
        return caught.value


# Both servers


def service(name: str, namespace: str, port: int, **spec: Any) -> dict[str, Any]:
    fields = {"type": "ClusterIP", "clusterIP": "127.0.0.1", "selector": {"app": "x"}, "ports": [{"name": "web", "port": port}]}
    return {"kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": fields | spec}


def port_of(url: str) -> int:
    return int(url.rsplit(":", 1)[1])


@contextlib.asynccontextmanager
async def api_server(behind: str, asked: list[tuple[str, str]]) -> AsyncGenerator[str]:
    """The part of an API server that passes requests on to a Service; without `behind`, one that does not let us."""

    async def serve(request: web.Request) -> web.Response:
        asked.append((request.path, request.headers.get("Authorization", "")))
        if not behind:
            body = {"kind": "Status", "status": "Failure", "reason": "Forbidden", "message": "services is forbidden"}
            return web.json_response(body, status=403)
        url = f"{behind}{request.path.split('/proxy', 1)[1]}"
        async with aiohttp.ClientSession() as session, session.get(url, params=request.query) as answer:
            return web.Response(body=await answer.read(), status=answer.status, content_type=answer.content_type)

    app = web.Application()
    app.router.add_get("/{rest:.*}", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
