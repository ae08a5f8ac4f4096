"""Slack over REST: workspaces, what channels may see, who people are, and which user groups give roles."""

import re
from typing import Annotated, Any, NamedTuple, Protocol, cast

from fastapi import APIRouter, Path, Request
from pydantic import Field

from bot.api.access import Admin, AdminAtHand, Caller, Me, Plane
from bot.api.language import Reader
from bot.api.paging import listing
from bot.api.views import View
from bot.slack.mrkdwn import escape
from bot.slack.work.words import tell
from control_plane.errors import Invalid
from control_plane.principals import ScopedRole
from control_plane.services import ControlPlane
from control_plane.slack.channels import Channel, Reach, Strangers
from control_plane.slack.groups import GroupRole
from control_plane.slack.installations import Workspace
from control_plane.slack.outbox import Content
from control_plane.slack.people import Linked
from protocol.approval import Role
from protocol.base import Strict
from protocol.events import Language
from protocol.ids import new_id

router = APIRouter(prefix="/api/v1/slack", tags=["slack"])

SlackId = Annotated[str, Path(max_length=32, pattern=r"^[A-Z0-9]+$", description="Slack's own id, such as T0123456")]
ChannelName = Annotated[
    str, Path(max_length=81, pattern=r"^#?[^\s#/]+$", description="Slack's id, or the name of a channel that the bot is in")
]
Id = Annotated[str, Path(max_length=64)]


_ID = re.compile(r"[A-Z][A-Z0-9]{4,31}")


class Named(NamedTuple):
    id: str
    name: str


class Names(Protocol):
    """What asks Slack, where it is connected. Each raises NotFound, Unavailable."""

    async def channel(self, team: str, text: str) -> Named: ...

    async def usergroup(self, team: str, text: str) -> Named: ...


class WantedReach(Strict):
    cluster_id: str = Field(min_length=1, max_length=200, description="Id or name")
    namespaces: list[str] | None = Field(default=None, max_length=200, description="null for all of them")


class Binding(Strict):
    reach: list[WantedReach] = Field(max_length=50, description="The first is the one that questions mean")
    name: str = Field(default="", max_length=100)
    strangers: Strangers = Field(
        default="refuse", description="`read`: people without an account, guests and external people read what it may see"
    )
    follow: bool = Field(default=False, description="Answer in its threads without being mentioned")
    language: Language = "en"


class NewGroupRole(Strict):
    team: str = Field(min_length=1, max_length=32, pattern=r"^[A-Z0-9]+$")
    usergroup: str = Field(min_length=1, max_length=80, description="Slack's id, such as S0123456, or its handle")
    handle: str = Field(default="", max_length=100)
    role: Role = Field(description="At most `approver`")
    clusters: list[str] = Field(default=["*"], min_length=1, max_length=100)
    namespaces: list[str] = Field(default=["*"], min_length=1, max_length=200)


@router.get("/workspaces")
async def list_workspaces(_me: Admin, plane: Plane) -> dict[str, Any]:
    """Where the app is or was installed. Tokens are never shown."""
    return listing("workspaces", [workspace_view(found) for found in await plane.slack_workspaces.list()])


@router.get("/channels")
async def list_channels(me: Me, plane: Plane) -> dict[str, Any]:
    """Channels that are bound to something that you see, and of what they reach only that."""
    return listing("channels", [channel_view(found) for found in await plane.slack_channels.list(me.principal)])


@router.put("/channels/{team}/{channel}")
async def bind_channel(team: SlackId, channel: ChannelName, body: Binding, me: Me, plane: Plane, request: Request) -> View:
    """What the channel may see from now on, instead of what it saw before. For admins over all that it reaches and reached."""
    reach = [
        Reach(cluster=one.cluster_id, namespaces=tuple(one.namespaces) if one.namespaces is not None else None)
        for one in body.reach
    ]
    found = await channel_of(request, me, team, channel)
    bound = await plane.slack_channels.bind(
        me.principal,
        team=team,
        channel=found.id,
        name=body.name or found.name,
        reach=reach,
        strangers=body.strangers,
        follow=body.follow,
        language=body.language,
        door=me.door,
    )
    return channel_view(bound)


