"""Where the bot is to be: channels that are bound, channels of routes, user groups that give roles."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, cast

from bot.slack.clients import Me
from bot.slack.web_api import SlackBusy, SlackRefused, SlackTrouble, WebApi
from control_plane.errors import ServiceError
from control_plane.principals import Principal
from control_plane.services import ControlPlane
from control_plane.slack.channels import Channel
from protocol.checkup import CheckRow, fail, ok, skip, warn
from protocol.text import one_line

_MOST = 100
"""Channels that are asked about at once; Slack answers fifty a minute."""
_AT_ONCE = 4
_PATIENCE_S = 5.0


async def look_at_channels(api: WebApi, me: Me, plane: ControlPlane, principal: Principal) -> list[CheckRow]:
    """Those of this workspace."""
    bound = [one for one in await plane.slack_channels.list(principal) if one.team == me.team]
    if not bound:
        mend = "opsthread slack bind C… --cluster NAME   # a channel that nobody bound sees nothing"
        return [warn("slack", "channels", f"none of {one_line(me.workspace, 80)} is bound to a cluster", mend)]
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(channel: Channel) -> list[CheckRow]:
        async with slots:
            return await _channel(api, me, channel)

    found = await asyncio.gather(*(one(channel) for channel in bound[:_MOST]))
    rows = [row for rows in found for row in rows]
    if len(bound) > _MOST:
        rows.append(skip("slack", "channels", f"{len(bound) - _MOST} more were not looked at"))
    return rows


async def _channel(api: WebApi, me: Me, channel: Channel) -> list[CheckRow]:
    name = f"#{channel.name}" if channel.name else channel.channel
    try:
        told = await _patiently(api, "conversations.info", channel=channel.channel)
    except SlackRefused as error:
        return [_unseen(name, channel, me, error)]
    except SlackTrouble as error:
        return [skip("slack", name, f"Slack does not tell: {one_line(error.code, 100)}")]
    return [*_facts(name, channel, me, cast(Mapping[str, Any], told.get("channel") or {}))]


def _unseen(name: str, channel: Channel, me: Me, error: SlackRefused) -> CheckRow:
    if error.code == "missing_scope":
        return skip("slack", name, f"can't be looked at without the scope {error.told.get('needed', 'channels:read')}")
    if error.code != "channel_not_found":
        return fail("slack", name, f"Slack refuses: {error.code}", "Look into serve's log.")
    found = f"{channel.channel} is not there, or is private and @{me.name} is not in it"
    return fail("slack", name, found, f"/invite @{me.name}   # in that channel; or unbind it: {_unbind(channel)}")


def _facts(name: str, channel: Channel, me: Me, told: Mapping[str, Any]) -> Iterable[CheckRow]:
    if told.get("is_archived"):
        yield fail("slack", name, "it is archived: nothing can be posted there", _unbind(channel))
        return
    if not told.get("is_member"):
        yield fail("slack", name, f"@{me.name} is not in it", f"/invite @{me.name}   # in that channel")
    if not channel.reach:
        yield warn("slack", name, "all clusters that it was bound to are gone", _unbind(channel))
    outside = told.get("is_ext_shared") or told.get("is_pending_ext_shared")
    if outside and channel.strangers == "read":
        found = "it is shared with another organisation, and its people may read what it reaches"
        yield warn("slack", name, found, f"opsthread slack bind {channel.channel} … --strangers refuse   # unless it is meant")
    elif outside:
        found = "it is shared with another organisation: its people see the answers that are posted there"
        yield warn("slack", name, found, "Bind it to nothing that they must not see, or ask in another channel.")
    elif told.get("is_member"):
        yield ok("slack", name, f"reaches {_reach(channel)}")


async def look_at_groups(api: WebApi, me: Me, plane: ControlPlane, principal: Principal) -> list[CheckRow]:
    """User groups that give roles: there, and in use."""
    wanted = await plane.slack_groups.to_ask(me.team)
    if not wanted or not principal.admin:
        return []
    try:
        told = await _patiently(api, "usergroups.list", include_disabled=True)
    except SlackRefused as error:
        mend = "The scope usergroups:read must be there; user groups need a paid plan of Slack."
        return [fail("slack", "user groups", f"can't be read ({error.code}), so they give no role", mend)]
    except SlackTrouble as error:
        return [skip("slack", "user groups", f"Slack does not tell: {one_line(error.code, 100)}")]
    there = {str(one.get("id")): one for one in cast(list[dict[str, Any]], told.get("usergroups") or [])}
    rows: list[CheckRow] = []
    for usergroup in wanted:
        found = there.get(usergroup)
        mend = f"opsthread slack groups   # remove what was tied to {usergroup}"
        if found is None:
            rows.append(fail("slack", f"user group {usergroup}", f"there is none in {one_line(me.workspace, 80)}", mend))
        elif found.get("date_delete"):
            rows.append(warn("slack", f"@{found.get('handle')}", "this user group is switched off, so it gives no role", mend))
    return rows or [ok("slack", "user groups", f"all {len(wanted)} that give roles can be read")]


async def look_at_routes(plane: ControlPlane, principal: Principal) -> list[CheckRow]:
    """Routes of alerts whose channel can't show them."""
    try:
        routes = await plane.alert_routes.list(principal)
    except ServiceError:
        return []
    return [
        warn("slack", f"alert route {route.position}", one_line(route.problem, 300), "opsthread alerts routes list")
        for route in routes
        if route.problem
    ]


async def _patiently(api: WebApi, method: str, **args: Any) -> Mapping[str, Any]:
    """Once more after a short wait that Slack asks for. Raises SlackTrouble."""
    try:
        return await api.call(method, **args)
    except SlackBusy as error:
        if error.after_s > _PATIENCE_S:
            raise
        await asyncio.sleep(error.after_s)
        return await api.call(method, **args)


def _unbind(channel: Channel) -> str:
    return f"opsthread slack unbind {channel.channel} --team {channel.team}"


def _reach(channel: Channel) -> str:
    parts = [f"{one.cluster_name}{'/' + ','.join(one.namespaces) if one.namespaces else ''}" for one in channel.reach]
    return one_line(", ".join(parts), 300) + (", and strangers may read" if channel.strangers == "read" else "")
