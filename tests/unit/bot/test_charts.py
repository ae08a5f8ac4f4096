"""Charts before they are drawn: units, words, rows of blocks, and what becomes a line."""

import math
from typing import Any

import pytest

from bot.charts.of_result import MAX_LINES, charts_of, described, order_of, table_of
from bot.charts.sparkline import sparkline
from bot.charts.units import Kind, kind_of, told, unit_for
from protocol.charts import Chart, ChartLine, ChartThreshold
from protocol.commands import CommandResult, CommandStatus

MEMORY = "container_memory_working_set_bytes"


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        (MEMORY, "bytes"),
        (f'sum by (pod) ({MEMORY}{{namespace="cpu-ratio"}})', "bytes"),
        ("rate(container_network_receive_bytes_total[5m])", "bytes/s"),
        ("rate(container_cpu_usage_seconds_total[5m])", "cores"),
        ("histogram_quantile(0.99, rate(http_request_duration_seconds_bucket[5m]))", "seconds"),
        ("node:utilisation:ratio", "ratio"),
        ("cache_hit_ratio", "ratio"),
        ("disk_used_percent", "percent"),
        ("memory_utilization", "ratio"),
        ("rate(http_requests_total[5m])", "per second"),
        # A counter of CPU seconds is no number of cores, nor is its increase.
        ("container_cpu_usage_seconds_total", "seconds"),
        ("increase(container_cpu_usage_seconds_total[1h])", "seconds"),
        ("sum by (cpu) (rate(node_cpu_seconds_total[5m]))", "cores"),
        ("kube_pod_container_resource_requests_cpu_cores", "cores"),
        ("sum by (cpu) (up)", "number"),
        ("histogram_quantile(0.9, sum by (le) (rate(answer_size_bytes_bucket[5m])))", "bytes"),
        ("irate(node_disk_io_time_seconds_total[1m])", "seconds"),
        # What was divided or multiplied is in no unit that the names could tell, but for a mean.
        (f"{MEMORY} / kube_pod_container_resource_limits", "number"),
        ("sum(rate(http_requests_total[5m])) / sum(rate(http_requests_total[1h]))", "number"),
        ("100 * avg(rate(node_cpu_seconds_total[5m]))", "number"),
        ("rate(node_network_receive_bytes_total[5m]) * 8", "number"),
        (f"{MEMORY} > bool 1e9", "number"),
        ("rate(request_duration_seconds_sum[5m]) / rate(request_duration_seconds_count[5m])", "seconds"),
        (f"{MEMORY} > 1e9", "bytes"),
        (f"{MEMORY} - {MEMORY} offset 1h", "bytes"),
        ("up{a='memory', b=~`.*/bytes`}", "number"),
        (f"count({MEMORY})", "number"),
        ("up", "number"),
        ('up{reason="bytes of cpu seconds"}', "number"),
        ("", "number"),
    ],
)
def test_what_a_metric_is_measured_in(expression: str, kind: Kind) -> None:
    assert kind_of(expression) == kind


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("bytes", 0, "0 B"),
        ("bytes", 1023, "1023 B"),
        ("bytes", 2**27, "128 MiB"),
        ("bytes", 1.5 * 2**30, "1.5 GiB"),
        ("bytes/s", 2048, "2 KiB/s"),
        ("cores", 0.05, "50 millicores"),
        ("cores", 0.5, "0.5 cores"),
        ("cores", 3, "3 cores"),
        ("seconds", 0.0205, "20.5 ms"),
        ("seconds", 90, "1.5 min"),
        ("ratio", 0.934, "93.4 %"),
        ("percent", 93.4, "93.4 %"),
        ("number", 12, "12"),
        ("number", 1_200_000, "1.2 M"),
        ("bytes", -(2**20), "-1 MiB"),
    ],
)
def test_values_in_words(kind: Kind, value: float, words: str) -> None:
    assert told(kind, value) == words


def test_a_unit_for_nothing_at_all() -> None:
    assert unit_for("bytes", 0.0).name == "B"


@pytest.mark.parametrize(
    ("values", "blocks"),
    [
        ([], ""),
        ([1], "▄"),
        ([-1.7e308, 1.7e308], "▄▄"),
        ([1, 1, 1], "▄▄▄"),
        ([0, 7], "▁█"),
        ([0, 1, 2, 3, 4, 5, 6, 7], "▁▂▃▄▅▆▇█"),
        ([-7, 0], "▁█"),
    ],
)
def test_a_row_of_blocks(values: list[float], blocks: str) -> None:
    assert sparkline([(float(at), value) for at, value in enumerate(values)]) == blocks


