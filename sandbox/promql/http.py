"""The Prometheus HTTP API."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox.promql.series import SeriesSource


async def prometheus(series: SeriesSource, request: Request) -> Response:
    """Answer one request under /prometheus."""
    body = {"status": "error", "errorType": "unavailable", "error": "not yet"}
    return JSONResponse(body, 503)
