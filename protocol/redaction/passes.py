"""The passes over a text, in order."""

from protocol.base import Strict
from protocol.redaction.lists import list_values
from protocol.redaction.mark import blacken
from protocol.redaction.objects import secret_values
from protocol.redaction.pairs import pair_values, value_before_name
from protocol.redaction.pem import private_keys
from protocol.redaction.sentences import SENTENCES
from protocol.redaction.services import SERVICES
from protocol.redaction.shapes import SHAPES
from protocol.redaction.tools import TOOLS

_SPANS = (private_keys, secret_values, pair_values, value_before_name, list_values)
_SHAPES = (*SHAPES, *SERVICES, *TOOLS, *SENTENCES)


class Redacted(Strict):
    text: str
    count: int
    """How many secrets were blacked out."""


_ROUNDS = 4
"""What is blacked out may bare what stood behind it: a mark ends a word, a token's end begins another one."""


def redact(text: str) -> Redacted:
    """`text` without what looks like a secret. Pure, linear, idempotent."""
    count = 0
    for _ in range(_ROUNDS):
        text, found = _once(text)
        count += found
        if not found:
            break
    return Redacted(text=text, count=count)


def holds_secret(text: str) -> bool:
    """Would `redact` black anything out?"""
    return _once(text)[1] > 0


def _once(text: str) -> tuple[str, int]:
    count = 0
    for spans_in in _SPANS:
        text, found = blacken(text, spans_in(text))
        count += found
    for shape in _SHAPES:
        text, found = shape.apply(text)
        count += found
    return text, count
