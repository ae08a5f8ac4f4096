"""Who is there: hellos answered one by one, heartbeats written once a second for all runners together."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from prometheus_client import Gauge
from pydantic import ValidationError
from sqlalchemy import bindparam, exists, func, select, update
from sqlalchemy.exc import SQLAlchemyError

from control_plane.bus import Bus, Incoming, Subscription
from control_plane.clock import Clock, utc_now
from control_plane.database import Database, Session
from control_plane.errors import ServiceError
from control_plane.tables.fleet import ClusterRow, RunnerRow
from protocol import subjects
from protocol.base import PROTOCOL_VERSION
from protocol.bus import OFFLINE_AFTER_S, Heartbeat, Hello, HelloReply

LOG = structlog.get_logger("fleet")
_FLUSH_S = 1.0
_COUNT_S = 15.0
_FINISH_S = 2.0
RUNNERS_ONLINE = Gauge("opsthread_runners_online", "Clusters whose runner was heard of in the last 45 s")


@dataclass(frozen=True, slots=True)
class Known:
    """What the table says of a runner, and of the one that its cluster's commands go to now."""

    runner: RunnerRow
    cluster: ClusterRow
    active: RunnerRow | None


class Presence:
    """Serves hello and heartbeat subjects. With several replicas each message reaches one of them."""

    def __init__(
        self, database: Database, bus: Bus, *, clock: Clock = utc_now, changed: Callable[[], None] = lambda: None
    ) -> None:
        self._database = database
        self._bus = bus
        self._clock = clock
        self._changed = changed
        self._heard: dict[tuple[str, str], tuple[Heartbeat, datetime]] = {}
        self._news = asyncio.Event()
        self._stopping = asyncio.Event()
        self._subscriptions: list[Subscription] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self._stopping.clear()
        self._subscriptions = [
            await self._bus.serve(subjects.ALL_HELLOS, self._hello, queue="fleet", at_once=16),
            await self._bus.serve(subjects.ALL_HEARTBEATS, self._heartbeat, queue="fleet"),
        ]
        self._tasks = [
            asyncio.create_task(self._write_each_second(), name="heartbeat writer"),
            asyncio.create_task(self._count(), name="runner count"),
        ]

    async def stop(self) -> None:
        for subscription in self._subscriptions:
            await subscription.close()
        self._subscriptions = []
        self._stopping.set()
        self._news.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_FINISH_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _hello(self, message: Incoming) -> None:
        try:
            hello = Hello.model_validate_json(message.data)
        except ValidationError as error:
            LOG.warning("a hello could not be read", subject=message.subject, error=str(error)[:300])
            return
        if message.subject != subjects.hello(hello.cluster, hello.runner):
            LOG.warning("a hello came on another runner's subject", subject=message.subject, runner=hello.runner)
            return
        reply = await self._greet(hello)
        if message.reply.startswith(f"{subjects.inbox_prefix(hello.runner)}."):
            await self._bus.send(message.reply, reply.model_dump_json().encode())
            if reply.accepted:
                await self._bus.send(subjects.active(hello.runner), hello.boot.encode())

    async def _greet(self, hello: Hello) -> HelloReply:
        now = self._clock()
        async with self._database.transaction() as session:
            known = await _known(session, hello)
            reason = why_refused(hello, known, now)
            if reason or known is None:
                LOG.warning("hello refused", cluster=hello.cluster, runner=hello.runner, reason=reason)
                return HelloReply(accepted=False, clock=now, reason=reason)
            row = known.runner
            row.boot, row.version, row.kubernetes_version = hello.boot, hello.version[:64], hello.kubernetes_version[:64]
            row.mode = hello.mode.model_dump_json()
            row.started_at = hello.started_at
            row.clock_offset_s = (hello.clock - now).total_seconds()
            row.last_heartbeat = now
            known.cluster.active_runner = row.id
        self._changed()
        LOG.info("hello", cluster=known.cluster.name, runner=hello.runner, boot=hello.boot, version=hello.version)
        return HelloReply(accepted=True, use=PROTOCOL_VERSION, clock=now)

    async def _heartbeat(self, message: Incoming) -> None:
        try:
            beat = Heartbeat.model_validate_json(message.data)
        except ValidationError as error:
            LOG.warning("a heartbeat could not be read", subject=message.subject, error=str(error)[:300])
            return
        if message.subject == subjects.heartbeat(beat.cluster, beat.runner):
            self._heard[beat.runner, beat.boot] = (beat, self._clock())
            self._news.set()

    async def _write_each_second(self) -> None:
        """The first heartbeat after a quiet second is written at once, what follows within the next one together."""
        while not self._stopping.is_set():
            await self._news.wait()
            self._news.clear()
            heard, self._heard = self._heard, {}
            try:
                await write_heartbeats(self._database, heard.values())
            except (SQLAlchemyError, OSError, ServiceError) as error:
                LOG.error("heartbeats could not be written and are tried again", error=str(error))
                self._heard = {**heard, **self._heard}
                self._news.set()
            await self._pause(_FLUSH_S)

    async def _count(self) -> None:
        """For the metrics: every replica shows the whole fleet."""
        while not self._stopping.is_set():
            try:
                RUNNERS_ONLINE.set(await count_online(self._database, self._clock()))
            except (SQLAlchemyError, OSError, ServiceError) as error:
                LOG.error("the runners online could not be counted", error=str(error))
            await self._pause(_COUNT_S)

    async def _pause(self, seconds: float) -> None:
        """So long, or until we stop: a statement that runs is better finished than cancelled."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)


def why_refused(hello: Hello, known: Known | None, now: datetime) -> str:
    """ "" when this runner may be its cluster's active one, else the reason, for the person who reads its log. Pure."""
    if known is None:
        return f"runner {hello.runner} is not enrolled in cluster {hello.cluster}: enrol it again"
    if known.runner.revoked_at is not None:
        return f"runner {hello.runner} was revoked: remove its identity file and enrol it again"
    if PROTOCOL_VERSION not in hello.speaks:
        spoken = ", ".join(str(version) for version in hello.speaks)
        return f"this control plane speaks protocol {PROTOCOL_VERSION}, the runner {spoken}: upgrade the older one"
    row, active = known.runner, known.active
    if active is not None and active.id != row.id and _online(active, now):
        return f"cluster {known.cluster.name} has an active runner, {active.id}: stop that one, or revoke it"
    newer = row.started_at is not None and row.started_at > hello.started_at
    if row.boot and row.boot != hello.boot and newer and _online(row, now):
        return f"a later start of runner {row.id} is active: two processes share this identity, stop one"
    return ""


