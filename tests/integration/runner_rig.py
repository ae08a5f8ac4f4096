"""A real NATS server, the practice cluster and a runner, with the control plane's end of the bus played by the test."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import aiohttp
import orjson
import yaml
from nacl.signing import SigningKey
from nats.aio.client import Client
from nats.aio.msg import Msg
from pydantic import TypeAdapter

from protocol import subjects
from protocol.bus import Heartbeat, Hello, HelloReply, WatchBatch
from protocol.chunks import join
from protocol.commands import (
    Accepted,
    Chunk,
    CommandRequest,
    CommandResult,
    Execute,
    Final,
    Kubectl,
    PreparePlan,
    Progress,
    Reply,
    ScopeLimit,
)
from protocol.grant import Grant, SignedGrant, sign
from protocol.ids import new_id
from protocol.kubectl import parse
from protocol.kubectl.calls import WriteCall
from protocol.remediation import Plan, Remediation
from runner.config import RunnerConfig
from runner.main import run
from tests.integration.waiting import until

CLUSTER, RUNNER = "c" * 16, "r" * 16
NATS_SERVER = Path(sys.executable).with_name("nats-server")
_REPLY: TypeAdapter[Reply] = TypeAdapter(Reply)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Bus:
    """A nats-server that can be killed and started again on its port."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            str(NATS_SERVER), "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self.folder),
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        await until(lambda: _listens(self.port), "nats-server listens")

    async def stop(self) -> None:
        await end(self.process, signal.SIGKILL)


@dataclass
class Cluster:
    """The practice cluster as a process of its own."""

    process: asyncio.subprocess.Process
    url: str
    prometheus_url: str
    kubeconfigs: dict[str, Path]
    token: str = ""

    async def admin(self, path: str, body: Any = None, method: str = "POST") -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                method,
                f"{self.url}/_sandbox/{path}",
                json=body or {},
                ssl=False,
                headers={"Authorization": f"Bearer {self.token}"},
            ) as answer,
        ):
            assert answer.status < 300, await answer.text()
            return await answer.json()

    async def fault(self, match: str, *, status: int = 0, delay: float = 0, count: int = 1) -> None:
        await self.admin("faults", {"match": match, "status": status, "delay": delay, "count": count})


