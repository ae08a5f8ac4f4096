"""An endpoint's answer put together from its chunks, or from one whole body, with the habits of many servers. Pure.

Texts come as strings or lists of parts; reasoning in fields of its own (left out here) or in tags (`visible` takes those);
calls with and without index or id, with arguments as text or as an object, all under index 0, or in the old `function_call`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from json import dumps
from typing import Any, cast

from agent_runtime.models.visible import Visible

MOST_CHARACTERS = 64_000
"""Of text, and of all arguments: an answer beyond that is cut there, and the connection closed."""

MOST_TOKENS = 20_000_000
"""Of one call; a count above it is a defect of the endpoint, and the length is the better guess."""

Json = dict[str, Any]


class AnswerFailed(Exception):
    """The endpoint reported an error inside of an answer that had begun, or in place of one."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class BrokeOff(Exception):
    """The answer ended before its end."""


@dataclass(slots=True)
class RawCall:
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(slots=True)
class Assembly:
    """One answer as far as it has come. `shown` gets each piece of text that people may see at once."""

    shown: Callable[[str], None] = lambda _: None
    visible: Visible = field(default_factory=Visible)
    calls: list[RawCall] = field(default_factory=list[RawCall])
    input_tokens: int | None = None
    output_tokens: int | None = None
    finish: str = ""
    reasoned: int = 0
    """Characters of reasoning, for the estimate where no usage is told."""
    cut: bool = False
    """The answer was longer than we read."""
    _by_index: dict[Any, RawCall] = field(default_factory=dict[Any, RawCall])
    _read: int = 0

    def take(self, chunk: Json) -> None:
        """A chunk of a stream, or a whole completion. Raises AnswerFailed."""
        if chunk.get("error"):
            raise failure(chunk["error"])
        self._usage(chunk.get("usage"))
        choices = chunk.get("choices")
        first = cast(list[Any], choices)[0] if isinstance(choices, list) and choices else None
        if not isinstance(first, dict):
            return
        choice = cast(Json, first)
        if choice.get("error"):
            raise failure(choice["error"])
        part = choice.get("delta") or choice.get("message")
        if isinstance(part, dict):
            self._part(cast(Json, part))
        elif isinstance(choice.get("text"), str):
            self._text(choice["text"])
        if choice.get("finish_reason"):
            self.finish = str(choice["finish_reason"])

    @property
    def ended(self) -> bool:
        return bool(self.finish) or self.cut

    @property
    def begun(self) -> bool:
        """Did anything of an answer come?"""
        return bool(self.visible.text or self.visible.held or self.calls or self.reasoned)

    @property
    def full(self) -> bool:
        """More is not read."""
        return self.cut

    def done(self) -> None:
        """No more comes: what was held back is text after all, or is read as a call by who asks. Raises AnswerFailed."""
        if self.finish in ("error", "content_filter"):
            words = "its provider failed" if self.finish == "error" else "the endpoint's content filter stopped the answer"
            raise AnswerFailed(words)
        self.visible.end()

    def _part(self, part: Json) -> None:
        content = part.get("content")
        if isinstance(content, list):
            for piece in cast(list[Any], content):
                if isinstance(piece, dict):
                    self._piece(cast(Json, piece))
        elif isinstance(content, str):
            self._text(content)
        if isinstance(part.get("refusal"), str):
            self._text(part["refusal"])
        for name in ("reasoning_content", "reasoning", "thinking"):
            if isinstance(part.get(name), str):
                self.reasoned += len(part[name])
        calls = part.get("tool_calls")
        for call in cast(list[Any], calls) if isinstance(calls, list) else []:
            if isinstance(call, dict):
                self._call(cast(Json, call))
        old = part.get("function_call")
        if isinstance(old, dict):
            self._call({"index": "function_call", "function": cast(Json, old)})

    def _piece(self, piece: Json) -> None:
        if piece.get("type") in (None, "text", "output_text") and isinstance(piece.get("text"), str):
            self._text(piece["text"])
        elif isinstance(piece.get("thinking"), str):
            self.reasoned += len(piece["thinking"])

    def _text(self, text: str) -> None:
        room = MOST_CHARACTERS - self._read
        self._read += len(text)
        if len(text) > room:
            text, self.cut = text[: max(room, 0)], True
        now = self.visible.feed(text)
        if now:
            self.shown(now)

    def _call(self, delta: Json) -> None:
        function = delta.get("function")
        inner: Json = cast(Json, function) if isinstance(function, dict) else {}
        call = self._which(delta, inner)
        call.id = call.id or str(delta.get("id") or "")
        name = inner.get("name")
        if isinstance(name, str) and name and not call.name.endswith(name):
            call.name += name
        arguments = inner.get("arguments")
        if arguments is not None:
            text = arguments if isinstance(arguments, str) else dumps(arguments, ensure_ascii=False)
            self._read += len(text)
            self.cut = self.cut or self._read > MOST_CHARACTERS
            call.arguments += text if not self.cut else ""

    def _which(self, delta: Json, inner: Json) -> RawCall:
        """The call that a piece belongs to: by index; a new id with a name under a known index begins another one."""
        index, new_id = delta.get("index"), str(delta.get("id") or "")
        known = self._by_index.get(index) if index is not None else (self.calls[-1] if self.calls else None)
        begins = bool(inner.get("name")) and (
            known is None or bool(new_id and known.id and new_id != known.id) or (index is None and bool(known.arguments))
        )
        if known is not None and not begins:
            return known
        call = RawCall()
        self.calls.append(call)
        if index is not None:
            self._by_index[index] = call
        return call

    def _usage(self, usage: Any) -> None:
        if not isinstance(usage, dict):
            return
        told = cast(Json, usage)
        self.input_tokens = _count(told, "prompt_tokens", "input_tokens") or self.input_tokens
        self.output_tokens = _count(told, "completion_tokens", "output_tokens") or self.output_tokens


def _count(told: Json, *keys: str) -> int | None:
    """None for what no model reads or writes: it would stand in the counters of a budget for a month."""
    told_as = next((told[key] for key in keys if isinstance(told.get(key), int)), None)
    return max(0, told_as) if told_as is not None and told_as <= MOST_TOKENS else None


def failure(error: Any) -> AnswerFailed:
    """An error object inside of a body that said 200."""
    if isinstance(error, dict):
        told = cast(Json, error)
        code = told.get("code")
        status = code if isinstance(code, int) else int(code) if isinstance(code, str) and code.isdecimal() else None
        return AnswerFailed(str(told.get("message") or "the endpoint reported an error"), status)
    return AnswerFailed(str(error))
