"""A running control plane and its runners: the bus, each cluster, and what each runner says of itself."""

import asyncio
import shlex
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from control_plane.errors import ServiceError
from control_plane.fleet import Cluster
from control_plane.principals import Principal
from control_plane.services import ControlPlane
from protocol.checkup import CheckRow, fail, ok, skip, warn
from protocol.commands import CommandStatus, ScopeLimit, SelfCheck
from protocol.text import one_line

_AT_ONCE = 8
_SELF_CHECK_S = 25.0
_MOST_CLUSTERS = 200


async def look_at_plane(plane: ControlPlane, runtime: Any) -> list[CheckRow]:
    rows = [_bus(plane)]
    if runtime.ready:
        rows.append(ok("agent", "agent", f"loaded; model: {runtime.model_name}"))
    else:
        rows.append(warn("agent", "agent", "not loaded (yet): questions wait", "Look into serve's log for why."))
    return rows


async def look_at_clusters(plane: ControlPlane, principal: Principal) -> list[CheckRow]:
    """Every cluster that `principal` sees, and its runner's own word."""
    try:
        clusters = await plane.fleet.list(principal)
    except ServiceError as error:
        return [fail("cluster", "clusters", error.message, "Mend the database first.")]
    if not clusters:
        return [warn("cluster", "clusters", "none is connected", "opsthread cluster add NAME   # prints the one command")]
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(cluster: Cluster) -> list[CheckRow]:
        async with slots:
            return await _cluster(plane, principal, cluster)

    found = await asyncio.gather(*(one(cluster) for cluster in clusters[:_MOST_CLUSTERS]))
    rows = [row for rows in found for row in rows]
    if len(clusters) > _MOST_CLUSTERS:
        rows.append(skip("cluster", "clusters", f"{len(clusters) - _MOST_CLUSTERS} more were not looked at"))
    return rows


async def _cluster(plane: ControlPlane, principal: Principal, cluster: Cluster) -> list[CheckRow]:
    rows = [_runner(cluster)]
    if cluster.online:
        rows += _facts(cluster) + await _own_word(plane, principal, cluster)
    return [row.model_copy(update={"cluster": cluster.name}) for row in rows]


def _runner(cluster: Cluster) -> CheckRow:
    runner, add = cluster.runner, f"opsthread cluster add {shlex.quote(cluster.name)}"
    if runner is None:
        return fail("cluster", "runner", "none has ever connected", f"{add}   # prints the one command")
    if runner.revoked:
        return fail("cluster", "runner", "it was revoked", f"{add}   # enrols a new one")
    if not cluster.online:
        heard = f"{runner.last_heartbeat:%Y-%m-%d %H:%M:%S} UTC" if runner.last_heartbeat else "never"
        mend = "kubectl -n opsthread get pods,events && kubectl -n opsthread logs deployment/opsthread-runner --tail=50"
        return fail("cluster", "runner", f"offline, last heard of {heard}", mend)
    ours = _version()
    writes = f"writes ({', '.join(runner.mode.remediations)})" if runner.mode.writes else "read-only"
    said = f"online, version {runner.version}, {writes}"
    if runner.version != ours:
        mend = f"kubectl -n opsthread set image deployment/opsthread-runner runner=opsthread-runner:{ours}"
        return warn("cluster", "runner", f"{said}; the control plane is {ours}", mend)
    return ok("cluster", "runner", said)


def _facts(cluster: Cluster) -> list[CheckRow]:
    if not cluster.kill_switch:
        return []
    return [
        warn("cluster", "kill switch", "on: nothing is changed in this cluster", "An admin turns it off under Change control.")
    ]


async def _own_word(plane: ControlPlane, principal: Principal, cluster: Cluster) -> list[CheckRow]:
    try:
        result = await plane.commands.run(
            cluster.id, SelfCheck(), principal=principal, scope=ScopeLimit(), deadline_s=_SELF_CHECK_S
        )
    except ServiceError as error:
        return [fail("cluster", "self-check", one_line(error.message, 300), "Ask again; the cluster may just be leaving.")]
    if result.good:
        try:
            return list(result.checks())
        except ValueError as error:
            return [
                fail("cluster", "self-check", one_line(str(error), 300), "Update the older one of control plane and runner.")
            ]
    if result.status is CommandStatus.INVALID:
        found = f"this runner can't look at itself: {one_line(result.error, 300)}"
        return [warn("cluster", "self-check", found, "Update the runner.")]
    if result.status is CommandStatus.DENIED:
        return [skip("cluster", "self-check", one_line(result.error, 300))]
    return [fail("cluster", "self-check", one_line(result.error or str(result.status), 300), "Look into the runner's log.")]


def _bus(plane: ControlPlane) -> CheckRow:
    if plane.bus.connected:
        return ok("bus", "connection", f"connected to {plane.bus.url}")
    return fail("bus", "connection", f"not connected to {plane.bus.url}", "Look into serve's log, and that of nats-server.")


def _version() -> str:
    try:
        return version("opsthread")
    except PackageNotFoundError:
        return "0"
