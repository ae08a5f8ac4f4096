"""Writes a turn into the log as it happens: model messages whole, tool calls at their start and end, diagnoses.

What is logged as a tool's text is exactly what the model is given; a tool that raises becomes an answer that says so.

Events are written beside the turn, those of a few milliseconds together in one transaction, in their order. Who waits for the
disk: a model call (what a model is given is in the log; the same transaction tells of a Stop), a proposal (its approval names
the call) and the end of the turn. A process that dies before has asked for a read, and asks for it again.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from agent_runtime.evidence import ToolResult
from agent_runtime.turns.turn_log import LoggedCall, TurnLog
from control_plane.conversations import Conversations, Turn
from control_plane.errors import ServiceError
from protocol.commands import CommandStatus
from protocol.events import AgentEvent, DiagnosisMade, ModelMessage, ToolFinished, ToolStarted
from tools.answer import TEXT_LIMIT, ToolAnswer, refused, render
from tools.context import CALL
from tools.names import PROPOSE, REPORT
from tools.titles import title_of

log = structlog.get_logger(__name__)

TOGETHER_S = 0.02
"""So long an event waits for company."""
CLOSE_S = 5.0
TOOL_SECONDS = 120
"""Above every deadline of a Command: only a tool that hangs meets it."""

Run = Callable[[], Awaitable[ToolAnswer]]


class Recorder:
    """The log of one turn. `state` is what the log already holds, and grows with it."""

    def __init__(self, conversations: Conversations, turn: Turn, state: TurnLog) -> None:
        self._conversations = conversations
        self._turn = turn
        self.state = state
        self._unwritten: list[AgentEvent] = []
        self._writer: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self._stop = False

    @property
    def results(self) -> tuple[ToolResult, ...]:
        return self.state.results

    def append(self, event: AgentEvent) -> None:
        """It will be in the log within milliseconds, after what came before. Raises what the last writing raised: Superseded
        when another process has taken up the turn."""
        if self._writer is None or self._writer.done():
            self._raise_again()
            self._hurry.clear()
            self._writer = asyncio.create_task(self._write(), name=f"log of turn {self._turn.id}")
        self._unwritten.append(event)

    async def flush(self) -> None:
        """Return when all of it is in the log. Raises as `append` does."""
        if self._writer is not None:
            self._hurry.set()
            await asyncio.wait({self._writer})
        self._raise_again()

    async def stop_requested(self) -> bool:
        """Has somebody pressed Stop, as of now? What waits is in the log when this returns. Raises as `append` does."""
        if self._writer is None or self._writer.done():
            self._raise_again()
            self._stop = await self._conversations.stop_requested(self._turn.id)
        else:
            await self.flush()
        return self._stop

    async def close(self) -> None:
        """What is left is written; a failure of that is only told, for what goes on elsewhere."""
        if self._writer is not None:
            self._hurry.set()
            await asyncio.wait({self._writer}, timeout=CLOSE_S)
            if not self._writer.done():
                self._writer.cancel()
                await asyncio.wait({self._writer})
            if not self._writer.cancelled() and (error := self._writer.exception()) is not None:
                log.warning("the end of a turn's log was not written", turn=self._turn.id, why=str(error)[:300])

    async def _write(self) -> None:
        while self._unwritten:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), TOGETHER_S)
            events, self._unwritten = self._unwritten, []
            self._stop = await self._conversations.append_all(self._turn, events)

    def _raise_again(self) -> None:
        error = self._writer.exception() if self._writer is not None and self._writer.done() else None
        if error is not None:
            raise error

    def message(self, message: ModelMessage) -> None:
        self.append(message)
        self.state.messages.append(message)
        for call in message.tool_calls:
            self.state.calls[call.id] = LoggedCall(call.id, call.name, call.args)

    def next_call_id(self, offset: int) -> str:
        """Ids of our own: compatible servers repeat theirs, or give none."""
        return f"c{len(self.state.calls) + offset}_{self._turn.id}"

    async def tool(
        self, call: str, name: str, args: Mapping[str, Any], run: Run, *, refusal: str = "", limit: int = TEXT_LIMIT
    ) -> LoggedCall:
        """Run one tool call and log it. With a `refusal` it is not run, and the model is told why."""
        logged = self._start(call, name, args)
        if name == PROPOSE:
            await self.flush()
        title = title_of(name, args) if not logged.started else logged.started.title
        began = time.monotonic()
        answer = refused(title, refusal) if refusal else await self._guarded(logged, title, run)
        took_ms = (time.monotonic() - began) * 1000
        logged.approval = answer.approval
        if answer.diagnosis is not None:
            logged.diagnosis = answer.diagnosis
            self.append(
                DiagnosisMade(
                    stage="model" if name == REPORT else "rules",
                    diagnosis=answer.diagnosis,
                    took_ms=took_ms,
                    dropped_evidence=answer.dropped_evidence,
                )
            )
        self.finish(logged, answer, took_ms=took_ms, limit=limit)
        return logged

    def finish(self, logged: LoggedCall, answer: ToolAnswer, *, took_ms: float = 0, limit: int = TEXT_LIMIT) -> None:
        event = ToolFinished(
            call=logged.id,
            name=logged.name,
            status=answer.status,
            text=f"[{logged.ref}] {render(answer, limit=limit)}",
            duration_ms=took_ms,
            cut=answer.cut,
            command=answer.command,
        )
        self.append(event)
        logged.finished = event

    def _start(self, call: str, name: str, args: Mapping[str, Any]) -> LoggedCall:
        """Numbers follow the order in the log, also when calls run side by side."""
        started = ToolStarted(call=call, name=name, title=title_of(name, args))
        self.append(started)
        logged = self.state.calls.get(call) or LoggedCall(call, name, dict(args))
        logged.ref = f"r{1 + sum(c.started is not None for c in self.state.calls.values())}"
        logged.started = started
        self.state.calls[call] = logged
        return logged

    async def _guarded(self, logged: LoggedCall, title: str, run: Run) -> ToolAnswer:
        token = CALL.set(logged.id)
        try:
            async with asyncio.timeout(TOOL_SECONDS):
                return await run()
        except TimeoutError:
            why = f"it did not end within {TOOL_SECONDS} s. Go on without it, or ask for less."
            return ToolAnswer(title, CommandStatus.TIMEOUT.value, note=why)
        except ServiceError as error:
            return ToolAnswer(title, CommandStatus.DENIED.value, note=f"{error.message}. Answer with what you have.")
        except Exception:
            log.exception("a tool raised", turn=self._turn.id, call=logged.id, tool=logged.name)
            why = "it failed inside Opsthread, which is not the cluster's fault. Try another way, or answer without it."
            return ToolAnswer(title, CommandStatus.FAILED.value, note=why)
        finally:
            CALL.reset(token)
