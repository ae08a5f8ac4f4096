"""Is it alive, may traffic come, what works: for probes, balancers and people."""

import asyncio
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from bot.api.access import Plane
from control_plane.services import ControlPlane

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


@router.get("/health/status")
async def status(plane: Plane, request: Request) -> dict[str, Any]:
    """Each part by itself. Counts only: who may see which cluster is for signed-in callers."""
    fine, clusters = await _database(plane)
    online = sum(1 for up in clusters if up)
    return {
        "status": "healthy" if fine else "unhealthy",
        "version": _version(),
        "components": {
            "database": {"healthy": fine},
            "runners": {"healthy": online == len(clusters), "online": online, "known": len(clusters)},
            "model": {"name": str(request.app.state.runtime.model_name)},
        },
    }


@router.get("/metrics")
async def metrics() -> Response:
    """Prometheus text format."""
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


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
