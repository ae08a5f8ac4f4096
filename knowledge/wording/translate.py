"""Texts that our own code makes from templates, in the reader's language. The templates are data: messages/*.json.

A row is [English, Chinese, Japanese]. A placeholder says what it holds:

    {name}   something verbatim that is less than a clause: a name, a value, a list of names
    {name~}  anything on one line, verbatim: a command
    {name#}  a number
    {name?}  any text, translated if it is one of ours, verbatim if not: the words of an API server
    {name!}  a text of ours; where it is not, the row does not match
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Literal, NamedTuple, TypeAlias

import orjson

Language: TypeAlias = Literal["en", "zh", "ja"]

LONGEST = 2_000
"""Characters. Longer texts are nobody's template and are not looked at."""
_DEEPEST = 4
_CUTS = 8
_JOINTS: Mapping[str, tuple[str, str]] = {". ": ("", ""), "; ": ("；", "、")}
_FULL_STOPS = ("。", "！", "？")
_DIGITS = frozenset("0123456789.,-")


Kind: TypeAlias = Literal["", "~", "#", "?", "!"]


class Hole(NamedTuple):
    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Row:
    """`words` has one piece more than `holes`: they alternate."""

    words: tuple[str, ...]
    holes: tuple[Hole, ...]
    english: str
    said: Mapping[Language, str]

    @property
    def weight(self) -> tuple[int, int]:
        """More words of its own and fewer holes come first."""
        return (-sum(len(piece) for piece in self.words), len(self.holes))


def translate(text: str, language: Language) -> str:
    """`text` in the reader's language; as it is in English, and when no row or series of rows is it. Placeholders keep their
    text to the letter. The time is linear in the text for each row that begins like it."""
    if language == "en" or not text or len(text) > LONGEST:
        return text
    return _translated(text, language, 0) or text


def is_ours(text: str, language: Language) -> bool:
    """Would `translate` find words for it?"""
    return len(text) <= LONGEST and _translated(text, language, 0) is not None


@cache
def rows() -> tuple[Row, ...]:
    """All templates, the most specific first."""
    found: list[Row] = []
    for source in sorted((files("knowledge.wording") / "messages").iterdir(), key=lambda file: file.name):
        if source.name.endswith(".json"):
            found += [_row(*texts) for texts in orjson.loads(source.read_bytes())]
    return tuple(sorted(found, key=lambda row: row.weight))


@cache
def _by_first_word() -> Mapping[str, tuple[Row, ...]]:
    """Rows by their first three characters; "" for rows that begin with a hole, or with less."""
    index: dict[str, list[Row]] = {}
    for row in rows():
        head = row.words[0].lower()
        index.setdefault(head[:3] if len(head) >= 3 else "", []).append(row)
    return {head: tuple(group) for head, group in index.items()}


@lru_cache(maxsize=2_048)
def _translated(text: str, language: Language, depth: int) -> str | None:
    if depth > _DEEPEST or not text:
        return None
    index = _by_first_word()
    candidates = [*index.get(text[:3].lower(), ()), *index.get("", ())]
    for row in sorted(candidates, key=lambda row: row.weight):
        said = _said(row, text, language, depth)
        if said is not None:
            return said
    if text.endswith(".") and not text.endswith(".."):
        said = _translated(text[:-1], language, depth + 1)
        if said is not None:
            return said if said.endswith(_FULL_STOPS) else f"{said}。"
    return _in_pieces(text, language, depth)


def _said(row: Row, text: str, language: Language, depth: int) -> str | None:
    held = match(row.words, text)
    if held is None:
        return None
    said: dict[str, str] = {}
    for hole, value in zip(row.holes, held, strict=True):
        filled = _filled(hole, value, language, depth)
        if filled is None:
            return None
        said[hole.name] = filled
    words, holes = _split(row.said[language])
    return words[0] + "".join(said[hole.name] + piece for hole, piece in zip(holes, words[1:], strict=True))


def _filled(hole: Hole, value: str, language: Language, depth: int) -> str | None:
    match hole.kind:
        case "#":
            return value if set(value) <= _DIGITS and value[:1].isdigit() else None
        case "":
            return None if "\n" in value or ". " in value or "; " in value else value
        case "~":
            return None if "\n" in value else value
        case "?" | "!":
            said = _translated(value, language, depth + 1)
            if said is None:
                return value if hole.kind == "?" else None
            return said.rstrip("。") if hole.kind == "?" else said


def match(words: Sequence[str], text: str) -> tuple[str, ...] | None:
    """What stands between the pieces of `words` in `text`, perhaps nothing; None when they are not in it in this
    order from beginning to end. Each piece is taken where it comes first; case does not matter in the first letter."""
    first, last = words[0], words[-1]
    if len(words) == 1:
        return () if _like(text, first) and len(text) == len(first) else None
    if not _like(text, first) or not text.endswith(last):
        return None
    at, end = len(first), len(text) - len(last)
    held: list[str] = []
    for piece in words[1:-1]:
        found = text.find(piece, at, end)
        if found < 0:
            return None
        held.append(text[at:found])
        at = found + len(piece)
    if at > end:
        return None
    return (*held, text[at:end])


def _like(text: str, head: str) -> bool:
    return text.startswith(head) or (bool(head) and text[:1].lower() + text[1 : len(head)] == head[:1].lower() + head[1:])


def _in_pieces(text: str, language: Language, depth: int) -> str | None:
    """Sentences and clauses one after another, if both sides of a joint are ours."""
    for joint, between in _JOINTS.items():
        at = -1
        for _ in range(_CUTS):
            at = text.find(joint, at + 1)
            if at < 0:
                break
            head = _translated(text[: at + 1] if joint == ". " else text[:at], language, depth + 1)
            rest = _translated(text[at + len(joint) :], language, depth + 1) if head is not None else None
            if head is not None and rest is not None:
                return f"{head}{between[0] if language == 'zh' else between[1]}{rest}"
    return None


def _row(english: str, zh: str, ja: str) -> Row:
    words, holes = _split(english)
    return Row(words, holes, english, {"zh": zh, "ja": ja})


@lru_cache(maxsize=4_096)
def _split(template: str) -> tuple[tuple[str, ...], tuple[Hole, ...]]:
    words: list[str] = []
    holes: list[Hole] = []
    rest = template
    while "{" in rest:
        before, _, after = rest.partition("{")
        name, _, rest = after.partition("}")
        words.append(before)
        holes.append(Hole(name.rstrip("~#?!"), _kind(name)))
    return (*words, rest), tuple(holes)


def _kind(name: str) -> Kind:
    match name[-1]:
        case "~" | "#" | "?" | "!" as kind:
            return kind
        case _:
            return ""
