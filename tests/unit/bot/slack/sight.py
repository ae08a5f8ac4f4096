"""What Slack's clients make of a message, as strictly as any of them: pings, links, emoji. It knows nothing of our escaping."""

import re
from dataclasses import dataclass, field
from typing import Any, cast

OURS = "https://ops.example"

_ANGLE = re.compile(r"<([^<>\n]*)>")
_FENCE = re.compile(r"```(.*?)```", re.DOTALL)
_SPAN = re.compile(r"(?<![A-Za-z0-9`])`([^`\n]+)`(?![A-Za-z0-9`])")
_TLD = "com|net|org|io|dev|app|xyz|example|evil|ru|cn|jp"
_ADDRESSES = (
    r"(?:(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]*|https?|ftp|slack):/+[^\s<>`]",
    r"(?<![A-Za-z0-9])www\.[A-Za-z0-9]",
    r"(?<![A-Za-z0-9])(?:mailto|javascript|data|tel):[^\s\u2060]",
    r"(?<![A-Za-z0-9._-])[A-Za-z0-9._-]+@[A-Za-z0-9-]+\.[A-Za-z]",
    rf"(?<![A-Za-z0-9.-])(?:[A-Za-z0-9-]{{1,63}}\.)+(?:{_TLD})(?![A-Za-z0-9-])",
)
_AUTO = re.compile("|".join(_ADDRESSES), re.IGNORECASE)
_NAMED = re.compile(r"@(?:channel|here|everyone|group)\b|(?<![\w&])[@#][A-Za-z]")
_EMOJI = re.compile(r"(?<!\d):(?:[a-z][a-z0-9_+'-]*|[+-]1|100|1234):")
_BOLD = re.compile(r"(?<![A-Za-z0-9])([*_~])(?=\S)[^*_~\n]*\S?\1(?![A-Za-z0-9])")
_QUOTED = re.compile(r"^[ \t]*(?:>|&gt;)", re.MULTILINE)
OUR_EMOJI = re.compile(r":(?:[a-z_]+|clock3):")


@dataclass
class Seen:
    pings: list[str] = field(default_factory=list[str])
    links: list[str] = field(default_factory=list[str])
    emoji: list[str] = field(default_factory=list[str])
    loose: list[str] = field(default_factory=list[str])
    """Text of others' that stands neither in code nor behind a bar: rich_text's plain pieces, headers, mrkdwn."""
    headers: list[str] = field(default_factory=list[str])
    buttons: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    @property
    def foreign(self) -> list[str]:
        return [one for one in self.links if not one.startswith(OURS)]


def mrkdwn(text: str, seen: Seen | None = None) -> Seen:
    """A text object of type mrkdwn, or a message's `text`. Pings and links count in code, too: they are parsed first."""
    seen = seen or Seen()
    for found in _ANGLE.finditer(text):
        inner = found[1]
        if inner.startswith("!date^"):
            assert re.fullmatch(r"!date\^\d+\^[^|^]+\|[^|]*", inner), inner
        elif inner[:1] in ("!", "@", "#"):
            seen.pings.append(inner)
        else:
            seen.links.append(inner.split("|")[0])
    outside = _SPAN.sub(" ", _FENCE.sub(" ", text))
    outside = _ANGLE.sub(" ", outside)
    plain = outside.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    loose(plain, seen)
    return seen


def loose(text: str, seen: Seen) -> None:
    """Letters, as a client shows them: what it makes of them by itself."""
    seen.loose.append(text)
    seen.links += [found[0] for found in _AUTO.finditer(text)]
    seen.pings += [found[0] for found in _NAMED.finditer(text)]
    seen.emoji += [found[0] for found in _EMOJI.finditer(text)]


def formats(text: str) -> list[str]:
    """Bold, italic, struck and quoted pieces, and back ticks, in mrkdwn outside of code."""
    outside = _SPAN.sub(" ", _FENCE.sub(" ", text))
    return [found[0] for found in (*_BOLD.finditer(outside), *_QUOTED.finditer(outside))] + ["`"] * outside.count("`")


def blocks(value: Any, seen: Seen | None = None, *, quoted: bool = False) -> Seen:
    """Blocks, views, elements: all that is in them."""
    seen = seen or Seen()
    if isinstance(value, list):
        for one in cast(list[Any], value):
            blocks(one, seen, quoted=quoted)
        return seen
    if not isinstance(value, dict):
        return seen
    body = cast(dict[str, Any], value)
    kind = body.get("type", "")
    match kind:
        case "mrkdwn":
            assert body.get("verbatim") is True
            mrkdwn(body["text"], seen)
        case "plain_text":
            assert body.get("emoji") is False
            assert "<" not in body["text"]
            loose(body["text"], seen)
        case "user" | "usergroup" | "channel" | "broadcast" | "team":
            seen.pings.append(str(body))
        case "emoji":
            seen.emoji.append(str(body))
        case "link":
            seen.links.append(body["url"])
        case "text" if not body.get("style", {}).get("code") and not quoted:
            assert body["text"]
            in_rich_text(body["text"], seen)
        case "text":
            assert body["text"]
        case "rich_text_quote":
            for piece in body["elements"]:
                if piece["type"] == "text" and not piece.get("style", {}).get("code"):
                    auto(piece["text"], seen)
            blocks(body["elements"], seen, quoted=True)
        case "rich_text_preformatted":
            blocks(body["elements"], seen, quoted=True)
        case _:
            if kind == "button":
                seen.buttons.append(body)
                seen.links += [body["url"]] if "url" in body else []
            if kind == "header":
                seen.headers.append(body["text"]["text"])
            for key, inner in body.items():
                if key not in ("value", "url"):
                    blocks(inner, seen, quoted=quoted or (kind == "rich_text_list" and body.get("border") == 1))
    return seen


def in_rich_text(text: str, seen: Seen) -> None:
    """Nothing is parsed in it; a client could still link what looks like an address."""
    seen.loose.append(text)
    auto(text, seen)


def auto(text: str, seen: Seen) -> None:
    seen.links += [found[0] for found in _AUTO.finditer(text)]
