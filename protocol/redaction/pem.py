"""PEM private keys, whole or with the beginning or the end cut off."""

import re

from protocol.redaction.mark import Span

_PEM_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----")
_PEM_END = re.compile(r"-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----")
# Base64 and what stands between its lines, escaped line breaks and YAML indentation included; also PEM headers.
_PEM_BODY = re.compile(
    r"(?:(?<=[\nn])(?:Proc-Type|DEK-Info|Version|Comment|Charset|Hash): ?[^\n\\]{0,100}|[A-Za-z0-9+/=\s]|\\+[nrt])*+"
)
_PEM_CHARS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\\ \t\r\n"
_PEM_REACH = 20_000


def private_keys(text: str) -> list[Span]:
    """PEM private keys, also when the beginning or the end has been cut off."""
    if "PRIVATE KEY" not in text:
        return []
    spans: list[Span] = []
    at = 0
    while (end := _PEM_END.search(text, at)) is not None:
        begin = _PEM_BEGIN.search(text, at, end.start())
        while begin is not None:
            start = begin.start()
            body = _PEM_BODY.match(text, begin.end())
            stop = body.end() if body else begin.end()
            spans.append((start, end.end() if stop >= end.start() else stop))
            at = spans[-1][1]
            begin = _PEM_BEGIN.search(text, at, end.start()) if at < end.start() else None
        if at < end.end():
            start = _tail_of_key(text, at, end.start())
            spans.append((start, end.end()))
            at = end.end()
    while (begin := _PEM_BEGIN.search(text, at)) is not None:
        body = _PEM_BODY.match(text, begin.end())
        at = body.end() if body else begin.end()
        spans.append((begin.start(), at))
    return spans


def _tail_of_key(text: str, floor: int, end: int) -> int:
    """Where the base64 before an END line begins."""
    before = text[max(floor, end - _PEM_REACH) : end]
    return end - (len(before) - len(before.rstrip(_PEM_CHARS)))
