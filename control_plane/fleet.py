"""Clusters and their runners: enrolment, who is online, what they said last."""

import builtins
import json
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Literal, cast

from sqlalchemy import CursorResult, Select, or_, select, update
from sqlalchemy.exc import IntegrityError

from control_plane.audit import Entry, record
from control_plane.auth_callout import AuthCallout
from control_plane.bus import Bus
from control_plane.clock import Clock, utc_now
from control_plane.database import Database, Session
from control_plane.enrolment import Enrolment, token_sha256
from control_plane.errors import Conflict, Invalid, NotFound, NotSignedIn
from control_plane.presence import Presence
from control_plane.principals import Principal
from control_plane.reach import mode_within, summary_within
from control_plane.tables.fleet import ClusterRow, EnrolmentTokenRow, RunnerRow
from control_plane.typed import typed
from protocol.base import Value
from protocol.bus import OFFLINE_AFTER_S, ClusterSummary, RunnerMode
from protocol.commands import ScopeLimit
from protocol.diagnosis import Severity
from protocol.ids import new_id

_NAME = re.compile(r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$")
_RECENT_S = 1.0
_MOST_RECENT = 10_000
Health = Literal["healthy", "degraded", "unhealthy", "unknown"]

KillSwitchThrown = Callable[[Session, str, str, str], Awaitable[None]]
"""(session, cluster id, by, reason): cancels the cluster's open approvals inside the switch's transaction."""


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
    partial: bool = False
    """Shown to somebody who sees only some namespaces: what is told of the whole cluster (counts, health) is left out."""
    kill_switch: bool = False
    """On: nothing may be changed in this cluster; open approvals are cancelled."""
    health: Health = "unknown"
    created_at: datetime


class Fleet:
    """`start` also opens the doors for runners: auth callout, enrolment, hello and heartbeats."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        *,
        clock: Clock = utc_now,
        grant_keys: dict[str, str] | None = None,
        kill_switch_thrown: KillSwitchThrown | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._kill_switch_thrown = kill_switch_thrown
        self._callout = AuthCallout(database, bus, clock=clock)
        self._enrolment = Enrolment(database, bus, clock=clock, grant_keys=grant_keys or {})
        self._presence = Presence(database, bus, clock=clock, changed=self._forget_recent)
        self._recent: dict[str, tuple[float, builtins.list[tuple[str, Cluster]]]] = {}

    async def start(self) -> None:
        await self._presence.start()
        await self._enrolment.start()
        await self._callout.start()

    async def stop(self) -> None:
        await self._callout.stop()
        await self._enrolment.stop()
        await self._presence.stop()

    async def create(self, name: str, *, environment: str = "", labels: dict[str, str] | None = None, by: str) -> Cluster:
        """Raises Invalid for a bad name, Conflict for one that is taken."""
        if not _NAME.fullmatch(name):
            raise Invalid(f"{name!r} is no name for a cluster: letters, digits, dots, dashes and underscores, at most 63")
        row = ClusterRow(
            id=new_id(),
            name=name,
            environment=environment,
            labels=json.dumps(labels or {}, sort_keys=True),
            kill_switch=False,
            summary="{}",
            created_by=by,
            created_at=self._clock(),
        )
        try:
            async with self._database.transaction() as session:
                session.add(row)
                await session.flush()
                self._audit(session, "cluster.created", f"cluster:{row.id}", row.id, by, {"name": name})
        except IntegrityError:
            raise Conflict(f"there is a cluster {name!r} already; choose another name") from None
        return _cluster(row, None, self._clock())

    async def get(self, cluster: str, principal: Principal | None = None) -> Cluster:
        """By id or name. Raises NotFound when it does not exist or the principal sees nothing of it."""
        return _as_seen(_choose(await self._named(cluster), cluster, principal), principal)

    async def recent(self, cluster: str, principal: Principal | None = None) -> Cluster:
        """As `get`, but what is told may be a second old: for what happens often and is checked again further on."""
        now = time.monotonic()
        kept = self._recent.get(cluster)
        if kept is None or now - kept[0] > _RECENT_S:
            kept = (now, await self._named(cluster))
            if len(self._recent) >= _MOST_RECENT:
                self._recent.clear()
            if kept[1]:
                self._recent[cluster] = kept
        return _choose(kept[1], cluster, principal)

    async def boot_of(self, runner: str) -> str | None:
        """The start of this runner that was greeted last; None when there is none."""
        async with self._database.read() as session:
            return await session.scalar(select(RunnerRow.boot).where(RunnerRow.id == runner, RunnerRow.revoked_at.is_(None)))

    async def _named(self, cluster: str) -> builtins.list[tuple[str, Cluster]]:
        wanted = _with_runners(None).where(or_(ClusterRow.id == cluster, ClusterRow.name == cluster))
        async with self._database.read() as session:
            rows = await _rows(session, wanted)
        return [(row.tenant_id, _cluster(row, runner, self._clock())) for row, runner in rows]

    async def list(self, principal: Principal | None = None) -> tuple[Cluster, ...]:
        """By name; only what the principal sees something of."""
        async with self._database.read() as session:
            rows = await _rows(session, _with_runners(principal).order_by(ClusterRow.name))
        now = self._clock()
        seen = [_cluster(row, runner, now) for row, runner in rows if _sees(principal, row.id, row.name)]
        return tuple(_as_seen(cluster, principal) for cluster in seen)

    async def enrolment_token(self, cluster: str, *, by: str, valid: timedelta = timedelta(hours=1)) -> str:
        """Single-use. The table keeps its SHA-256. Raises NotFound."""
        target = await self.get(cluster)
        token, now = f"enrol-{secrets.token_urlsafe(24)}", self._clock()
        async with self._database.transaction() as session:
            session.add(
                EnrolmentTokenRow(
                    token_sha256=token_sha256(token),
                    cluster=target.id,
                    created_by=by,
                    created_at=now,
                    expires_at=now + valid,
                )
            )
            self._audit(session, "runner.token_made", f"cluster:{target.id}", target.id, by, {})
        return token

    async def cluster_of_token(self, token: str) -> Cluster:
        """For which cluster an enrolment token stands that could be used now; it is not used up. Raises NotSignedIn."""
        async with self._database.read() as session:
            row = await session.get(EnrolmentTokenRow, token_sha256(token))
        if row is None or row.used_at is not None or row.expires_at <= self._clock():
            raise NotSignedIn("The enrolment token is not known here, was used already or is too old. Make a new one.")
        return await self.get(row.cluster)

    async def set_kill_switch(self, cluster: str, on: bool, *, by: str, reason: str) -> None:
        """On: cancels pending and approved approvals of the cluster in the same transaction. Raises NotFound."""
        target = await self.get(cluster)
        reason = typed(reason, 500)
        async with self._database.transaction() as session:
            await session.execute(
                update(ClusterRow)
                .where(ClusterRow.id == target.id)
                .values(kill_switch=on, kill_switch_by=by if on else None, kill_switch_reason=reason if on else None)
            )
            if on and self._kill_switch_thrown is not None:
                await self._kill_switch_thrown(session, target.id, by, reason)
            action = "cluster.kill_switch_on" if on else "cluster.kill_switch_off"
            self._audit(session, action, f"cluster:{target.id}", target.id, by, {"reason": reason})
        self._forget_recent()

    async def revoke_runner(self, runner: str, *, by: str) -> None:
        """Its key is worth nothing from now on and its open connection is cut. Raises NotFound."""
        async with self._database.transaction() as session:
            row = await session.get(RunnerRow, runner)
            if row is None:
                raise NotFound(f"there is no runner {runner!r}")
            changed = await session.execute(
                update(RunnerRow)
                .where(RunnerRow.id == runner, RunnerRow.revoked_at.is_(None))
                .values(revoked_at=self._clock(), revoked_by=by)
            )
            await session.execute(
                update(ClusterRow)
                .where(ClusterRow.id == row.cluster, ClusterRow.active_runner == runner)
                .values(active_runner=None)
            )
            if cast(CursorResult[Any], changed).rowcount:
                self._audit(session, "runner.revoked", f"runner:{runner}", row.cluster, by, {})
        self._forget_recent()
        await self._callout.cut(runner)

    def _forget_recent(self) -> None:
        self._recent.clear()

    def _audit(self, session: Session, action: str, subject: str, cluster: str, by: str, detail: dict[str, str]) -> None:
        record(session, Entry(by, action, subject, self._clock(), cluster=cluster, detail=detail))


def _choose(found: builtins.list[tuple[str, Cluster]], wanted: str, principal: Principal | None) -> Cluster:
    """The one with that id, else the one with that name, of those that the principal may know of. Raises NotFound."""
    seen = [
        cluster
        for tenant, cluster in found
        if principal is None or (tenant == principal.tenant and _sees(principal, cluster.id, cluster.name))
    ]
    if not seen:
        raise NotFound(f"there is no cluster {wanted!r}; `opsthread cluster list` lists the ones that you may see")
    return next((cluster for cluster in seen if cluster.id == wanted), seen[0])


def _as_seen(cluster: Cluster, principal: Principal | None) -> Cluster:
    """Without what it tells of namespaces that the principal does not see."""
    scope = visible_scope(principal, cluster.id, cluster.name) if principal is not None else ScopeLimit()
    if scope.namespaces is None:
        return cluster
    runner = cluster.runner
    return cluster.model_copy(
        update={
            "summary": summary_within(cluster.summary, scope),
            "health": "unknown",
            "partial": True,
            "runner": runner.model_copy(update={"mode": mode_within(runner.mode, scope)}) if runner is not None else None,
        }
    )


def visible_scope(principal: Principal, cluster_id: str, cluster_name: str) -> ScopeLimit:
    """The namespaces that the principal sees there; roles may name the cluster by id or by name."""
    by_id, by_name = principal.scope_limit(cluster_id), principal.scope_limit(cluster_name)
    if by_id.namespaces is None or by_name.namespaces is None:
        return ScopeLimit(namespaces=None)
    return ScopeLimit(namespaces=tuple(sorted({*by_id.namespaces, *by_name.namespaces})))


def health_of(summary: ClusterSummary, *, online: bool) -> Health:
    """Unknown while nobody tells; otherwise by the worst finding, and by nodes that are not ready."""
    if not online or summary.cache == "cold":
        return "unknown"
    if summary.findings.get(Severity.CRITICAL, 0):
        return "unhealthy"
    worrying = summary.findings.get(Severity.HIGH, 0) + summary.findings.get(Severity.MEDIUM, 0)
    return "degraded" if worrying or summary.nodes_ready < summary.nodes else "healthy"


def _with_runners(principal: Principal | None) -> Select[ClusterRow, RunnerRow]:
    rows = select(ClusterRow, RunnerRow).outerjoin(RunnerRow, RunnerRow.id == ClusterRow.active_runner)
    return rows if principal is None else rows.where(ClusterRow.tenant_id == principal.tenant)


async def _rows(session: Session, wanted: Select[ClusterRow, RunnerRow]) -> builtins.list[tuple[ClusterRow, RunnerRow | None]]:
    return [(row[0], row[1]) for row in await session.execute(wanted)]


def _sees(principal: Principal | None, cluster_id: str, name: str) -> bool:
    return principal is None or principal.sees_some_of(cluster_id) or principal.sees_some_of(name)


def _cluster(row: ClusterRow, runner: RunnerRow | None, now: datetime) -> Cluster:
    shown = _runner(runner, now) if runner is not None else None
    online = shown is not None and shown.online
    summary = ClusterSummary.model_validate_json(row.summary)
    return Cluster(
        id=row.id,
        name=row.name,
        environment=row.environment,
        labels=json.loads(row.labels),
        online=online,
        summary=summary,
        runner=shown,
        kill_switch=row.kill_switch,
        health=health_of(summary, online=online),
        created_at=row.created_at,
    )


def _runner(row: RunnerRow, now: datetime) -> Runner:
    heard = row.last_heartbeat
    return Runner(
        id=row.id,
        cluster=row.cluster,
        boot=row.boot,
        version=row.version,
        mode=RunnerMode.model_validate_json(row.mode),
        online=row.revoked_at is None and heard is not None and now - heard < timedelta(seconds=OFFLINE_AFTER_S),
        kubernetes_version=row.kubernetes_version,
        clock_offset_s=row.clock_offset_s,
        last_heartbeat=heard,
        revoked=row.revoked_at is not None,
    )
