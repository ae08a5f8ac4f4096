"""The one ASGI application: REST, the event stream and the web over a control plane."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from agent_runtime.runtime import AgentRuntime
from bot.api import (
    accounts,
    alerts,
    approvals,
    audit,
    cases,
    charts,
    clusters,
    commands,
    conversations,
    doctor,
    events,
    feedback,
    health,
    install,
    models,
    problems,
    proposals,
    safety,
    slack,
    slack_http,
    slack_threads,
    stream,
    usage,
)
from bot.api.access import is_secure
from bot.api.address import networks
from bot.api.middleware import Frame
from bot.api.stream import Pace, Streams
from bot.charts.drawer import Drawer
from bot.web import pages
from control_plane.services import ControlPlane

ROUTERS = (
    conversations.router,
    charts.router,
    stream.router,
    approvals.router,
    cases.router,
    feedback.router,
    proposals.router,
    safety.router,
    slack.router,
    slack_http.router,
    slack_threads.router,
    alerts.router,
    clusters.router,
    install.router,
    commands.router,
    events.router,
    accounts.router,
    audit.router,
    models.router,
    usage.router,
    health.router,
    doctor.router,
)


def build_app(plane: ControlPlane, runtime: AgentRuntime, *, pace: Pace | None = None) -> FastAPI:
    """REST at /api/v1, OpenAPI at /api/v1/openapi.json, the web at /. Whoever stops the server awaits
    `app.state.streams.close()` first, so that open streams end and browsers reconnect elsewhere."""
    streams = Streams(plane, pace or Pace())
    drawer = Drawer(plane.settings.data_dir / "cache" / "charts")

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        yield
        await streams.close()
        await drawer.close()

    app = FastAPI(
        title="Opsthread",
        description="Ask what is wrong with a Kubernetes cluster, see the evidence, decide about the fix.",
        version="1",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.plane = plane
    app.state.runtime = runtime
    app.state.streams = streams
    app.state.trusted_proxies = networks(plane.settings.trusted_proxies)
    app.state.charts = drawer
    app.state.alert_door = alerts.AlertDoor(plane)
    for router in ROUTERS:
        app.include_router(router)
    pages.install(app)
    answer = problems.answer_with(pages.problem_page)
    problems.install(app, answer)
    app.add_middleware(Frame, secure=is_secure(plane.settings), fail=answer)
    return app
