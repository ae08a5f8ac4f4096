"""Alerts over REST: Alertmanager's webhook, the groups with what people do to them, routes and tokens."""

import asyncio
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse
from pydantic import Field

from bot.api.access import Me, Plane, bearer, plane_of
from bot.api.address import address_of
from bot.api.language import language_of_reader
from bot.api.paging import Limit, listing
from bot.api.problems import problem_of, problem_response, request_id
from bot.api.stream import StreamsOf
from bot.api.throttle import Door, Throttle
from bot.api.views import View
from control_plane.alerts.intake import alertmanager, labels_of
from control_plane.alerts.routes import THREADS_PER_HOUR, NewRoute, Route
from control_plane.alerts.tokens import AlertToken, administers
from control_plane.alerts.values import Group, severity_of
from control_plane.errors import Forbidden, Invalid, NotSignedIn, TooMany, Unavailable
from control_plane.services import ControlPlane
from protocol.base import Strict
from protocol.events import Language
from protocol.text import one_line

router = APIRouter(prefix="/api/v1/alerts", tags=["alerts"])

POSTS, WINDOW_S = 600, 60.0
"""Of one token, on all replicas together."""
STRANGERS = 30
"""Tries without a token of ours, of one address in a minute."""
RETRY_AFTER_S = 30

Id = Annotated[str, Path(max_length=64)]


class AlertDoor:
    """What holds senders back. Alertmanager gives up at a 4xx and tries again at a 5xx, so a sender of ours that sends too much
    is told 503."""

    def __init__(self, plane: ControlPlane) -> None:
        self._ours = Door("alerts", plane.limits, POSTS, WINDOW_S)
        self._strangers = Throttle(STRANGERS, WINDOW_S)

    async def ours(self, token: str) -> None:
        try:
            await self._ours.take(token)
        except TooMany as error:
            raise Unavailable(f"this token sends over {POSTS} posts in {WINDOW_S:.0f} seconds: {error.message}") from None

    def stranger(self, address: str) -> None:
        """Raises TooMany."""
        self._strangers.take(address)


class Acknowledge(Strict):
    on: bool = Field(default=True, description="false: nobody has it in hand any more")


class Silenced(Strict):
    until: Literal["1h", "4h", "resolved", "off"]


class Wrong(Strict):
    reason: str = Field(max_length=4000, description="Others read it under the alert")


class RouteWanted(Strict):
    clusters: list[str] = Field(default=["*"], max_length=50, description="Names or ids; * for all")
    namespaces: list[str] = Field(default=["*"], max_length=50)
    matchers: list[str] = Field(default=[], description='Alertmanager\'s: `team="payments"`, `severity=~"critical|warning"`')
    least_severity: Literal["critical", "warning", "info"] = "info"
    team: str = Field(default="", max_length=32, description="Slack's id of the workspace; empty for the web alone")
    channel: str = Field(default="", max_length=32, description="Slack's id of the channel")
    threads_per_hour: int = Field(default=THREADS_PER_HOUR, description="What comes on top goes into a digest")
    language: Language = "en"
    position: int | None = Field(default=None, ge=1, description="1 is asked first; behind all others when absent")


class Moved(Strict):
    position: int = Field(ge=1)


class LabelsToTry(Strict):
    cluster: str = Field(max_length=200, description="Name or id")
    labels: dict[str, str] = Field(max_length=64)


class NewToken(Strict):
    name: str = Field(max_length=200, description="Who sends with it")
    cluster: str | None = Field(default=None, max_length=200, description="Name or id; null: the label `cluster` names it")


@router.post("/alertmanager", response_model=None)
async def take_alerts(request: Request) -> JSONResponse | View:
    """Alertmanager's webhook, version 4, with a token of `opsthread alerts token create` as its bearer. 200 when all of it is
    stored; the same again changes nothing. 503 with Retry-After when it can't be stored now: Alertmanager sends it again."""
    plane = plane_of(request)
    door: AlertDoor = request.app.state.alert_door
    try:
        sender = await _sender(request, plane, door)
        body = await _json(request)
        clusters = await plane.alerts.cluster_names()
        read = await asyncio.to_thread(alertmanager, body, cluster=sender.cluster, clusters=clusters)
        if not read.reports and read.unknown_clusters:
            said = ", ".join(repr(one_line(name, 60)) for name in read.unknown_clusters[:3])
            raise Invalid(
                f"the label `cluster` says {said}, and there is no such cluster; name it as `opsthread cluster list` does, by "
                "external_labels of Prometheus, or make a token for one cluster"
            )
        taken = await plane.alerts.take(read.reports)
    except Unavailable as error:
        problem = problem_response(problem_of(error, request_id(request), language_of_reader(request)))
        problem.headers["Retry-After"] = str(RETRY_AFTER_S)
        return problem
    return {"groups": list(taken.groups), "changed": taken.changed, "left_out": taken.left_out + read.left_out}


