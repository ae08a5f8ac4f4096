"""The HTTP face: Kubernetes API, Prometheus API and the admin endpoints in one Starlette application."""

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator
from typing import Any, cast

import orjson
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from sandbox import admin, logs, watches
from sandbox.api import Answer, Log, Watch
from sandbox.auth import ANONYMOUS, Identity
from sandbox.errors import ApiError, bad_request
from sandbox.promql.http import prometheus
from sandbox.requests import Call
from sandbox.reviews import impersonated
from sandbox.world import Sandbox

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
_OPEN_PATHS = re.compile(r"/(healthz|livez|readyz|version)/?")
_FOLLOW_POLL = 0.5


def application(sandbox: Sandbox) -> Starlette:
    """The ASGI application of a sandbox. Every refusal is a Status object."""

    async def kubernetes(request: Request) -> Response:
        return await _guarded(sandbox, request, _kubernetes)

    async def administration(request: Request) -> Response:
        return await _guarded(sandbox, request, _administration)

    async def metrics(request: Request) -> Response:
        sandbox.live.moment()
        return await prometheus(sandbox.series, request)

    return Starlette(
        routes=[
            Route("/prometheus/{path:path}", metrics, methods=["GET", "POST"]),
            Route("/_sandbox/{path:path}", administration, methods=_METHODS),
            Route("/{path:path}", kubernetes, methods=_METHODS),
        ]
    )


async def _guarded(sandbox: Sandbox, request: Request, handler: Any) -> Response:
    try:
        fault = sandbox.faults.take(request.url.path)
        if fault is not None:
            await asyncio.sleep(fault.delay)
            if fault.status:
                raise ApiError(fault.status, fault.message)
        identity = _identity(sandbox, request)
        sandbox.live.moment()
        return await handler(sandbox, request, identity)
    except ApiError as error:
        wait = error.details.get("retryAfterSeconds")
        headers = {"Retry-After": str(wait)} if wait else {}
        return _json(error.status(), error.code, headers)
    except ClientDisconnect:
        return Response(status_code=499)
    except Exception:
        # a request that nobody foresaw is answered as an API server does, and the next one finds the cluster well
        logging.exception("the practice cluster failed at %s %s", request.method, request.url.path)
        failed = ApiError(500, "an error on the server has prevented the request from succeeding", reason="InternalError")
        return _json(failed.status(), 500)


def _identity(sandbox: Sandbox, request: Request) -> Identity:
    header = request.headers.get("authorization", "")
    if not header and _OPEN_PATHS.fullmatch(request.url.path):
        return ANONYMOUS
    identity = sandbox.tokens.identify(header, time.time())
    user, groups = request.headers.get("impersonate-user", ""), request.headers.getlist("impersonate-group")
    return impersonated(sandbox.cluster, identity, user, groups)


async def _kubernetes(sandbox: Sandbox, request: Request, identity: Identity) -> Response:
    call = Call(
        request.method,
        request.url.path,
        dict(request.query_params),
        {key.lower(): value for key, value in request.headers.items()},
        await request.body(),
        identity,
    )
    answer = sandbox.api.answer(call)
    if isinstance(answer, Watch):
        stream = watches.events(sandbox.cluster, sandbox.live, answer, call)
        return StreamingResponse(stream, media_type="application/json")
    if isinstance(answer, Log):
        return _log(sandbox, answer, call)
    return _respond(answer)


async def _administration(sandbox: Sandbox, request: Request, identity: Identity) -> Response:
    if identity.name != "admin":
        raise ApiError(403, f'/_sandbox is forbidden: User "{identity.name}" is not the admin of the practice cluster')
    body = await request.body()
    try:
        value: Any = orjson.loads(body) if body else {}
    except orjson.JSONDecodeError as error:
        raise bad_request(f"the body is not JSON: {error}") from error
    parts = [part for part in str(request.path_params["path"]).split("/") if part]
    return _json(admin.handle(sandbox, request.method, parts, value))


def _log(sandbox: Sandbox, wanted: Log, call: Call) -> Response:
    pod, query = wanted.pod, call.query
    container = logs.container_of(pod, query.get("container", ""))
    trace, run = logs.run_of(sandbox.kubelet, pod, container, call.flag("previous"))
    now = time.time()
    since = now - float(_number(query, "sinceSeconds") or now)
    said = logs.lines(trace, run, now, since=since, tail=_number(query, "tailLines"))
    stamps = call.flag("timestamps")
    first = logs.text_of(said, timestamps=stamps, limit_bytes=_number(query, "limitBytes"))
    if not call.flag("follow"):
        return Response(first, media_type="text/plain")

    async def follow() -> AsyncIterator[bytes]:
        yield first
        seen = now
        while run.ended is None or seen < run.ended:
            await asyncio.sleep(_FOLLOW_POLL)
            until = time.time()
            fresh = [row for row in logs.lines(trace, run, until, since=seen) if row[0] > seen]
            seen = until
            if fresh:
                yield logs.text_of(fresh, timestamps=stamps)

    return StreamingResponse(follow(), media_type="text/plain")


def _number(query: dict[str, str], name: str) -> int | None:
    value = query.get(name)
    if value is None:
        return None
    try:
        return int(value)
    except ValueError as error:
        raise bad_request(f'PodLogOptions "" is invalid: {name}: Invalid value: "{value}"') from error


def _respond(answer: Answer) -> Response:
    if answer.media != "application/json":
        return Response(cast(str | bytes, answer.body), answer.code, media_type=answer.media)
    return _json(answer.body, answer.code, answer.headers)


def _json(value: Any, code: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(value), code, headers, media_type="application/json")