async def write_heartbeats(database: Database, heard: Iterable[tuple[Heartbeat, datetime]]) -> None:
    """One transaction for all. A heartbeat of another boot than the greeted one, or of a revoked runner, counts for nothing."""
    runners: list[dict[str, Any]] = []
    clusters: list[dict[str, Any]] = []
    for beat, at in heard:
        offset = (beat.clock - at).total_seconds()
        runners.append({"r_id": beat.runner, "r_boot": beat.boot, "r_at": at, "r_offset": offset})
        summary = beat.summary.model_dump_json()
        clusters.append({"c_id": beat.cluster, "c_runner": beat.runner, "c_boot": beat.boot, "c_summary": summary})
    if not runners:
        return
    async with database.transaction() as session:
        connection = await session.connection()
        await connection.execute(
            update(RunnerRow)
            .where(RunnerRow.id == bindparam("r_id"), RunnerRow.boot == bindparam("r_boot"), RunnerRow.revoked_at.is_(None))
            .values(last_heartbeat=bindparam("r_at"), clock_offset_s=bindparam("r_offset")),
            runners,
        )
        await connection.execute(
            update(ClusterRow)
            .where(
                ClusterRow.id == bindparam("c_id"),
                ClusterRow.active_runner == bindparam("c_runner"),
                exists().where(RunnerRow.id == bindparam("c_runner"), RunnerRow.boot == bindparam("c_boot")),
            )
            .values(summary=bindparam("c_summary")),
            clusters,
        )


async def count_online(database: Database, now: datetime) -> int:
    wanted = (
        select(func.count())
        .select_from(ClusterRow)
        .join(RunnerRow, RunnerRow.id == ClusterRow.active_runner)
        .where(RunnerRow.revoked_at.is_(None), RunnerRow.last_heartbeat > now - timedelta(seconds=OFFLINE_AFTER_S))
    )
    async with database.read() as session:
        return (await session.execute(wanted)).scalar_one()


async def _known(session: Session, hello: Hello) -> Known | None:
    runner = await session.get(RunnerRow, hello.runner)
    cluster = await session.get(ClusterRow, hello.cluster, with_for_update=True)
    if runner is None or cluster is None or runner.cluster != cluster.id:
        return None
    active = await session.get(RunnerRow, cluster.active_runner) if cluster.active_runner else None
    return Known(runner, cluster, active)


def _online(row: RunnerRow, now: datetime) -> bool:
    heard = row.last_heartbeat
    return row.revoked_at is None and heard is not None and now - heard < timedelta(seconds=OFFLINE_AFTER_S)
