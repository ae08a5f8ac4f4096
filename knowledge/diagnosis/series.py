"""One metric series of a Prometheus answer, with the few sums that rules need."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast


@dataclass(frozen=True, slots=True)
class Series:
    """`values` are (unix seconds, value), oldest first. `metric` holds the labels with `__name__`."""

    metric: Mapping[str, str]
    values: tuple[tuple[float, float], ...]

    def peak(self, since: float = 0) -> float | None:
        """The highest finite value at or after `since`."""
        return max((value for at, value in self.values if at >= since and value == value), default=None)

    def last(self) -> float | None:
        return self.values[-1][1] if self.values else None


def read_series(matrix: Iterable[object], name: str = "") -> list[Series]:
    """Prometheus's `query_range` matrix (or `query` vector) as Series; `name` stands in where a function dropped it.

    Rows that are not series are left out.
    """
    found: list[Series] = []
    for row in matrix:
        if not isinstance(row, Mapping):
            continue
        labels: Any = cast(Mapping[str, Any], row).get("metric")
        values: Any = cast(Mapping[str, Any], row).get("values")
        if values is None:
            values = [cast(Mapping[str, Any], row).get("value")]
        if not isinstance(labels, Mapping) or not isinstance(values, list):
            continue
        metric = {str(key): str(value) for key, value in cast(Mapping[Any, Any], labels).items()}
        if name:
            metric["__name__"] = name if not metric.get("__name__") else metric["__name__"]
        found.append(Series(metric, tuple(_samples(cast(list[Any], values)))))
    return found


def _samples(values: list[Any]) -> Iterable[tuple[float, float]]:
    for pair in values:
        try:
            at, value = pair
            yield float(at), float(value)
        except (TypeError, ValueError):
            continue
