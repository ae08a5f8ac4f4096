"""What Slack would make of a text: whom it pings, where it links. So that tests can say that hostile text does neither.

Where Slack's behaviour is unclear it is taken to do more: mentions count inside code too, and in `text` beside blocks.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from tests.fake_slack.records import Json, Message

ANGLED = re.compile(r"<([^<>\n]+)>")
ANGLED_MARKDOWN = re.compile(r"(?<!\\)(?:\\\\)*<([^<>\n]+)>")
BARE_URL = re.compile(r"(?<![\w@/])(?:https?://|www\.)[^\s<>\"'`|)\]]+", re.IGNORECASE)
BARE_PING = re.compile(r"(?<![\w@.])@(channel|here|everyone|group)\b", re.IGNORECASE)
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
MARKDOWN_LINK = re.compile(r"(?<!\\)!?\[((?:[^\[\]\\]|\\.|\[[^\[\]]*\])*)\]\(\s*<?([^\s)>]+)>?[^)]*\)")
MARKDOWN_REFERENCE = re.compile(r"^\s{0,3}\[[^\]]+\]:\s*<?(\S+?)>?\s*$", re.MULTILINE)
ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
UNFURLED = ("http://", "https://")


@dataclass
class Effects:
    """What a text does besides being read."""

    pings: list[str] = field(default_factory=list[str])
    """`channel`, `here`, `everyone`, or the id of a person or user group."""
    channels: list[str] = field(default_factory=list[str])
    """Ids of channels that it names as links."""
    links: list[str] = field(default_factory=list[str])
    """Addresses that can be clicked, those of buttons and pictures too."""
    bare_words: list[str] = field(default_factory=list[str])
    """@channel and the like in plain words: harmless unless the caller asks for `link_names` or `parse=full`."""

    def __iadd__(self, other: "Effects") -> "Effects":
        for name in ("pings", "channels", "links", "bare_words"):
            getattr(self, name).extend(getattr(other, name))
        return self


def effects(message: Message) -> Effects:
    """All that a message does: its text, its blocks, what was streamed into it."""
    parsed = message.link_names or message.parse == "full"
    found = of_mrkdwn(message.text, parsed=parsed)
    if message.stream is not None and not message.edits:
        # What was streamed is Markdown and stands in the blocks.
        found = Effects()
        for task in message.stream.tasks.values():
            for name in ("title", "details", "output"):
                found += of_markdown(str(task.get(name) or ""))
    found += of_blocks(message.blocks, parsed=parsed)
    return found


def unfurls(message: Message) -> list[str]:
    """The addresses of which Slack would show a preview."""
    return [one for one in effects(message).links if one.startswith(UNFURLED)] if message.unfurl_links else []


def of_blocks(blocks: list[Json], *, parsed: bool = False) -> Effects:
    """What blocks do, by the kind of each text in them."""
    found = Effects()
    for piece in _walk(blocks, parsed):
        found += piece
    return found


def of_mrkdwn(text: str, *, verbatim: bool = False, parsed: bool = False) -> Effects:
    """Slack's own markup: everything in angle brackets that is not escaped, and bare addresses unless verbatim."""
    found = Effects()
    for match in ANGLED.finditer(text):
        _angled(match.group(1), found)
    rest = ANGLED.sub(" ", CODE.sub(" ", text))
    if not verbatim:
        found.links += BARE_URL.findall(_unescaped(rest))
    words = [word.lower() for word in BARE_PING.findall(rest)]
    (found.pings if parsed else found.bare_words).extend(words)
    return found


def of_markdown(text: str, *, parsed: bool = False) -> Effects:
    """A `markdown` block or a streamed piece: CommonMark links and pictures, and Slack's angle brackets all the same."""
    found = Effects()
    outside = CODE.sub(" ", text)
    found.links += [ESCAPED.sub(r"\1", target) for _, target in MARKDOWN_LINK.findall(outside)]
    found.links += MARKDOWN_REFERENCE.findall(outside)
    for match in ANGLED_MARKDOWN.finditer(text):
        _angled(match.group(1), found)
    rest = ANGLED_MARKDOWN.sub(" ", MARKDOWN_REFERENCE.sub(" ", MARKDOWN_LINK.sub(r" \1 ", outside)))
    found.links += BARE_URL.findall(rest)
    words = [word.lower() for word in BARE_PING.findall(rest)]
    (found.pings if parsed else found.bare_words).extend(words)
    return found


def shown(text: str) -> str:
    """A mrkdwn text as people read it: without escapes, links by their label."""
    labelled = ANGLED.sub(lambda match: match.group(1).partition("|")[2] or match.group(1), text)
    return _unescaped(labelled)


def _walk(value: Any, parsed: bool) -> Iterator[Effects]:
    if isinstance(value, list):
        for one in cast(list[Any], value):
            yield from _walk(one, parsed)
    if not isinstance(value, dict):
        return
    body = cast(Json, value)
    kind = str(body.get("type", ""))
    match kind:
        case "mrkdwn":
            yield of_mrkdwn(str(body.get("text", "")), verbatim=bool(body.get("verbatim")), parsed=parsed)
        case "markdown":
            yield of_markdown(str(body.get("text", "")), parsed=parsed)
        case "user" | "usergroup" | "broadcast":
            yield Effects(pings=[str(body.get("user_id") or body.get("usergroup_id") or body.get("range"))])
        case "channel":
            yield Effects(channels=[str(body.get("channel_id"))])
        case "link" | "button" | "image" | "url" | "option":
            addresses = [str(body[name]) for name in ("url", "image_url") if body.get(name)]
            yield Effects(links=addresses)
        case _:
            pass
    for name, inner in body.items():
        if name not in ("value", "private_metadata"):
            yield from _walk(inner, parsed)


def _angled(inside: str, found: Effects) -> None:
    target = inside.partition("|")[0]
    if target.startswith("!subteam^"):
        found.pings.append(target.removeprefix("!subteam^"))
    elif target.startswith("!date^"):
        found.links += [part for part in inside.partition("|")[0].split("^")[3:] if part]
    elif target.startswith("!"):
        found.pings.append(target[1:].partition("^")[0])
    elif target.startswith("@"):
        found.pings.append(target[1:])
    elif target.startswith("#"):
        found.channels.append(target[1:])
    elif re.match(r"[a-zA-Z][\w+.-]*:\S|www\.", target):
        found.links.append(target)


def _unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
