"""Grammars of what a line carries into a query: label and field selectors, durations, times. Each returns its input.

Source: apimachinery's labels and fields packages. All raise ValueError with a message for people.
"""

import math
import re
from datetime import datetime

MAX_SELECTOR = 1024

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_KEY = rf"(?:[a-z0-9](?:[a-z0-9.-]{{0,251}}[a-z0-9])?/)?{_NAME}"
_VALUE = rf"(?:{_NAME})?"
_SET = rf"\(\s*{_VALUE}\s*(?:,\s*{_VALUE}\s*)*\)"
_REQUIREMENT = rf"\s*(?:!\s*{_KEY}|{_KEY}\s*(?:(?:==|=|!=)\s*{_VALUE}|\s(?:in|notin)\s*{_SET})?)\s*"
_LABELS = re.compile(_REQUIREMENT)
_FIELD = re.compile(r"\s*[A-Za-z][A-Za-z0-9_.-]{0,252}\s*(?:==|=|!=)\s*[A-Za-z0-9_.:/@-]{0,253}\s*")
_DURATION = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{1,9})?(?:ns|us|µs|ms|s|m|h))+")
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h)")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)


def label_selector(text: str) -> str:
    """`app=web,tier!=cache,env in (a,b),!legacy`."""
    _short_enough(text)
    for piece in _split_outside_parentheses(text):
        if not _LABELS.fullmatch(piece):
            raise ValueError(
                f"{piece.strip()!r} is not a label requirement; allowed: key, !key, key=value, key!=value, "
                "key in (a,b), key notin (a,b), separated by commas"
            )
    return text


def field_selector(text: str) -> str:
    """`status.phase=Running,spec.nodeName!=worker-1`."""
    _short_enough(text)
    for piece in text.split(","):
        if not _FIELD.fullmatch(piece):
            raise ValueError(
                f"{piece.strip()!r} is not a field requirement; allowed: field=value, field!=value, separated by commas"
            )
    return text


def seconds(text: str) -> int:
    """A Go duration in whole seconds, rounded up, at least 1."""
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration; write for example 90s, 15m or 1h30m (a day is 24h)")
    total = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    if total <= 0 or total > 366 * 86_400:
        raise ValueError(f"{text!r} must be more than nothing and at most a year")
    return max(1, math.ceil(total))


def rfc3339(text: str) -> str:
    """A time with a zone, such as 2026-03-01T12:00:00Z."""
    message = f"{text!r} is not a time; write for example 2026-03-01T12:00:00Z"
    if not _RFC3339.fullmatch(text):
        raise ValueError(message)
    try:
        # fromisoformat takes at most microseconds.
        datetime.fromisoformat(re.sub(r"(\.[0-9]{1,6})[0-9]*", r"\1", text.upper()))
    except ValueError:
        raise ValueError(message) from None
    return text.upper()


def _short_enough(text: str) -> None:
    if len(text) > MAX_SELECTOR:
        raise ValueError(f"a selector has at most {MAX_SELECTOR} characters")
    if not text.strip():
        raise ValueError("the selector is empty")


def _split_outside_parentheses(text: str) -> list[str]:
    pieces: list[str] = []
    start = depth = 0
    for at, char in enumerate(text):
        if char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
        elif char == "," and depth == 0:
            pieces.append(text[start:at])
            start = at + 1
    pieces.append(text[start:])
    return pieces
