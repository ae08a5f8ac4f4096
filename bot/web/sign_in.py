"""Sign-in by password or one-time link, sign-out, and the preferences of the page. Works without scripts.

Opening a link shows a button and uses nothing up, so a link preview can't spend it; the button's POST does.
"""

import hmac
import secrets
from typing import Annotated, cast

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from bot.api.access import CsrfRefused, authenticate, is_secure, plane_of, require_intent, session_cookie
from bot.api.address import address_of
from bot.api.language import LANGUAGE_COOKIE, LANGUAGES
from bot.api.stream import StreamsOf
from bot.api.throttle import Door
from bot.web.render import THEME_COOKIE, THEMES, local_path, page, remember
from control_plane.accounts import Session
from control_plane.clock import utc_now
from control_plane.errors import NotSignedIn, ServiceError

router = APIRouter(include_in_schema=False)

_BEFORE_COOKIE = "opsthread_before"
"""Double submit before there is a session."""
_AGENT_LIMIT = 300


def door_of(request: Request) -> Door:
    return cast(Door, request.app.state.sign_in_door)


Text = Annotated[str, Form(max_length=500)]


@router.get("/sign-in")
async def sign_in_page(request: Request, next_path: str = "/") -> Response:
    return _form(request, "sign_in.html", next_path=local_path(next_path), error="")


@router.post("/sign-in")
async def sign_in(request: Request, name: Text = "", password: Text = "", csrf: Text = "", next_path: Text = "/") -> Response:
    _require_before(request, csrf)
    try:
        await door_of(request).take(address_of(request))
        session = await plane_of(request).accounts.sign_in(
            name.strip(), password, user_agent=_agent(request), address=address_of(request)
        )
    except ServiceError as error:
        return _form(request, "sign_in.html", next_path=local_path(next_path), error=error.code, status=error.status)
    return _signed_in(request, session, local_path(next_path))


@router.get("/sign-in/link/{token}")
async def link_page(request: Request, token: str) -> Response:
    return _form(request, "sign_in_link.html", token=token, error="")


@router.post("/sign-in/link/{token}")
async def use_link(request: Request, token: str, csrf: Text = "") -> Response:
    _require_before(request, csrf)
    try:
        await door_of(request).take(address_of(request))
        session = await plane_of(request).accounts.use_link(token[:200], user_agent=_agent(request))
    except ServiceError as error:
        shown = "link_used" if isinstance(error, NotSignedIn) else error.code
        return _form(request, "sign_in_link.html", token="", error=shown, status=error.status)
    return _signed_in(request, session, "/")


@router.post("/sign-out")
async def sign_out(request: Request, streams: StreamsOf, csrf: Text = "") -> Response:
    who = await authenticate(request)
    require_intent(request, who.session.csrf, csrf)
    await plane_of(request).accounts.sign_out(who.session.id)
    streams.end_session(who.session.id)
    response = RedirectResponse("/sign-in", status_code=303)
    response.delete_cookie(
        session_cookie(plane_of(request).settings), path="/", secure=is_secure(plane_of(request).settings), httponly=True
    )
    return response


@router.post("/preferences")
async def set_preferences(request: Request, theme: Text = "", language: Text = "", next_path: Text = "/") -> Response:
    """Theme and language; harmless, so without a token."""
    response = RedirectResponse(local_path(next_path), status_code=303)
    if theme in THEMES:
        remember(request, response, THEME_COOKIE, theme)
    if language in LANGUAGES:
        remember(request, response, LANGUAGE_COOKIE, language)
    return response


def _form(request: Request, template: str, *, error: str, status: int = 200, **values: str) -> Response:
    secret = request.cookies.get(_BEFORE_COOKIE, "") or secrets.token_urlsafe(24)
    response = page(request, template, status=status, error=error, csrf=secret, page="sign-in", me=None, **values)
    response.set_cookie(
        _BEFORE_COOKIE, secret, path="/sign-in", httponly=True, samesite="lax", secure=is_secure(plane_of(request).settings)
    )
    return response


def _require_before(request: Request, given: str) -> None:
    """Against signing a person in as somebody else: the form must be one that we gave to this browser."""
    expected = request.cookies.get(_BEFORE_COOKIE, "")
    if not hmac.compare_digest(expected.encode(), given.encode()):
        raise CsrfRefused("The page is out of date, so nothing was done. Reload it and try again.")
    require_intent(request, expected, given)


def _signed_in(request: Request, session: Session, next_path: str) -> Response:
    settings = plane_of(request).settings
    response = RedirectResponse(next_path, status_code=303)
    seconds = max(0, int((session.expires_at - utc_now()).total_seconds()))
    response.set_cookie(
        session_cookie(settings),
        session.token,
        max_age=seconds,
        path="/",
        httponly=True,
        samesite="lax",
        secure=is_secure(settings),
    )
    return response


def _agent(request: Request) -> str:
    return request.headers.get("User-Agent", "")[:_AGENT_LIMIT]
