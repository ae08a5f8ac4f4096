"""Clusters and their runners: enrolment, who is online, what they said last."""

from datetime import datetime, timedelta
from typing import Literal

from control_plane.principals import Principal
from protocol.base import Value
from protocol.bus import ClusterSummary, RunnerMode


class Runner(Value):
    id: str
    cluster: str
    boot: str
    version: str
    mode: RunnerMode
    online: bool
    kubernetes_version: str
    clock_offset_s: float
    """Runner minus control plane; writes are refused over 30."""
    last_heartbeat: datetime | None
    revoked: bool = False


class Cluster(Value):
    id: str
    name: str
    """Unique in the tenant; what people write."""
    environment: str = ""
    labels: dict[str, str] = {}
    online: bool = False
    summary: ClusterSummary = ClusterSummary()
    runner: Runner | None = None
    kill_switch: bool = False
    """On: nothing may be changed in this cluster; open approvals are cancelled."""
    health: Literal["healthy", "degraded", "unhealthy", "unknown"] = "unknown"
    created_at: datetime


class Fleet:
    async def create(self, name: str, *, environment: str = "", labels: dict[str, str] | None = None, by: str) -> Cluster: ...

    async def get(self, cluster: str, principal: Principal | None = None) -> Cluster:
        """By id or name. Raises NotFound when it does not exist or the principal sees nothing of it."""
        ...

    async def list(self, principal: Principal | None = None) -> tuple[Cluster, ...]: ...

    async def enrolment_token(self, cluster: str, *, by: str, valid: timedelta = timedelta(hours=1)) -> str:
        """Single-use. The table keeps its SHA-256."""
        ...

    async def set_kill_switch(self, cluster: str, on: bool, *, by: str, reason: str) -> None:
        """On: cancels pending and approved approvals of the cluster in the same transaction."""

    async def revoke_runner(self, runner: str, *, by: str) -> None: ...
