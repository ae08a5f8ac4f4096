"""What people type beside a button: titles, reasons, notes. It is stored and shown to others, so it holds no secret."""

from protocol.redaction import redact
from protocol.text import clean, one_line


def typed(text: str, limit: int) -> str:
    """One line, cleaned, without what looks like a secret, at most `limit` characters."""
    return one_line(redact(clean(text)).text, limit)
