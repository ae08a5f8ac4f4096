"""Errors as RFC 9457 problem+json for the API, and as a page for browsers: one translation for everything services raise."""

import traceback
from collections.abc import Awaitable, Callable

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from bot.api.language import language_of_reader
from control_plane.errors import ServiceError
from knowledge.wording import translate
from protocol.approval import NotAllowed
from protocol.base import Value
from protocol.events import Language

log = structlog.get_logger(__name__)

REFUSED = "opsthread.refused"
"""Where middleware leaves in the scope why it cut a request off."""
API_PREFIXES = ("/api/", "/health/", "/metrics")
_CODES = {400: "invalid", 404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "invalid"}
_TRACE_CHARACTERS = 8_000
_TITLES = {
    400: "Bad request",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Too large",
    422: "Not valid",
    429: "Too many",
    503: "Not available",
}


class Problem(Value):
    """What every failed API call answers, as application/problem+json."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    """Stable; surfaces translate it."""
    request_id: str


def problem_of(error: Exception, request_id: str, language: Language = "en") -> Problem:
    """What `error` is for people, in their language. What we did not raise ourselves says nothing of the inside."""
    status, code, detail = _parts(error)
    return Problem(
        title=translate(_TITLES.get(status, "Failed"), language),
        status=status,
        detail=translate(detail, language),
        code=code,
        request_id=request_id,
    )


def _parts(error: Exception) -> tuple[int, str, str]:
    match error:
        case ServiceError():
            return error.status, error.code, error.message
        case NotAllowed():
            return 409, "conflict", f"{error}."
        case RequestValidationError() | ValidationError():
            return 422, "invalid", _what_is_invalid(error)
        case HTTPException():
            return error.status_code, _CODES.get(error.status_code, "failed"), str(error.detail)
        case _:
            return (
                500,
                "internal",
                "Something failed on our side. Try again; if it stays, tell the administrator the request id.",
            )


def _route(request: Request) -> str:
    """The path as the route has it: a sign-in link's token is a part of the real one."""
    return str(getattr(request.scope.get("route"), "path", "")) or "unknown"


def _trace(error: Exception) -> str:
    """Where it failed, without the values of variables: headers with tokens are among them."""
    return "".join(traceback.format_exception(error))[-_TRACE_CHARACTERS:]


def _what_is_invalid(error: RequestValidationError | ValidationError) -> str:
    """Names the fields, never repeats what was sent."""
    first = [
        f"{'.'.join(str(part) for part in item['loc'] if part != 'body') or 'body'}: {item['msg']}"
        for item in error.errors()[:5]
    ]
    return "; ".join(first) or "The request is not valid."


def problem_response(problem: Problem) -> JSONResponse:
    headers = {"WWW-Authenticate": "Bearer"} if problem.status == 401 else None
    return JSONResponse(
        problem.model_dump(), status_code=problem.status, media_type="application/problem+json", headers=headers
    )


Answer = Callable[[Request, Exception], Awaitable[Response]]
Page = Callable[[Request, Problem], Awaitable[Response]]
"""Renders a problem for a browser."""


def answer_with(page: Page) -> Answer:
    """The one answer to every error: problem+json for programs, `page` where a person is asking."""

    async def answer(request: Request, error: Exception) -> Response:
        problem = problem_of(request.scope.get(REFUSED, error), request_id(request), language_of_reader(request))
        if problem.status >= 500:
            log.error("request.failed", path=_route(request), code=problem.code, trace=_trace(error))
        if request.url.path.startswith(API_PREFIXES):
            return problem_response(problem)
        return await page(request, problem)

    return answer


def install(app: FastAPI, answer: Answer) -> None:
    """Register it for what is raised in routes; what nobody caught comes to the middleware."""
    for kind in (ServiceError, NotAllowed, RequestValidationError, ValidationError, HTTPException):
        app.add_exception_handler(kind, answer)


def request_id(request: Request) -> str:
    """Set by middleware for every request."""
    return str(request.scope.get("opsthread.request_id", ""))
