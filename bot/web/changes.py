"""Change control for administrators, as plain forms: kill switches, freeze windows, break-glass. And the fresh sign-in without
signing out, which the last approval of a high risk and a broken glass ask for."""

from datetime import datetime
from typing import Annotated, Any, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from bot.api.access import Caller, authenticate, plane_of
from bot.api.address import address_of
from bot.api.cards import FRESH_SIGN_IN
from bot.api.clusters import require_cluster_admin
from bot.api.proposals import ask_again
from bot.api.stream import StreamsOf
from bot.api.throttle import Door
from bot.web.forms import meant
from bot.web.render import local_path, page
from control_plane.errors import Invalid, ServiceError
from control_plane.fleet import Cluster
from protocol.approval import Role
from protocol.freeze import DAYS

router = APIRouter(include_in_schema=False)

Text = Annotated[str, Form(max_length=1000)]


async def changes_view(request: Request, who: Caller) -> dict[str, Any]:
    """What the page of change control shows this person, and what they may do there."""
    plane = plane_of(request)
    clusters = await plane.fleet.list(who.principal)
    allowed = await plane.break_glass.allowed({cluster.id for cluster in clusters})
    open_now = await plane.freezes.open([cluster.id for cluster in clusters], who.principal.tenant)
    rows = [
        {
            "id": cluster.id,
            "name": cluster.name,
            "kill_switch": cluster.kill_switch,
            "break_glass": allowed[cluster.id],
            "frozen_until": open_now[cluster.id].until if cluster.id in open_now else None,
            "mine": who.principal.role_in(cluster.id, None) is Role.ADMIN,
        }
        for cluster in clusters
    ]
    mine = {row["id"] for row in rows if row["mine"]}
    freezes = [
        {**freeze.model_dump(), "mine": who.principal.admin if freeze.cluster is None else freeze.cluster in mine}
        for freeze in await plane.freezes.list(who.principal)
    ]
    return {
        "rows": rows,
        "freezes": freezes,
        "everything": who.principal.admin,
        "may_add": bool(mine) or who.principal.admin,
        "days": DAYS,
        "zones": sorted(available_timezones()),
    }


@router.post("/changes/freezes")
async def add_freeze(
    request: Request,
    streams: StreamsOf,
    csrf: Text = "",
    cluster: Text = "",
    reason: Text = "",
    kind: Text = "",
    zone: Text = "UTC",
    starts_at: Text = "",
    ends_at: Text = "",
    days: Annotated[list[str] | None, Form(max_length=7)] = None,
    starts: Text = "",
    ends: Text = "",
    until_day: Text = "",
) -> Response:
    who = await meant(request, csrf)
    plane = plane_of(request)
    if kind == "once":
        window: dict[str, Any] = {"kind": "once", "starts_at": _local(starts_at, zone), "ends_at": _local(ends_at, zone)}
    else:
        window = {"kind": "weekly", "days": days or [], "starts": starts, "ends": ends, "time_zone": zone}
        window |= {"until_day": until_day} if until_day else {}
    target = (await plane.fleet.get(cluster, who.principal)).id if cluster else None
    await plane.freezes.add(who.principal, cluster=target, window=window, reason=reason)
    return _back(streams)


@router.post("/changes/freezes/{freeze}/end")
async def end_freeze(request: Request, freeze: str, streams: StreamsOf, csrf: Text = "") -> Response:
    who = await meant(request, csrf)
    await plane_of(request).freezes.end(freeze, who.principal)
    return _back(streams)


@router.post("/changes/clusters/{cluster}/break-glass")
async def set_break_glass(request: Request, cluster: str, streams: StreamsOf, csrf: Text = "", allowed: Text = "") -> Response:
    who = await meant(request, csrf)
    found = await _administered(request, who, cluster)
    await plane_of(request).break_glass.set(found.id, allowed == "yes", who.principal)
    return _back(streams)


@router.post("/changes/clusters/{cluster}/kill-switch")
async def set_kill_switch(
    request: Request, cluster: str, streams: StreamsOf, csrf: Text = "", on: Text = "", reason: Text = ""
) -> Response:
    who = await meant(request, csrf)
    found = await _administered(request, who, cluster)
    await plane_of(request).fleet.set_kill_switch(found.id, on == "yes", by=who.account, reason=reason)
    return _back(streams)


@router.post("/approvals/{approval}/again")
async def again(request: Request, approval: str, streams: StreamsOf, csrf: Text = "") -> Response:
    who = await meant(request, csrf)
    opened = await ask_again(plane_of(request), who, approval)
    streams.nudge()
    return RedirectResponse(f"/approvals/{opened.id}", status_code=303)


@router.post("/notifications/{notification}/seen")
async def seen(request: Request, notification: str, streams: StreamsOf, csrf: Text = "", next_path: Text = "/") -> Response:
    who = await meant(request, csrf)
    await plane_of(request).notifications.seen(notification, who.principal)
    streams.nudge()
    return RedirectResponse(local_path(next_path), status_code=303)


@router.get(FRESH_SIGN_IN)
async def confirm_page(request: Request, next_path: str = "/") -> Response:
    who = await authenticate(request)
    return await _confirm(request, who, next_path)


@router.post(FRESH_SIGN_IN)
async def confirm(request: Request, csrf: Text = "", password: Text = "", next_path: Text = "/") -> Response:
    """The password once more, on the same session. A bearer token has no session that could be confirmed."""
    who = await meant(request, csrf)
    address = address_of(request)
    try:
        await cast(Door, request.app.state.sign_in_door).take(address)
        await plane_of(request).accounts.confirm(who.session.id, password, address=address)
    except ServiceError as error:
        return await _confirm(request, who, next_path, error=error.code, status=error.status)
    return RedirectResponse(local_path(next_path), status_code=303)


async def _confirm(request: Request, who: Caller, next_path: str, *, error: str = "", status: int = 200) -> Response:
    account = await plane_of(request).accounts.get(who.account)
    return page(
        request,
        "confirm.html",
        status=status,
        page="confirm",
        me=None,
        name=who.principal.name,
        csrf=who.session.csrf,
        has_password=account.has_password,
        next_path=local_path(next_path),
        error=error,
    )


def _local(text: str, zone: str) -> str:
    """A browser's local date and time, in the zone that was chosen beside it. Raises Invalid."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).isoformat()
    except (ValueError, ZoneInfoNotFoundError, OSError):
        raise Invalid(
            f"{text[:40]!r} in {zone[:40]!r} is no time; write one such as 2026-12-24T18:00 in Europe/Berlin"
        ) from None


async def _administered(request: Request, who: Caller, cluster: str) -> Cluster:
    found = await plane_of(request).fleet.get(cluster, who.principal)
    require_cluster_admin(who.principal, found)
    return found


def _back(streams: StreamsOf) -> Response:
    streams.nudge()
    return RedirectResponse("/changes", status_code=303)
