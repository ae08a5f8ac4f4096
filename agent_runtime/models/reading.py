"""An answer's bytes as JSON values, whether the server streams (SSE), ignores that it should, or sends something else. Pure."""

from collections.abc import Iterator
from json import loads
from typing import Any, cast

from agent_runtime.models.assembly import BrokeOff, failure

MOST_BYTES = 8_000_000
"""Of one answer, chunks' own words and all; nobody needs to read on after that."""


class NotAnAnswer(ValueError):
    """The bytes are no answer of a model at all; the text says what they are."""


class Reader:
    """Feed it the bytes; it gives chunks as they are complete."""

    def __init__(self, content_type: str) -> None:
        self._streams: bool | None = True if "event-stream" in content_type else None
        self._buffer = b""
        self._event = ""
        self.size = 0
        self.done = False
        """[DONE] was seen, or one whole body was read."""

    @property
    def full(self) -> bool:
        return self.size > MOST_BYTES

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """Raises NotAnAnswer, AnswerFailed."""
        self.size += len(data)
        self._buffer += data
        if self._streams is None and self._buffer.strip():
            self._streams = self._buffer.lstrip().startswith((b"data:", b":", b"event:", b"id:", b"retry:"))
        if not self._streams:
            return
        *lines, self._buffer = self._buffer.split(b"\n")
        for line in lines:
            yield from self._line(line.rstrip(b"\r"))

    def end(self) -> Iterator[dict[str, Any]]:
        """Nothing more comes. Raises NotAnAnswer, BrokeOff, AnswerFailed."""
        if self._streams:
            yield from self._line(self._buffer.rstrip(b"\r"))
            return
        body = self._buffer.strip()
        if not body:
            raise BrokeOff("the answer was empty")
        if body.startswith(b"<"):
            raise NotAnAnswer("it answered with a web page, not as an API; check OPENAI_BASE_URL, which usually ends in /v1")
        try:
            value: Any = loads(body)
        except ValueError:
            if body.startswith((b"{", b"[")):
                raise BrokeOff("the answer ended before its end") from None
            raise NotAnAnswer("its answer was no JSON") from None
        self.done = True
        if not isinstance(value, dict):
            raise NotAnAnswer("its answer was no JSON object")
        yield cast(dict[str, Any], value)

    def _line(self, line: bytes) -> Iterator[dict[str, Any]]:
        if line.startswith(b"event:"):
            self._event = line[6:].strip().decode("utf-8", "replace")
        elif not line:
            self._event = ""
        if not line.startswith(b"data:"):
            return
        data = line[5:].strip()
        if data == b"[DONE]":
            self.done = True
            return
        if not data:
            return
        try:
            value: Any = loads(data)
        except ValueError:
            raise NotAnAnswer("its answer was malformed") from None
        if self._event == "error":
            raise failure(cast(dict[str, Any], value).get("error", value) if isinstance(value, dict) else value)
        if isinstance(value, dict):
            yield cast(dict[str, Any], value)
