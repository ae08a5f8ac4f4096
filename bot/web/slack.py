"""Slack for administrators, as plain forms: what channels may see, who acts as whom, which user groups give roles."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from bot.api.access import Caller, plane_of
from bot.api.cards import FRESH_SIGN_IN
from bot.api.language import LANGUAGES, language_of_reader
from bot.api.slack import channel_of, unlink, usergroup_of
from bot.web.forms import meant
from control_plane.errors import Forbidden, Invalid
from control_plane.principals import ScopedRole
from control_plane.slack.channels import Reach
from control_plane.slack.groups import STRONGEST
from protocol.approval import Role, role_at_least

router = APIRouter(include_in_schema=False)

Text = Annotated[str, Form(max_length=2_000)]
_AT_MOST = tuple(role for role in Role if role_at_least(STRONGEST, role))


async def slack_view(request: Request, who: Caller) -> dict[str, Any]:
    """What the page shows this person. Others than administrators see channels that reach something of theirs, and who acts as
    themselves."""
    plane, admin = plane_of(request), who.principal.admin
    clusters = await plane.fleet.list(who.principal)
    return {
        "workspaces": await plane.slack_workspaces.list() if admin else [],
        "channels": await plane.slack_channels.list(who.principal),
        "people": await plane.slack_people.list(who.principal),
        "groups": await plane.slack_groups.list(who.principal) if admin else (),
        "accounts": [one for one in await plane.accounts.list() if one.person] if admin else [],
        "everything": admin,
        "installs": plane.settings.slack_mode == "http" and bool(plane.settings.slack_client_id),
        "binds": admin or any(role.role is Role.ADMIN for role in who.principal.roles),
        "example": clusters[0].name if clusters else "prod",
        "roles": _AT_MOST,
        "languages": LANGUAGES,
        "fresh": who.principal.fresh_sign_in,
        "confirm": f"{FRESH_SIGN_IN}?next_path=/slack",
        "by_email": plane.settings.slack_email_mapping,
    }


@router.post("/slack/channels")
async def bind(
    request: Request,
    csrf: Text = "",
    team: Text = "",
    channel: Text = "",
    name: Text = "",
    reach: Text = "",
    strangers: Text = "refuse",
    follow: Text = "",
    language: Text = "en",
) -> Response:
    who = await meant(request, csrf)
    if strangers not in ("refuse", "read") or language not in LANGUAGES:
        raise Invalid("Choose one of the options that the page shows.")
    found = await channel_of(request, who, team.strip(), channel.strip())
    await plane_of(request).slack_channels.bind(
        who.principal,
        team=team.strip(),
        channel=found.id,
        name=name or found.name,
        reach=reaches_in(reach),
        strangers=strangers,
        follow=follow == "yes",
        language=language,
        door="web",
    )
    return _back()


@router.post("/slack/channels/unbind")
async def unbind(request: Request, csrf: Text = "", team: Text = "", channel: Text = "") -> Response:
    who = await meant(request, csrf)
    await plane_of(request).slack_channels.unbind(who.principal, team, channel, door="web")
    return _back()


@router.post("/slack/people/unlink")
async def unlink_person(request: Request, csrf: Text = "", team: Text = "", user: Text = "") -> Response:
    who = await meant(request, csrf)
    await unlink(plane_of(request), who, team, user, language_of_reader(request))
    return _back()


@router.post("/slack/people/address")
async def set_address(request: Request, csrf: Text = "", account: Text = "", email: Text = "") -> Response:
    who = await _admin_at_hand(request, csrf)
    await plane_of(request).accounts.set_email(account, email.strip() or None, by=who.account)
    return _back()


@router.post("/slack/groups")
async def map_group(
    request: Request,
    csrf: Text = "",
    team: Text = "",
    usergroup: Text = "",
    handle: Text = "",
    role: Text = "",
    clusters: Text = "",
    namespaces: Text = "",
) -> Response:
    who = await _admin_at_hand(request, csrf)
    if role not in _AT_MOST:
        raise Invalid("Choose one of the options that the page shows.")
    given = ScopedRole(role=Role(role), clusters=_names(clusters), namespaces=_names(namespaces))
    found = await usergroup_of(request, team.strip(), usergroup.strip())
    await plane_of(request).slack_groups.map(
        who.principal, team=team.strip(), usergroup=found.id, handle=handle or found.name, role=given, door="web"
    )
    return _back()


@router.post("/slack/groups/{mapping}/remove")
async def unmap_group(request: Request, mapping: str, csrf: Text = "") -> Response:
    who = await meant(request, csrf)
    await plane_of(request).slack_groups.remove(who.principal, mapping, door="web")
    return _back()


def reaches_in(text: str) -> tuple[Reach, ...]:
    """`prod:payments,shop staging`: clusters, each with namespaces or all of it. Pure. Raises nothing: the service does."""
    found: list[Reach] = []
    for word in text.split():
        cluster, colon, names = word.partition(":")
        namespaces = tuple(name for name in names.split(",") if name)
        found.append(Reach(cluster=cluster, namespaces=namespaces if colon else None))
    return tuple(found)


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split()) or ("*",)


async def _admin_at_hand(request: Request, csrf: str) -> Caller:
    """For what may become another way in. Raises Forbidden."""
    who = await meant(request, csrf)
    if not who.principal.admin:
        raise Forbidden("This is for administrators. Ask one to do it, or to give you the role.")
    if not who.principal.fresh_sign_in:
        raise Forbidden("This needs a fresh sign-in. Sign out, sign in again, and do it within five minutes.", code="step_up")
    return who


def _back() -> Response:
    return RedirectResponse("/slack", status_code=303)
