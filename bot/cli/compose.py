"""The composition: control plane, agent, web and REST in this process; practice cluster and runner as its children."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, field
from typing import Any, cast

import uvicorn
from fastapi import FastAPI

from agent_runtime.runtime import AgentRuntime
from bot.api.app import build_app
from bot.api.charts import drawer_in
from bot.api.stream import Streams
from bot.cli.listening import listen
from bot.cli.own_runner import OwnRunner
from bot.cli.practice import Practice
from control_plane.assembly import control_plane
from control_plane.errors import NotFound
from control_plane.services import ControlPlane
from control_plane.settings import Settings

CLUSTER_READY_S = 20


@dataclass(frozen=True)
class Composition:
    """What to start besides the control plane."""

    practice: Practice | None = None
    """The practice cluster, already started; a runner in it that may write is ours to add."""
    runner: OwnRunner | None = None
    """A runner as our child, already started: on the practice cluster, or on the one that KUBECONFIG names."""
    cluster_name: str = "practice"
    runner_writes: bool = True


@dataclass
class Product:
    """A running product."""

    plane: ControlPlane
    runtime: AgentRuntime
    url: str
    cluster: str | None = None
    """Id of the cluster that our own runner serves."""
    sandbox: dict[str, Any] = field(default_factory=dict[str, Any])
    """The practice cluster's ready line: url, prometheus_url, kubeconfigs."""


@contextlib.asynccontextmanager
async def product(settings: Settings, what: Composition) -> AsyncGenerator[Product]:
    """Start everything, in the order that is ready soonest; stop it in reverse on the way out.

    Raises PortInUse, ChildFailed, control_plane.errors.Conflict (data directory in use) with words for people.
    """
    listener = listen(settings.host, settings.port)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(listener.close)
        plane = await stack.enter_async_context(control_plane(settings))
        runtime = AgentRuntime(plane)
        stack.push_async_callback(runtime.stop)
        url = settings.public_url or f"http://{_shown(settings.host)}:{cast(int, listener.getsockname()[1])}"
        app = build_app(plane, runtime)
        server = _Server(_uvicorn_config(app))
        serving = asyncio.create_task(server.serve([listener]), name="http")
        stack.push_async_callback(_stop_server, app, server, serving)
        running = Product(plane=plane, runtime=runtime, url=url.rstrip("/"))
        if settings.slack_in_use():
            from bot.slack.service import slack  # with Slack's libraries, which others don't pay for

            app.state.slack = await stack.enter_async_context(slack(plane, drawer_in(app), url=running.url))
        if what.practice is not None:
            what.practice.sweep()
            running.sandbox = await what.practice.ready()
        if what.runner is not None:
            stack.push_async_callback(what.runner.stop)
            running.cluster = await _configure_runner(what.runner, running, settings, what)
        seen = asyncio.create_task(wait_for_cluster(running), name="wait for our cluster")
        await runtime.start(after=seen)
        yield running


async def wait_for_cluster(running: Product, timeout_s: float = CLUSTER_READY_S) -> bool:
    """Until our runner is online and its cache has been filled. False when it took too long."""
    if running.cluster is None:
        return False
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout_s
    while loop.time() < end:
        cluster = await running.plane.fleet.get(running.cluster)
        if cluster.online and cluster.summary.cache == "warm":
            return True
        await asyncio.sleep(0.05)
    return False


def _shown(host: str) -> str:
    return "127.0.0.1" if host in ("0.0.0.0", "::") else host


async def _configure_runner(runner: OwnRunner, running: Product, settings: Settings, what: Composition) -> str:
    fleet = running.plane.fleet
    try:
        cluster = await fleet.get(what.cluster_name)
    except NotFound:
        cluster = await fleet.create(what.cluster_name, environment="practice" if what.practice else "", by="system")
    folder = settings.data_dir / f"runner-{cluster.id}"
    config: dict[str, Any] = {
        "nats_url": running.plane.bus.own_url,
        "data_dir": str(folder),
        "name": f"{what.cluster_name}-runner",
        "mode": "writes" if what.runner_writes else "read-only",
        "remediations": "all",
        "grant_keys": {running.plane.grant_kid: running.plane.grant_key.verify_key.encode().hex()},
    }
    if what.practice is not None:
        config["kubeconfig"] = str(running.sandbox["kubeconfigs"]["runner"])
        config["prometheus_url"] = str(running.sandbox["prometheus_url"])
    enrolled = (folder / "identity.json").exists() and cluster.runner is not None and not cluster.runner.revoked
    token = None
    if not enrolled:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / "identity.json").unlink(missing_ok=True)
        token = await fleet.enrolment_token(cluster.id, by="system")
    await runner.configure(config, enrol_token=token)
    return cluster.id


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: the command stops it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def _uvicorn_config(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=3,
        server_header=False,
        proxy_headers=False,  # whose word is believed about where a request comes from: bot.api.address
    )


async def _stop_server(app: FastAPI, server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
    """Open streams end first, so that browsers reconnect and the server need not wait for them."""
    await cast(Streams, app.state.streams).close()
    server.should_exit = True
    with contextlib.suppress(TimeoutError, asyncio.CancelledError):
        await asyncio.wait_for(serving, 6)
