"""A whole-cluster `diagnose` as the runner does it, over 5,000 pods in its cache: view, needs, 40 logs, rules, redaction.

Run: python -m tests.bench.bench_runner_diagnosis

The API server is a stand-in that answers each log with 200 lines at once: what is timed is the runner's own work.
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from aiohttp import web

from protocol.commands import Diagnose, ScopeLimit
from protocol.diagnosis import Change
from runner.cache.live import LiveCache
from runner.commands.ask import Ask
from runner.commands.diagnosing import run_diagnosis
from runner.config import RunnerConfig
from runner.kube.access import Access
from runner.kube.client import KubeClient
from runner.kube.discovery import Discovery
from runner.metrics.client import Prometheus
from tests.bench.bench_diagnosis import cluster
from tests.bench.measure import median, report
from tests.unit.knowledge.world import NOW

PODS, ROUNDS = 5000, 7
LOG = "\n".join(
    f'2026-11-20T12:00:{n % 60:02d}Z level=info msg="handled request" id={n * 7919} path=/api/v1/orders/{n} ms={n % 90}'
    for n in range(200)
)


@dataclass
class Warm:
    """A cache that holds these objects."""

    kept: list[dict[str, Any]]
    state: str = "warm"

    async def wait_settled(self, _: float) -> bool:
        return True

    def objects(self) -> Iterator[dict[str, Any]]:
        return iter(self.kept)

    def limits(self) -> list[str]:
        return []

    def changes(self, _: datetime) -> list[Change]:
        return []


async def main() -> None:
    asked = 0

    async def log(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.Response(text=LOG)

    app = web.Application()
    app.router.add_get("/api/v1/namespaces/{namespace}/pods/{pod}/log", log)
    server = web.AppRunner(app)
    await server.setup()
    site = web.TCPSite(server, "127.0.0.1", 0)
    await site.start()
    port = cast(Any, site)._server.sockets[0].getsockname()[1]
    objects = [dict(obj) for obj in cluster(PODS).objects]
    try:
        async with (
            KubeClient(Access(f"http://127.0.0.1:{port}", None)) as client,
            Prometheus(RunnerConfig(), client) as metrics,
        ):
            ask = Ask(client, Discovery(client), ScopeLimit(), lambda: NOW, 1_000_000, lambda _: None)
            walls: list[float] = []
            spent: list[float] = []
            for _ in range(ROUNDS):
                wall, cpu = time.perf_counter(), time.process_time()
                await run_diagnosis(Diagnose(), ask, cast(LiveCache, Warm(objects)), metrics)
                walls.append((time.perf_counter() - wall) * 1000)
                spent.append((time.process_time() - cpu) * 1000)
    finally:
        await server.cleanup()
    rows = [
        ("objects in the cache", f"{len(objects):,}", ""),
        ("logs read a question", f"{asked // ROUNDS}", ""),
        ("whole-cluster diagnose, wall, median", f"{median(walls):.0f} ms", "< 1 s"),
        ("whole-cluster diagnose, CPU, median", f"{median(spent):.0f} ms", "< 1 s"),
    ]
    report("runner_diagnosis", rows, {"objects": len(objects), "wall_ms": walls, "cpu_ms": spent})


if __name__ == "__main__":
    asyncio.run(main())
