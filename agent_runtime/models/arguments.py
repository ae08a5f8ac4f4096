"""The arguments of a tool call from the text that a model wrote. Repaired only where there is one way to read it. Pure."""

import ast
import json
import re
from dataclasses import dataclass
from typing import Any, cast

from protocol.text import one_line

BROKEN_KEY = "__not_json__"
"""Stands in the arguments of a call whose text was no JSON object; the call is not run, and the model is told why."""

_FENCE = re.compile(r"\A```(?:json)?\s*\n(.*?)\n?```\Z", re.DOTALL)
_TRAILING_COMMA = re.compile(r",(\s*[}\]])\s*\Z")


@dataclass(frozen=True, slots=True)
class Broken:
    why: str
    text: str

    @property
    def args(self) -> dict[str, Any]:
        return {BROKEN_KEY: f"{self.why}: {one_line(self.text, 300)}"}


def arguments_of(raw: Any) -> dict[str, Any] | Broken:
    """An object as it is; a text as JSON, with raw line breaks, in a fence, encoded twice, with a comma too many at its end,
    after an empty object, or as Python writes it. A text that ends too early is Broken: nobody knows what was left out."""
    if isinstance(raw, dict):
        return cast(dict[str, Any], raw)
    if not isinstance(raw, str):
        return Broken("the arguments are no object", str(raw))
    text = raw.strip()
    fenced = _FENCE.match(text)
    text = fenced.group(1).strip() if fenced else text
    if text in ("", "null", "None"):
        return {}
    first = _read(text)
    if isinstance(first, str) and first.strip().startswith("{"):
        first = _read(first)
    return cast(dict[str, Any], first) if isinstance(first, dict) else Broken(_why(text, first), raw)


def _read(text: str) -> Any:
    """The value, or None when it can't be read in any of the ways."""
    for way in (text, _TRAILING_COMMA.sub(r"\1", text), text.removeprefix("{}").lstrip() if text.startswith("{}") else text):
        try:
            return json.loads(way, strict=False)
        except ValueError:
            continue
    if not re.search(r"'|\bTrue\b|\bFalse\b|\bNone\b", text) or len(text) > 20_000:
        return None
    try:
        value: Any = ast.literal_eval(text)
        # What is not JSON's (sets, bytes, numbers as keys) is not what a schema means.
        return json.loads(json.dumps(value)) if isinstance(value, dict) else None
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _why(text: str, value: Any) -> str:
    if value is not None:
        return f"the arguments must be a JSON object, not {type(value).__name__}"
    try:
        json.loads(text, strict=False)
    except json.JSONDecodeError as error:
        return f"no valid JSON ({error.msg} at character {error.pos})"
    return "no JSON object"