@contextlib.asynccontextmanager
async def practice_cluster(folder: Path, *scenarios: str, speed: float = 4) -> AsyncGenerator[Cluster]:
    options = [part for name in scenarios for part in ("--scenario", name)] or ["--no-faults"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sandbox", "--port", "0", "--kubeconfig-dir", str(folder), "--speed", str(speed), *options,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        ready = orjson.loads(await asyncio.wait_for(process.stdout.readline(), 30))
        paths = {name: Path(path) for name, path in ready["kubeconfigs"].items()}
        yield Cluster(process, ready["url"], ready["prometheus_url"], paths, token=_token(paths["admin"]))
    finally:
        await end(process, signal.SIGTERM)


@dataclass
class Plane:
    """The control plane's end: answers hello, keeps what arrives, sends commands."""

    client: Any
    """A nats-py client; its subscribe has no types."""
    key: SigningKey = field(default_factory=SigningKey.generate)
    kid: str = "k1"
    hellos: list[Hello] = field(default_factory=list[Hello])
    beats: list[Heartbeat] = field(default_factory=list[Heartbeat])
    batches: list[WatchBatch] = field(default_factory=list[WatchBatch])
    progress: list[Progress] = field(default_factory=list[Progress])
    chunks: int = 0
    clock_off: timedelta = timedelta()
    answering: bool = True

    @classmethod
    async def connect(cls, url: str) -> "Plane":
        client: Any = Client()
        await client.connect(url, inbox_prefix=b"_INBOX.cp", max_reconnect_attempts=-1, reconnect_time_wait=0)
        plane = cls(client)
        await client.subscribe(subjects.ALL_HELLOS, cb=plane._hello)
        await client.subscribe(subjects.ALL_HEARTBEATS, cb=plane._beat)
        stream: Any = client.jetstream()
        await stream.add_stream(name=subjects.STREAM, subjects=list(subjects.STREAM_SUBJECTS))
        for subject in (subjects.changes(CLUSTER, RUNNER), subjects.findings(CLUSTER, RUNNER)):
            await stream.subscribe(subject, cb=plane._batch, ordered_consumer=True)
        return plane

    async def _hello(self, message: Msg) -> None:
        if self.answering:
            hello = Hello.model_validate_json(message.data)
            # As the real one: an earlier start than the greeted one is refused.
            earlier = bool(self.hellos) and hello.started_at < self.hellos[-1].started_at
            if not earlier:
                self.hellos.append(hello)
            reply = HelloReply(accepted=not earlier, clock=datetime.now(UTC) + self.clock_off)
            await message.respond(reply.model_dump_json().encode())

    async def _beat(self, message: Msg) -> None:
        self.beats.append(Heartbeat.model_validate_json(message.data))

    async def _batch(self, message: Msg) -> None:
        self.batches.append(WatchBatch.model_validate_json(message.data))

    @property
    def boot(self) -> str:
        return self.hellos[-1].boot

    async def start(self, request: CommandRequest) -> asyncio.Queue[Reply]:
        """Send a request; its replies arrive in the queue."""
        replies: asyncio.Queue[Reply] = asyncio.Queue()

        async def take(message: Msg) -> None:
            replies.put_nowait(_REPLY.validate_json(message.data))

        inbox = self.client.new_inbox()
        await self.client.subscribe(inbox, cb=take)
        await self.client.publish(subjects.commands(CLUSTER, RUNNER), request.model_dump_json().encode(), reply=inbox)
        return replies

    async def result(self, replies: asyncio.Queue[Reply], within_s: float = 30) -> CommandResult:
        chunks: list[Chunk] = []
        async with asyncio.timeout(within_s):
            while True:
                reply = await replies.get()
                if isinstance(reply, Final):
                    return reply.result
                if isinstance(reply, Chunk):
                    chunks.append(reply)
                    self.chunks += 1
                    whole = join(chunks)
                    if whole is not None:
                        return whole
                elif isinstance(reply, Progress):
                    self.progress.append(reply)
                else:
                    assert isinstance(reply, Accepted)

    async def ask(
        self, command: Any, *, deadline_s: float = 20, namespaces: tuple[str, ...] | None = None, **more: Any
    ) -> CommandResult:
        """One command to its end."""
        request = CommandRequest(
            id=new_id(), command=command, scope=ScopeLimit(namespaces=namespaces), deadline_s=deadline_s, **more
        )
        return await self.result(await self.start(request), deadline_s + 10)

    async def kubectl(self, line: str, **more: Any) -> CommandResult:
        call = parse(line)
        assert not isinstance(call, WriteCall), line
        return await self.ask(Kubectl(call=call), **more)

    async def plan(self, action: Remediation) -> Plan:
        found = await self.ask(PreparePlan(action=action))
        assert found.good, found.error
        return found.plan()

    def grant(self, plan: Plan, *, authority: str = "", purpose: str = "action", boot: str = "", **more: Any) -> SignedGrant:
        now = datetime.now(UTC)
        fields: dict[str, Any] = {
            "cluster": CLUSTER,
            "runner_boot": boot or self.boot,
            "plan_hash": plan.plan_hash,
            "purpose": purpose,
            "authority": authority or f"approval:{new_id()}",
            "kid": self.kid,
            "nonce": new_id(),
            "issued_at": now,
            "expires_at": now + timedelta(seconds=60),
        }
        return sign(Grant(**{**fields, **more}), self.key)

    async def execute(self, plan: Plan, grant: SignedGrant | None = None) -> CommandResult:
        return await self.ask(Execute(body=plan.body, grant=grant or self.grant(plan)), deadline_s=60)


def settings(plane: Plane, bus: Bus, cluster: Cluster, folder: Path, **more: Any) -> dict[str, Any]:
    return {
        "nats_url": bus.url,
        "cluster": CLUSTER,
        "runner": RUNNER,
        "data_dir": folder,
        "kubeconfig": cluster.kubeconfigs["runner"],
        "mode": "writes",
        "remediations": ("all",),
        "grant_keys": {plane.kid: plane.key.verify_key.encode().hex()},
        "prometheus_url": cluster.prometheus_url,
        **more,
    }


@dataclass
class Stand:
    """All of it: bus, cluster, control plane's end and a warm runner."""

    bus: Bus
    cluster: Cluster
    plane: Plane
    values: dict[str, Any]

    async def replicas(self, name: str) -> str:
        """What the Deployment in shop asks for."""
        return (await self.plane.kubectl(f"get deploy {name} -n shop -o jsonpath={{.spec.replicas}}")).text.strip()


@contextlib.asynccontextmanager
async def stand(folder: Path, *scenarios: str, speed: float = 4, **more: Any) -> AsyncGenerator[Stand]:
    async with empty_stand(folder, *scenarios, speed=speed, **more) as here, running_runner(here.plane, here.values):
        yield here


@contextlib.asynccontextmanager
async def empty_stand(folder: Path, *scenarios: str, speed: float = 4, **more: Any) -> AsyncGenerator[Stand]:
    """A stand whose runner the test starts itself."""
    bus = Bus(folder / "jetstream")
    await bus.start()
    try:
        plane = await Plane.connect(bus.url)
        try:
            async with practice_cluster(folder / "kubeconfigs", *scenarios, speed=speed) as cluster:
                yield Stand(bus, cluster, plane, settings(plane, bus, cluster, folder / "data", **more))
        finally:
            await plane.client.close()
    finally:
        await bus.stop()


@contextlib.asynccontextmanager
async def running_runner(plane: Plane, values: dict[str, Any]) -> AsyncGenerator[asyncio.Task[None]]:
    """A runner in this process, warm."""
    stop = asyncio.Event()
    seen = len(plane.beats)
    task = asyncio.create_task(run(RunnerConfig.model_validate(values), stop))
    try:
        await until(
            lambda: task.done() or any(beat.summary.cache == "warm" for beat in plane.beats[seen:]),
            "the runner is warm",
            40,
        )
        assert not task.done(), task.exception()
        yield task
    finally:
        stop.set()
        await asyncio.wait_for(task, 25)


@contextlib.asynccontextmanager
async def runner_process(plane: Plane, values: dict[str, Any]) -> AsyncGenerator[asyncio.subprocess.Process]:
    """A runner as a process of its own, warm, for what only a process can suffer."""
    seen = len(plane.beats)
    async with started_runner(values) as process:
        await until(
            lambda: process.returncode is not None or any(beat.summary.cache == "warm" for beat in plane.beats[seen:]),
            "the runner is warm",
            40,
        )
        assert process.returncode is None, process.returncode
        yield process


@contextlib.asynccontextmanager
async def started_runner(values: dict[str, Any]) -> AsyncGenerator[asyncio.subprocess.Process]:
    """A runner as a process of its own. Nobody says that it is connected."""
    env = dict(os.environ)
    for key, value in values.items():
        text = str(value)
        if isinstance(value, tuple):
            text = ",".join(cast(tuple[str, ...], value))
        elif isinstance(value, dict):
            text = orjson.dumps(cast(dict[str, Any], value)).decode()
        env[f"OPSTHREAD_RUNNER_{key.upper()}"] = text
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "runner", env=env, stderr=asyncio.subprocess.DEVNULL)
    try:
        yield process
    finally:
        await end(process, signal.SIGTERM)


async def end(process: asyncio.subprocess.Process | None, how: signal.Signals) -> None:
    if process is None or process.returncode is not None:
        return
    process.send_signal(how)
    try:
        await asyncio.wait_for(process.wait(), 25)
    except TimeoutError:
        process.kill()
        await process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _token(kubeconfig: Path) -> str:
    parsed = cast(dict[str, Any], yaml.safe_load(kubeconfig.read_text()))
    return str(parsed["users"][0]["user"].get("token", ""))
