"""What holds for every response: request id, security headers, a body limit, metrics. Plain ASGI, so that streams stream."""

import re
from collections.abc import Awaitable, Callable
from time import perf_counter

import structlog
from prometheus_client import Counter, Histogram
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.api.problems import REFUSED
from control_plane.errors import ServiceError
from protocol.ids import new_id

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_STRICT_TRANSPORT = "max-age=31536000"
CSP_IN_SCOPE = "opsthread.content_security_policy"
"""Where a route that answers with a document of its own kind (a picture) leaves the policy for it."""
BODY_LIMIT = 512 * 1024

_REQUESTS = Counter("opsthread_http_requests_total", "HTTP requests by route and status", ("method", "route", "status"))
_SECONDS = Histogram(
    "opsthread_http_request_seconds",
    "Time to the first byte of the answer",
    ("method", "route"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
Fail = Callable[[Request, Exception], Awaitable[Response]]
_REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{8,64}$")


class TooLarge(ServiceError):
    status = 413
    code = "too_large"


class Frame:
    """Wraps the application. `secure` adds HSTS: people reach us by https. `fail` answers what nobody caught."""

    def __init__(self, app: ASGIApp, *, secure: bool, fail: Fail, body_limit: int = BODY_LIMIT) -> None:
        self._app = app
        self._fail = fail
        self._body_limit = body_limit
        self._headers = dict(SECURITY_HEADERS)
        if secure:
            self._headers["Strict-Transport-Security"] = _STRICT_TRANSPORT

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identity = _given_id(scope) or new_id()
        scope["opsthread.request_id"] = identity
        started = perf_counter()
        answered = False

        async def framed(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                self._finish_head(message, identity, scope.get(CSP_IN_SCOPE))
                _measure(scope, int(message["status"]), perf_counter() - started)
            await send(message)

        with structlog.contextvars.bound_contextvars(request=identity):
            try:
                await self._app(scope, _limited(receive, scope, self._body_limit), framed)
            except Exception as error:
                if answered:
                    raise
                await (await self._fail(Request(scope, receive), error))(scope, receive, framed)

    def _finish_head(self, message: Message, identity: str, policy: str | None) -> None:
        headers = MutableHeaders(scope=message)
        headers["X-Request-ID"] = identity
        for name, value in self._headers.items():
            headers[name] = value
        if policy is not None:
            headers["Content-Security-Policy"] = policy
        headers.setdefault("Cache-Control", "no-store")


def _given_id(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text = value.decode("latin-1")
            return text if _REQUEST_ID.fullmatch(text) else None
    return None


def _limited(receive: Receive, scope: Scope, limit: int) -> Receive:
    """Raises TooLarge once more than `limit` bytes arrive, whatever Content-Length says."""
    error = TooLarge(f"The request is over {limit // 1024} KiB. Send less at once.")

    def refused() -> TooLarge:
        scope[REFUSED] = error  # who reads the body may turn what we raise into something vaguer
        return error

    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value) > limit:

            async def refuse() -> Message:
                raise refused()

            return refuse
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise refused()
        return message

    return counted


def _measure(scope: Scope, status: int, seconds: float) -> None:
    route = getattr(scope.get("route"), "path", "other")
    _REQUESTS.labels(scope["method"], route, str(status)).inc()
    _SECONDS.labels(scope["method"], route).observe(seconds)
