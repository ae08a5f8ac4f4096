"""Charts of a stored command: a range query is one, a diagnosis brings those of its metric evidence. Pure."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

from pydantic import ValidationError

from bot.charts.look import Format, Order, Theme
from bot.charts.units import Kind, kind_of, told, unit_for
from knowledge.wording import Language, translate
from protocol.charts import LAST_MOMENT, Chart, ChartLine
from protocol.commands import CommandResult
from protocol.text import one_line

MAX_LINES = 8
_MOST_LABEL = 200
_USUAL = ("namespace", "pod", "container")


def charts_of(result: CommandResult, title: str) -> tuple[Chart, ...]:
    """Nothing for a command without series over time."""
    data = result.data or {}
    if "charts" in data:
        return tuple(chart for raw in _rows(data["charts"]) if (chart := _read(raw)) is not None and chart.lines)
    chart = _of_matrix(_rows(data.get("series")), title, result.cut, total=data.get("series_total"))
    return (chart,) if chart is not None else ()


def order_of(chart: Chart, *, form: Format, theme: Theme, language: Language = "en") -> Order:
    unit = unit_for(kind_of(chart.metric), _highest(chart))
    said = chart.model_copy(update={"title": translate(chart.title, language)})
    return Order(chart=said, format=form, theme=theme, unit=unit.name, scale=unit.scale)


def described(chart: Chart, language: Language = "en") -> str:
    """The chart in a sentence, for those who do not see it."""
    kind = kind_of(chart.metric)
    values = [value for line in chart.lines for _, value in line.points]
    if not values:
        return translate(chart.title, language)
    parts = [f"{told(kind, min(values))} – {told(kind, max(values))}"]
    parts += [f"{row.label} {told(kind, row.value)}" for row in chart.thresholds]
    return f"{translate(chart.title, language)}: {', '.join(parts)}"


def table_of(chart: Chart) -> list[dict[str, str]]:
    """One row a line: the same facts as the picture, in words."""
    kind = kind_of(chart.metric)
    return [_row(line, kind) for line in chart.lines if line.points]


def _row(line: ChartLine, kind: Kind) -> dict[str, str]:
    values = [value for _, value in line.points]
    first, last = values[0], values[-1]
    named = {"first": first, "min": min(values), "max": max(values), "last": last}
    return {"label": line.label, **{name: told(kind, value) for name, value in named.items()}}


def _of_matrix(rows: Sequence[Mapping[str, Any]], title: str, cut: str, *, total: object) -> Chart | None:
    lines = [line for row in rows if (line := _line(row)) is not None and len(line.points) > 1]
    if not lines:
        return None
    lines.sort(key=lambda line: max(abs(value) for _, value in line.points), reverse=True)
    count = total if isinstance(total, int) and total >= len(rows) else len(rows)
    return Chart(
        title=one_line(title, 200),
        metric=title,
        lines=tuple(lines[:MAX_LINES]),
        left_out=max(0, count - min(len(lines), MAX_LINES)),
        note=cut,
    )


def _line(row: Mapping[str, Any]) -> ChartLine | None:
    raw = row.get("values")
    if not isinstance(raw, list):
        return None
    points: list[tuple[float, float]] = []
    for pair in cast(list[Any], raw):
        try:
            at, value = float(pair[0]), float(pair[1])
        except (TypeError, ValueError, IndexError):
            continue
        if 0 <= at <= LAST_MOMENT and math.isfinite(value):
            points.append((at, value))
    return ChartLine(label=_label(row.get("metric")), points=tuple(points))


def _label(metric: object) -> str:
    """The labels that tell series apart, the short names of Kubernetes first; the metric's own name is in the title."""
    if not isinstance(metric, Mapping):
        return ""
    labels = {str(key): str(value) for key, value in cast(Mapping[Any, Any], metric).items()}
    usual = [labels[name] for name in _USUAL if name in labels]
    rest = [
        f"{key}={value}" for key, value in sorted(labels.items()) if key not in ("namespace", "pod", "container", "__name__")
    ]
    return one_line("/".join(usual) or ", ".join(rest) or labels.get("__name__", ""), _MOST_LABEL)


def _read(raw: Mapping[str, Any]) -> Chart | None:
    try:
        return Chart.model_validate(raw)
    except ValidationError:
        return None


def _rows(value: object) -> list[Mapping[str, Any]]:
    if not isinstance(value, list):
        return []
    return [cast(Mapping[str, Any], row) for row in cast(list[Any], value) if isinstance(row, Mapping)]


def _highest(chart: Chart) -> float:
    values = [abs(value) for line in chart.lines for _, value in line.points] + [row.value for row in chart.thresholds]
    return max(values, default=0.0)
