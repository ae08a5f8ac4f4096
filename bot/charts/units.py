"""What a metric is measured in, by its name, and numbers in that unit. Pure."""

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["bytes", "bytes/s", "cores", "seconds", "ratio", "percent", "per second", "number"]

_ROWS: tuple[tuple[re.Pattern[str], Kind], ...] = (
    (re.compile(r"(?<![a-z])percent(?![a-z])"), "percent"),
    (re.compile(r"(?<![a-z])ratio|utili[sz]ation"), "ratio"),
    (re.compile(r"cpu\w*cores"), "cores"),
    (re.compile(r"bytes|memory"), "bytes"),
    (re.compile(r"seconds|duration|latency"), "seconds"),
)
_A_SECOND: dict[Kind, Kind] = {"bytes": "bytes/s", "number": "per second", "percent": "number"}
"""What a rate of a kind is. Seconds a second stay seconds, but those of a CPU are cores."""
_RATE = re.compile(r"\b(?:rate|irate|deriv)\s*\(")
_CPU = re.compile(r"cpu\w*_seconds|cpu_usage")
_COUNTS = re.compile(r"^\s*(?:count|count_values|group|absent|absent_over_time|changes|resets|count_over_time)\b")
_MEAN = re.compile(r"_sum\b.*/.*_count\b", re.DOTALL)
"""A sum by its count: in what the sum is in."""
_NOT_NAMES = re.compile(
    r"""
    \#[^\n]*
    |"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`
    |\[[^\]]*\]
    |\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)
    """,
    re.VERBOSE,
)
_MATCHERS = re.compile(r"\{[^{}]*\}")
_MIXED = re.compile(r"[/*%^]|\bbool\b")
"""With these the values are of another kind than the names say."""


@dataclass(frozen=True, slots=True)
class Unit:
    """`scale` is what values are divided by before `name` is right for them."""

    name: str
    scale: float


_STEPS: dict[Kind, tuple[tuple[float, str], ...]] = {
    "bytes": ((1, "B"), (2**10, "KiB"), (2**20, "MiB"), (2**30, "GiB"), (2**40, "TiB"), (2**50, "PiB")),
    "bytes/s": ((1, "B/s"), (2**10, "KiB/s"), (2**20, "MiB/s"), (2**30, "GiB/s")),
    "cores": ((1e-3, "millicores"), (1, "cores")),
    "seconds": ((1e-6, "µs"), (1e-3, "ms"), (1, "s"), (60, "min"), (3600, "h"), (86_400, "d")),
    "ratio": ((1e-2, "%"),),
    "percent": ((1, "%"),),
    "per second": ((1, "/s"), (1e3, "k/s"), (1e6, "M/s")),
    "number": ((1, ""), (1e3, "k"), (1e6, "M"), (1e9, "G")),
}
_FROM: dict[Kind, float] = {"cores": 0.5}
"""A step is taken when the highest value is at least this much of it; 1 for all others."""


def kind_of(expression: str) -> Kind:
    """By the names in the expression, and what is done to them; a number where that can't be told."""
    words = _MATCHERS.sub("", _NOT_NAMES.sub("", expression[:4000].lower()))
    mean = _MEAN.search(words) is not None and words.count("/") == 1
    if _COUNTS.match(words) or (_MIXED.search(words) is not None and not mean):
        return "number"
    told_by_name: list[Kind] = [named for pattern, named in _ROWS if pattern.search(words)]
    kind: Kind = told_by_name[0] if told_by_name else "number"
    if mean or _RATE.search(words) is None or "histogram_quantile" in words:
        return kind
    return "cores" if kind == "seconds" and _CPU.search(words) else _A_SECOND.get(kind, kind)


def unit_for(kind: Kind, highest: float) -> Unit:
    """The unit in which `highest` reads best."""
    least = _FROM.get(kind, 1.0)
    scale, name = _STEPS[kind][0]
    for size, called in _STEPS[kind]:
        if abs(highest) >= size * least:
            scale, name = size, called
    return Unit(name, scale)


def told(kind: Kind, value: float) -> str:
    """`128 MiB`, `0.25 cores`, `93 %`."""
    unit = unit_for(kind, value)
    return f"{value / unit.scale:.4g} {unit.name}".rstrip()
