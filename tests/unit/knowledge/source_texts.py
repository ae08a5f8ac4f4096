"""The sentences that our sources hold, read out of their syntax trees: what a translation must exist for. And the other way
round: which words of ours a text in another language still has."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[3]
COMMANDS = re.compile(r"(?:kubectl|systemctl|journalctl|openssl|curl|crictl|df) [^；。（）：、，\n]*|`[^`]*`|<[^>]*>")
ENGLISH = re.compile(
    r"\b(?:the|is|are|was|were|not|and|its|it|with|that|which|no|for|be|has|have|does|cannot|will|or|from|by|at|of|to|an?)\b"
)
_WORDS = re.compile(r"[a-z]{2,} [a-z]|[a-z]{3,}[,;:]? \{|\} [a-z]{2,}")
_COMMAND = re.compile(r"^(?:kubectl|prometheus|journalctl) ")


def sentences(path: str, filled: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    """(line, text) of each string of a source file that has words for people in it. A value in an f-string is what `filled`
    has for its expression, else "3". Docstrings are left out, and so are arguments of log calls."""
    tree = ast.parse((ROOT / path).read_text())
    hidden = {id(part) for node in ast.walk(tree) for part in _not_for_people(node)}
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        text = _text(node, filled)
        if text and _WORDS.search(text) and not _COMMAND.match(text):
            yield getattr(node, "lineno", 0), text


def _not_for_people(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Expr(value=ast.Constant() as docstring):
            yield docstring
        case ast.JoinedStr(values=values):
            yield from values
        case ast.Call(func=ast.Attribute(value=ast.Name(id="log"))):
            yield from (part for part in ast.walk(node) if part is not node)
        case _:
            pass


def _text(node: ast.AST, filled: Mapping[str, str]) -> str | None:
    match node:
        case ast.Constant(value=str() as value):
            return value
        case ast.JoinedStr(values=values):
            return "".join(_piece(value, filled) for value in values)
        case _:
            return None


def _piece(value: ast.expr, filled: Mapping[str, str]) -> str:
    match value:
        case ast.Constant(value=str() as text):
            return text
        case ast.FormattedValue(value=expression):
            return filled.get(ast.unparse(expression), "3")
        case _:
            return "3"


def left_in_english(texts: Sequence[str], verbatim: Sequence[str] = ()) -> list[str]:
    """The texts that still have English words of ours in them, once what is quoted and what is a command is out."""
    kept: list[str] = []
    for text in texts:
        for quoted in sorted(verbatim, key=len, reverse=True):
            text = text.replace(quoted, "") if len(quoted) > 3 else text
        kept += [text] if ENGLISH.search(COMMANDS.sub("", text)) else []
    return kept
