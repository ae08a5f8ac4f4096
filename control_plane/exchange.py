"""One request to a runner and everything that comes back: accepted, progress, chunks, the result; or silence.

All replies of this replica come to one subscription, told apart by the runner that they are of, in whose part of our inboxes
only it may publish, and by an unguessable token: none can answer for another. While a command is silent its runner is probed
once a second: NATS itself says when nobody listens any more, long before the deadline.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import structlog
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.exc import SQLAlchemyError

from control_plane import command_words as words
from control_plane.bus import Bus, Incoming, Subscription
from control_plane.bus.link import MAX_PAYLOAD
from control_plane.errors import ServiceError
from protocol import subjects
from protocol.bus import Hello
from protocol.chunks import join
from protocol.commands import Accepted, Chunk, CommandRequest, CommandResult, CommandStatus, Final, Progress, Reply
from protocol.ids import new_id
from protocol.text import one_line

LOG = structlog.get_logger("commands")
GRACE_S = 5.0
"""The runner keeps the deadline itself; this long after it we stop waiting for its word."""
_PROBE_S = 1.0
_ABSENT_AFTER = 5
"""So many probes in a row without a listener: longer than a reconnect takes."""
_RETRY_AFTER_S = 0.2
_TRIES_AFTER_OUTAGE = 25
_UNACCEPTED_S = 3.0
_MOST_CHUNKS = 128
_DATA_BYTES = 8 * 1024 * 1024
"""Room for structured data (a diagnosis, a plan) beside the text that `max_bytes` is about."""
_GREETED_WITHIN_S = (0.1, 0.4, 1.5, 8)
"""A hello reaches us and who answers it at once: so long until the table says what came of it."""
_PARSE_HERE = 64 * 1024
_PROBE = "-probe"
_NO_RESPONDERS = "503"
_REPLY: TypeAdapter[Any] = TypeAdapter(Reply)


@dataclass(frozen=True, slots=True)
class Target:
    """The runner that a command goes to."""

    cluster: str
    cluster_name: str
    runner: str
    boot: str


@dataclass(slots=True)
class _Talk:
    target: Target
    request: CommandRequest
    end: asyncio.Future[CommandResult]
    on_progress: Callable[[str], None] | None
    once: bool
    tries_left: int = 1
    sent_at: float = 0
    accepted: bool = False
    missed: bool = False
    absent: int = 0
    chunks: list[Chunk] = field(default_factory=list[Chunk])
    collected: int = 0

    @property
    def most_bytes(self) -> int:
        """JSON may write a character of the text as two."""
        return 2 * self.request.max_bytes + _DATA_BYTES

    @property
    def writes(self) -> bool:
        return self.request.command.kind == "execute"

    def finish(self, result: CommandResult) -> None:
        if not self.end.done():
            self.end.set_result(result)

    def fail(self, status: CommandStatus, error: str) -> None:
        self.finish(CommandResult(id=self.request.id, status=status, error=error))


class Exchange:
    """The asking end of the bus."""

    def __init__(self, bus: Bus, boot_of: Callable[[str], Awaitable[str | None]]) -> None:
        """`boot_of`: the start of a runner that was greeted last, from the table."""
        self._bus = bus
        self._boot_of = boot_of
        self._replica = new_id()
        self._talks: dict[str, _Talk] = {}
        self._subscriptions: list[Subscription] = []
        self._later_tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._bus.came_up.append(self._send_all_again)
        self._subscriptions = [
            await self._bus.serve(subjects.all_answers(self._replica), self._receive),
            await self._bus.serve(subjects.ALL_HELLOS, self._hello),
        ]

    async def stop(self) -> None:
        self._bus.came_up.remove(self._send_all_again)
        for task in tuple(self._later_tasks):
            task.cancel()
        await asyncio.gather(*self._later_tasks, return_exceptions=True)
        for subscription in self._subscriptions:
            await subscription.close()
        for talk in self._talks.values():
            talk.fail(CommandStatus.CANCELLED, "The control plane is stopping.")

    async def ask(
        self, target: Target, request: CommandRequest, *, once: bool, on_progress: Callable[[str], None] | None = None
    ) -> CommandResult:
        """Send and wait for the end; whatever goes wrong is in the result. When the caller is cancelled, so is the command.

        `once` sends exactly once. Otherwise it is sent again when NATS knows no listener, when NATS itself was away, and when
        it is not accepted for some seconds: under the same id, which a runner never runs twice.
        """
        token = new_id()
        end: asyncio.Future[CommandResult] = asyncio.get_running_loop().create_future()
        talk = _Talk(target, request, end, on_progress, once)
        self._talks[token] = talk
        try:
            if not await self._send(token, talk):
                talk.fail(CommandStatus.OFFLINE, words.bus_down(target.cluster_name))
            return await self._await_end(token, talk)
        except asyncio.CancelledError:
            # An execution goes on when whoever waits for it ends: only the kill switch stops it.
            if not talk.writes:
                await self._bus.send(subjects.cancel(target.cluster, target.runner), request.id.encode())
            raise
        finally:
            del self._talks[token]

    async def _send(self, token: str, talk: _Talk) -> bool:
        """False when NATS is down."""
        target, data = talk.target, talk.request.model_dump_json().encode()
        talk.sent_at = time.monotonic()
        if len(data) > MAX_PAYLOAD:
            talk.fail(CommandStatus.INVALID, words.too_large(target.cluster_name))
            return True
        return await self._bus.send(
            subjects.commands(target.cluster, target.runner), data, reply=self._answer_to(target, token)
        )

    def _answer_to(self, target: Target, token: str) -> str:
        return f"{subjects.answers(target.runner, self._replica)}.{token}"

    async def _await_end(self, token: str, talk: _Talk) -> CommandResult:
        loop = asyncio.get_running_loop()
        patience = talk.request.deadline_s + GRACE_S
        stop_at = loop.time() + patience
        while True:
            left = stop_at - loop.time()
            await asyncio.wait({talk.end}, timeout=max(0, min(left, _PROBE_S)))
            if talk.end.done():
                return talk.end.result()
            if loop.time() >= stop_at:
                lost = talk.accepted or talk.writes
                status = CommandStatus.LOST if lost else CommandStatus.OFFLINE
                talk.fail(status, words.silent(talk.target.cluster_name, patience, writes=talk.writes))
            elif not talk.accepted and not talk.once and time.monotonic() - talk.sent_at >= _UNACCEPTED_S:
                await self._send(token, talk)
            else:
                await self._probe(token, talk)

    async def _probe(self, token: str, talk: _Talk) -> None:
        """A cancel of a command that does not exist: nobody acts on it, and NATS answers if nobody is there."""
        if not talk.missed:
            talk.absent = 0
        talk.missed = False
        subject = subjects.cancel(talk.target.cluster, talk.target.runner)
        await self._bus.send(subject, new_id().encode(), reply=self._answer_to(talk.target, f"{token}{_PROBE}"))

    async def _receive(self, message: Incoming) -> None:
        token = message.subject.rpartition(".")[2]
        talk = self._talks.get(token.removesuffix(_PROBE))
        if talk is None or message.subject != self._answer_to(talk.target, token):
            return
        if message.status == _NO_RESPONDERS:
            self._nobody_there(token, talk)
            return
        if token.endswith(_PROBE):
            return
        try:
            reply = await _read(message.data)
        except ValidationError as error:
            LOG.warning("an answer could not be read", command=talk.request.id, error=str(error)[:300])
            talk.fail(CommandStatus.FAILED, words.unreadable(talk.target.cluster_name, "it is no known kind of reply"))
            return
        talk.absent = 0
        await _take(reply, talk)

    def _nobody_there(self, token: str, talk: _Talk) -> None:
        if token.endswith(_PROBE):
            talk.missed = True
            talk.absent += 1
            if talk.absent >= _ABSENT_AFTER:
                _give_up(talk)
        elif talk.tries_left > 0 and not talk.once:
            talk.tries_left -= 1
            self._later(self._send_again(token, talk, _RETRY_AFTER_S))
        else:
            talk.fail(CommandStatus.OFFLINE, words.nobody_answers(talk.target.cluster_name))

    def _send_all_again(self) -> None:
        """NATS was away: requests and answers may have been lost in it, and runners need a moment to come back."""
        for token, talk in self._talks.items():
            if not talk.once:
                talk.tries_left = _TRIES_AFTER_OUTAGE
                self._later(self._send_again(token, talk, 0))

    async def _send_again(self, token: str, talk: _Talk, after_s: float) -> None:
        await asyncio.sleep(after_s)
        if not talk.end.done():
            await self._send(token, talk)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="later, for a command")
        self._later_tasks.add(task)
        task.add_done_callback(self._later_tasks.discard)

    async def _hello(self, message: Incoming) -> None:
        """A runner that was greeted with another boot has forgotten what it was doing. A hello alone proves nothing: that of a
        second process with the same identity is refused, and comes again every few seconds."""
        try:
            hello = Hello.model_validate_json(message.data)
        except ValidationError:
            return
        if message.subject != subjects.hello(hello.cluster, hello.runner):
            return
        if self._of_another_boot(hello.runner, hello.boot):
            self._later(self._end_forgotten(hello.runner, hello.boot))

    def _of_another_boot(self, runner: str, boot: str) -> tuple[_Talk, ...]:
        return tuple(talk for talk in self._talks.values() if talk.target.runner == runner and talk.target.boot != boot)

    async def _end_forgotten(self, runner: str, boot: str) -> None:
        for pause_s in _GREETED_WITHIN_S:
            await asyncio.sleep(pause_s)
            try:
                greeted = await self._boot_of(runner)
            except (SQLAlchemyError, OSError, ServiceError) as error:
                LOG.warning(
                    "which start of a runner is the greeted one could not be read", runner=runner, error=str(error)[:300]
                )
                continue
            if greeted == boot:
                for talk in self._of_another_boot(runner, boot):
                    talk.fail(CommandStatus.LOST, words.restarted(talk.target.cluster_name, writes=talk.writes))
                return


async def _read(data: bytes) -> Any:
    """Raises ValidationError. Large answers are parsed beside the event loop."""
    if len(data) > _PARSE_HERE:
        return await asyncio.to_thread(_REPLY.validate_json, data)
    return _REPLY.validate_json(data)


async def _take(reply: Any, talk: _Talk) -> None:
    match reply:
        case Accepted():
            talk.accepted = True
        case Progress():
            talk.accepted = True
            _tell(talk, one_line(reply.note))
        case Chunk():
            await _collect(reply, talk)
        case Final() if reply.result.id in (talk.request.id, ""):
            talk.finish(reply.result)
        case _:
            LOG.warning("an answer to another command came", command=talk.request.id)


async def _collect(chunk: Chunk, talk: _Talk) -> None:
    talk.accepted = True
    cluster = talk.target.cluster_name
    if talk.end.done():
        return
    if not 1 <= chunk.n <= chunk.of <= _MOST_CHUNKS or (talk.chunks and talk.chunks[0].of != chunk.of):
        talk.fail(CommandStatus.FAILED, words.unreadable(cluster, f"piece {chunk.n} of {chunk.of}"))
        return
    if any(piece.n == chunk.n for piece in talk.chunks):
        return
    talk.collected += len(chunk.data) * 3 // 4
    if talk.collected > talk.most_bytes:
        talk.chunks.clear()
        talk.fail(CommandStatus.FAILED, words.answer_too_large(cluster, talk.most_bytes))
        return
    talk.chunks.append(chunk)
    if len(talk.chunks) < chunk.of:
        return
    try:
        result = await asyncio.to_thread(join, talk.chunks)
    except ValueError:
        talk.fail(CommandStatus.FAILED, words.unreadable(cluster, "its pieces do not make a result"))
        return
    if result is not None:
        talk.finish(result)


def _tell(talk: _Talk, note: str) -> None:
    if talk.on_progress is None:
        return
    try:
        talk.on_progress(note)
    except Exception:
        LOG.exception("the listener to a command's progress failed", command=talk.request.id)


def _give_up(talk: _Talk) -> None:
    """Nobody has listened for some seconds: a read may be asked again, a write may have run."""
    cluster = talk.target.cluster_name
    if talk.accepted or talk.writes:
        talk.fail(CommandStatus.LOST, words.lost(cluster, writes=talk.writes))
    else:
        talk.fail(CommandStatus.OFFLINE, words.nobody_answers(cluster))
