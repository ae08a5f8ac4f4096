"""Secrets out of text before it leaves the cluster."""

import re

from protocol.base import Strict

MARK = "[redacted]"

_PAIR = re.compile(
    r"(?i)((?:password|passwd|secret|token|api[-_]?key|access[-_]?key|private[-_]?key)[\"']?[ \t]{0,4}[:=][ \t]{0,4}[\"']?)"
    r"(?!\[redacted\])([^\s\"',;&}\]]{1,4096})"
)
_JWT = re.compile(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?")


class Redacted(Strict):
    text: str
    count: int


def redact(text: str) -> Redacted:
    text, pairs = _PAIR.subn(rf"\1{MARK}", text)
    text, tokens = _JWT.subn(MARK, text)
    return Redacted(text=text, count=pairs + tokens)


def holds_secret(text: str) -> bool:
    return redact(text).count > 0
