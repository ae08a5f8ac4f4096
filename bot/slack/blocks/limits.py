"""Slack's numbers, and how what is longer is told in several messages.

The numbers are the validators' of slack_sdk and of Slack's reference. The sum of a message is nowhere in the reference.
Messages of a little more than 13,200 characters are refused as `msg_blocks_too_long`, some whose texts add up to 11,300 are
too, and what people measured on streams fits bytes of UTF-8 and neither characters nor UTF-16 units. So what counts here are
the bytes of the blocks' whole JSON, which are never fewer than what Slack counts, and 11,000 of them are a message.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import orjson

from bot.slack.mrkdwn import ELLIPSIS, units

Block = dict[str, Any]

LIMITS: Final = {
    "message.blocks": 50,
    "message.sum": 11_000,
    "message.text": 3_000,  # Slack takes 4,000 in an update
    "modal.blocks": 100,
    "modal.title": 24,
    "modal.button": 24,
    "modal.private_metadata": 3_000,
    "home.blocks": 100,
    "section.text": 3_000,
    "section.field": 2_000,
    "section.fields": 10,
    "header.text": 150,
    "context.elements": 10,
    "actions.elements": 25,
    "action_id": 255,
    "block_id": 255,
    "button.text": 75,
    "button.value": 2_000,
    "button.url": 3_000,
    "confirm.title": 100,
    "confirm.text": 300,
    "confirm.button": 30,
    "select.options": 100,
    "overflow.options": 5,
    "option.text": 75,
    "option.value": 150,
    "input.label": 2_000,
    "placeholder": 150,
    "task.title": 150,  # Slack has none, and wraps
    "markdown.text": 12_000,
}
MESSAGES: Final = 4
"""An answer is no more messages than these; what does not fit is in the web chat."""
_PART: Final = 3_000
"""A block is at most this long as JSON, so that messages fill up evenly."""


def weight(value: object) -> int:
    """Of blocks: the bytes of their JSON."""
    return len(orjson.dumps(value))


def fit(
    blocks: Sequence[Block], *, rest: Block, tail: Sequence[Block] = (), most: int = MESSAGES, room: int = LIMITS["message.sum"]
) -> list[list[Block]]:
    """The blocks as messages that Slack takes, in order. `tail` stands at the end of the last one, whatever happens; when there
    is more than `most` messages hold, `rest` stands before it and says where the rest is."""
    messages = _filled([part for block in blocks for part in split(block)], room)
    if not _fits(messages[-1], tail, room):
        messages.append([])
    if len(messages) <= most:
        return [*messages[:-1], [*messages[-1], *tail]]
    last = messages[most - 1]
    ending = [rest, *tail]
    while last and not _fits(last, ending, room):
        last.pop()
    return [*messages[: most - 1], [*last, *ending]]


def split(block: Block, most: int = _PART) -> list[Block]:
    """A block that is too long as several that read the same. Others than texts can't be and are given back."""
    match block["type"]:
        case "rich_text" if weight(block) > most:
            elements = [part for element in block["elements"] for part in _element_parts(element, most - 60)]
            return [{**block, "elements": group} for group in _grouped(elements, most - 60)]
        case "section" if units(block.get("text", {}).get("text", "")) > LIMITS["section.text"]:
            texts = split_mrkdwn(block["text"]["text"], LIMITS["section.text"])
            whole = {key: value for key, value in block.items() if key not in ("accessory", "fields")}
            parts = [{**whole, "text": {**block["text"], "text": text}} for text in texts]
            return [{**block, "text": parts[0]["text"]}, *parts[1:]]
        case _:
            return [block]


