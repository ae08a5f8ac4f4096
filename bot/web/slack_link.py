"""The web's side of linking a person of Slack with an account, and the list of those that act as one's own.

Opening an offer uses nothing up and links nothing, so neither a link preview nor a curious click can. Taking it needs a fresh
sign-in and shows a code; only when the person of Slack says it the link is there (control_plane.slack.people says why).
"""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from bot.api.access import Caller, authenticate, plane_of
from bot.api.cards import FRESH_SIGN_IN
from bot.api.language import language_of_reader
from bot.api.slack import tell_in_slack
from bot.api.slack import unlink as end_link
from bot.slack.work.words import tell
from bot.web.forms import meant
from bot.web.render import page
from control_plane.clock import utc_now
from control_plane.errors import Conflict, Forbidden, NotFound, ServiceError

router = APIRouter(include_in_schema=False)

Text = Annotated[str, Form(max_length=200)]
_JUST_NOW = timedelta(minutes=10)
_LOOK_AGAIN_S = "4"


@router.get("/slack/link")
async def links(request: Request) -> Response:
    """Who in Slack acts as my account."""
    who = await authenticate(request)
    return await _page(request, who)


@router.get("/slack/link/{token}")
async def offer_page(request: Request, token: str) -> Response:
    who = await authenticate(request)
    people = plane_of(request).slack_people
    try:
        offer = await people.peek(token, who.account)
        code = await people.take(token, who.account) if offer.account == who.account and who.by_cookie else ""
    except ServiceError as error:
        return await _page(request, who, error=error, token=token)
    if code:
        # Said in Slack, it is used up: the page finds out by itself.
        return await _page(request, who, offer=offer, code=code, headers={"Refresh": _LOOK_AGAIN_S})
    return await _page(request, who, offer=offer, token=token)


@router.post("/slack/link/{token}")
async def take(request: Request, token: str, csrf: Text = "") -> Response:
    who = await meant(request, csrf)
    if not who.principal.fresh_sign_in:
        raise Forbidden("This needs a fresh sign-in. Sign out, sign in again, and do it within five minutes.", code="step_up")
    plane = plane_of(request)
    try:
        offer = await plane.slack_people.peek(token, who.account)
        await plane.slack_people.take(token, who.account)
    except (NotFound, Conflict) as error:
        return await _page(request, who, error=error)
    if offer.account is None:
        words = tell(language_of_reader(request), "link.opened", account=who.principal.name)
        await tell_in_slack(plane, offer.team, offer.user, words)
    return RedirectResponse(f"/slack/link/{token}", status_code=303)


@router.post("/slack/unlink")
async def unlink(request: Request, csrf: Text = "", team: Text = "", user: Text = "") -> Response:
    who = await meant(request, csrf)
    await end_link(plane_of(request), who, team, user, language_of_reader(request))
    return RedirectResponse("/slack/link", status_code=303)


async def _page(
    request: Request,
    who: Caller,
    *,
    error: ServiceError | None = None,
    headers: dict[str, str] | None = None,
    token: str = "",
    **values: Any,
) -> Response:
    plane = plane_of(request)
    mine = [one for one in await plane.slack_people.list(who.principal) if one.account == who.account]
    since = utc_now() - _JUST_NOW
    done = [one for one in mine if one.how == "link" and one.linked_at > since] if isinstance(error, NotFound) else []
    response = page(
        request,
        "slack_link.html",
        status=200 if error is None or done else error.status,
        page="slack-link",
        me=None,
        csrf=who.session.csrf,
        name=who.principal.name,
        fresh=who.principal.fresh_sign_in,
        confirm=f"{FRESH_SIGN_IN}?next_path=/slack/link/{token}",
        token=token,
        mine=mine,
        done=done[0] if done else None,
        error=error.code if error is not None and not done else "",
        **{"offer": None, "code": "", **values},
    )
    response.headers.update(headers or {})
    return response
