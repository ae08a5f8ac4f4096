"""The functions of PromQL that the practice cluster knows, one row each."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

Points = list[tuple[float, float]]
"""Samples as (time, value), oldest first."""


@dataclass(frozen=True)
class Function:
    """How many arguments, and what it works on: 'range', 'instant', 'scalar', 'special'."""

    arity: tuple[int, int]
    kind: str
    of_range: Callable[[Points, float, float], float | None] | None = None
    of_value: Callable[[Sequence[float]], float] | None = None


def _extrapolated(points: Points, start: float, end: float, *, counter: bool, per_second: bool) -> float | None:
    """Prometheus' extrapolatedRate (promql/functions.go)."""
    if len(points) < 2:
        return None
    change = points[-1][1] - points[0][1]
    if counter:
        for (_, before), (_, after) in pairwise(points):
            if after < before:
                change += before
    to_start, to_end = points[0][0] - start, end - points[-1][0]
    sampled = points[-1][0] - points[0][0]
    average = sampled / (len(points) - 1)
    if counter and change > 0 and points[0][1] >= 0:
        to_start = min(to_start, sampled * points[0][1] / change)
    reach = sampled
    threshold = average * 1.1
    reach += to_start if to_start < threshold else average / 2
    reach += to_end if to_end < threshold else average / 2
    result = change * reach / sampled
    return result / (end - start) if per_second else result


def _instant_rate(points: Points) -> float | None:
    if len(points) < 2:
        return None
    (t0, v0), (t1, v1) = points[-2:]
    return (v1 if v1 < v0 else v1 - v0) / (t1 - t0)


def _slope(points: Points) -> float | None:
    if len(points) < 2:
        return None
    mean_t = sum(t for t, _ in points) / len(points)
    mean_v = sum(v for _, v in points) / len(points)
    spread = sum((t - mean_t) ** 2 for t, _ in points)
    return sum((t - mean_t) * (v - mean_v) for t, v in points) / spread if spread else None


def _changes(points: Points) -> float:
    return float(sum(1 for a, b in pairwise(points) if a[1] != b[1]))


def _resets(points: Points) -> float:
    return float(sum(1 for a, b in pairwise(points) if b[1] < a[1]))


def _over(reduce: Callable[[list[float]], float]) -> Function:
    return Function((1, 1), "range", of_range=lambda points, _start, _end: reduce([v for _, v in points]) if points else None)


def _each(change: Callable[[Sequence[float]], float], least: int = 1, most: int = 1) -> Function:
    return Function((least, most), "instant", of_value=change)


def _round(values: Sequence[float]) -> float:
    step = values[1] if len(values) > 1 else 1.0
    return math.floor(values[0] / step + 0.5) * step


FUNCTIONS: dict[str, Function] = {
    "rate": Function((1, 1), "range", of_range=lambda p, s, e: _extrapolated(p, s, e, counter=True, per_second=True)),
    "increase": Function((1, 1), "range", of_range=lambda p, s, e: _extrapolated(p, s, e, counter=True, per_second=False)),
    "delta": Function((1, 1), "range", of_range=lambda p, s, e: _extrapolated(p, s, e, counter=False, per_second=False)),
    "irate": Function((1, 1), "range", of_range=lambda p, _s, _e: _instant_rate(p)),
    "deriv": Function((1, 1), "range", of_range=lambda p, _s, _e: _slope(p)),
    "changes": Function((1, 1), "range", of_range=lambda p, _s, _e: _changes(p) if p else None),
    "resets": Function((1, 1), "range", of_range=lambda p, _s, _e: _resets(p) if p else None),
    "avg_over_time": _over(lambda v: sum(v) / len(v)),
    "max_over_time": _over(max),
    "min_over_time": _over(min),
    "sum_over_time": _over(sum),
    "count_over_time": _over(lambda v: float(len(v))),
    "last_over_time": _over(lambda v: v[-1]),
    "abs": _each(lambda v: abs(v[0])),
    "ceil": _each(lambda v: float(math.ceil(v[0]))),
    "floor": _each(lambda v: float(math.floor(v[0]))),
    "round": _each(_round, 1, 2),
    "clamp_min": _each(lambda v: max(v[0], v[1]), 2, 2),
    "clamp_max": _each(lambda v: min(v[0], v[1]), 2, 2),
    "sort": Function((1, 1), "special"),
    "sort_desc": Function((1, 1), "special"),
    "absent": Function((1, 1), "special"),
    "scalar": Function((1, 1), "special"),
    "vector": Function((1, 1), "special"),
    "time": Function((0, 0), "special"),
    "label_replace": Function((5, 5), "special"),
    "histogram_quantile": Function((2, 2), "special"),
}  # fmt: skip
