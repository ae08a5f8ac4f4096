"""Secrets out of text, before it leaves the cluster and again on what people, alerts and cases bring.

Text comes in every shape: YAML, JSON (cut, or escaped inside another string), env files, headers, URLs, log lines. So this
looks for shapes, not documents, in a few passes, each linear in the text: every scan moves forward, and every look around a
hit is bounded. What is blacked out becomes `[redacted]`; doing it twice changes nothing more.

The rows: shapes that show themselves in `shapes`, `services`, `tools` and `sentences`, names of keys in `names`; `objects`
knows the data of Secrets, `pairs` finds the value that belongs to a key, `lists` those below a key in the plural, `pem`
private keys, `tree` does the same for a parsed document.
"""

from protocol.redaction.mark import MARK
from protocol.redaction.passes import Redacted, holds_secret, redact
from protocol.redaction.tree import redact_tree

__all__ = ["MARK", "Redacted", "holds_secret", "redact", "redact_tree"]
