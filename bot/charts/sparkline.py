"""A line of a chart as one row of blocks, for terminals and chat. Pure."""

import math
from collections.abc import Sequence

_BLOCKS = "▁▂▃▄▅▆▇█"


def sparkline(points: Sequence[tuple[float, float]], width: int = 40) -> str:
    """At most `width` blocks, each the highest value of its stretch of time; a stretch without points is a blank."""
    if not points or width < 1:
        return ""
    start, end = points[0][0], points[-1][0]
    cells: list[float | None] = [None] * (1 if end <= start else min(width, len(points)))
    for at, value in points:
        index = min(len(cells) - 1, int((at - start) / (end - start) * len(cells))) if end > start else 0
        known = cells[index]
        cells[index] = value if known is None or value > known else known
    values = [value for value in cells if value is not None]
    bottom = min(values)
    span = max(values) - bottom
    return "".join(" " if value is None else _BLOCKS[_level(value - bottom, span)] for value in cells)


def _level(above: float, span: float) -> int:
    return (
        3 if span <= 0 or not math.isfinite(span) else max(0, min(len(_BLOCKS) - 1, round(above / span * (len(_BLOCKS) - 1))))
    )
