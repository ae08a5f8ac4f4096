"""Charts for a diagnosis: the series that its metric evidence was read from, with limit, request and what changed. Pure."""

import math
import re
from collections.abc import Sequence
from datetime import timedelta

from knowledge.diagnosis.fields import rows, sub
from knowledge.diagnosis.quantity import parse
from knowledge.diagnosis.series import Series
from knowledge.diagnosis.thin import thin
from knowledge.diagnosis.view import ClusterView, Key
from protocol.charts import Chart, ChartLine, ChartMark, ChartThreshold
from protocol.diagnosis import Diagnosis, Evidence, RootCause
from protocol.objects import ObjectRef

MAX_CHARTS = 3
MAX_LINES = 6
MAX_POINTS = 300
MAX_MARKS = 4

_RESOURCES = {"container_memory_working_set_bytes": "memory", "container_cpu_usage_seconds_total": "cpu"}
"""Which resource of a container a metric is read against."""
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_CONTAINER = re.compile(r'container="([^"]+)"')


def charts_of(view: ClusterView, diagnosis: Diagnosis) -> tuple[Chart, ...]:
    """One for each metric that the root causes quote, most likely cause first."""
    found: dict[tuple[str, str], Chart] = {}
    for cause in diagnosis.root_causes:
        for item in cause.evidence:
            if item.source == "metric" and item.field and len(found) < MAX_CHARTS:
                key = (str(cause.object), item.field)
                chart = _chart(view, diagnosis, cause, item) if key not in found else None
                if chart is not None:
                    found[key] = chart
    return tuple(found.values())


def _chart(view: ClusterView, diagnosis: Diagnosis, cause: RootCause, item: Evidence) -> Chart | None:
    metric, container = _METRIC.match(item.field or ""), _CONTAINER.search(item.field or "")
    if metric is None:
        return None
    labels = {"container": container.group(1)} if container else {}
    series = [
        one
        for one in view.series(metric.group(), item.object.namespace, **labels)
        if _belongs(one.metric.get("pod", ""), cause.object, item.object)
    ]
    if not series:
        return None
    series.sort(key=lambda one: (one.metric.get("pod") != item.object.name, -(one.values[-1][0] if one.values else 0)))
    resource = _RESOURCES.get(metric.group(), "")
    about = f"container {container.group(1)} of {cause.object}" if container else str(cause.object)
    return Chart(
        title=f"{resource} of {about}" if resource else f"{metric.group()} of {about}",
        metric=metric.group(),
        lines=tuple(_line(one) for one in series[:MAX_LINES]),
        thresholds=_thresholds(view, cause.object, item.object, labels.get("container", ""), resource),
        marks=_marks(view, diagnosis, cause.object, series[:MAX_LINES]),
        until=view.now,
        left_out=max(0, len(series) - MAX_LINES),
    )


def _belongs(pod: str, cause: ObjectRef, quoted: ObjectRef) -> bool:
    """Pods of any revision count: those that are gone show how it was before."""
    return pod == quoted.name or (cause.kind != "Pod" and pod.startswith(f"{cause.name}-"))


def _line(series: Series) -> ChartLine:
    points = [point for point in series.values if math.isfinite(point[1])]
    return ChartLine(label=series.metric.get("pod", ""), points=tuple(thin(points, MAX_POINTS)))


def _thresholds(
    view: ClusterView, cause: ObjectRef, quoted: ObjectRef, container: str, resource: str
) -> tuple[ChartThreshold, ...]:
    """Limit and request of the container as they are now, in the pod or in its workload's template."""
    if not resource:
        return ()
    for ref in (quoted, cause):
        template = view.template(Key(ref.kind, ref.namespace, ref.name))
        for row in rows(template, "containers"):
            if row.get("name") == container:
                resources = sub(row, "resources")
                found = ((name, parse(sub(resources, f"{name}s").get(resource))) for name in ("limit", "request"))
                return tuple(ChartThreshold(label=name, value=value) for name, value in found if value)
    return ()


def _marks(view: ClusterView, diagnosis: Diagnosis, blamed: ObjectRef, series: Sequence[Series]) -> tuple[ChartMark, ...]:
    """Changes of the object at fault, within the time that the lines show."""
    starts = [one.values[0][0] for one in series if one.values]
    if not starts:
        return ()
    found = _first_sign(diagnosis, blamed, min(starts))
    found += [
        ChartMark(at=change.at, label=f"{change.path.rsplit('.', 1)[-1]}: {change.before or '-'} → {change.after or '-'}")
        for change in diagnosis.changes
        if change.object == blamed
        and change.at is not None
        and min(starts) <= change.at.timestamp()
        and change.at <= view.now + timedelta(seconds=1)
    ]
    return tuple(sorted(found, key=lambda mark: mark.at)[-MAX_MARKS:])


def _first_sign(diagnosis: Diagnosis, blamed: ObjectRef, start: float) -> list[ChartMark]:
    """When the trouble of this workload was first seen."""
    signs = [
        ChartMark(at=finding.first_seen, label=finding.code)
        for finding in diagnosis.symptoms
        if finding.first_seen is not None
        and finding.first_seen.timestamp() >= start
        and finding.object.namespace == blamed.namespace
        and (finding.object == blamed or finding.object.name.startswith(f"{blamed.name}-"))
    ]
    return sorted(signs, key=lambda mark: mark.at)[:1]
