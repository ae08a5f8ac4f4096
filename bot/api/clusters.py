"""Clusters, and their runners in the Agent Manager's words (agents)."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import Field

from bot.api.access import Admin, Me, Plane
from bot.api.paging import Cursor, Limit, listing, page_after
from bot.api.stream import StreamsOf
from bot.api.views import View, agent_status, agent_view, cluster_health_view, cluster_view
from control_plane.clock import utc_now
from control_plane.errors import Forbidden, NotFound
from control_plane.fleet import Cluster, Runner
from control_plane.principals import Principal
from control_plane.services import ControlPlane
from protocol.approval import Role
from protocol.base import Strict

router = APIRouter(prefix="/api/v1", tags=["clusters"])

ClusterId = Annotated[str, Path(max_length=200, description="Id or name")]
AgentId = Annotated[str, Path(max_length=64)]
TOKEN_VALID = timedelta(hours=1)
_LABEL = Annotated[str, Field(max_length=200)]


class NewCluster(Strict):
    name: str = Field(min_length=1, max_length=100)
    environment: str = Field(default="", max_length=50)
    labels: dict[_LABEL, _LABEL] = Field(default={}, max_length=50)


class KillSwitch(Strict):
    on: bool
    reason: str = Field(default="", max_length=500)


@router.get("/clusters")
async def list_clusters(me: Me, plane: Plane, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
    page, following = page_after([cluster_view(c) for c in await plane.fleet.list(me.principal)], cursor, limit)
    return listing("clusters", page, following)


@router.post("/clusters", status_code=201)
async def create_cluster(body: NewCluster, me: Admin, plane: Plane, streams: StreamsOf) -> dict[str, Any]:
    """Make a cluster and a single-use token with which its runner enrols."""
    cluster = await plane.fleet.create(body.name, environment=body.environment, labels=dict(body.labels), by=me.account)
    streams.nudge()
    return {**cluster_view(cluster), **await _token(plane, cluster.id, me.account)}


@router.get("/clusters/{cluster}")
async def get_cluster(cluster: ClusterId, me: Me, plane: Plane) -> View:
    return cluster_view(await plane.fleet.get(cluster, me.principal))


@router.get("/clusters/{cluster}/health")
async def get_cluster_health(cluster: ClusterId, me: Me, plane: Plane) -> View:
    return cluster_health_view(await plane.fleet.get(cluster, me.principal))


@router.post("/clusters/{cluster}/enrolment-tokens", status_code=201)
async def create_token(cluster: ClusterId, me: Admin, plane: Plane) -> dict[str, Any]:
    found = await plane.fleet.get(cluster, me.principal)
    return await _token(plane, found.id, me.account)


@router.put("/clusters/{cluster}/kill-switch")
async def set_kill_switch(cluster: ClusterId, body: KillSwitch, me: Me, plane: Plane, streams: StreamsOf) -> View:
    """On: nothing may be changed in this cluster, and open approvals are cancelled. Admins of the whole cluster."""
    found = await plane.fleet.get(cluster, me.principal)
    require_cluster_admin(me.principal, found)
    await plane.fleet.set_kill_switch(found.id, body.on, by=me.account, reason=body.reason)
    streams.nudge()
    return cluster_view(await plane.fleet.get(found.id, me.principal))


@router.get("/agents", tags=["agents"])
async def list_agents(
    me: Me,
    plane: Plane,
    status: Annotated[str | None, Query(pattern="^(online|offline|registering|error)$")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """The runners, one a cluster."""
    found = [
        agent_view(runner, cluster)
        for cluster, runner in await _runners(plane, me.principal)
        if status is None or agent_status(runner) == status
    ]
    page, following = page_after(found, cursor, limit)
    return listing("agents", page, following)


@router.get("/agents/{agent}", tags=["agents"])
async def get_agent(agent: AgentId, me: Me, plane: Plane) -> View:
    cluster, runner = await _runner(plane, me.principal, agent)
    return agent_view(runner, cluster)


@router.delete("/agents/{agent}", tags=["agents"], status_code=204)
async def delete_agent(agent: AgentId, me: Me, plane: Plane, streams: StreamsOf) -> None:
    """Revoke a runner: its key opens nothing any more. Enrol a new one with a new token."""
    cluster, runner = await _runner(plane, me.principal, agent)
    require_cluster_admin(me.principal, cluster)
    await plane.fleet.revoke_runner(runner.id, by=me.account)
    streams.nudge()


def require_cluster_admin(principal: Principal, cluster: Cluster) -> None:
    if principal.role_in(cluster.id, None) is not Role.ADMIN:
        raise Forbidden(f"This needs the role admin over the whole cluster {cluster.name}.")


async def _token(plane: ControlPlane, cluster: str, by: str) -> dict[str, Any]:
    token = await plane.fleet.enrolment_token(cluster, by=by, valid=TOKEN_VALID)
    return {"enrolment_token": token, "enrolment_token_expires_at": (utc_now() + TOKEN_VALID).isoformat()}


async def _runners(plane: ControlPlane, principal: Principal) -> list[tuple[Cluster, Runner]]:
    return [(c, c.runner) for c in await plane.fleet.list(principal) if c.runner is not None]


async def _runner(plane: ControlPlane, principal: Principal, agent: str) -> tuple[Cluster, Runner]:
    for cluster, runner in await _runners(plane, principal):
        if runner.id == agent:
            return cluster, runner
    raise NotFound(f"There is no agent {agent!r} that you may see.")
