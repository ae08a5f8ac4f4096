"""PromQL against the cluster's metrics server: as a table for reading, and as series for charts."""

import math
from datetime import datetime, timedelta
from typing import Any

from knowledge.diagnosis.fields import items, sub, text
from knowledge.diagnosis.thin import thin
from protocol.commands import CommandStatus, PromQuery, ScopeLimit
from protocol.promql import shut_exported
from protocol.text import one_line
from runner.commands.answer import Answer, Refusal, safe_tree
from runner.commands.render import columns
from runner.metrics.client import Prometheus
from runner.metrics.reading import Reading

MAX_POINTS = 300
"""Of a series in the answer; of more, each stretch's lowest and highest are kept."""
MAX_FETCHED = 1200
"""Points of a series that the server is asked for, so that a spike between two shown points is seen."""
MAX_SERIES = 200
MAX_RANGES = 50
"""Series of a range query in the answer: what is stored with it stays under a megabyte."""
_DEFAULT_RANGE = timedelta(hours=1)
_SMALLEST_STEP_S = 15


async def query(command: PromQuery, prometheus: Prometheus, scope: ScopeLimit, now: datetime, timeout_s: float) -> Answer:
    """Raises Refusal. Series of a namespace outside the scope are dropped, whatever the expression was."""
    expr = command.expr if scope.namespaces is None else shut_exported(command.expr, scope.namespaces)
    cut: list[str] = []
    if command.start is None:
        answer = await prometheus.vector(expr, command.end or now, timeout_s)
        step = None
    else:
        end = command.end or now
        step, note = choose_step(command.start, end, command.step_s)
        cut += [note] if note else []
        answer = await prometheus.matrix(expr, command.start, end, step, timeout_s)
    cut += answer.limits
    return _answer(command, answer, scope, step, cut)


def _answer(command: PromQuery, answer: Reading, scope: ScopeLimit, step: int | None, cut: list[str]) -> Answer:
    rows = [row for row in answer.rows() if _visible(row, scope)]
    if not rows:
        return Answer(text=f"No series for {one_line(command.expr)}.\n", empty=True, data={"series": []}, cut="; ".join(cut))
    total, most = len(rows), MAX_SERIES if step is None else MAX_RANGES
    if total > most:
        rows = sorted(rows, key=_height, reverse=True)[:most]
        cut.append(f"the {most} highest of {total:,} series; aggregate or select by labels")
    words = _range_text(rows, step) if step is not None else _instant_text(rows)
    longest = max(len(items(row, "values")) for row in rows)
    if longest > MAX_POINTS:
        cut.append(f"{MAX_POINTS} of {longest:,} points of a series: the lowest and highest of each stretch are kept")
    rows, redacted = _sent(rows)
    data = {"series": rows, "step_s": step, "series_total": total}
    return Answer(text=words, data=data, cut="; ".join(cut), redacted=redacted)


def choose_step(start: datetime, end: datetime, wanted: int | None) -> tuple[int, str]:
    """A step (seconds) that asks for at most MAX_FETCHED points, and a note when it is coarser than was asked for."""
    span = (end - start).total_seconds()
    if span <= 0:
        raise Refusal(CommandStatus.INVALID, "The range ends before it starts.")
    least = max(1, math.ceil(span / (MAX_FETCHED - 1)))
    if wanted is None:
        return max(least, _SMALLEST_STEP_S if span >= _DEFAULT_RANGE.total_seconds() / 2 else least), ""
    if wanted >= least:
        return wanted, ""
    return least, f"one point every {least} s instead of {wanted} s"


def _sent(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """Rows as they leave the cluster: labels cleaned and redacted, samples read as numbers and at most MAX_POINTS of them."""
    sent: list[dict[str, Any]] = []
    redacted = 0
    for row in rows:
        metric, count = safe_tree(sub(row, "metric"))
        redacted += count
        if "values" in row:
            points = [(float(at), _float(value)) for at, value in items(row, "values")]
            shown = thin([point for point in points if not math.isnan(point[1])], MAX_POINTS)
            sent.append({"metric": metric, "values": [[at, _exact(value)] for at, value in shown]})
        else:
            at, value = row.get("value") or (0, "NaN")
            sent.append({"metric": metric, "value": [_float(at), _exact(_float(value))]})
    return sent, redacted


def _exact(value: float) -> str:
    """A sample in full, as Prometheus writes it."""
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if math.isnan(value):
        return "NaN"
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _height(row: dict[str, Any]) -> float:
    values = [_float(pair[1]) for pair in [*items(row, "values"), row.get("value") or [0, "NaN"]]]
    return max((abs(value) for value in values if not math.isnan(value)), default=-1.0)


def _visible(row: dict[str, Any], scope: ScopeLimit) -> bool:
    """`exported_namespace` is the measured object's where a scrape does not honour labels; both must be in scope."""
    labels = sub(row, "metric")
    return all(scope.allows(str(labels[name])) for name in ("namespace", "exported_namespace") if name in labels)


def _labels(row: dict[str, Any]) -> str:
    metric = {key: value for key, value in sub(row, "metric").items() if key != "__name__"}
    name = text(row, "metric", "__name__")
    inside = ", ".join(f'{key}="{value}"' for key, value in sorted(metric.items()))
    return f"{name}{{{inside}}}" if inside or not name else name


def _instant_text(rows: list[dict[str, Any]]) -> str:
    return columns(["Series", "Value"], [[_labels(row), number(_float((row.get("value") or [0, "NaN"])[1]))] for row in rows])


def _range_text(rows: list[dict[str, Any]], step: int) -> str:
    table: list[list[Any]] = []
    for row in rows:
        values = [v for v in (_float(pair[1]) for pair in items(row, "values")) if not math.isnan(v)]
        if values:
            table.append(
                [
                    _labels(row),
                    *(number(v) for v in (values[0], min(values), max(values), sum(values) / len(values), values[-1])),
                    len(values),
                ]
            )
    return columns(["Series", "First", "Min", "Max", "Avg", "Last", "Points"], table) + f"One point every {step} s.\n"


def number(value: float) -> str:
    """Six significant digits; whole numbers below 1e15 in full, so that bytes stay exact."""
    if math.isfinite(value) and value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.6g}"


def _float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