@router.get("/groups")
async def list_groups(
    me: Me,
    plane: Plane,
    state: Literal["firing", "resolved"] | None = None,
    cluster: Annotated[str | None, Query(max_length=200)] = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    """What you may see, changed last first, each with its newest alerts."""
    chosen = (await plane.fleet.get(cluster, me.principal)).id if cluster is not None else None
    found = await plane.alerts.list(me.principal, state=state, cluster=chosen, limit=limit)
    return listing("groups", [group_view(group) for group in found])


@router.get("/groups/{group}")
async def get_group(group: Id, me: Me, plane: Plane) -> View:
    return group_view(await plane.alerts.get(group, me.principal))


@router.post("/groups/{group}/acknowledge")
async def acknowledge(group: Id, body: Acknowledge, me: Me, plane: Plane, streams: StreamsOf) -> View:
    """You have it in hand; for operators of its namespace."""
    done = await plane.alerts.acknowledge(group, me.principal, body.on, door=me.door)
    streams.nudge()
    return group_view(done)


@router.post("/groups/{group}/silence")
async def silence(group: Id, body: Silenced, me: Me, plane: Plane, streams: StreamsOf) -> View:
    """Its message is still kept up to date, and nothing else happens; for operators of its namespace."""
    done = await plane.alerts.silence(group, me.principal, body.until, door=me.door)
    streams.nudge()
    return group_view(done)


@router.post("/groups/{group}/wrong")
async def wrong(group: Id, body: Wrong, me: Me, plane: Plane, streams: StreamsOf) -> View:
    """The alert is wrong, or what its thread says. Whoever sees it may say so."""
    done = await plane.alerts.wrong(group, me.principal, body.reason, door=me.door)
    streams.nudge()
    return group_view(done)


@router.post("/groups/{group}/thread", status_code=202)
async def open_thread(group: Id, me: Me, plane: Plane, streams: StreamsOf) -> View:
    """A group that is only a line of a digest gets its own thread."""
    wanted = await plane.alerts.open_thread(group, me.principal, door=me.door)
    streams.nudge()
    return group_view(wanted)


@router.get("/routes")
async def list_routes(me: Me, plane: Plane) -> dict[str, Any]:
    """In the order in which they are asked; for admins of what they are about."""
    return listing("routes", [route_view(route) for route in await plane.alert_routes.list(me.principal)])


@router.post("/routes", status_code=201)
async def add_route(body: RouteWanted, me: Me, plane: Plane) -> View:
    """For admins of all the clusters that it is about. A channel must be bound to them."""
    new = NewRoute.model_validate(body.model_dump())
    return route_view(await plane.alert_routes.add(me.principal, new, door=me.door))


@router.post("/routes/test")
async def test_route(body: LabelsToTry, me: Me, plane: Plane) -> View:
    """Which route alerts with these labels take, and where that leads now; for admins of the cluster. Nothing is stored."""
    cluster = await plane.fleet.get(body.cluster, me.principal)
    if not administers(me.principal, cluster.id):
        raise Forbidden("This needs an admin of the whole cluster; ask one.")
    labels = labels_of(body.labels)  # as they would be taken: patterns take time by a value's length
    where = (cluster.id, labels.get("namespace", ""), labels, severity_of(labels))
    route, target = await plane.alert_routes.choose(*where), await plane.alert_routes.target(*where)
    return {
        "route": route_view(route) if route is not None else None,
        "severity": severity_of(labels),
        "team": target.team,
        "channel": target.channel,
        "web_only_because": target.fell,
    }


@router.post("/routes/{route}/move")
async def move_route(route: Id, body: Moved, me: Me, plane: Plane) -> View:
    return route_view(await plane.alert_routes.move(route, body.position, me.principal, door=me.door))


@router.delete("/routes/{route}", status_code=204)
async def remove_route(route: Id, me: Me, plane: Plane) -> None:
    """What it has sent somewhere stays there."""
    await plane.alert_routes.remove(route, me.principal, door=me.door)


@router.get("/tokens")
async def list_tokens(me: Me, plane: Plane) -> dict[str, Any]:
    """Those that you could revoke. The tokens themselves are not kept."""
    return listing("tokens", [token_view(token) for token in await plane.alert_tokens.list(me.principal)])


@router.post("/tokens", status_code=201)
async def make_token(body: NewToken, me: Me, plane: Plane) -> View:
    """For admins of the cluster; for any cluster, admins over everything. `token` is shown this once."""
    made, token = await plane.alert_tokens.create(me.principal, body.name, cluster=body.cluster, door=me.door)
    return {**token_view(made), "token": token}


@router.delete("/tokens/{sender}", status_code=204)
async def revoke_token(sender: Id, me: Me, plane: Plane) -> None:
    """By id. From now on it lets nobody in."""
    await plane.alert_tokens.revoke(sender, me.principal, door=me.door)


def group_view(group: Group) -> View:
    view = group.model_dump(mode="json", exclude={"told", "acknowledged_by"})
    view["silenced"] = group.silenced
    for told, one in zip(view["alerts"], group.alerts, strict=True):
        told["object"] = one.object
    return view


def route_view(route: Route) -> View:
    return route.model_dump(mode="json")


def token_view(token: AlertToken) -> View:
    return token.model_dump(mode="json")


async def _sender(request: Request, plane: ControlPlane, door: AlertDoor) -> AlertToken:
    """Raises NotSignedIn, Forbidden, TooMany; Unavailable for a sender of ours that sends too much."""
    try:
        sender = await plane.alert_tokens.sender(bearer(request))
    except (NotSignedIn, Forbidden):
        door.stranger(address_of(request))
        raise
    await door.ours(sender.id)
    return sender


async def _json(request: Request) -> object:
    """Raises Invalid; TooLarge by the frame around it."""
    try:
        return orjson.loads(await request.body())
    except orjson.JSONDecodeError:
        raise Invalid("the body is no JSON; Alertmanager's webhook sends it") from None