@router.delete("/channels/{team}/{channel}", status_code=204)
async def unbind_channel(team: SlackId, channel: ChannelName, me: Me, plane: Plane) -> None:
    """It sees nothing any more."""
    if not is_slack_id(channel):
        bound = await plane.slack_channels.list(me.principal)
        named = [one.channel for one in bound if one.team == team and one.name == channel.removeprefix("#")]
        channel = named[0] if len(named) == 1 else channel
    await plane.slack_channels.unbind(me.principal, team, channel, door=me.door)


@router.get("/people")
async def list_people(me: Me, plane: Plane) -> dict[str, Any]:
    """Who in Slack acts as which account, as last known: an admin's everybody, others' their own. A link is made in Slack and
    on the web, never here."""
    return listing("people", [person_view(found) for found in await plane.slack_people.list(me.principal)])


@router.delete("/people/{team}/{user}", status_code=204)
async def unlink_person(team: SlackId, user: SlackId, me: Me, plane: Plane, language: Reader) -> None:
    """Your own, or as an admin anybody's. The person of Slack is told."""
    await unlink(plane, me, team, user, language)


@router.get("/groups")
async def list_groups(me: Admin, plane: Plane) -> dict[str, Any]:
    """Which user group of Slack gives which role."""
    return listing("groups", [group_view(found) for found in await plane.slack_groups.list(me.principal)])


@router.post("/groups", status_code=201)
async def map_group(body: NewGroupRole, me: AdminAtHand, plane: Plane, request: Request) -> View:
    """Members of the group hold the role from their next click on, and for as long as they are in it."""
    role = ScopedRole(role=body.role, clusters=tuple(body.clusters), namespaces=tuple(body.namespaces))
    found = await usergroup_of(request, body.team, body.usergroup)
    mapped = await plane.slack_groups.map(
        me.principal, team=body.team, usergroup=found.id, handle=body.handle or found.name, role=role, door=me.door
    )
    return group_view(mapped)


@router.delete("/groups/{mapping}", status_code=204)
async def unmap_group(mapping: Id, me: Admin, plane: Plane) -> None:
    """Its members lose the role at once."""
    await plane.slack_groups.remove(me.principal, mapping, door=me.door)


async def channel_of(request: Request, who: Caller, team: str, text: str) -> Named:
    """By Slack's id, which is believed, or by its name, which Slack is asked for. Raises Invalid, NotFound, Unavailable."""
    if is_slack_id(text) or not any(role.role is Role.ADMIN for role in who.principal.roles):
        return Named(text, "")  # others bind nothing, and learn no names
    return await _names(request).channel(team, text)


async def usergroup_of(request: Request, team: str, text: str) -> Named:
    """As `channel_of`, for user groups and their handles."""
    return Named(text, "") if is_slack_id(text) else await _names(request).usergroup(team, text)


def is_slack_id(text: str) -> bool:
    """Ids are capitals and digits; names of channels and handles have no capitals. Pure."""
    return _ID.fullmatch(text) is not None


def _names(request: Request) -> Names:
    slack = getattr(request.app.state, "slack", None)
    if slack is None:
        raise Invalid("This server is not connected with Slack, so it knows no names there. Use Slack's id.")
    return cast(Names, slack.names)


async def unlink(plane: ControlPlane, who: Caller, team: str, user: str, language: Language) -> Linked:
    """By the account or an admin; the person of Slack is told. Raises NotFound."""
    was = await plane.slack_people.unlink(who.principal, team, user, door=who.door)
    await tell_in_slack(plane, team, user, tell(language, "link.ended", account=was.account_name))
    return was


async def tell_in_slack(plane: ControlPlane, team: str, user: str, words: str) -> None:
    """One person, in their direct messages with the bot."""
    content = Content(text=escape(words))
    await plane.slack_outbox.put_now(team=team, channel=user, thread=None, key=f"link:{new_id()}", content=content)


def workspace_view(value: Workspace) -> View:
    return value.model_dump(mode="json")


def channel_view(value: Channel) -> View:
    shown = value.model_dump(mode="json", exclude={"reach", "stranger_account"})
    shown["reach"] = [
        {"cluster_id": one.cluster, "cluster_name": one.cluster_name, "namespaces": one.namespaces} for one in value.reach
    ]
    return shown


def person_view(value: Linked) -> View:
    return value.model_dump(mode="json")


def group_view(value: GroupRole) -> View:
    shown = value.model_dump(mode="json", exclude={"role"})
    return {**shown, **value.role.model_dump(mode="json")}
