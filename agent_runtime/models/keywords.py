"""The words of keywords.yaml, compiled once."""

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, cast

import yaml

_KINDS_OF_WORDS = ("why", "help", "fix", "logs", "previous", "events", "changes", "wrong", "usage", "list", "cluster")


@dataclass(frozen=True)
class Keywords:
    patterns: dict[str, re.Pattern[str]]
    kinds: dict[str, str]
    days: dict[str, int]
    stop: frozenset[str]

    def has(self, group: str, folded: str) -> bool:
        return self.patterns[group].search(folded) is not None


@cache
def keywords() -> Keywords:
    raw = cast(dict[str, Any], yaml.safe_load(files(__package__ or "").joinpath("keywords.yaml").read_text(encoding="utf-8")))
    return Keywords(
        patterns={group: re.compile("|".join(cast(list[str], raw[group]))) for group in _KINDS_OF_WORDS},
        kinds=cast(dict[str, str], raw["kinds"]),
        days=cast(dict[str, int], raw["days"]),
        stop=frozenset(str(raw["stop"]).split()),
    )
