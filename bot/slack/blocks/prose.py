"""A model's Markdown as rich_text, behind a bar: formatted, and nothing in it can be clicked, ping, or pass for a card of ours.

Headings become bold lines, tables become code blocks with their columns aligned, links become their words with the address
in code beside them.
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

from bot.markdown import Node, plain, tree
from bot.slack.blocks.rich import Block, Element, Piece, block_of_code, code, listed, paragraph, prose, quoted, rich, text
from protocol.text import cap

Tag = dict[str, Any]
_WIDEST_CELL = 60


@dataclass(frozen=True, slots=True)
class _Style:
    bold: bool = False
    italic: bool = False


def from_markdown(markdown: str, limit: int = 20_000, *, bar: bool = True) -> list[Block]:
    """Untrusted Markdown as rich_text blocks, in the order of the text; none for an empty one. `bar` False is for words of our
    own templates. Parsing caps at 20,000 characters and says so in the text."""
    return [rich(element) for element in _blocks(tree(cap(markdown, limit)), bar)]


def _blocks(nodes: list[Node], bar: bool) -> Iterator[Element]:
    loose: list[Node] = []
    for node in nodes:
        if isinstance(node, str) or node["t"] in ("strong", "em", "code", "a", "br"):
            loose.append(node)
            continue
        yield from _line(loose, bar)
        loose = []
        yield from _block(node, bar)
    yield from _line(loose, bar)


def _block(node: Tag, bar: bool) -> Iterator[Element]:
    children = cast(list[Node], node.get("c", []))
    match node["t"]:
        case "p":
            yield from _line(children, bar)
        case "h":
            yield from _line(children, bar, _Style(bold=True))
        case "pre":
            said = plain(children)
            if said.strip():
                yield block_of_code(said, 20_000)
        case "ul" | "ol":
            yield from _list(node, 0, bar)
        case "table":
            yield block_of_code(_table(children), 20_000)
        case "blockquote":
            yield from _blocks(children, True)
        case "hr":
            pass
        case _:
            yield from _blocks(children, bar)


def _line(nodes: list[Node], bar: bool, style: _Style | None = None) -> Iterator[Element]:
    pieces = list(_inline(nodes, style or _Style()))
    if any(str(piece["text"]).strip() for piece in pieces):
        yield quoted(*pieces) if bar else paragraph(*pieces)


def _inline(nodes: list[Node], style: _Style) -> Iterator[Piece]:
    for node in nodes:
        if isinstance(node, str):
            yield from prose(node, 20_000, bold=style.bold, italic=style.italic)
            continue
        children = cast(list[Node], node.get("c", []))
        match node["t"]:
            case "strong":
                yield from _inline(children, replace(style, bold=True))
            case "em":
                yield from _inline(children, replace(style, italic=True))
            case "code":
                if said := plain(children).strip():
                    yield code(said, 2_000)
            case "br":
                yield text("\n")
            case "a":
                yield from _address(node, children, style)
            case _:
                yield from _inline(children, style)


def _address(node: Tag, children: list[Node], style: _Style) -> Iterator[Piece]:
    """The words, and where they would lead, not clickable."""
    href = str(node.get("href", ""))
    if plain(children).strip() == href:
        yield code(href, 2_000)
        return
    yield from _inline(children, style)
    yield text(" (")
    yield code(href, 2_000)
    yield text(")")


def _list(node: Tag, depth: int, bar: bool) -> Iterator[Element]:
    """Slack's lists hold lines only: a list, code or table in an item stands between two lists that count on."""
    ordered = node["t"] == "ol"
    first = max(int(node.get("start", 1)) - 1, 0) if ordered else 0
    items: list[list[Piece]] = []
    told = 0
    for item in cast(list[Node], node.get("c", [])):
        words, inner = _item(item)
        items.append(list(_inline(words, _Style())) or [text(" ")])
        if inner:
            yield listed(items, ordered=ordered, indent=depth, offset=first + told, bar=bar)
            told += len(items)
            items = []
            for block in inner:
                yield from _list(block, depth + 1, bar) if block["t"] in ("ul", "ol") else _block(block, bar)
    if items:
        yield listed(items, ordered=ordered, indent=depth, offset=first + told, bar=bar)


def _item(item: Node) -> tuple[list[Node], list[Tag]]:
    """What stands in the item's line, and what comes below it."""
    if isinstance(item, str):
        return [item], []
    words: list[Node] = []
    below: list[Tag] = []
    for child in cast(list[Node], item.get("c", [])):
        if isinstance(child, str):
            words.append(child)
        elif child["t"] in ("ul", "ol", "pre", "table", "blockquote"):
            below.append(child)
        elif child["t"] in ("p", "h"):
            words += [*(["\n"] if words else []), *cast(list[Node], child.get("c", []))]
        else:
            words.append(child)
    return words, below


def _table(parts: list[Node]) -> str:
    """Columns aligned, as a terminal shows them."""
    rows = [[" ".join(plain([cell]).split()) for cell in _cells(row)] for row in _rows(parts)]
    wide = max((len(row) for row in rows), default=0)
    widths = [min(max((_width(row[n]) for row in rows if n < len(row)), default=0), _WIDEST_CELL) for n in range(wide)]
    lines = ["  ".join(cell + " " * max(0, widths[n] - _width(cell)) for n, cell in enumerate(row)).rstrip() for row in rows]
    return "\n".join(lines) or " "


def _rows(nodes: list[Node]) -> Iterator[Tag]:
    for node in nodes:
        if isinstance(node, str):
            continue
        if node["t"] == "tr":
            yield node
        else:
            yield from _rows(cast(list[Node], node.get("c", [])))


def _cells(row: Tag) -> list[Node]:
    return [cell for cell in cast(list[Node], row.get("c", [])) if not isinstance(cell, str)]


def _width(said: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in said)
