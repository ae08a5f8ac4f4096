"""Is it alive, may traffic come, what works: for probes, balancers and people."""

import asyncio
import hmac
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import structlog
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from bot.api.access import Plane, authenticate, bearer
from control_plane.clock import utc_now
from control_plane.errors import NotSignedIn
from control_plane.services import ControlPlane
from control_plane.settings import Settings
from control_plane.slack.backlog import Backlog

log = structlog.get_logger(__name__)

router = APIRouter(tags=["health"])

LOOK_S = 3.0


@router.get("/health/live")
async def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "alive"}


@router.get("/health/ready")
async def ready(plane: Plane) -> JSONResponse:
    """The database answers. 503 otherwise."""
    fine, _ = await _database(plane)
    return JSONResponse({"status": "ready" if fine else "not ready"}, status_code=200 if fine else 503)


async def may_see_numbers(request: Request, plane: Plane) -> None:
    """Raises NotSignedIn. What a proxy on this machine passes on is not of this machine."""
    access = plane.settings.metrics_access
    if access == "open" or (access == "local" and _is_local(request)):
        return
    expected = await asyncio.to_thread(_metrics_token, plane.settings)
    if expected and hmac.compare_digest(expected.encode(), bearer(request).encode()):
        return
    try:
        await authenticate(request)
    except NotSignedIn:
        words = "This is for this machine, or with a bearer token. Probes ask /health/live and /health/ready."
        raise NotSignedIn(words) from None


Numbers = [Depends(may_see_numbers)]


@router.get("/health/status", dependencies=Numbers)
async def status(plane: Plane, request: Request) -> dict[str, Any]:
    """Each part by itself. Counts only: who may see which cluster is for signed-in callers."""
    fine, clusters = await _database(plane)
    online = sum(1 for up in clusters if up)
    slack = getattr(request.app.state, "slack", None)
    return {
        "status": "healthy" if fine else "unhealthy",
        "version": _version(),
        "components": {
            "database": {"healthy": fine},
            "runners": {"healthy": online == len(clusters), "online": online, "known": len(clusters)},
            "model": {"name": str(request.app.state.runtime.model_name)},
            **({"slack": await _slack(plane, slack)} if slack is not None and fine else {}),
        },
    }


async def _slack(plane: ControlPlane, slack: Any) -> dict[str, Any]:
    """`connections` are those of this process; what waits is counted over all."""
    come, go = await plane.slack_inbox.backlog(), await plane.slack_outbox.backlog()
    by_http = plane.settings.slack_mode == "http"
    return {
        "healthy": by_http or slack.connected > 0,
        "mode": "http" if by_http else "socket",
        "connections": slack.connected,
        "waiting": {"from_slack": _waiting(come), "to_slack": _waiting(go)},
    }


def _waiting(found: Backlog) -> dict[str, Any]:
    oldest_s = (utc_now() - found.oldest).total_seconds() if found.oldest is not None else 0.0
    return {"count": found.waiting, "oldest_s": round(max(oldest_s, 0.0), 1), "failed_in_24_h": found.failed}


@router.get("/metrics", dependencies=Numbers)
async def metrics() -> Response:
    """Prometheus text format."""
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


def _is_local(request: Request) -> bool:
    host = request.client.host if request.client is not None else ""
    return host in ("127.0.0.1", "::1") and not any(name in request.headers for name in _FORWARDED)


def _metrics_token(settings: Settings) -> str:
    """ "" when there is none, or its file can't be read: then only people's tokens do."""
    if settings.metrics_token_file is None:
        return ""
    try:
        return settings.metrics_token_file.read_text().strip()
    except OSError:
        log.warning("health.metrics_token", exc_info=True)
        return ""


async def _database(plane: ControlPlane) -> tuple[bool, list[bool]]:
    """Whether the database answers in time, and which clusters are online."""
    try:
        async with asyncio.timeout(LOOK_S):
            return True, [cluster.online for cluster in await plane.fleet.list()]
    except Exception:  # any failure at all is the answer here
        log.warning("health.database", exc_info=True)
        return False, []


def _version() -> str:
    try:
        return version("opsthread")
    except PackageNotFoundError:
        return "0"
