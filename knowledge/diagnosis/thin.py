"""Fewer points that still show the extremes: for tables, charts and what is kept of a range query. Pure."""

from collections.abc import Sequence
from typing import TypeAlias

Point: TypeAlias = tuple[float, float]
"""(unix seconds, value)"""


def thin(points: Sequence[Point], at_most: int) -> list[Point]:
    """At most `at_most` (>= 4) of `points`, oldest first: the ends, and of each stretch between them its lowest and highest.

    A mean or every n-th point would lose the spike that the question is about. Linear.
    """
    if len(points) <= at_most:
        return list(points)
    inner = points[1:-1]
    stretches = (at_most - 2) // 2
    kept = [points[0]]
    for index in range(stretches):
        stretch = inner[index * len(inner) // stretches : (index + 1) * len(inner) // stretches]
        if not stretch:
            continue
        low, high = min(stretch, key=_value), max(stretch, key=_value)
        kept.extend(sorted({low, high}))
    return [*kept, points[-1]]


def _value(point: Point) -> float:
    return point[1]
