"""Secrets that are known by their own shape, whatever stands around them. One row a shape, with its source.

Every pattern begins at a literal or behind a boundary and repeats possessively, so none looks at a character more than a
bounded number of times.
"""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass

from protocol.redaction.mark import MARK

# At the beginning of a word: behind anything but a word character, or behind an escaped line break or tab.
_START = r"(?:(?<![A-Za-z0-9_-])|(?<=\\[nrt]))"


@dataclass(frozen=True, slots=True)
class Shape:
    """Group `s` of the pattern is the secret. `hints`: one of these must occur, or the text is passed over at the speed of
    a substring search. `accept` has the last word."""

    what: str
    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    accept: Callable[[str], bool] | None = None

    def apply(self, text: str) -> tuple[str, int]:
        if not any(hint in text for hint in self.hints):
            return text, 0
        count = 0

        def black_out(match: re.Match[str]) -> str:
            nonlocal count
            secret = match.group("s")
            if secret.startswith(MARK) or (self.accept is not None and not self.accept(secret)):
                return match.group()
            count += 1
            start, end = match.start("s") - match.start(), match.end("s") - match.start()
            return match.group()[:start] + MARK + match.group()[end:]

        return self.pattern.sub(black_out, text), count


def _has_digit(secret: str) -> bool:
    return any(char.isdigit() for char in secret)


def _is_basic(secret: str) -> bool:
    """Base64 of user:password."""
    try:
        return b":" in base64.b64decode(secret + "=" * (-len(secret) % 4), validate=True)
    except binascii.Error:
        return False


def shape(what: str, hints: str, pattern: str, accept: Callable[[str], bool] | None = None) -> Shape:
    return Shape(what, tuple(hints.split()), re.compile(pattern.replace("^^", _START)), accept)


SHAPES: tuple[Shape, ...] = (
    # RFC 3986 userinfo: everything between the first colon and the @ before the host.
    shape("password in a URL", "://", r"(?<=://)[^\s/@:\"'<>]{0,200}+:(?P<s>[^\s/@\"'<>]{1,500}+)@"),
    shape(
        "password in a database URL",
        "://",
        r"\b(?:postgres|postgresql|mysql|mariadb|mongodb|redis|rediss|amqp|amqps|nats)(?:\+[a-z]{1,12})?://"
        r"[^\s/@:\"'<>]{0,200}+:(?P<s>[^\s@\"'<>]{1,500}+)@",
    ),
    shape("password in a Go DSN", "@tcp( @unix(", r"(?<![\w.-])[\w.-]{1,64}+:(?P<s>[^\s@\"'/]{1,200}+)@(?:tcp|unix)\("),
    shape("JWT, whole or cut", "eyJ", r"^^(?P<s>eyJ[A-Za-z0-9_-]{8,}+\.(?:eyJ)?[A-Za-z0-9_-]{4,}+(?:\.[A-Za-z0-9_-]*+)?)"),
    shape("head of a JWT", "eyJ", r"^^(?P<s>eyJ(?:hbGciOi|0eXAiOi|raWQiOi|jdHkiOi)[A-Za-z0-9_-]*+)"),
    shape(
        "bearer token",
        "earer EARER",
        r"(?i:\bbearer)(?:[ \t]{1,4}|%20|\+)(?P<s>[A-Za-z0-9._~+/-]{12,}+={0,2})",
        _has_digit,
    ),
    shape("basic credentials", "asic ASIC", r"(?i:\bbasic)(?:[ \t]{1,4}|%20|\+)(?P<s>[A-Za-z0-9+/]{8,}+={0,2})", _is_basic),
    shape("private key in base64", "LS0tLS1CRUdJTi", r"(?P<s>LS0tLS1CRUdJTi(?!BDRVJU|BQVUJMSU)[A-Za-z0-9+/=]*+)"),
)
