"""A runner for tests of the other end: it speaks the real protocol over the real NATS, and answers as it is told to."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import nats.errors
import nkeys
from nats.aio.client import Client
from nats.aio.msg import Msg

from control_plane.bus.jwt import public_key, seed_of
from protocol import subjects
from protocol.bus import (
    ClusterSummary,
    ConnectProof,
    EnrolReply,
    EnrolRequest,
    Heartbeat,
    Hello,
    HelloReply,
    RunnerMode,
)
from protocol.chunks import messages_of
from protocol.commands import Accepted, CommandRequest, CommandResult, CommandStatus, Progress
from protocol.ids import new_id
from protocol.proof import encode_proof, enrol_inbox_id


@dataclass
class Job:
    """A command that has come in, with the means to answer it."""

    request: CommandRequest
    reply: str
    client: Client

    async def accept(self) -> None:
        await self.client.publish(self.reply, Accepted(id=self.request.id).model_dump_json().encode())

    async def progress(self, note: str) -> None:
        await self.client.publish(self.reply, Progress(id=self.request.id, note=note).model_dump_json().encode())

    async def finish(self, text: str = "fine", **more: Any) -> None:
        fields: dict[str, Any] = {"status": CommandStatus.OK, "text": text, **more}
        for message in messages_of(CommandResult(id=self.request.id, **fields)):
            await self.client.publish(self.reply, message.model_dump_json().encode())


Answer = Callable[[Job], Awaitable[None]]


async def answer_at_once(job: Job) -> None:
    await job.accept()
    await job.finish(f"result of {job.request.command.kind}")


async def never(job: Job) -> None:
    await job.accept()
    await asyncio.Event().wait()


def _new_seed() -> bytes:
    return seed_of(nkeys.PREFIX_BYTE_USER, os.urandom(32))


@dataclass
class FakeRunner:
    url: str
    seed: bytes = field(default_factory=_new_seed)
    cluster: str = ""
    runner: str = ""
    boot: str = field(default_factory=new_id)
    mode: RunnerMode = field(default_factory=RunnerMode)
    speaks: tuple[int, ...] = (1,)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    clock_off: timedelta = timedelta()
    answer: Answer = answer_at_once
    client: Client | None = None
    jobs: list[Job] = field(default_factory=list[Job])
    cancelled: list[str] = field(default_factory=list[str])
    errors: list[str] = field(default_factory=list[str])
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    @property
    def key(self) -> str:
        return public_key(self.seed)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.clock_off

    def proof(self, *, enrol: str | None = None, at: datetime | None = None) -> str:
        unsigned = ConnectProof(
            runner=self.runner,
            cluster=self.cluster,
            public_key=self.key,
            issued_at=at or self.now(),
            nonce=new_id(),
            enrol=enrol,
        )
        pair = cast(Any, nkeys).from_seed(bytearray(self.seed))
        return encode_proof(unsigned, lambda data: cast(bytes, pair.sign(data)))

    async def open(self, token: str, inbox: str) -> Client:
        """A connection with this proof. Raises nats.errors.Error when it is refused."""
        client = Client()

        async def closed() -> None:
            self.closed.set()

        async def error(problem: Exception) -> None:
            self.errors.append(str(problem))

        await client.connect(
            [self.url],
            token=token,
            inbox_prefix=inbox,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            connect_timeout=5,
            closed_cb=closed,
            error_cb=error,
        )
        return client

    async def enrol(self, token: str) -> str:
        """Exchange the token for ids. Returns "" when done, else what the control plane said."""
        inbox = subjects.inbox_prefix(enrol_inbox_id(self.key))
        client = await self.open(self.proof(enrol=token), inbox)
        try:
            request = EnrolRequest(token=token, public_key=self.key).model_dump_json().encode()
            answer = await client.request(subjects.ENROL, request, timeout=5)
        finally:
            await client.close()
        try:
            reply = EnrolReply.model_validate_json(answer.data)
        except ValueError:
            return answer.data.decode()
        self.cluster, self.runner = reply.cluster, reply.runner
        return ""

    async def connect(self) -> HelloReply:
        """Connect, listen for commands, say hello, send a heartbeat."""
        self.closed = asyncio.Event()
        self.client = await self.open(self.proof(), subjects.inbox_prefix(self.runner))
        await cast(Any, self.client).subscribe(subjects.commands(self.cluster, self.runner), queue="runner", cb=self._command)
        await cast(Any, self.client).subscribe(subjects.cancel(self.cluster, self.runner), queue="runner", cb=self._cancel)
        await self.client.flush(5)
        reply = await self.hello()
        if reply.accepted:
            await self.heartbeat()
        return reply

    def hello_data(self) -> bytes:
        hello = Hello(
            cluster=self.cluster,
            runner=self.runner,
            boot=self.boot,
            version="0.1.0",
            speaks=self.speaks,
            mode=self.mode,
            kubernetes_version="v1.33.1",
            started_at=self.started_at,
            clock=self.now(),
        )
        return hello.model_dump_json().encode()

    async def hello(self) -> HelloReply:
        assert self.client is not None
        answer = await self.client.request(subjects.hello(self.cluster, self.runner), self.hello_data(), timeout=5)
        return HelloReply.model_validate_json(answer.data)

    async def heartbeat(self, **summary: Any) -> None:
        assert self.client is not None
        told = ClusterSummary.model_validate({"cache": "warm", "nodes": 1, "nodes_ready": 1, **summary})
        beat = Heartbeat(cluster=self.cluster, runner=self.runner, boot=self.boot, clock=self.now(), summary=told)
        await self.client.publish(subjects.heartbeat(self.cluster, self.runner), beat.model_dump_json().encode())

    async def leave(self) -> None:
        """Go in good order: when this returns, NATS knows that nobody listens any more."""
        if self.client is not None:
            await self.client.drain()
        await self.close()

    async def close(self) -> None:
        """Vanish, as a process that dies does."""
        for task in tuple(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        if self.client is not None:
            with contextlib.suppress(nats.errors.Error, OSError):
                await self.client.close()
            self.client = None

    async def _command(self, message: Msg) -> None:
        assert self.client is not None
        job = Job(CommandRequest.model_validate_json(message.data), message.reply, self.client)
        self.jobs.append(job)

        async def work() -> None:
            await self.answer(job)

        task = asyncio.create_task(work())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _cancel(self, message: Msg) -> None:
        self.cancelled.append(message.data.decode())
