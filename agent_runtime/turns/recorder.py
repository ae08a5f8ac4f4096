"""Writes a turn into the log as it happens: model messages whole, tool calls at their start and end, diagnoses.

What is logged as a tool's text is exactly what the model is given; a tool that raises becomes an answer that says so.
"""

import asyncio
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
from tools.names import REPORT
from tools.titles import title_of

log = structlog.get_logger(__name__)

TOOL_SECONDS = 120
"""Above every deadline of a Command: only a tool that hangs meets it."""

Run = Callable[[], Awaitable[ToolAnswer]]


class Recorder:
    """The log of one turn. `state` is what the log already holds, and grows with it."""

    def __init__(self, conversations: Conversations, turn: Turn, state: TurnLog) -> None:
        self._conversations = conversations
        self._turn = turn
        self.state = state
        self._order = asyncio.Lock()

    @property
    def results(self) -> tuple[ToolResult, ...]:
        return self.state.results

    async def append(self, event: AgentEvent) -> None:
        await self._conversations.append(self._turn.conversation, event, turn=self._turn.id)

    async def message(self, message: ModelMessage) -> None:
        await self.append(message)
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
        logged = await self._start(call, name, args)
        title = title_of(name, args) if not logged.started else logged.started.title
        began = time.monotonic()
        answer = refused(title, refusal) if refusal else await self._guarded(logged, title, run)
        took_ms = (time.monotonic() - began) * 1000
        logged.approval = answer.approval
        if answer.diagnosis is not None:
            logged.diagnosis = answer.diagnosis
            await self.append(
                DiagnosisMade(
                    stage="model" if name == REPORT else "rules",
                    diagnosis=answer.diagnosis,
                    took_ms=took_ms,
                    dropped_evidence=answer.dropped_evidence,
                )
            )
        await self.finish(logged, answer, took_ms=took_ms, limit=limit)
        return logged

    async def finish(self, logged: LoggedCall, answer: ToolAnswer, *, took_ms: float = 0, limit: int = TEXT_LIMIT) -> None:
        event = ToolFinished(
            call=logged.id,
            name=logged.name,
            status=answer.status,
            text=f"[{logged.ref}] {render(answer, limit=limit)}",
            duration_ms=took_ms,
            cut=answer.cut,
            command=answer.command,
        )
        await self.append(event)
        logged.finished = event

    async def _start(self, call: str, name: str, args: Mapping[str, Any]) -> LoggedCall:
        """Numbers follow the order in the log, also when calls run side by side."""
        async with self._order:
            started = ToolStarted(call=call, name=name, title=title_of(name, args))
            await self.append(started)
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
