"""A conversation's thread in Slack, on its page: a link to it, or a form that begins one. Works without scripts."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Path, Request, Response
from fastapi.responses import RedirectResponse

from bot.api.access import Caller, plane_of
from bot.api.language import language_of_reader
from bot.api.slack_threads import seen
from bot.slack import sharing
from bot.web.forms import meant

router = APIRouter(include_in_schema=False)

Id = Annotated[str, Path(max_length=64)]
Text = Annotated[str, Form(max_length=100)]


async def in_slack(request: Request, who: Caller, conversation: str) -> dict[str, Any] | None:
    """None where there is nothing to show."""
    plane = plane_of(request)
    if not plane.settings.slack_in_use():
        return None
    view = await seen(plane, conversation, who.principal)
    return view if view["url"] or view["places"] else None


@router.post("/c/{conversation}/slack")
async def begin(request: Request, conversation: Id, csrf: Text = "", place: Text = "") -> Response:
    """`place` is team/channel."""
    who = await meant(request, csrf)
    plane = plane_of(request)
    found = await plane.conversations.get(conversation, who.principal)
    team, _, channel = place.partition("/")
    await sharing.begin(
        plane, found, who.principal, team=team, channel=channel, language=language_of_reader(request), door=who.door
    )
    return RedirectResponse(f"/c/{conversation}", status_code=303)
