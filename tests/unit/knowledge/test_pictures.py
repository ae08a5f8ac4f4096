"""Thinning keeps the extremes, and a diagnosis brings the series of its metric evidence with limit, request and changes."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.diagnosis import ClusterView, Series
from knowledge.diagnosis.pictures import MAX_LINES, MAX_POINTS, charts_of
from knowledge.diagnosis.thin import thin
from protocol.diagnosis import Change, Diagnosis, Evidence, Finding, RootCause, Severity
from protocol.objects import ObjectRef

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
METRIC = "container_memory_working_set_bytes"
WEB = ObjectRef(kind="Deployment", namespace="shop", name="web")
CHANGES = tuple(
    Change(object=WEB, path="spec.containers[web].resources.limits.memory", before="256Mi", after="128Mi", at=at)
    for at in (NOW - timedelta(minutes=5), NOW - timedelta(days=1), None)
)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=400), st.integers(4, 60))
def test_thinning_keeps_ends_extremes_and_order(values: list[float], at_most: int) -> None:
    points = [(float(at), value) for at, value in enumerate(values)]
    kept = thin(points, at_most)
    assert len(kept) <= at_most or len(points) <= at_most
    assert set(kept) <= set(points)
    assert kept == sorted(kept)
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert min(value for _, value in kept) == min(values)
    assert max(value for _, value in kept) == max(values)


def view(pods: int = 1, points: int = 10) -> ClusterView:
    container = {"name": "web", "resources": {"limits": {"memory": "128Mi"}, "requests": {"memory": "64Mi"}}}
    web = {
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }
    start = NOW.timestamp() - 60 * points
    series = [
        Series(
            {"__name__": METRIC, "namespace": "shop", "pod": f"web-1-{n}", "container": "web"},
            tuple((start + 60 * at, float("nan") if at == 3 else 1e6 * at) for at in range(points)),
        )
        for n in range(pods)
    ]
    other = Series({"__name__": METRIC, "namespace": "shop", "pod": "webby-0", "container": "web"}, ((start, 1.0),))
    return ClusterView([web], now=NOW, metrics=[*series, other])


def diagnosis(field: str | None = f'{METRIC}{{namespace="shop",pod="web-1-0",container="web"}}') -> Diagnosis:
    pod = ObjectRef(kind="Pod", namespace="shop", name="web-1-0")
    item = Evidence(source="metric", object=pod, field=field, excerpt="9000000")
    cause = RootCause(code="memory-limit-too-low", object=WEB, explanation="x", confidence=0.9, evidence=(item, item))
    signs = [
        Finding(code="oom-killed", object=pod, severity=Severity.HIGH, title="x", first_seen=NOW - timedelta(minutes=ago))
        for ago in (2, 4, 900)
    ]
    return Diagnosis(summary="x", root_causes=(cause,), symptoms=tuple(signs), healthy=False, changes=CHANGES)


def test_a_chart_of_the_quoted_series() -> None:
    (chart,) = charts_of(view(), diagnosis())
    assert chart.title == "memory of container web of Deployment/shop/web"
    assert [line.label for line in chart.lines] == ["web-1-0"]
    assert len(chart.lines[0].points) == 9, "a value that is no number is left out"
    assert {(row.label, row.value) for row in chart.thresholds} == {("limit", 2.0**27), ("request", 2.0**26)}
    assert [mark.label for mark in chart.marks] == ["memory: 256Mi → 128Mi", "oom-killed"]
    assert chart.marks[1].at == NOW - timedelta(minutes=4), "the first sign within the time that is shown"


def test_many_pods_and_points_are_bounded_and_counted() -> None:
    (chart,) = charts_of(view(pods=20, points=2000), diagnosis())
    assert len(chart.lines) == MAX_LINES
    assert chart.left_out == 14
    assert all(len(line.points) <= MAX_POINTS for line in chart.lines)
    assert chart.lines[0].label == "web-1-0", "the pod that is quoted comes first"


@pytest.mark.parametrize("field", [None, "", "other_metric{}", f'{METRIC}{{container="absent"}}', '{__name__="x"}'])
def test_no_series_no_chart(field: str | None) -> None:
    assert charts_of(view(), diagnosis(field)) == ()
