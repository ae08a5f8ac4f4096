"""Slack by HTTP: what happens there is posted to us, signed; and an admin installs the app in a workspace by OAuth. All of it
is there only with OPSTHREAD_SLACK_MODE=http.

What Slack posts has no cookie and no CSRF token: its signature over the raw body says whose it is. Only refused requests are
counted, because behind a proxy that nobody configured everything comes from one address.
"""

import time
from typing import Any

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse, RedirectResponse

from bot.api.access import Caller, authenticate, is_secure, plane_of
from bot.api.address import address_of
from bot.api.cards import FRESH_SIGN_IN
from bot.api.throttle import Throttle
from bot.slack.front.signature import signed_by_slack
from bot.slack.front.states import VALID_S, States
from bot.slack.manifest import EVENTS_PATH, INSTALL_PATH, REDIRECT_PATH
from control_plane.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable
from control_plane.leases import Claimant
from control_plane.services import ControlPlane
from protocol.ids import new_id
from protocol.text import one_line

log = structlog.get_logger(__name__)

router = APIRouter(include_in_schema=False)

COOKIE = "opsthread_slack_install"
_MOST_REFUSED, _REFUSED_WINDOW_S = 30, 60.0
_refused = Throttle(_MOST_REFUSED, _REFUSED_WINDOW_S)


@router.post(EVENTS_PATH)
async def happened(request: Request) -> Response:
    """Events, interactions and commands. Bolt answers once they are kept; 401 for what Slack didn't sign."""
    plane, slack = plane_of(request), _slack(request)
    body = await request.body()
    timestamp, signature = (request.headers.get(f"X-Slack-{name}", "") for name in ("Request-Timestamp", "Signature"))
    if not signed_by_slack(plane.settings.slack_secret() or "", body, timestamp, signature, time.time()) or not _is_text(body):
        log.warning("slack.not_signed", address=address_of(request), timestamp=one_line(timestamp, 20))
        _refused.take(address_of(request))
        return PlainTextResponse("not signed by Slack", status_code=401)
    from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler

    return await AsyncSlackRequestHandler(slack.app).handle(request)


@router.get(INSTALL_PATH)
async def begin(request: Request) -> Response:
    """An admin who has just signed in goes to Slack, to choose a workspace."""
    plane = plane_of(request)
    _slack(request)
    who = await authenticate(request)
    if not _may_install(who):
        raise Forbidden("Only an administrator brings the app into a workspace. Ask one to do it.")
    if not who.principal.fresh_sign_in:
        return RedirectResponse(f"{FRESH_SIGN_IN}?next_path={INSTALL_PATH}", status_code=303)
    from bot.slack.front.installing import consent_url

    begun = States(plane.grant_key).begin(who.account, time.time())
    answer = RedirectResponse(consent_url(plane.settings, begun.state, _redirect_uri(plane)), status_code=303)
    answer.set_cookie(
        COOKIE, begun.cookie, max_age=VALID_S, path="/slack", httponly=True, samesite="lax", secure=is_secure(plane.settings)
    )
    return answer


@router.get(REDIRECT_PATH)
async def installed(request: Request, code: str = "", state: str = "", error: str = "") -> Response:
    """Slack sends the browser back, with a code and our state."""
    plane, slack = plane_of(request), _slack(request)
    redirect_uri = _redirect_uri(plane)
    who = await authenticate(request)
    came = States(plane.grant_key).read(state, request.cookies.get(COOKIE, ""), time.time())
    if came is None or came.account != who.account or not await _used_up(plane, came.id):
        raise Invalid("This installation was not begun in this browser, or too long ago. Begin again at /slack/install.")
    if not _may_install(who):
        raise Forbidden("Only an administrator brings the app into a workspace. Ask one to do it.")
    if error or not code:
        raise Invalid(f"Slack did not install the app: {one_line(error or 'invalid_code', 60)}.")
    from bot.slack.front.installing import install

    workspace = await install(plane, slack.clients, code, redirect_uri, by=who.account)
    log.info("slack.installed", team=workspace.team)
    answer = RedirectResponse("/slack", status_code=303)
    answer.delete_cookie(COOKIE, path="/slack", secure=is_secure(plane.settings), httponly=True, samesite="lax")
    return answer


def _slack(request: Request) -> Any:
    """The bot.slack.service.Slack of this process. Raises NotFound unless Slack comes by HTTP, Unavailable while it starts."""
    if plane_of(request).settings.slack_mode != "http":
        raise NotFound("Slack does not come here: it is off, or by socket mode.")
    slack = getattr(request.app.state, "slack", None)
    if slack is None:
        raise Unavailable("Slack's part of this server is just starting. Try again.")
    return slack


def _may_install(who: Caller) -> bool:
    """Whose people act as our accounts by their addresses is for whoever rules all of them."""
    return who.by_cookie and who.principal.admin


def _redirect_uri(plane: ControlPlane) -> str:
    settings = plane.settings
    if not settings.slack_client_id or not settings.slack_client():
        raise Conflict("OAuth is not set up: OPSTHREAD_SLACK_CLIENT_ID and OPSTHREAD_SLACK_CLIENT_SECRET_FILE are missing.")
    if not settings.public_url:
        raise Conflict("OAuth needs OPSTHREAD_PUBLIC_URL: Slack sends people back to it.")
    return f"{settings.public_url.rstrip('/')}{REDIRECT_PATH}"


async def _used_up(plane: ControlPlane, state: str) -> bool:
    """True for the first who comes with it, on whichever replica."""
    taken = await plane.replica.leases.take(f"slack-install:{state}", Claimant(new_id()), 2 * VALID_S)
    return taken is not None


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
