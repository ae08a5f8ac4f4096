"""rich_text blocks: what others wrote stands in text elements, in which Slack parses nothing.

There are elements for pings, channels, links and emoji; none of them is ever made from what others wrote. So there is nothing
to escape and nothing that an escape could miss, and what is copied is what was written. Two things are done all the same:
characters that hide or turn text are gone (protocol.text), and what a client could take for a link stands in code.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from bot.slack.mrkdwn import ELLIPSIS, calm, safe_url, tokens
from protocol.text import cap, cap_middle, clean, one_line

Block = dict[str, Any]
Piece = dict[str, Any]
"""Of a line: a text, a link of ours, a time."""
Element = dict[str, Any]
"""Of a block: a paragraph, a list, a quote, a code block."""


def text(said: str, *, bold: bool = False, italic: bool = False, code: bool = False) -> Piece:
    """One piece, as it is. For our own words and for names; what may hold a link goes through `prose`."""
    style = {key: True for key, on in (("bold", bold), ("italic", italic), ("code", code)) if on}
    return {"type": "text", "text": clean(said) or " ", **({"style": style} if style else {})}


def prose(said: str, limit: int = 3_000, *, bold: bool = False, italic: bool = False) -> list[Piece]:
    """What others wrote, to be read."""
    pieces = tokens(cap(calm(said), limit))
    return [text(piece, bold=bold and not linkish, italic=italic and not linkish, code=linkish) for piece, linkish in pieces]


def code(said: str, limit: int = 300) -> Piece:
    """A name, a value, a command on one line."""
    return text(one_line(said, limit) or ELLIPSIS, code=True)


def when(at: datetime, form: str = "{date_short_pretty} {time_secs}") -> Piece:
    """A time that each reader sees in their own zone."""
    at = at.astimezone(UTC)
    return {"type": "date", "timestamp": int(at.timestamp()), "format": form, "fallback": f"{at:%Y-%m-%d %H:%M:%S} UTC"}


def our_link(url: str, label: str) -> Piece:
    """Raises ValueError for what is no http or https address."""
    return {"type": "link", "url": safe_url(url), "text": one_line(label, 200) or ELLIPSIS}


def paragraph(*pieces: Piece) -> Element:
    return {"type": "rich_text_section", "elements": list(pieces) or [text(" ")]}


def quoted(*pieces: Piece) -> Element:
    """Behind a bar: words that are not ours."""
    return {"type": "rich_text_quote", "elements": list(pieces) or [text(" ")]}


def block_of_code(said: str, limit: int = 2_500, *, middle: bool = False) -> Element:
    """To the letter, but for what is invisible. `middle`: a long text keeps its head and its end."""
    kept = clean(said).strip("\n")
    kept = cap_middle(kept, limit) if middle else cap(kept, limit)
    return {"type": "rich_text_preformatted", "elements": [text(kept)]}


def listed(
    items: Sequence[Sequence[Piece]], *, ordered: bool = False, indent: int = 0, offset: int = 0, bar: bool = False
) -> Element:
    """`offset` counts items before the first; `bar` draws the bar of a quote beside it."""
    return {
        "type": "rich_text_list",
        "style": "ordered" if ordered else "bullet",
        "indent": min(indent, 8),
        **({"border": 1} if bar else {}),
        **({"offset": offset} if ordered and offset else {}),
        "elements": [paragraph(*pieces) for pieces in items],
    }


def rich(*elements: Element) -> Block:
    return {"type": "rich_text", "elements": list(elements)}
