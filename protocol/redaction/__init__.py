"""Secrets out of text, before it leaves the cluster and again on what people, alerts and cases bring.

Text comes in every shape: YAML, JSON (cut, or escaped inside another string), env files, headers, URLs, log lines. So this
looks for shapes, not documents, in a few passes, each linear in the text: every scan moves forward, and every look around a
hit is bounded. What is blacked out becomes `[redacted]`; doing it twice changes nothing more.

The rows: shapes of known tokens in `shapes`, names of keys in `names`; `objects` knows the data of Secrets, `pairs` finds
the value that belongs to a key.
"""

from protocol.base import Strict
from protocol.redaction.mark import MARK, blacken
from protocol.redaction.objects import secret_values
from protocol.redaction.pairs import pair_values, value_before_name
from protocol.redaction.shapes import SHAPES, private_keys

__all__ = ["MARK", "Redacted", "holds_secret", "redact"]


class Redacted(Strict):
    text: str
    count: int
    """How many secrets were blacked out."""


def redact(text: str) -> Redacted:
    """`text` without what looks like a secret. Pure, linear, idempotent."""
    count = 0
    for spans_in in (private_keys, secret_values, pair_values, value_before_name):
        text, found = blacken(text, spans_in(text))
        count += found
    for shape in SHAPES:
        text, found = shape.apply(text)
        count += found
    return Redacted(text=text, count=count)


def holds_secret(text: str) -> bool:
    """Would `redact` black anything out?"""
    return redact(text).count > 0
