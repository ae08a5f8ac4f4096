"""Groups of alerts on the web, as plain forms: what fires, its thread, and what people do about it. Routes and tokens are shown
to administrators; they are made by the command line and by REST."""

from datetime import datetime
from typing import Annotated, Any, cast

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from bot.api.access import Caller, plane_of
from bot.api.language import language_of_reader
from bot.api.stream import StreamsOf
from bot.web.forms import meant
from control_plane.alerts.groups import SILENCES
from control_plane.alerts.values import Group, Silence, rank
from control_plane.errors import Invalid
from control_plane.principals import Principal
from knowledge.wording import translate
from protocol.approval import Role, role_at_least

router = APIRouter(include_in_schema=False)

Text = Annotated[str, Form(max_length=4_000)]
MOST = 100
_UNTIL = (*SILENCES, "resolved")


async def alerts_view(request: Request, who: Caller) -> dict[str, Any]:
    """The list: what fires, the worst first, then what was resolved last."""
    plane = plane_of(request)
    firing = await plane.alerts.list(who.principal, state="firing", limit=MOST)
    over = await plane.alerts.list(who.principal, state="resolved", limit=20)
    return {
        "firing": [_row(group, who.principal) for group in sorted(firing, key=lambda group: -rank(group.severity))],
        "over": [_row(group, who.principal) for group in over],
        "single": None,
        "routes": [
            {**route.model_dump(), "problem": translate(route.problem, language_of_reader(request))}
            for route in await plane.alert_routes.list(who.principal)
        ],
        "tokens": await plane.alert_tokens.list(who.principal),
        "administers": who.principal.admin or any(role.role is Role.ADMIN for role in who.principal.roles),
        "silences": _UNTIL,
    }


async def alert_view(request: Request, who: Caller, group: str) -> dict[str, Any]:
    """One group, with all that is told of its alerts. Raises NotFound."""
    found = await plane_of(request).alerts.get(group, who.principal)
    return {"single": _row(found, who.principal), "administers": False, "silences": _UNTIL}


async def group_of(request: Request, who: Caller, conversation: str) -> dict[str, Any] | None:
    """The group whose thread this conversation is, for who may see it."""
    found = await plane_of(request).alerts.of_conversation(conversation)
    if found is None or not who.principal.sees(found.cluster, found.namespace or None):
        return None
    return {"id": found.id, "state": found.state, "severity": found.severity}


@router.post("/alerts/{group}/acknowledge")
async def acknowledge(request: Request, group: str, streams: StreamsOf, csrf: Text = "", on: Text = "yes") -> Response:
    who = await meant(request, csrf)
    await plane_of(request).alerts.acknowledge(group, who.principal, on == "yes", door="web")
    return _back(streams, group)


@router.post("/alerts/{group}/silence")
async def silence(request: Request, group: str, streams: StreamsOf, csrf: Text = "", until: Text = "") -> Response:
    who = await meant(request, csrf)
    if until not in (*_UNTIL, "off"):
        raise Invalid("Choose one of the options that the page shows.")
    await plane_of(request).alerts.silence(group, who.principal, cast(Silence, until), door="web")
    return _back(streams, group)


@router.post("/alerts/{group}/wrong")
async def wrong(request: Request, group: str, streams: StreamsOf, csrf: Text = "", reason: Text = "") -> Response:
    who = await meant(request, csrf)
    await plane_of(request).alerts.wrong(group, who.principal, reason, door="web")
    return _back(streams, group)


@router.post("/alerts/{group}/thread")
async def open_thread(request: Request, group: str, streams: StreamsOf, csrf: Text = "") -> Response:
    who = await meant(request, csrf)
    await plane_of(request).alerts.open_thread(group, who.principal, door="web")
    return _back(streams, group)


def _row(group: Group, principal: Principal) -> dict[str, Any]:
    role = principal.role_in(group.cluster, group.namespace or None)
    return {
        **group.model_dump(exclude={"alerts"}),
        "alerts": [{**alert.model_dump(), "object": alert.object, "summary": alert.summary} for alert in group.alerts],
        "silenced": group.silenced,
        "since": _time(group.opened_at),
        "resolved_since": _time(group.resolved_at),
        "silenced_till": _time(group.silenced_until),
        "operates": role is not None and role_at_least(role, Role.OPERATOR),
    }


def _time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC" if at is not None else ""


def _back(streams: StreamsOf, group: str) -> Response:
    streams.nudge()
    return RedirectResponse(f"/alerts/{group}", status_code=303)
