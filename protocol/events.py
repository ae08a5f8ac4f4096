"""AgentEvent: the log of a conversation. It is the transcript, the audit trail and what every surface renders."""

from typing import Annotated, Any, Literal, cast

from pydantic import Field, TypeAdapter, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from protocol.approval import ApprovalState
from protocol.base import Message, Utc, Value
from protocol.diagnosis import Diagnosis

Language = Literal["en", "zh", "ja"]


class UserMessage(Value):
    type: Literal["user_message"] = "user_message"
    text: str
    by: str
    by_name: str
    door: Literal["web", "slack", "rest", "cli", "action", "alert"] = "web"
    language: Language = "en"
    redacted: int = 0
    """How much of what was pasted looked like a secret and was taken out before it was stored. The person is told."""


class TurnStarted(Value):
    type: Literal["turn_started"] = "turn_started"
    model: str
    """The model's name, or "offline"."""
    offline: bool


class ToolCall(Value):
    id: str
    name: str
    args: dict[str, Any]


class ModelMessage(Value):
    """A whole message of the model, with its tool calls. Text is untrusted Markdown."""

    type: Literal["model_message"] = "model_message"
    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    offline: bool = False
    input_tokens: int = 0
    output_tokens: int = 0
    estimated: bool = False
    """The endpoint told no usage, so its tokens are counted by length."""
    money: float = 0
    """What the call cost by the configured prices; 0 where the model has none."""
    model: str = ""
    """Which model wrote it; "" for the rules."""
    final: bool = False
    """The last message of its turn: the answer."""


class ToolStarted(Value):
    type: Literal["tool_started"] = "tool_started"
    call: str
    """Id of the tool call."""
    name: str
    title: str
    """For people: `kubectl get pods -n shop`."""


class ToolFinished(Value):
    type: Literal["tool_finished"] = "tool_finished"
    call: str
    name: str
    status: str
    """A CommandStatus, or "interrupted"."""
    text: str
    """The exact text that the model saw."""
    duration_ms: float = 0
    cut: str = ""
    command: str | None = None
    """Id of the Command, when one was sent."""


class DiagnosisMade(Value):
    """`stage` rules: before any model; model: the model's own, checked against its tool results."""

    type: Literal["diagnosis"] = "diagnosis"
    stage: Literal["rules", "model"]
    diagnosis: Diagnosis
    took_ms: float = 0
    dropped_evidence: int = 0
    """How many pieces of evidence did not occur in their tool result."""


class ApprovalRequested(Value):
    type: Literal["approval_requested"] = "approval_requested"
    approval: str


class ApprovalDecided(Value):
    """Also expiry, withdrawal and supersession: `state` says which; `by_name` is empty when nobody did it."""

    type: Literal["approval_decided"] = "approval_decided"
    approval: str
    state: ApprovalState
    by_name: str = ""
    reason: str = ""


class ActionStarted(Value):
    type: Literal["action_started"] = "action_started"
    approval: str


class ActionFinished(Value):
    type: Literal["action_finished"] = "action_finished"
    approval: str
    state: ApprovalState
    message: str
    took_s: float = 0


class CaseStored(Value):
    type: Literal["case_stored"] = "case_stored"
    case: str
    title: str


class CaseEnded(Value):
    """What became of a verified fix after its soak. `void`: the object was deleted, or changed by others in between."""

    type: Literal["case_ended"] = "case_ended"
    case: str
    approval: str
    end: Literal["held", "relapsed", "void", "unconfirmed"]
    object: str
    """Kind/namespace/name."""
    code: str = ""
    title: str = ""
    message: str = ""
    """What was seen."""
    after_s: float = 0


class TurnResumed(Value):
    type: Literal["turn_resumed"] = "turn_resumed"
    note: str = ""


class TurnCancelled(Value):
    type: Literal["turn_cancelled"] = "turn_cancelled"
    by_name: str = ""


class TurnFinished(Value):
    type: Literal["turn_finished"] = "turn_finished"
    took_ms: float
    model_calls: int = 0
    tool_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    ended_by: Literal["answer", "budget", "model_error"] = "answer"
    estimated: bool = False
    """Some of the tokens are counted by length, because an endpoint told none."""
    money: float = 0
    currency: str = ""
    """Empty where no price is configured for what was used."""
    models: tuple[str, ...] = ()
    """Who wrote, in order of appearance: models by name, "" for the rules."""
    why: str = ""
    """Why another model, or the rules, took over from the configured one; "" when none did."""


class TurnFailed(Value):
    type: Literal["turn_failed"] = "turn_failed"
    message: str
    code: Literal["model_unavailable", "cluster_unreachable", "internal"] = "internal"


class Unknown(Value):
    """An event of a newer version, shown as text."""

    type: Literal["unknown"] = "unknown"
    kind: str
    raw: dict[str, Any] = {}


AgentEvent = Annotated[
    UserMessage
    | TurnStarted
    | ModelMessage
    | ToolStarted
    | ToolFinished
    | DiagnosisMade
    | ApprovalRequested
    | ApprovalDecided
    | ActionStarted
    | ActionFinished
    | CaseStored
    | CaseEnded
    | TurnResumed
    | TurnCancelled
    | TurnFinished
    | TurnFailed
    | Unknown,
    Field(discriminator="type"),
]

_ADAPTER: TypeAdapter[AgentEvent] = TypeAdapter(AgentEvent)


def read_event(raw: dict[str, Any]) -> AgentEvent:
    """A stored event as its type; what this version does not know becomes Unknown. No stored event is ever rewritten."""
    try:
        return _ADAPTER.validate_python(raw)
    except ValidationError:
        return _unknown(raw)


def _or_unknown(value: Any, read: ValidatorFunctionWrapHandler) -> AgentEvent:
    try:
        return read(value)
    except ValidationError:
        if not isinstance(value, dict):
            raise
        return _unknown(cast(dict[str, Any], value))


def _unknown(raw: dict[str, Any]) -> Unknown:
    return Unknown(kind=str(raw.get("type", "?"))[:100], raw=raw)


class LogEntry(Message):
    """An event in its place: `seq` counts from 1 in its conversation without gaps, in the order of commit."""

    conversation: str
    seq: int
    turn: str | None = None
    at: Utc
    event: Annotated[AgentEvent, WrapValidator(_or_unknown)]
    """What this version does not know is read as Unknown."""


class TextDelta(Value):
    """Live only, never stored: text so far of the message that the model is writing. `reset` starts a new message."""

    type: Literal["text_delta"] = "text_delta"
    turn: str
    text: str
    offset: int
    """Where `text` begins in the message; a reader that missed something asks for the text so far."""


class LiveProgress(Value):
    """Live only: what a tool or an action is doing right now."""

    type: Literal["progress"] = "progress"
    turn: str | None = None
    call: str | None = None
    approval: str | None = None
    note: str


class Wake(Value):
    """Live only: the log has grown to `seq`, or an approval or list changed; read the table."""

    type: Literal["wake"] = "wake"
    seq: int = 0


Live = Annotated[TextDelta | LiveProgress | Wake, Field(discriminator="type")]
