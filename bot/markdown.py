"""Model text as a small tree of allowed nodes. No HTML string exists anywhere: surfaces build nodes from the tree.

A node is a string (text), or `{"t": tag, "c": [nodes]}` with `tag` from TAGS; `a` has `href` and `host`, `h` has `level`,
`ol` has `start`, `th` and `td` may have `align`, `pre` may have `lang`. Pictures are dropped, their words stay: a picture's
address would carry secrets out. Links are http or https and always show the host that they lead to.
"""

from functools import cache
from typing import Any, cast
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token

from protocol.text import cap, clean

Node = str | dict[str, Any]

TAGS = frozenset(
    [
        "p",
        "h",
        "strong",
        "em",
        "code",
        "pre",
        "ul",
        "ol",
        "li",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "a",
        "blockquote",
        "hr",
        "br",
    ],
)
MAX_CHARACTERS = 20_000
MAX_DEPTH = 16
MAX_NODES = 8_000
_MAX_HREF = 2_000


def tree(text: str) -> list[Node]:
    """Parse untrusted Markdown. Cleans and caps it first; never raises for any text."""
    tokens = _parser().parse(cap(clean(text), MAX_CHARACTERS))
    return _Builder().build(tokens)


def plain(nodes: list[Node]) -> str:
    """The words of a tree, for titles and for tests."""
    parts: list[str] = []
    for node in nodes:
        if isinstance(node, str):
            parts.append(node)
        else:
            parts.append(plain(cast(list[Node], node.get("c", []))))
    return "".join(parts)


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False, "maxNesting": 100}).enable("table")


_OPENING = {
    "paragraph_open": "p",
    "heading_open": "h",
    "strong_open": "strong",
    "em_open": "em",
    "bullet_list_open": "ul",
    "ordered_list_open": "ol",
    "list_item_open": "li",
    "table_open": "table",
    "thead_open": "thead",
    "tbody_open": "tbody",
    "tr_open": "tr",
    "th_open": "th",
    "td_open": "td",
    "blockquote_open": "blockquote",
    "link_open": "a",
}


class _Builder:
    """Tokens to nodes with a stack. Too deep or too many: what follows is kept as text of the innermost node."""

    def __init__(self) -> None:
        self._root: list[Node] = []
        self._stack: list[list[Node]] = [self._root]
        self._nodes = 0

    def build(self, tokens: list[Token]) -> list[Node]:
        self._take(tokens)
        return self._root

    def _take(self, tokens: list[Token]) -> None:
        for token in tokens:
            if token.nesting == 1:
                self._open(token)
            elif token.nesting == -1:
                if len(self._stack) > 1:
                    self._stack.pop()
            else:
                self._leaf(token)

    def _open(self, token: Token) -> None:
        node = _element(token)
        if node is None or token.hidden or len(self._stack) > MAX_DEPTH or not self._room():
            self._stack.append(self._stack[-1])
            return
        self._stack[-1].append(node)
        self._stack.append(node["c"])

    def _leaf(self, token: Token) -> None:
        match token.type:
            case "inline":
                self._take(token.children or [])
            case "softbreak":
                self._text("\n")
            case "hardbreak":
                self._add({"t": "br"})
            case "hr":
                self._add({"t": "hr"})
            case "code_inline":
                self._add({"t": "code", "c": [token.content]})
            case "fence" | "code_block":
                language = token.info.split()[0][:20] if token.info.split() else ""
                self._add({"t": "pre", "c": [token.content], **({"lang": language} if language.isalnum() else {})})
            case _:
                self._text(token.content)

    def _add(self, node: dict[str, Any]) -> None:
        if self._room():
            self._stack[-1].append(node)
        else:
            self._text("".join(cast(list[str], node.get("c", []))))

    def _text(self, text: str) -> None:
        here = self._stack[-1]
        if here and isinstance(here[-1], str):
            here[-1] += text
        elif text:
            here.append(text)

    def _room(self) -> bool:
        self._nodes += 1
        return self._nodes <= MAX_NODES


def _element(token: Token) -> dict[str, Any] | None:
    tag = _OPENING.get(token.type)
    if tag is None:
        return None
    node: dict[str, Any] = {"t": tag, "c": []}
    if tag == "h":
        node["level"] = int(token.tag[1])
    elif tag == "ol":
        node["start"] = int(token.attrs.get("start", 1))
    elif tag in ("th", "td"):
        align = str(token.attrs.get("style", "")).removeprefix("text-align:")
        if align in ("left", "center", "right"):
            node["align"] = align
    elif tag == "a":
        link = _link(str(token.attrs.get("href", "")))
        if link is None:
            return None
        node.update(link)
    return node


def _link(href: str) -> dict[str, str] | None:
    """Only http and https, with a host that can be shown in ASCII; anything else stays text."""
    try:
        parts = urlsplit(href)
        host = (parts.hostname or "").encode("idna").decode("ascii")
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not host or len(href) > _MAX_HREF:
        return None
    return {"href": href, "host": host if port is None else f"{host}:{port}"}
