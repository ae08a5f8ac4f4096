"""What holds changes back and who is told when one got through: freeze windows, the break-glass switch, notifications."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import Field

from bot.api.access import Me, Plane
from bot.api.cards import notification_view
from bot.api.clusters import ClusterId
from bot.api.paging import listing
from bot.api.stream import StreamsOf
from bot.api.views import View
from control_plane.errors import Invalid
from control_plane.freezes import Freeze
from protocol.base import Strict
from protocol.freeze import Window

router = APIRouter(prefix="/api/v1", tags=["approvals"])

Id = Annotated[str, Path(max_length=64)]


class NewFreeze(Strict):
    cluster_id: str | None = Field(max_length=200, description="Id or name; null freezes all clusters")
    window: Window = Field(
        description='`{"kind": "once", "starts_at", "ends_at"}` with RFC 3339 times, or `{"kind": "weekly", "days": ["fri"], '
        '"starts": "16:00", "until_day": "mon", "ends": "08:00", "time_zone": "Europe/Berlin"}`'
    )
    reason: str = Field(min_length=1, max_length=500, description="People read it on every card that it holds")


class BreakGlassSwitch(Strict):
    allowed: bool


@router.get("/freezes")
async def list_freezes(me: Me, plane: Plane) -> dict[str, Any]:
    """Those that stand, open or not, of the clusters that you see."""
    return listing("freezes", [freeze_view(found) for found in await plane.freezes.list(me.principal)])


@router.post("/freezes", status_code=201)
async def add_freeze(body: NewFreeze, me: Me, plane: Plane, streams: StreamsOf) -> View:
    """From now on no change of that cluster starts while the window is open. For admins of the whole cluster; for all clusters,
    admins over everything."""
    if body.cluster_id is not None and not body.cluster_id.strip():
        raise Invalid("Name a cluster, or give null for all of them.")
    cluster = (await plane.fleet.get(body.cluster_id, me.principal)).id if body.cluster_id is not None else None
    added = await plane.freezes.add(me.principal, cluster=cluster, window=body.window, reason=body.reason)
    streams.nudge()
    return freeze_view(added)


@router.delete("/freezes/{freeze}", status_code=204)
async def end_freeze(freeze: Id, me: Me, plane: Plane, streams: StreamsOf) -> None:
    await plane.freezes.end(freeze, me.principal)
    streams.nudge()


@router.put("/clusters/{cluster}/break-glass")
async def set_break_glass(cluster: ClusterId, body: BreakGlassSwitch, me: Me, plane: Plane, streams: StreamsOf) -> View:
    """Whether an approver alone may break the glass there. Admins of the whole cluster."""
    found = await plane.fleet.get(cluster, me.principal)
    await plane.break_glass.set(found.id, body.allowed, me.principal)
    streams.nudge()
    return {"cluster_id": found.id, "allowed": body.allowed}


@router.get("/notifications")
async def list_notifications(me: Me, plane: Plane) -> dict[str, Any]:
    """What you have not seen yet, newest first: where the glass was broken in your scope."""
    return listing("notifications", [notification_view(note) for note in await plane.notifications.unseen(me.principal)])


@router.post("/notifications/{notification}/seen", status_code=204)
async def see_notification(notification: Id, me: Me, plane: Plane, streams: StreamsOf) -> None:
    await plane.notifications.seen(notification, me.principal)
    streams.nudge()


def freeze_view(value: Freeze) -> View:
    return value.model_dump(mode="json")
