"""What a language must have: short phrases, and three texts for each catalogue code."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


class CodeText(NamedTuple):
    """`explanation` may use the root cause's facts, `{name}`, `{namespace}` and `{kind}`; `remedy` is general advice."""

    title: str
    explanation: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Texts:
    phrases: Mapping[str, str]
    codes: Mapping[str, CodeText]
