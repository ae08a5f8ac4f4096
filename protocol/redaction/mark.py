"""How a secret is blacked out."""

MARK = "[redacted]"

Span = tuple[int, int]
"""Start and end of a secret in a text."""


def blacken(text: str, spans: list[Span]) -> tuple[str, int]:
    """Replace the spans, which are in order and do not overlap; also how many there were."""
    if not spans:
        return text, 0
    pieces: list[str] = []
    at = 0
    for start, end in spans:
        pieces += (text[at:start], MARK)
        at = end
    pieces.append(text[at:])
    return "".join(pieces), len(spans)