def split_mrkdwn(text: str, most: int) -> list[str]:
    """Cut where a reader would: between lines, else words; never in an entity, a `<…>` or a code span. A code block that goes
    on is closed and opened again. `most` is 1,600 at least, so that what may not be cut fits."""
    parts: list[str] = []
    fenced = False
    rest = text
    while True:
        opening = "```\n" if fenced else ""
        room = most - len(opening) - 4
        if units(opening + rest) <= most:
            return [*parts, opening + rest]
        at = _cut(rest, room, units, marked=True)
        piece, rest = rest[:at], rest[at:].lstrip("\n")
        goes_on = fenced ^ (piece.count("```") % 2 == 1)
        parts.append(opening + piece.rstrip("\n") + ("\n```" if goes_on else ""))
        fenced = goes_on


def cut_mrkdwn(text: str, most: int) -> str:
    """The beginning that fits, with a sign that there was more."""
    if units(text) <= most:
        return text
    return f"{split_mrkdwn(text, most - 2)[0]}{ELLIPSIS}"


def _filled(blocks: Iterable[Block], room: int) -> list[list[Block]]:
    messages: list[list[Block]] = [[]]
    for block in blocks:
        if messages[-1] and not _fits(messages[-1], [block], room):
            messages.append([])
        messages[-1].append(block)
    return messages


def _fits(blocks: Sequence[Block], more: Sequence[Block], room: int) -> bool:
    whole = [*blocks, *more]
    return len(whole) <= LIMITS["message.blocks"] and weight(whole) <= room


def _element_parts(element: Block, most: int) -> list[Block]:
    """A paragraph, list, quote or code block as several."""
    if weight(element) <= most:
        return [element]
    own = most - weight({**element, "elements": []})
    inner = _element_parts if element["type"] == "rich_text_list" else _piece_parts
    groups = _grouped((part for piece in element["elements"] for part in inner(piece, own)), own)
    if element.get("style") != "ordered":
        return [{**element, "elements": group} for group in groups]
    made: list[Block] = []
    before = int(element.get("offset", 0))
    for group in groups:
        made.append({**element, "elements": group, "offset": before})
        before += len(group)
    return made


def _piece_parts(piece: Block, most: int) -> Iterator[Block]:
    if weight(piece) <= most or piece["type"] != "text":
        yield piece
        return
    rest = str(piece["text"])
    room = most - weight({**piece, "text": ""})
    while rest:
        at = _cut(rest, room, weight)
        yield {**piece, "text": rest[:at]}
        rest = rest[at:]


def _grouped(parts: Iterable[Block], most: int) -> list[list[Block]]:
    groups: list[list[Block]] = [[]]
    used = 0
    for part in parts:
        size = weight(part) + 1
        if groups[-1] and used + size > most:
            groups.append([])
            used = 0
        groups[-1].append(part)
        used += size
    return groups


# What may not be cut in mrkdwn: entities, links and dates, code spans, fences.
_WHOLE = re.compile(r"&(?:amp|lt|gt);|<[^<>\n]{1,3000}>|(?<!`)`[^`\n]{1,2900}`(?!`)|`{3}")


def _cut(text: str, room: int, size: Callable[[str], int], *, marked: bool = False) -> int:
    """Where to cut so that what stands before is at most `room`: between lines, else words, else letters. `marked`: it is
    mrkdwn."""
    end = _longest(text, room, size)
    if end == len(text):
        return end
    whole = [(found.start(), found.end()) for found in _WHOLE.finditer(text, 0, end + 3_001)] if marked else []

    def inside(at: int) -> bool:
        return any(start < at < stop for start, stop in whole)

    for sign in ("\n", " "):
        at = text.rfind(sign, end // 2, end) + 1
        if at > 0 and not inside(at):
            return at
    while end > 1 and (inside(end) or unicodedata.combining(text[end])):
        end -= 1
    return end


def _longest(text: str, room: int, size: Callable[[str], int]) -> int:
    """How many letters fit; at least one, so that there is an end to cutting."""
    low, high = 1, min(len(text), max(room, 1))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if size(text[:middle]) <= room else (low, middle - 1)
    return low
