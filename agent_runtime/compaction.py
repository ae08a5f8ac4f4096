"""A transcript that has grown too long, made shorter by a rule. Pure; the log is not touched, and evidence is checked there.

What goes first is the bulk of old tool results: what a diagnosis quotes of them stays, with a few lines that read like trouble
and a word on how to read the rest again. Then earlier turns go, the oldest first. A call never loses its result, the question
is never shortened, and lines that stay are verbatim, so that they can still be quoted.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from json import dumps

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from agent_runtime.models.wire import CHARACTERS_A_TOKEN
from protocol.text import cap, one_line
from tools.answer import CLOSE, OPEN

BESIDES = 2_500
"""Tokens for what stands beside the messages: the system prompt, the tools, the answer."""
FRESH = 2
"""So many of the newest results stay whole as long as anything else can be shortened."""
NOTABLE = 6
_TROUBLE = re.compile(
    r"error|fail|warn|fatal|panic|exception|killed|oom|exit ?code|denied|refused|forbidden|timed? ?out|unhealthy|back-?off|"
    r"not found|cannot|evicted|unschedulable|exceeded|\b5\d\d\b",
    re.IGNORECASE,
)
_LINE = 400
_SHORTENED = "Shortened: "


@dataclass(frozen=True, slots=True)
class _Result:
    """A tool's result and the call that it answers."""

    at: int
    call: str


def size_of(messages: Sequence[BaseMessage]) -> int:
    """Characters, with the arguments of calls."""
    return sum(
        len(str(message.text))
        + (sum(len(dumps(call["args"])) + 60 for call in message.tool_calls) if isinstance(message, AIMessage) else 0)
        for message in messages
    )


def compact(messages: Sequence[BaseMessage], *, tokens: int, cited: Collection[str]) -> list[BaseMessage]:
    """The transcript in about `tokens`, with what stands beside it; as it is when it fits. `cited` are the excerpts that
    diagnoses quote: their lines stay, even where that is more than fits."""
    room = int(max(tokens - BESIDES, 400) * CHARACTERS_A_TOKEN)
    short = list(messages)
    over = size_of(short) - room
    if over <= 0:
        return short
    quoted = _lines_of(cited)
    for result in _results(short)[:-FRESH]:
        over -= _shorten(short, result, quoted)
        if over <= 0:
            return short
    short = _without_earlier(short, room)
    for result in _results(short)[-FRESH:]:
        if size_of(short) <= room:
            break
        _shorten(short, result, quoted)
    return short


@lru_cache(maxsize=256)  # each round of a turn shortens the same old results again
def shortened(text: str, call: str, quoted: frozenset[str]) -> str:
    """A rendered result with its quoted lines, a few that read like trouble, and how to read it again."""
    head, opened, rest = text.partition(f"{OPEN}\n")
    inner, closed, tail = rest.rpartition(f"\n{CLOSE}")
    if not opened or not closed or _SHORTENED in tail:
        return text
    lines = inner.splitlines()
    kept = _kept(lines, quoted)
    if len(kept) == len(lines):
        return text
    data = "\n".join(line for _, line in kept)
    fenced = f"{OPEN}\n{data}\n{CLOSE}" if kept else ""
    pointer = f"{_SHORTENED}{len(kept)} of {len(lines)} lines are left. To read it again: {call}, narrower if you can."
    short = f"{head}{fenced}{tail}\n{pointer}"
    return short if len(short) < len(text) else text


def _kept(lines: Sequence[str], quoted: Collection[str]) -> list[tuple[int, str]]:
    """Line numbers with their lines, in order."""
    held = {n for n, line in enumerate(lines) if any(quote in _folded(line) or _within(line, quote) for quote in quoted)}
    notable = [n for n, line in enumerate(lines) if n not in held and len(line) <= _LINE and _TROUBLE.search(line)]
    first = {0} if lines and len(lines[0]) <= _LINE else set[int]()
    return [(n, lines[n]) for n in sorted(held | first | set(notable[-NOTABLE:]))]


def _within(line: str, quote: str) -> bool:
    """A long line of which a part is quoted is kept whole; a short line may be the whole of a part of a quotation."""
    folded = _folded(line)
    return len(folded) >= 12 and folded in quote


def _lines_of(cited: Collection[str]) -> frozenset[str]:
    """Quotations, whole and line by line, with white space folded as the check of evidence folds it."""
    whole = {_folded(excerpt) for excerpt in cited}
    parts = {_folded(line) for excerpt in cited for line in excerpt.splitlines()}
    return frozenset(part for part in whole | parts if len(part) >= 3)


def _results(messages: Sequence[BaseMessage]) -> list[_Result]:
    """In order, each with its call in words."""
    calls = {
        str(call["id"]): f"{call['name']} {cap(one_line(dumps(call['args'], ensure_ascii=False), 300), 300)}"
        for message in messages
        if isinstance(message, AIMessage)
        for call in message.tool_calls
    }
    return [
        _Result(n, calls.get(message.tool_call_id, "the same call"))
        for n, message in enumerate(messages)
        if isinstance(message, ToolMessage)
    ]


def _shorten(messages: list[BaseMessage], result: _Result, quoted: frozenset[str]) -> int:
    """By how many characters."""
    old = messages[result.at]
    text = str(old.text)
    short = shortened(text, result.call, quoted)
    if short != text:
        messages[result.at] = old.model_copy(update={"content": short})
    return len(text) - len(short)


def _without_earlier(messages: list[BaseMessage], room: int) -> list[BaseMessage]:
    """Without the oldest of earlier turns, each from one question to the next. This turn's question is the last one."""
    questions = [n for n, message in enumerate(messages) if isinstance(message, HumanMessage)]
    starts = (start for start in questions[1:] if size_of(messages[start:]) <= room)
    start = next(starts, questions[-1] if questions else 0)
    return messages if size_of(messages) <= room else messages[start:]


def _folded(text: str) -> str:
    return " ".join(text.split())
