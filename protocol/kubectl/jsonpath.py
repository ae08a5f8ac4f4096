"""The part of kubectl's JSONPath that is spoken here: `{.a.b[0].c[*]['key']}`, literal text and quoted text between.

Filters, ranges, slices, recursion and functions are refused: they are a language, and what they do is done better by
asking for -o json. Evaluation is pure and bounded by the size of the document.
"""

import re
from dataclasses import dataclass
from typing import Any, cast

MAX_LENGTH = 1000
MAX_STEPS = 40

_FIELD = re.compile(r"\.((?:[A-Za-z0-9_/-]|\\\.)+)")
_INDEX = re.compile(r"\[(-?[0-9]{1,6})\]")
_STAR = re.compile(r"\[\*\]|\.\*")
_KEY = re.compile(r"""\['([A-Za-z0-9_./:@ -]{1,253})'\]|\["([A-Za-z0-9_./:@ -]{1,253})"\]""")
_QUOTED = re.compile(r"""\s*(?:"((?:[^"\\{}]|\\[nt"\\])*)"|'((?:[^'\\{}]|\\[nt'\\])*)')\s*""")
_LITERAL = re.compile(r"[^{}\\`$]*")

ALLOWED = "allowed: {.field.field[0].list[*]['key']} and quoted text such as {\"\\n\"}"


@dataclass(frozen=True, slots=True)
class Path:
    """Steps: a str is a key, an int an index, None is every element."""

    steps: tuple[str | int | None, ...]


Part = str | Path
"""Literal text, or a path whose values are written, separated by spaces."""


def parse(text: str) -> tuple[Part, ...]:
    """Raises ValueError that says what is allowed."""
    if not text or len(text) > MAX_LENGTH:
        raise ValueError(f"a jsonpath has 1 to {MAX_LENGTH} characters")
    if "{" not in text:
        return (parse_path(text if text.startswith((".", "[", "$")) else "." + text),)
    parts: list[Part] = []
    at = 0
    while at < len(text):
        if text[at] != "{":
            end = text.find("{", at)
            end = len(text) if end < 0 else end
            if not _LITERAL.fullmatch(text[at:end]):
                raise ValueError(f"{text[at:end]!r} in a jsonpath; {ALLOWED}")
            parts.append(text[at:end])
            at = end
            continue
        end = text.find("}", at)
        if end < 0:
            raise ValueError(f"a brace is not closed; {ALLOWED}")
        parts.append(_braced(text[at + 1 : end]))
        at = end + 1
    return tuple(parts)


def check(text: str) -> str:
    """`text` itself when it is spoken here."""
    parse(text)
    return text


def check_sort(text: str) -> str:
    """A single path, as --sort-by takes it."""
    parts = parse(text)
    if len(parts) != 1 or not isinstance(parts[0], Path):
        raise ValueError(f"{text!r} is not one path, such as .metadata.creationTimestamp")
    return text


def _braced(inner: str) -> Part:
    quoted = _QUOTED.fullmatch(inner)
    if quoted:
        raw = quoted.group(1) if quoted.group(1) is not None else quoted.group(2)
        return re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t"}.get(m.group(1), m.group(1)), raw)
    word = inner.strip()
    if word.split(" ", 1)[0] in ("range", "end"):
        raise ValueError(f"range and end are not spoken here; use [*] or -o json; {ALLOWED}")
    return parse_path(word)


def parse_path(text: str) -> Path:
    """One path, with or without a leading `$`."""
    at = 1 if text.startswith(("$", "@")) else 0
    steps: list[str | int | None] = []
    while at < len(text):
        rest = text[at:]
        if "?(" in rest[:3]:
            raise ValueError(f"filters such as {rest[:40]!r} are not spoken here; use -l or --field-selector; {ALLOWED}")
        step, length = _step(rest)
        steps.append(step)
        at += length
    if not steps and text not in ("$", "@", "."):
        raise ValueError(f"{text!r} is not a jsonpath; {ALLOWED}")
    if len(steps) > MAX_STEPS:
        raise ValueError(f"a jsonpath has at most {MAX_STEPS} steps")
    return Path(tuple(steps))


def _step(rest: str) -> tuple[str | int | None, int]:
    if match := _STAR.match(rest):
        return None, match.end()
    if match := _FIELD.match(rest):
        return match.group(1).replace("\\.", "."), match.end()
    if match := _INDEX.match(rest):
        return int(match.group(1)), match.end()
    if match := _KEY.match(rest):
        return match.group(1) or match.group(2), match.end()
    raise ValueError(f"{rest[:40]!r} in a jsonpath is not spoken here; {ALLOWED}")


def values(path: Path, document: Any) -> list[Any]:
    """What `path` finds, in order; missing fields find nothing."""
    found: list[Any] = [document]
    for step in path.steps:
        following: list[Any] = []
        for item in found:
            following.extend(_follow(item, step))
        found = following
    return found


def _follow(item: Any, step: str | int | None) -> list[Any]:
    if isinstance(item, dict):
        fields = cast(dict[str, Any], item)
        if step is None:
            return list(fields.values())
        return [fields[step]] if isinstance(step, str) and step in fields else []
    if isinstance(item, list):
        elements = cast(list[Any], item)
        if step is None:
            return elements
        return [elements[step]] if isinstance(step, int) and -len(elements) <= step < len(elements) else []
    return []
