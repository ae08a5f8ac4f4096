"""Who is calling: session cookie (web) or bearer token (programs), and proof that a browser's request is meant."""

import hmac
from dataclasses import dataclass
from typing import Annotated, Literal, cast
from urllib.parse import urlsplit

from fastapi import Depends, Request

from bot.api.address import address_of
from control_plane.accounts import Session
from control_plane.conversations import Door
from control_plane.errors import Forbidden, NotSignedIn
from control_plane.principals import Principal
from control_plane.services import ControlPlane
from control_plane.settings import Settings

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CSRF_HEADER = "X-CSRF-Token"
DOOR_HEADER = "X-Opsthread-Door"


class CsrfRefused(Forbidden):
    code = "csrf"


@dataclass(frozen=True)
class Caller:
    """One authenticated request."""

    principal: Principal
    session: Session
    token: str
    by_cookie: bool
    door: Literal["web", "rest", "cli"]
    address: str = ""
    """Of the browser or program, behind the proxies that are configured."""

    @property
    def asking_door(self) -> Door:
        return self.door

    @property
    def account(self) -> str:
        return self.principal.account


def plane_of(request: Request) -> ControlPlane:
    return cast(ControlPlane, request.app.state.plane)


async def authenticate(request: Request) -> Caller:
    """Who it is, without asking whether the request is meant. Raises NotSignedIn."""
    token, by_cookie = _token(request)
    principal, session = await plane_of(request).accounts.authenticate(token)
    if by_cookie and session.kind != "browser":
        raise NotSignedIn("That is a token of a program, not a browser's session. Send it as a bearer token.")
    return Caller(principal, session, token, by_cookie, _door(request, by_cookie), address_of(request))


async def caller(request: Request) -> Caller:
    """Of an API call. Raises NotSignedIn; CsrfRefused where a cookie came without its double-submit token."""
    who = await authenticate(request)
    if who.by_cookie and request.method not in SAFE_METHODS:
        require_intent(request, who.session.csrf, request.headers.get(CSRF_HEADER, ""))
    return who


async def admin(who: Annotated[Caller, Depends(caller)]) -> Caller:
    if not who.principal.admin:
        raise Forbidden("This is for administrators. Ask one to do it, or to give you the role.")
    return who


async def admin_at_hand(who: Annotated[Caller, Depends(admin)]) -> Caller:
    """For what makes or changes an account: a token that was lost must not become another way in. A person who has just
    signed in on the web may, and so may the command line on the server itself, which reads its token beside the data."""
    if who.session.kind == "local":
        return who
    if not who.by_cookie:
        raise Forbidden(
            "A token can't make or change accounts. Do it on the web, or with `opsthread account` on the server itself.",
            code="not_at_hand",
        )
    if not who.principal.fresh_sign_in:
        raise Forbidden("This needs a fresh sign-in. Sign out, sign in again, and do it within five minutes.", code="step_up")
    return who


Me = Annotated[Caller, Depends(caller)]
Admin = Annotated[Caller, Depends(admin)]
AdminAtHand = Annotated[Caller, Depends(admin_at_hand)]
Plane = Annotated[ControlPlane, Depends(plane_of)]


def require_intent(request: Request, expected: str, given: str) -> None:
    """The token of double submit must match, and what the browser says of the sender must be us. Raises CsrfRefused.

    A form that is posted under `Referrer-Policy: no-referrer` has `Origin: null`; then Sec-Fetch-Site decides, and where a
    browser sends neither (plain http on a LAN) the token alone.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None and site != "same-origin":
        raise CsrfRefused("This came from another site, so it was not done. Open the page here and try again.")
    origin = request.headers.get("Origin", "null")
    if origin != "null" and not _is_ours(origin, request):
        raise CsrfRefused("This came from another address, so it was not done. Open the page here and try again.")
    if not expected or not hmac.compare_digest(expected.encode(), given.encode()):
        raise CsrfRefused("The page is out of date, so nothing was done. Reload it and try again.")


def _is_ours(origin: str, request: Request) -> bool:
    host = urlsplit(origin).netloc.lower()
    public = urlsplit(plane_of(request).settings.public_url).netloc.lower()
    return bool(host) and host in {request.headers.get("Host", "").lower(), public}


def is_secure(settings: Settings) -> bool:
    """Do people's browsers reach us by https?"""
    return settings.public_url.lower().startswith("https://")


def session_cookie(settings: Settings) -> str:
    return "__Host-opsthread" if is_secure(settings) else "opsthread"


def bearer(request: Request) -> str:
    """The bearer token that was sent, or ""."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""


def _token(request: Request) -> tuple[str, bool]:
    if token := bearer(request):
        return token, False
    cookie = request.cookies.get(session_cookie(plane_of(request).settings), "")
    if not cookie:
        raise NotSignedIn("You are not signed in. Open your sign-in link, or send a bearer token.")
    return cookie, True


def _door(request: Request, by_cookie: bool) -> Literal["web", "rest", "cli"]:
    if by_cookie:
        return "web"
    return "cli" if request.headers.get(DOOR_HEADER, "").lower() == "cli" else "rest"
