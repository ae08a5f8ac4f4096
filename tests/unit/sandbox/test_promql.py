"""The practice cluster's PromQL: values checked by hand on made series, and refusals in Prometheus' words."""

import math
from collections.abc import Iterable

import pytest

from sandbox.promql.evaluate import Evaluation, Sample, Series, matches
from sandbox.promql.parser import parse
from sandbox.promql.syntax import Matcher, QueryError
from tests.unit.sandbox.bench import Bench

NOW = 6000.0


def _steps(moment: float) -> float:
    """A counter that gains 2 a second and starts again at 5400."""
    return (moment - 5400) * 2 if moment >= 5400 else moment * 2


class Made:
    """Six series with values that can be worked out in the head."""

    def __init__(self) -> None:
        def series(name: str, value: float, **labels: str) -> Series:
            return Series({"__name__": name, **labels}, lambda _moment: value)

        self.all = [
            series("memory", 300.0, pod="a", ns="x"),
            series("memory", 100.0, pod="b", ns="x"),
            series("limit", 400.0, pod="a", ns="x"),
            series("limit", 400.0, pod="b", ns="x"),
            Series({"__name__": "hits_total", "pod": "a"}, lambda moment: moment * 3),
            Series({"__name__": "restarted_total", "pod": "a"}, _steps),
        ]

    def select(self, matchers: tuple[Matcher, ...]) -> Iterable[Series]:
        return [series for series in self.all if matches(series.labels, matchers)]


def _answer(query: str) -> object:
    value = Evaluation(Made(), NOW).value(parse(query))
    if isinstance(value, list):
        return {s.labels.get("pod", ""): pytest.approx(s.value) for s in value}
    return value


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("1 + 2 * 3", 7),
        ("2 ^ 3 ^ 2", 512),
        ("-2 ^ 2", -4),
        ("(1 + 2) * 3", 9),
        ("10 % 4 - 1", 1),
        ("1 == bool 1", 1),
        ('memory{pod="a"}', {"a": 300}),
        ('memory{pod!="a"}', {"b": 100}),
        ('memory{pod=~"a|b",ns="x"}', {"a": 300, "b": 100}),
        ('memory{pod!~"a.*"}', {"b": 100}),
        ('{__name__=~"mem.+",pod="b"}', {"b": 100}),
        ("memory / 100", {"a": 3, "b": 1}),
        ("memory > 200", {"a": 300}),
        ("memory > bool 200", {"a": 1, "b": 0}),
        ("memory / limit", {"a": 0.75, "b": 0.25}),
        ("memory / on(pod) limit > 0.5", {"a": 0.75}),
        ("sum(memory)", {"": 400}),
        ("sum by (pod) (memory)", {"a": 300, "b": 100}),
        ("sum(memory) by (pod)", {"a": 300, "b": 100}),
        ("max without (pod) (memory)", {"": 300}),
        ("avg(memory)", {"": 200}),
        ("count(memory)", {"": 2}),
        ("topk(1, memory)", {"a": 300}),
        ("bottomk(1, memory)", {"b": 100}),
        ("quantile(0.5, memory)", {"": 200}),
        ("rate(hits_total[5m])", {"a": 3}),
        ("irate(hits_total[5m])", {"a": 3}),
        ("increase(hits_total[1m])", {"a": 180}),
        ("rate(restarted_total[20m])", {"a": 2 * 1170 / 1185}),  # one interval is lost with the restart
        ("resets(restarted_total[20m])", {"a": 1}),
        ("max_over_time(hits_total[1m])", {"a": 18000}),
        ("hits_total offset 10m", {"a": 16200}),
        ("memory and limit", {"a": 300, "b": 100}),
        ('memory unless limit{pod="a"}', {"b": 100}),
        ('memory{pod="a"} or memory', {"a": 300, "b": 100}),
        ("absent(nothing)", {"": 1}),
        ("absent(memory)", {}),
        ('scalar(memory{pod="a"})', 300),
        ("clamp_max(memory, 200)", {"a": 200, "b": 100}),
        ("round(memory / 7)", {"a": 43, "b": 14}),
    ],
)
def test_answers(query: str, answer: object) -> None:
    assert _answer(query) == answer


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "no expression found in input"),
        ("memory{", "unexpected end of input"),
        ("memory{pod=a}", "unexpected"),
        ("sum(", "unexpected end of input"),
        ("memory)", 'unexpected ")"'),
        ("1 > 2", "comparisons between scalars must use BOOL modifier"),
        ("rate(memory)", "expected type range vector"),
        ("memory[5m]", "range vector"),
        ("memory[5x]", "unexpected"),
        ("memory[5m:1m]", "no subqueries"),
        ("nope(memory)", 'unknown function with name "nope"'),
        ("rate(memory[5m], 1)", "expected 1 argument(s)"),
        ("{}", "at least one non-empty matcher"),
        ('{pod=~".*"}', "at least one non-empty matcher"),
        ('memory{pod=~"("}', "error parsing regexp"),
        ("memory / on(ns) limit", "many-to-many matching not allowed"),
        ("(" * 2000 + "1" + ")" * 2000, "nested too deeply"),
    ],
)
def test_refusals(query: str, said: str) -> None:
    with pytest.raises(QueryError) as refused:
        Evaluation(Made(), NOW).value(parse(query))
    assert said in str(refused.value)


def test_division_by_zero_is_no_error() -> None:
    value = Evaluation(Made(), NOW).value(parse("memory / 0"))
    assert isinstance(value, list)
    assert all(math.isinf(sample.value) for sample in value)


def test_the_series_tell_the_same_story_as_the_cluster() -> None:
    bench = Bench("payments-oom", "checkout-configmap")
    now = bench.cluster.clock.now

    def ask(query: str, moment: float = now) -> list[Sample]:
        value = Evaluation(bench.sandbox.series, moment).value(parse(query))
        assert isinstance(value, list)
        return value

    restarts = ask('kube_pod_container_status_restarts_total{namespace="shop",container="payments"}')
    assert [sample.value for sample in restarts] == [9, 9]
    limits = ask('max by (pod) (max_over_time(container_spec_memory_limit_bytes{container="payments"}[20m]))')
    assert {sample.value for sample in limits} == {256 * 2**20}
    trace = next(t for t in bench.sandbox.kubelet.traces if t.container == "payments" and t.gone is None)
    killed = next(run.ended for run in reversed(trace.runs) if run.ended is not None)
    peak = ask('max(container_memory_working_set_bytes{container="payments"})', killed - 0.1)
    assert 100 * 2**20 < peak[0].value <= 256 * 2**20
    before = ask('max(container_memory_working_set_bytes{container="payments"})', now - 3600)
    assert 300 * 2**20 < before[0].value < 345 * 2**20
    share = 'sum(rate(http_requests_total{app="web",code=~"5.."}[5m])) / sum(rate(http_requests_total{app="web"}[5m]))'
    assert ask(share)[0].value == pytest.approx(0.1, abs=0.02)
    assert ask(share, now - 3600)[0].value == 0
    available = 'kube_deployment_status_replicas_available{deployment="checkout"}'
    assert [ask(available)[0].value, ask(available, now - 3600)[0].value] == [0, 2]
