"""A transcript as the offline model reads it. Pure: the same messages give the same view."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from protocol.diagnosis import Diagnosis
from tools.answer import GOOD, ToolAnswer, body, for_people
from tools.names import DIAGNOSE, PROPOSE
from tools.pasted import without_marks

DIAGNOSIS_KEY = "opsthread_diagnosis"
"""In the response_metadata of an earlier turn's answer: its diagnosis. Never sent to a model endpoint."""
CONCLUDE_KEY = "opsthread_conclude"
"""In the additional_kwargs of the question that opens a concluding turn: what became of the action."""
ALERT_KEY = "opsthread_alert"
"""In those of a question that an alert asks: what stands below its first line is the alert's own text."""


INTERRUPTED = "interrupted"
"""Status of a call whose result a restart of ours lost: it may be made again."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A tool call of this turn that has ended."""

    name: str
    args: Mapping[str, Any]
    text: str
    answer: ToolAnswer | None

    @property
    def good(self) -> bool:
        return self.answer is not None and self.answer.status in GOOD

    @property
    def body(self) -> str:
        return body(self.text)

    @property
    def title(self) -> str:
        return self.answer.title if self.answer else self.name

    @property
    def status(self) -> str:
        return self.answer.status if self.answer else "error"

    @property
    def why(self) -> str:
        """Our own words about it, for people."""
        return for_people(self.answer.note) if self.answer and self.answer.note else self.text[:400]


@dataclass(frozen=True, slots=True)
class View:
    question: str
    conclude: Mapping[str, str] | None
    earlier: Diagnosis | None
    """The last diagnosis of earlier turns."""
    seen: tuple[Seen, ...]

    @property
    def diagnosis(self) -> Diagnosis | None:
        """The first diagnosis of this turn: what the question was about."""
        return next((s.answer.diagnosis for s in self.calls(DIAGNOSE) if s.answer and s.answer.diagnosis), None)

    def calls(self, name: str) -> tuple[Seen, ...]:
        return tuple(seen for seen in self.seen if seen.name == name)

    def called(self, name: str, args: Mapping[str, Any]) -> Seen | None:
        """The call with these arguments, unless a restart lost its result."""
        return next((s for s in self.calls(name) if dict(s.args) == dict(args) and s.status != INTERRUPTED), None)

    @property
    def proposal(self) -> Seen | None:
        return next((seen for seen in self.calls(PROPOSE) if seen.status != INTERRUPTED), None)


def view_of(messages: Sequence[BaseMessage]) -> View:
    """Everything before the last question is history; everything after it is this turn."""
    start = max((n for n, message in enumerate(messages) if isinstance(message, HumanMessage)), default=-1)
    question = messages[start] if start >= 0 else HumanMessage("")
    answers = {m.tool_call_id: m for m in messages[start + 1 :] if isinstance(m, ToolMessage)}
    seen: list[Seen] = []
    for message in messages[start + 1 :]:
        if isinstance(message, AIMessage):
            seen += [
                _seen(call["name"], call["args"], answers[call["id"]]) for call in message.tool_calls if call["id"] in answers
            ]
    kwargs = cast(dict[str, Any], question.additional_kwargs)
    asked = without_marks(str(question.text))
    return View(
        question=asked.partition("\n")[0] if kwargs.get(ALERT_KEY) else asked,
        conclude=cast("Mapping[str, str] | None", kwargs.get(CONCLUDE_KEY)),
        earlier=_earlier(messages[: max(start, 0)]),
        seen=tuple(seen),
    )


def _seen(name: str, args: Mapping[str, Any], message: ToolMessage) -> Seen:
    answer = message.artifact if isinstance(message.artifact, ToolAnswer) else None
    return Seen(name, args, str(message.text), answer)


def _earlier(messages: Sequence[BaseMessage]) -> Diagnosis | None:
    for message in reversed(messages):
        if isinstance(message, AIMessage):
            raw = cast(dict[str, Any], message.response_metadata).get(DIAGNOSIS_KEY)
            if raw is not None:
                return Diagnosis.model_validate(raw)
    return None
