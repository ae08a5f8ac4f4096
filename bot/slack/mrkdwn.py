"""Text that others wrote, so that Slack shows it and does nothing else with it.

Slack has two ways to write. In `rich_text` blocks text stands in elements of type text, and nothing in it is parsed: no
ping, no link, no emoji, no formatting. That is where everything goes that is longer than a name: evidence, commands, a
model's prose (bot/slack/blocks/rich.py). What Slack does parse is mrkdwn: the short lines of cards and lists, and the
`text` that notifications show. For those is this module:

- `& < >` become entities, so that `<!channel>`, `<@U1>`, `<#C1>`, `<!subteam^S1>`, `<!date^…>` and `<https://x|y>` are letters;
- what Slack's clients would turn into a link by itself (addresses, hosts, mail) stands in a code span, where no link is made
  and which is copied to the letter;
- `@name` and `#name` get a word joiner after the sign, `:emoji:` a colon of another alphabet, and `*`, `_`, `~`, `>` and back
  ticks that would format become characters that look like them. Prose is for reading; what will be copied is in code.

Invisible and bidirectional characters are gone before (protocol.text). All of it is linear in the text.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import quote as percent
from urllib.parse import urlsplit

from protocol.text import clean

JOINER = "\u2060"
"""A word joiner: no width, no break. `clean` takes it out of what others write, so each one is ours."""
ELLIPSIS = "…"
LONGEST_SPAN = 1_500
"""Of an address in a text; more of it says no more, and no cut needs to go through it."""
_TICK = "\u02cb"
_COLON = "\ua789"
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_LOOKALIKES = {"*": "\u2217", "_": "\uff3f", "~": "\u223c"}

# An address with a scheme, or what a client takes for one: www., a mail address, a host with a top-level domain.
LINKISH = re.compile(
    r"(?:(?<![A-Za-z0-9])[A-Za-z][A-Za-z0-9+.-]{0,30}|(?i:https?|ftps?|slack|file)):/{1,3}[^\s<>`]+"
    r"|(?<![A-Za-z0-9])(?i:www\.|(?:mailto|tel|sms|data|javascript):)[^\s<>`]+"
    r"|(?<![A-Za-z0-9.@_+-])[A-Za-z0-9_+.-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"
    r"|(?<![A-Za-z0-9.-])(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}(?![A-Za-z0-9-])(?:[:/?#][^\s<>`]*)?"
)
_SPECIAL = re.compile(
    r"(?P<quote>(?m:^[ \t]*)>+)"
    r"|(?P<entity>[&<>])"
    r"|(?P<tick>`)"
    r"|(?P<sign>[@#])(?=\w)"
    r"|(?P<emoji>(?<!\d):)(?=[\w+'-]{1,100}:)"
    r"|(?P<style>(?<![A-Za-z0-9])[*_~]+|[*_~]+(?![A-Za-z0-9]))"
)
_FLOOD = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
_TRAILING = ".,;:!?)]}'\"、。，；：！？）】」』"


def escape(text: str, limit: int = 3_000) -> str:
    """For mrkdwn: shown as it is, and neither pings, links, formats nor draws emoji. At most `limit` characters of what goes to
    Slack, entities counted; what is longer ends in "…". Nothing is cut in the middle of an entity or a code span."""
    return _within(_pieces(calm(_head(text, limit))), limit)


def line(text: str, limit: int = 300) -> str:
    """The same on one line: names, titles, reasons."""
    return escape(_flat(text, limit), limit)


def code(text: str, limit: int = 300) -> str:
    """A code span on one line, whatever back ticks are in it. `limit` counts all that goes to Slack, the ticks with it."""
    flat = _flat(text, limit).replace("`", _TICK)
    return f"`{_within(_letters(flat), limit - 2) or ' '}`"


def code_block(text: str, limit: int = 2_900) -> str:
    """A code block that what is in it can't end. Line breaks stay, floods of them don't."""
    inner = re.sub("`{3,}", lambda run: _TICK * len(run[0]), calm(_head(text, limit)).strip("\n"))
    return f"```\n{_within(_letters(inner), limit - 8) or ' '}\n```"


def quote(text: str, limit: int = 2_900) -> str:
    """Each line behind a bar, so that it can't be taken for a line of ours."""
    inner = calm(_head(text, limit)).strip("\n")
    room = limit - 2 * (inner.count("\n") + 1)
    return "\n".join(f"> {one}" for one in _within(_pieces(inner), max(room, 1)).split("\n"))


def link(our_url: str, label: str, limit: int = 300) -> str:
    """A link of ours: to the web chat, or to a page of the product. Raises ValueError for what is no http or https address,
    as that comes from nobody's configuration of `public_url`."""
    return f"<{safe_url(our_url).replace('&', '&amp;')}|{_link_label(label, limit)}>"


def safe_url(our_url: str) -> str:
    """The address with what would end a link written in percents. Raises ValueError as `link` does."""
    parts = urlsplit(our_url)
    if parts.scheme not in ("http", "https") or not parts.hostname or clean(our_url) != our_url:
        raise ValueError(f"{our_url!r} is not an http or https address of this installation")
    return percent(our_url, safe=":/?#[]@!$&'()*+,;=%~-._")


