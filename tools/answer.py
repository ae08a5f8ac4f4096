"""What a tool answers, and how it reads to the model: status, the cluster's text fenced as data, what was cut, how to go on."""

import re
from dataclasses import dataclass

from protocol.commands import CommandResult, CommandStatus
from protocol.diagnosis import Diagnosis
from protocol.text import cap, cap_middle, clean

TEXT_LIMIT = 12_000
"""Characters of a tool's text; a result is cut before it costs a turn."""

NOTE_LIMIT = 2000

OPEN, CLOSE = "<data>", "</data>"
_FENCE = re.compile(r"<(/?data)\b", re.IGNORECASE)
_QUOTE, _UNQUOTE = "\ue000", "\ue001"
_MARKS = str.maketrans("", "", _QUOTE + _UNQUOTE)
_BODY = re.compile(rf"{OPEN}\n(.*)\n{CLOSE}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """The end of a tool call. `body` is cluster text, everything else is ours, but for what a note quotes."""

    title: str
    status: str = CommandStatus.OK.value
    body: str = ""
    note: str = ""
    """Our own words: what it means, or what went wrong and how to go on. Words of the cluster in it go through `quoted`."""
    cut: str = ""
    command: str | None = None
    diagnosis: Diagnosis | None = None
    """What `diagnose` found, or what `report` stated after its check."""
    dropped_evidence: int = 0
    approval: str | None = None

    @property
    def good(self) -> bool:
        return self.status in GOOD


GOOD = frozenset({CommandStatus.OK.value, CommandStatus.EMPTY.value})

_GO_ON: dict[CommandStatus, str] = {
    CommandStatus.DENIED: "Nothing was run. Say it in another way, or leave it and say so.",
    CommandStatus.FORBIDDEN: "This cluster does not let us read that. Go on without it and name it as a limit.",
    CommandStatus.NOT_FOUND: "Check the name, the kind and the namespace, for instance with kubectl get.",
    CommandStatus.INVALID: "Correct the call; do not repeat it as it is.",
    CommandStatus.UNAVAILABLE: "That source is not there now. Go on without it and name it as a limit.",
    CommandStatus.TIMEOUT: "Ask for less (one namespace, fewer lines), or go on without it.",
    CommandStatus.OFFLINE: "The cluster's runner does not answer. Answer with what you have and say that it is offline.",
    CommandStatus.LOST: "The runner was lost in the middle. Reads may be asked again once.",
    CommandStatus.CANCELLED: "It was stopped. Answer with what you have.",
    CommandStatus.FAILED: "Try once in another way, or go on without it.",
}


def from_result(title: str, result: CommandResult, *, note: str = "") -> ToolAnswer:
    """A Command's end as a tool's answer. Failures say what happened and how to go on."""
    if result.good:
        return ToolAnswer(title, result.status.value, result.text, note, cut=result.cut, command=result.id)
    why = result.error or f"it ended as {result.status.value}"
    # The API server, its webhooks and Prometheus put into an error what others wrote.
    said = f"{quoted(why)} {_GO_ON[result.status]}"
    return ToolAnswer(title, result.status.value, result.text, said, result.cut, result.id)


def refused(title: str, why: str, status: CommandStatus = CommandStatus.DENIED) -> ToolAnswer:
    """Nothing was sent to the cluster."""
    return ToolAnswer(title, status.value, note=why)


def render(answer: ToolAnswer, *, limit: int = TEXT_LIMIT) -> str:
    """The text that the model sees, at most about `limit` characters of it the cluster's."""
    lines = [f"{unforged(answer.title)}: {answer.status}"]
    if answer.note:
        lines.append(_note(answer.note))
    if answer.body:
        lines.append(fence(answer.body, limit=limit))
    elif answer.status == CommandStatus.EMPTY.value and not answer.note:
        lines.append("It worked and there is nothing to show.")
    if answer.cut:
        lines.append(f"Cut: {unforged(answer.cut)}")
    return "\n".join(lines)


def fence(text: str, *, limit: int = TEXT_LIMIT) -> str:
    """Cluster text between marks that it cannot forge."""
    return f"{OPEN}\n{cap_middle(unforged(text), limit)}\n{CLOSE}"


def fenced_words(text: str) -> str:
    """A few words of the cluster within a line of ours."""
    return f"{OPEN}{unforged(text)}{CLOSE}"


def quoted(text: str) -> str:
    """The same for a ToolAnswer's note, whose marks are set when it is rendered. What stands in it is no evidence."""
    return f"{_QUOTE}{text.translate(_MARKS)}{_UNQUOTE}"


def own_words(text: str) -> str:
    """The note of a rendered answer for people, without marks: its lines between the title and the data."""
    lines = text.splitlines()[1:]
    note = "\n".join(lines[: lines.index(OPEN)] if OPEN in lines else lines)
    return note.replace(OPEN, "").replace(CLOSE, "")


def for_people(note: str) -> str:
    """A ToolAnswer's note without what only a model is told to do next."""
    for words in _GO_ON.values():
        note = note.removesuffix(f" {words}")
    return note


def _note(note: str) -> str:
    """At most about 2,000 characters; a quotation that is cut is closed all the same."""
    text = cap(unforged(note), NOTE_LIMIT)
    if text.rfind(_QUOTE) > text.rfind(_UNQUOTE):
        text += _UNQUOTE
    return text.replace(_QUOTE, OPEN).replace(_UNQUOTE, CLOSE)


def unforged(text: str) -> str:
    """Without anything that reads as our marks. Outside of them too: error texts and arguments repeat what others wrote."""
    return _FENCE.sub(r"‹\1", clean(text))


def body(text: str) -> str:
    """The cluster's part of a rendered answer: what may be quoted as evidence. "" when there is none."""
    found = _BODY.search(text)
    return found.group(1) if found else ""
