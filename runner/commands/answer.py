"""How a command ends: with text that is cleaned, redacted and capped, or with a reason for people."""

from dataclasses import dataclass
from typing import Any, cast

from protocol.commands import CommandResult, CommandStatus
from protocol.redaction import redact, redact_tree
from protocol.text import clean
from runner.kube.errors import KubeError

_LOOKED_AT = 4
"""Times `max_bytes`: text further on would be cut whatever redaction does."""


class Refusal(Exception):
    """A command that ends without an answer; `status` says how, the message is for people and says what to do next."""

    def __init__(self, status: CommandStatus, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(slots=True)
class Answer:
    """What a command found, before it is made safe to send. `empty` text still says what there is nothing of."""

    text: str = ""
    empty: bool = False
    data: dict[str, Any] | None = None
    cut: str = ""
    redacted: int = 0
    status: CommandStatus | None = None
    """When it is neither ok nor empty although there is data."""
    error: str = ""


def result_of(command_id: str, answer: Answer, max_bytes: int) -> CommandResult:
    """Cleaned, then redacted, then cut to `max_bytes` of UTF-8 at a line's end; what was cut is said."""
    safe = redact(clean(answer.text[: _LOOKED_AT * max_bytes]))
    text, cut = cut_text(safe.text, max_bytes)
    if len(answer.text) > _LOOKED_AT * max_bytes:
        cut = f"the first {len(text.encode()):,} of about {len(answer.text):,} bytes shown"
    return CommandResult(
        id=command_id,
        status=answer.status or (CommandStatus.EMPTY if answer.empty else CommandStatus.OK),
        text=text,
        error=redact(clean(answer.error)).text,
        data=answer.data,
        cut="; ".join(part for part in (answer.cut, cut) if part),
        redacted=answer.redacted + safe.count,
    )


def refused(command_id: str, status: CommandStatus, message: str) -> CommandResult:
    safe = redact(clean(message))
    return CommandResult(id=command_id, status=status, error=safe.text[:4000], redacted=safe.count)


def safe_tree(value: Any) -> tuple[Any, int]:
    """A JSON value with every text in it cleaned, without secrets (by its keys too), and how many there were."""
    return redact_tree(_cleaned(value))


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {key: _cleaned(item) for key, item in cast(dict[str, Any], value).items()}
    if isinstance(value, list | tuple):
        return [_cleaned(item) for item in cast(list[Any], value)]
    return value


def cut_text(text: str, max_bytes: int) -> tuple[str, str]:
    """The longest head of whole lines within `max_bytes`, and what was left out ("" if nothing)."""
    raw = text.encode()
    if len(raw) <= max_bytes:
        return text, ""
    head = raw[:max_bytes].decode("utf-8", "ignore")
    whole = head.rfind("\n") + 1
    head = head[:whole] if whole else head
    lines, shown = text.count("\n"), head.count("\n")
    if whole and lines > 1:
        return head, f"{shown:,} of {lines:,} lines shown"
    return head, f"{len(head.encode()):,} of {len(raw):,} bytes shown"


_STATUS = {
    400: CommandStatus.INVALID,
    401: CommandStatus.FORBIDDEN,
    403: CommandStatus.FORBIDDEN,
    404: CommandStatus.NOT_FOUND,
    405: CommandStatus.INVALID,
    409: CommandStatus.FAILED,
    410: CommandStatus.UNAVAILABLE,
    422: CommandStatus.INVALID,
    429: CommandStatus.UNAVAILABLE,
}


def status_of(error: KubeError) -> CommandStatus:
    if error.reason == "Timeout":
        return CommandStatus.TIMEOUT
    if error.status == 0 or error.status >= 500:
        return CommandStatus.UNAVAILABLE
    return _STATUS.get(error.status, CommandStatus.FAILED)


def words_of(error: KubeError) -> str:
    return " ".join(part for part in (error.for_people(), error.hint) if part)
