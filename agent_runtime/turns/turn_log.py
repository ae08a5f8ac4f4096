"""The log of one turn, read back: what has happened, what is missing. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from agent_runtime.evidence import ToolResult
from protocol.diagnosis import Diagnosis
from protocol.events import (
    ApprovalRequested,
    DiagnosisMade,
    LogEntry,
    ModelMessage,
    ToolFinished,
    ToolStarted,
    TurnResumed,
    TurnStarted,
    UserMessage,
)
from tools.names import DIAGNOSE, PROPOSE, REPORT

_OPENING = "opening_"


def opening_call(turn: str) -> str:
    """The id of the diagnosis that a turn begins with, before any model message asks for one."""
    return f"{_OPENING}{turn}"


def is_opening(call: str) -> bool:
    """The model did not ask for it, so it does not count against its budget."""
    return call.startswith(_OPENING)


@dataclass(slots=True)
class LoggedCall:
    """A tool call as far as it has come."""

    id: str
    name: str
    args: dict[str, Any]
    started: ToolStarted | None = None
    finished: ToolFinished | None = None
    diagnosis: Diagnosis | None = None
    """What a diagnose call found."""
    approval: str | None = None
    """What a proposal opened."""
    ref: str = ""


@dataclass(slots=True)
class TurnLog:
    question: UserMessage | None = None
    begun: bool = False
    began_offline: bool = False
    resumed: int = 0
    messages: list[ModelMessage] = field(default_factory=list[ModelMessage])
    calls: dict[str, LoggedCall] = field(default_factory=dict[str, LoggedCall])
    """By id, in the order of start; calls that a message asks for and that have not started come last."""

    @property
    def final(self) -> ModelMessage | None:
        last = self.messages[-1] if self.messages else None
        return last if last is not None and not last.tool_calls else None

    @property
    def interrupted(self) -> tuple[LoggedCall, ...]:
        """Started, and nobody knows how it ended."""
        return tuple(call for call in self.calls.values() if call.started and not call.finished)

    @property
    def waiting(self) -> tuple[LoggedCall, ...]:
        """Asked for by the model and never started."""
        return tuple(call for call in self.calls.values() if not call.started and not call.finished)

    @property
    def results(self) -> tuple[ToolResult, ...]:
        return tuple(
            ToolResult(
                call.ref,
                call.id,
                call.name,
                call.started.title,
                call.finished.status,
                call.finished.text,
                asked=f"{call.started.title} {_words_of(call.args)}",
            )
            for call in self.calls.values()
            if call.started and call.finished
        )

    @property
    def found_by_rules(self) -> Diagnosis | None:
        """The first diagnosis of the turn with a root cause; of a question that was asked again, the newest answer counts."""
        newest = {
            call.started.title: call.diagnosis
            for call in self.calls.values()
            if call.name == DIAGNOSE and call.started and call.diagnosis
        }
        return next((found for found in newest.values() if found.root_causes), None)


def _words_of(args: Any) -> str:
    """All text in the arguments of a call."""
    if isinstance(args, Mapping):
        return " ".join(_words_of(item) for item in cast(Mapping[str, Any], args).values())
    if isinstance(args, list | tuple):
        return " ".join(_words_of(item) for item in cast(list[Any], args))
    return str(args)


def read_turn_log(entries: Sequence[LogEntry], *, opening: str) -> TurnLog:
    """`opening` is opening_call(turn): that call stands in no model message."""
    log = TurnLog()
    asked: dict[str, LoggedCall] = {}
    for entry in entries:
        match entry.event:
            case UserMessage() as event if log.question is None:
                log.question = event
            case TurnStarted(offline=offline):
                log.begun, log.began_offline = True, offline
            case TurnResumed():
                log.resumed += 1
            case ModelMessage() as event:
                log.messages.append(event)
                asked |= {call.id: LoggedCall(call.id, call.name, call.args) for call in event.tool_calls}
            case ToolStarted() as event:
                call = asked.get(event.call) or LoggedCall(event.call, event.name, {})
                if event.call in asked or event.call == opening:
                    call.started, call.ref = event, f"r{len(log.calls) + 1}"
                    log.calls[event.call] = call
            case ToolFinished() as event if event.call in log.calls:
                log.calls[event.call].finished = event
            case DiagnosisMade(stage="rules", diagnosis=diagnosis):
                _attach(log, DIAGNOSE, diagnosis=diagnosis)
            case DiagnosisMade(diagnosis=diagnosis):
                _attach(log, REPORT, diagnosis=diagnosis)
            case ApprovalRequested(approval=approval):
                _attach(log, PROPOSE, approval=approval)
            case _:
                pass
    log.calls |= {key: call for key, call in asked.items() if key not in log.calls}
    return log


def _attach(log: TurnLog, name: str, *, diagnosis: Diagnosis | None = None, approval: str | None = None) -> None:
    """To the oldest call of that name which is running and has none yet: its result is logged before its end."""
    for call in log.calls.values():
        if call.name == name and call.finished is None and call.diagnosis is None and call.approval is None:
            call.diagnosis, call.approval = diagnosis, approval
            return