def date(epoch_s: int, fallback: str, form: str = "{date_short_pretty} {time_secs}") -> str:
    """A time in each reader's own zone; `fallback` stands in clients that can't, and in notifications."""
    return f"<!date^{epoch_s}^{form}|{_link_label(fallback, 100)}>"


def plain(text: str, limit: int) -> str:
    """For plain_text objects, where Slack decodes nothing but some clients draw emoji and guess links: one line, disarmed."""
    flat = _flat(text, limit).replace("<", "\u2039").replace(">", "\u203a")
    flat = re.sub(r"[@#](?=\w)", lambda sign: sign[0] + JOINER, re.sub(r"(?<!\d):(?=[\w+'-]{1,100}:)", _COLON, flat))
    pieces = (
        piece.replace(":", f":{JOINER}").replace(".", f".{JOINER}") if linkish else piece for piece, linkish in tokens(flat)
    )
    return _within((letter for piece in pieces for letter in piece), limit) or ELLIPSIS


def calm(text: str) -> str:
    """Cleaned, and without floods of line breaks."""
    return _FLOOD.sub("\n\n", clean(text))


def tokens(text: str) -> Iterator[tuple[str, bool]]:
    """The text in pieces; True for those that a client would make a link of."""
    at = 0
    for found in LINKISH.finditer(text):
        whole = found[0].rstrip(_TRAILING)
        if not whole:
            continue
        if found.start() > at:
            yield text[at : found.start()], False
        yield whole, True
        at = found.start() + len(whole)
    if at < len(text):
        yield text[at:], False


def streamed(text: str) -> str:
    """For Markdown that Slack shows while a model writes it: no link, mention, emoji or HTML comes about. What `streamed`
    gives for a beginning of a text is the beginning of what it gives for all of it, so that a stream can append the difference.
    The finished answer replaces it."""
    out: list[str] = []
    before = "  "
    for letter in text:
        shown = _visible(letter)
        if not shown:
            continue
        if letter == "<":
            shown = "\u2039"
        elif letter in "@#:&" or (letter == "[" and before[-1] == "!"):
            shown = letter + JOINER
        elif (letter == "(" and before[-1] == "]") or (letter.isalpha() and before[-1] == "." and before[-2].isalnum()):
            shown = JOINER + letter
        out.append(shown)
        before = before[-1] + letter
    return "".join(out)


@lru_cache(maxsize=4_096)
def _visible(letter: str) -> str:
    return "" if letter == "\r" else clean(letter)


def _pieces(text: str) -> Iterator[str]:
    """Escaped pieces that may not be cut. A code span is one only at a word's edge: where there is none, a space makes it."""
    last, after_code = " ", False
    for piece, linkish in tokens(text):
        if (linkish and last.isalnum()) or (after_code and (piece[0].isalnum() or piece[0] == "_")):
            yield " "
        if linkish:
            yield code(piece, LONGEST_SPAN)
        else:
            yield from _prose(piece)
        last, after_code = piece[-1], linkish


def _prose(text: str) -> Iterator[str]:
    at = 0
    for found in _SPECIAL.finditer(text):
        yield from text[at : found.start()]
        yield _told(str(found.lastgroup), found[0])
        at = found.end()
    yield from text[at:]


def _told(kind: str, mark: str) -> str:
    match kind:
        case "entity":
            return _ENTITIES[mark]
        case "quote":
            return mark.replace(">", "\u203a")
        case "tick":
            return _TICK
        case "sign":
            return mark + JOINER
        case "emoji":
            return _COLON
        case _:
            return "".join(_LOOKALIKES[letter] for letter in mark)


def _letters(text: str) -> Iterator[str]:
    for letter in text:
        yield _ENTITIES.get(letter, letter)


def _link_label(label: str, limit: int) -> str:
    flat = _flat(label, limit).replace("|", "\u00a6").replace("^", "\u02c6").replace("`", _TICK)
    return _within(_letters(flat), limit) or ELLIPSIS


def _flat(text: str, limit: int) -> str:
    return " ".join(clean(_head(text, limit)).split())


def _head(text: str, limit: int) -> str:
    """More than can be shown, for what is taken out on the way; the work doesn't grow with what nobody will see."""
    room = 4 * limit + 2_000
    return text if len(text) <= room else f"{text[:room]}{ELLIPSIS}"


def _within(pieces: Iterator[str], limit: int) -> str:
    """As many pieces as fit, and a sign that there are more. The size is counted as Slack counts: in UTF-16 units."""
    kept: list[str] = []
    used = 0
    for piece in pieces:
        size = units(piece)
        if used + size > limit:
            while kept and used + 1 > limit:
                used -= units(kept.pop())
            return "".join([*kept, ELLIPSIS]) if limit > 0 else ""
        kept.append(piece)
        used += size
    return "".join(kept)


def units(text: str) -> int:
    """Length in UTF-16 units: what lies outside the basic plane counts twice, as in the clients."""
    return len(text) + sum(letter > "\uffff" for letter in text)