def test_a_row_of_blocks_keeps_the_spike_and_shows_the_gap() -> None:
    points = [(float(at), 100.0 if at == 501 else 1.0) for at in range(1000) if not 200 < at < 300]
    row = sparkline(points, 20)
    assert len(row) == 20
    assert row.count("█") == 1
    assert " " in row


def result(data: dict[str, Any] | None, status: CommandStatus = CommandStatus.OK) -> CommandResult:
    return CommandResult(id="x", status=status, data=data)


def series(label: str, *values: object, **labels: str) -> dict[str, Any]:
    return {
        "metric": {"__name__": "m", **({"pod": label} if label else {}), **labels},
        "values": [[at, v] for at, v in enumerate(values)],
    }


def test_a_range_query_becomes_a_chart() -> None:
    rows = [series(f"p{n}", "1", str(n + 1)) for n in range(12)]
    (chart,) = charts_of(result({"series": rows, "series_total": 70}), "m{}")
    assert [line.label for line in chart.lines] == [f"p{n}" for n in range(11, 3, -1)]
    assert len(chart.lines) == MAX_LINES
    assert chart.left_out == 70 - MAX_LINES
    assert table_of(chart)[0] == {"label": "p11", "first": "1", "min": "1", "max": "12", "last": "12"}


NOTHING: tuple[dict[str, Any] | None, ...] = (
    None,
    {},
    {"series": []},
    {"series": "x"},
    {"series": [{"metric": {}, "value": [1, "2"]}]},
    {"series": [series("p", "1")]},
    {"series": [series("p", "NaN", "NaN")]},
    {"series": [{"metric": {}, "values": [[1], None, "x", [None, None]]}]},
    {"charts": []},
    {"charts": [{"lines": 3}, None, "x"]},
    {"charts": [{"title": "no lines"}]},
    {"charts": [{"title": "no number", "lines": [{"label": "l", "points": [[1, "nan"], [2, "inf"]]}]}]},
    {"charts": [{"title": "no time", "lines": [{"label": "l", "points": [[1, 1], [1e300, 2]]}]}]},
    {"series": [{"metric": {}, "values": [[1, "1"], [-1e300, "2"]]}]},
    {"diagnosis": {}},
)


@pytest.mark.parametrize("data", NOTHING)
def test_what_has_no_series_over_time_has_no_chart(data: dict[str, Any] | None) -> None:
    assert charts_of(result(data), "m") == ()


def test_values_that_are_no_numbers_are_left_out() -> None:
    (chart,) = charts_of(result({"series": [series("p", "1", "NaN", "+Inf", "x", "2")]}), "m")
    assert [value for _, value in chart.lines[0].points] == [1.0, 2.0]
    assert all(math.isfinite(value) for line in chart.lines for _, value in line.points)


@pytest.mark.parametrize(
    ("labels", "label"),
    [
        ({"namespace": "shop", "pod": "p", "container": "c", "instance": "i"}, "shop/p/c"),
        ({"job": "j", "instance": "i"}, "instance=i, job=j"),
        ({}, "m"),
    ],
)
def test_a_line_is_called_by_what_tells_it_apart(labels: dict[str, str], label: str) -> None:
    (chart,) = charts_of(result({"series": [series("", "1", "2", **labels)]}), "m")
    assert chart.lines[0].label == label


def test_a_chart_in_words_and_its_unit() -> None:
    chart = Chart(
        title="memory of container app of Deployment/shop/web",
        metric=MEMORY,
        lines=(ChartLine(label="p", points=((0.0, 2.0**26), (60.0, 2.0**27))),),
        thresholds=(ChartThreshold(label="limit", value=2.0**28),),
    )
    assert described(chart) == "memory of container app of Deployment/shop/web: 64 MiB – 128 MiB, limit 256 MiB"
    assert described(chart, "ja").startswith("Deployment/shop/web のコンテナ app のメモリ")
    assert described(chart, "zh").startswith("Deployment/shop/web 的容器 app 的内存")
    order = order_of(chart, form="png", theme="dark", language="zh")
    assert (order.unit, order.scale) == ("MiB", 2.0**20)
    assert order.chart.title == "Deployment/shop/web 的容器 app 的内存"
