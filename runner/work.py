"""Commands in, replies out: bounded concurrency with a queue, a deadline for each, cancel, and no command run twice."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, cast

import orjson
import structlog
from pydantic import ValidationError

from protocol.chunks import messages_of
from protocol.commands import Accepted, CommandRequest, CommandResult, CommandStatus, Execute, Progress

log = structlog.get_logger("runner.work")

QUEUE_LENGTH = 256
_REMEMBERED = 128
_REMEMBERED_BYTES = 16 * 1024 * 1024

Report = Callable[[str], None]
"""Tell the asker what is being done now."""
Stopped = Callable[[], bool]
"""Was the command given up? For what can't be cut off, but can stop between two steps."""
Handle = Callable[[CommandRequest, Report, Stopped], Awaitable[CommandResult]]
Publish = Callable[[str, bytes], Coroutine[Any, Any, bool]]
Deliver = Callable[[list[tuple[str, bytes]]], Awaitable[None]]
Finished = Callable[[str, CommandResult], None]


@dataclass(slots=True)
class _Job:
    request: CommandRequest
    replies: list[str]
    received: float
    task: asyncio.Task[None] | None = None
    cancelled: bool = False
    notes: set[asyncio.Task[bool]] = field(default_factory=set)


class Work:
    """Owns a task for each command. The same id sent again gets the first run's result, never a second run."""

    def __init__(self, handle: Handle, publish: Publish, deliver: Deliver, *, concurrency: int, finished: Finished) -> None:
        self._handle = handle
        self._publish = publish
        self._deliver = deliver
        self._slots = asyncio.Semaphore(concurrency)
        self._most = concurrency + QUEUE_LENGTH
        self._jobs: dict[str, _Job] = {}
        self._done: OrderedDict[str, list[bytes]] = OrderedDict()
        self._done_bytes = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._finished = finished

    @property
    def running(self) -> int:
        return len(self._jobs)

    def receive(self, data: bytes, reply: str) -> None:
        """Take a request; everything about it is answered on `reply`."""
        if not reply:
            log.warning("command_without_reply")
            return
        try:
            request = CommandRequest.model_validate_json(data)
        except ValidationError as error:
            self._own(self._answer([reply], _unreadable(data, error)), "unreadable")
            return
        job = self._jobs.get(request.id)
        if job is not None:
            job.replies.append(reply)
            self._own(self._accept(reply, request.id), "accept-again")
        elif request.id in self._done:
            self._own(self._repeat(reply, request.id), "repeat")
        elif len(self._jobs) >= self._most:
            self._own(self._answer([reply], _busy(request.id, len(self._jobs))), "busy")
        else:
            job = _Job(request, [reply], time.monotonic())
            self._jobs[request.id] = job
            job.task = self._own(self._run(job), f"command-{request.id}")

    def cancel(self, command: str) -> None:
        """Give a command up. An execution is not cut off, half of it may be done and its grant is used: it is told, and one of
        many steps (a drain) stops at the next."""
        job = self._jobs.get(command)
        if job is None or job.task is None:
            return
        job.cancelled = True
        if not isinstance(job.request.command, Execute):
            job.task.cancel()

    async def finish(self, within_s: float) -> None:
        """Let running commands end within `within_s` seconds; what is left is cancelled and its asker told."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within_s * 0.7)
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within_s * 0.3)

    async def _run(self, job: _Job) -> None:
        request = job.request
        await self._accept(job.replies[0], request.id)
        try:
            result = await self._result(job)
        except asyncio.CancelledError:
            why = "it was cancelled" if job.cancelled else "the runner is stopping"
            result = CommandResult(id=request.id, status=CommandStatus.CANCELLED, error=f"The command did not finish: {why}.")
            current = asyncio.current_task()
            if current is not None:
                current.uncancel()
        took = (time.monotonic() - job.received) * 1000
        result = result.model_copy(update={"duration_ms": round(took, 2)})
        self._finished(request.command.kind, result)
        log.info(
            "command_done",
            command=request.id,
            kind=request.command.kind,
            status=result.status,
            ms=round(took, 1),
            **request.correlation,
        )
        try:
            await self._answer(job.replies, result)
        finally:
            self._jobs.pop(request.id, None)
            for note in job.notes:
                note.cancel()

    async def _result(self, job: _Job) -> CommandResult:
        request = job.request

        def report(note: str) -> None:
            payload = Progress(id=request.id, note=note).model_dump_json().encode()
            task: asyncio.Task[bool] = asyncio.create_task(self._publish(job.replies[-1], payload))
            job.notes.add(task)
            task.add_done_callback(job.notes.discard)

        try:
            async with asyncio.timeout(request.deadline_s), self._slots:
                return await self._handle(request, report, lambda: job.cancelled)
        except TimeoutError:
            message = f"The runner gave up after {request.deadline_s:g} s. Ask for less, or allow more time."
            return CommandResult(id=request.id, status=CommandStatus.TIMEOUT, error=message)
        except Exception as error:  # the last line of defence of one command: it must not take others along
            log.exception("command_crashed", command=request.id, kind=request.command.kind)
            message = f"The runner has a defect with this command ({type(error).__name__}); its log has the details."
            return CommandResult(id=request.id, status=CommandStatus.FAILED, error=message)

    async def _answer(self, replies: list[str], result: CommandResult) -> None:
        payloads = [message.model_dump_json().encode() for message in messages_of(result)]
        self._remember(result.id, payloads)
        await self._deliver([(reply, payload) for reply in replies for payload in payloads])

    async def _accept(self, reply: str, command: str) -> None:
        await self._publish(reply, Accepted(id=command).model_dump_json().encode())

    async def _repeat(self, reply: str, command: str) -> None:
        await self._accept(reply, command)
        await self._deliver([(reply, payload) for payload in self._done.get(command, [])])

    def _remember(self, command: str, payloads: list[bytes]) -> None:
        if not command:
            return
        self._done[command] = payloads
        self._done_bytes += sum(map(len, payloads))
        while len(self._done) > _REMEMBERED or (self._done_bytes > _REMEMBERED_BYTES and len(self._done) > 1):
            _, dropped = self._done.popitem(last=False)
            self._done_bytes -= sum(map(len, dropped))

    def _own(self, job: Any, name: str) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(job, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _unreadable(data: bytes, error: ValidationError) -> CommandResult:
    try:
        parsed: Any = orjson.loads(data)
    except orjson.JSONDecodeError:
        parsed = {}
    known = cast(dict[str, Any], parsed).get("id") if isinstance(parsed, dict) else None
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    message = f"This runner cannot read the command ({where}: {first['msg']}). It may be of a newer version: update the runner."
    return CommandResult(id=known if isinstance(known, str) else "", status=CommandStatus.INVALID, error=message)


def _busy(command: str, waiting: int) -> CommandResult:
    message = f"The runner has {waiting} commands waiting; try again in a moment."
    return CommandResult(id=command, status=CommandStatus.UNAVAILABLE, error=message)
