"""The pieces of a running runner: link, cache, commands, heartbeats, watch results; who owns which task."""

import asyncio
import contextlib
import gc
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import structlog

from protocol import subjects
from protocol.bus import HEARTBEAT_S, ClusterSummary, Heartbeat, Hello
from protocol.diagnosis import Finding
from protocol.ids import new_id
from runner.cache.findings import FindingsWatch
from runner.cache.live import LiveCache
from runner.cache.summary import summarise
from runner.checkup import Patient, self_check
from runner.commands.answer import Answer
from runner.commands.ask import Ask
from runner.commands.run import Commands
from runner.config import RunnerConfig
from runner.health import Metrics
from runner.holding import Holding
from runner.identity import Identity
from runner.kube.client import KubeClient
from runner.kube.discovery import Discovery
from runner.kube.errors import KubeError
from runner.link import Link
from runner.metrics.client import Prometheus
from runner.remediation.desk import Desk
from runner.remediation.execute import Execution
from runner.remediation.fitness import Fitness
from runner.remediation.memory import GrantMemory
from runner.spool import Spool
from runner.work import Work

log = structlog.get_logger("runner")

_HAND_OVER_S = 3.0
"""For what still runs when another runner is the active one."""


class Parts:
    """The pieces of a running runner, and who owns which task."""

    def __init__(
        self, config: RunnerConfig, identity: Identity, client: KubeClient, prometheus: Prometheus, holding: Holding
    ) -> None:
        self.config = config
        self.identity = identity
        self.boot = new_id()
        self.started = datetime.now(UTC)
        self.client = client
        self.holding = holding
        self.discovery = Discovery(client)
        self.prometheus = prometheus
        self.metrics = Metrics()
        self.kubernetes_version = ""
        self.metrics_api = False
        data = config.data_dir
        self.spool = Spool(data / "spool.db", cluster=identity.cluster, runner=identity.runner, boot=self.boot)
        self.cache = LiveCache(
            client,
            self.discovery,
            namespaces=config.watch_namespaces,
            now=_now,
            on_changes=lambda changes: self.spool.put(changes=changes),
            on_update=self._touched,
        )
        self.findings = FindingsWatch(self.cache, self._found, _now)
        self._news = asyncio.Event()
        """What is wrong with the cluster is not what the last heartbeat said."""
        self.link = Link(
            url=config.nats_url,
            name=config.name,
            identity=identity,
            hello=self.hello,
            on_command=self._take,
            on_cancel=self._give_up,
            api_clock=lambda: client.clock_offset(_now()),
            ca_file=str(config.nats_ca_file) if config.nats_ca_file else None,
        )
        self.memory = GrantMemory(data / "grants.db")
        mode = config.runner_mode()
        self.fitness = Fitness(lambda: self.link.clock_offset, holding.left)
        execution = Execution(
            cluster=identity.cluster,
            boot=self.boot,
            keys=config.verify_keys(),
            mode=mode,
            memory=self.memory,
            fitness=self.fitness,
        )
        self.commands = Commands(
            client=client,
            discovery=self.discovery,
            cache=self.cache,
            prometheus=prometheus,
            desk=Desk(identity.cluster, mode, execution, self.fitness, self.memory),
            mode=mode,
            now=_now,
            check_self=self._check_self,
        )
        self.work = Work(
            self.commands.handle,
            self.link.publish,
            self.link.deliver,
            concurrency=config.concurrency,
            finished=self.metrics.finished,
        )
        self._gauges()

    @classmethod
    async def build(
        cls, config: RunnerConfig, identity: Identity, client: KubeClient, holding: Holding, stack: contextlib.AsyncExitStack
    ) -> "Parts":
        prometheus = await stack.enter_async_context(Prometheus(config, client))
        parts = cls(config, identity, client, prometheus, holding)
        stack.callback(parts.memory.close)
        stack.callback(parts.spool.close)
        await parts._ask_version(timeout_s=2)
        log.info("started", boot=parts.boot, cluster=identity.cluster, runner=identity.runner, mode=config.mode)
        return parts

    async def serve(self, stopping: asyncio.Event) -> None:
        """Everything at work until `stopping`, or until another runner is active.

        Then no new commands, the running ones end, and the link closes last.
        """
        link = asyncio.create_task(self.link.run(), name="link")
        others = [
            asyncio.create_task(self.cache.run(), name="cache"),
            asyncio.create_task(self.findings.run(), name="findings"),
            asyncio.create_task(self._heartbeats(), name="heartbeats"),
            asyncio.create_task(self._look_around(), name="look-around"),
            asyncio.create_task(self.spool.run(self._store), name="spool"),
        ]
        stop = asyncio.create_task(stopping.wait(), name="stop-wait")
        lost = asyncio.create_task(self.holding.until_lost(self.link.replaced), name="lease")
        try:
            done, _ = await asyncio.wait({link, stop, lost, *others}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stop}:
                task.result()
            log.info("stopping", running=self.work.running)
            await self.link.stop_accepting()
            await self.work.finish(self.config.stop_within_s * 0.8 if stopping.is_set() else _HAND_OVER_S)
        finally:
            await self.work.finish(0.5)
            owned: list[asyncio.Task[Any]] = [stop, lost, *others, link]
            for task in owned:
                task.cancel()
            await asyncio.gather(*owned, return_exceptions=True)
        log.info("stopped")

    async def _check_self(self, ask: Ask) -> Answer:
        offset = self.link.clock_offset
        return await self_check(ask, Patient(self.config, self.cache, self.prometheus, self.spool, offset, self.holding))

    def _touched(self) -> None:
        self.findings.touch()

    def _take(self, data: bytes, reply: str) -> None:
        self.work.receive(data, reply)

    def _give_up(self, command: str) -> None:
        self.work.cancel(command)

    def hello(self) -> Hello:
        return Hello(
            cluster=self.identity.cluster,
            runner=self.identity.runner,
            boot=self.boot,
            version=_version(),
            mode=self.config.runner_mode(),
            kubernetes_version=self.kubernetes_version,
            started_at=self.started,
            clock=_now(),
        )

    def summary(self) -> ClusterSummary:
        return summarise(
            self.cache.objects(("Node", "Namespace", "Pod")),
            findings=self.findings.counts(),
            metrics_api=self.metrics_api,
            prometheus=self.prometheus.configured,
            metrics=self.prometheus.status.told,
            cache=self.cache.state,
            note="; ".join(self.cache.limits()),
        ).model_copy(update={"cannot_write": self.cannot_write()})

    def cannot_write(self) -> str:
        """Why an approved plan would not run now; "" when it would, and where none ever runs."""
        return self.fitness.trouble() if self.config.mode == "writes" else ""

    def state(self) -> dict[str, Any]:
        """What /health/ready shows."""
        return {
            "ready": self.link.ready and self.cache.state != "cold",
            "control_plane": "connected" if self.link.ready else self.link.refusal or "not connected",
            "cache": self.cache.state,
            "objects": self.cache.size(),
            "limits": self.cache.limits(),
            "metrics": self.prometheus.status.told,
            "lease": self.holding.told,
            "cannot_write": self.cannot_write(),
            "boot": self.boot,
            "spool": self.spool.depth,
        }

    def _found(self, opened: Sequence[Finding], closed: Sequence[str]) -> None:
        self.spool.put(findings=opened, closed=closed)
        self._news.set()

    async def _heartbeats(self) -> None:
        """Every 15 s; at once when the link comes up, when the cache becomes warm, and when a finding opened or is over."""
        subject = subjects.heartbeat(self.identity.cluster, self.identity.runner)
        warm = asyncio.create_task(self.cache.wait_settled(300), name="cache-warm")
        try:
            while True:
                await self.link.wait_ready()
                self._news.clear()
                beat = Heartbeat(
                    cluster=self.identity.cluster,
                    runner=self.identity.runner,
                    boot=self.boot,
                    clock=_now(),
                    summary=self.summary(),
                    memory_mib=round(memory_mib(), 1),
                    uptime_s=round((_now() - self.started).total_seconds(), 1),
                )
                await self.link.publish(subject, beat.model_dump_json().encode())
                news = asyncio.create_task(self._news.wait(), name="heartbeat-news")
                try:
                    early = {news} if warm.done() else {news, warm}
                    await asyncio.wait(early, timeout=HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    news.cancel()
        finally:
            warm.cancel()

    async def _look_around(self) -> None:
        """Version, metrics API and metrics server, once a minute; after the first lists, memory is settled."""
        settled = False
        while True:
            await self._ask_version(timeout_s=10)
            with contextlib.suppress(KubeError):
                rows = await self.discovery.resources(at_most_s=60)
                self.metrics_api = any(row.group == "metrics.k8s.io" for row in rows)
            if not settled and await self.cache.wait_settled(30):
                settled = True
                gc.collect()
                gc.freeze()
            await self.prometheus.look(self.cache.objects(("Service",)))
            await asyncio.sleep(60 if self.kubernetes_version else 5)

    async def _ask_version(self, timeout_s: float) -> None:
        with contextlib.suppress(KubeError):
            found = await self.client.get("/version", timeout=timeout_s)
            self.kubernetes_version = str(found.get("gitVersion") or "")

    async def _store(self, what: str, payload: bytes, message_id: str) -> None:
        subject = {"changes": subjects.changes, "findings": subjects.findings}[what](
            self.identity.cluster, self.identity.runner
        )
        await self.link.store(subject, payload, message_id)

    def _gauges(self) -> None:
        gauge = self.metrics.gauge
        gauge("connected", "1 when the control plane has answered hello", lambda: float(self.link.ready))
        gauge("connects", "Connections made to the bus", lambda: float(self.link.connects))
        gauge("cache_objects", "Objects in the live cache", lambda: float(self.cache.size()))
        gauge("running_commands", "Commands accepted and not done", lambda: float(self.work.running))
        gauge("api_calls", "Requests sent to the API server", lambda: float(self.client.calls))
        gauge("spool_batches", "Batches that wait for the control plane", lambda: float(self.spool.depth))
        gauge("active", "1 when this pod is surely its cluster's active runner", lambda: float(self.holding.left() > 0))
        gauge("memory_mebibytes", "Resident memory", memory_mib)


def memory_mib() -> float:
    """Resident memory of this process; 0 where /proc does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024 / 1024


def _version() -> str:
    try:
        return version("opsthread")
    except PackageNotFoundError:
        return "0+source"


def _now() -> datetime:
    return datetime.now(UTC)
