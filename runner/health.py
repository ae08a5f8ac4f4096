"""Health and metrics over HTTP: /health/live, /health/ready, /metrics."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from protocol.commands import CommandResult


class Metrics:
    """The runner's own numbers, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        prefix = "opsthread_runner"
        self.commands = Counter(f"{prefix}_commands", "Commands done", ["kind", "status"], registry=self.registry)
        self.seconds = Histogram(
            f"{prefix}_command_seconds",
            "From receipt to result",
            ["kind"],
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=self.registry,
        )
        self.redacted = Counter(f"{prefix}_redacted", "Secrets blacked out in results", registry=self.registry)

    def finished(self, kind: str, result: CommandResult) -> None:
        self.commands.labels(kind, result.status.value).inc()
        self.seconds.labels(kind).observe(result.duration_ms / 1000)
        self.redacted.inc(result.redacted)

    def gauge(self, name: str, what: str, read: Callable[[], float]) -> None:
        Gauge(f"opsthread_runner_{name}", what, registry=self.registry).set_function(read)


def _starting() -> dict[str, Any]:
    return {"ready": False, "place": "starting"}


@dataclass(slots=True)
class Face:
    """What is shown now; it changes when this pod becomes the active runner, and when another one does."""

    metrics: Metrics = field(default_factory=Metrics)
    state: Callable[[], dict[str, Any]] = _starting
    """What /health/ready shows; its `ready` decides between 200 and 503."""


async def serve_health(host: str, port: int, face: Face) -> tuple[web.AppRunner, int]:
    """Start the server; the caller cleans the returned runner up. Port 0 takes a free one."""

    async def live(_: web.Request) -> web.Response:
        return web.json_response({"status": "live"})

    async def ready(_: web.Request) -> web.Response:
        now = face.state()
        return web.json_response(now, status=200 if now.get("ready") else 503)

    async def numbers(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(face.metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/health/live", live), web.get("/health/ready", ready), web.get("/metrics", numbers)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    return runner, int(runner.addresses[0][1])
