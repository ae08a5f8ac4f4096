"""What a runner does for one question, on a practice cluster of this process: objects, logs, series, diagnose."""

from datetime import UTC, datetime

from knowledge.diagnosis import ClusterView, LogKey, Series, diagnose, needs, read_series
from knowledge.diagnosis.needs import TAIL_LINES
from protocol.commands import Diagnose
from protocol.diagnosis import Diagnosis
from runner.cache.live import KINDS
from sandbox import logs
from sandbox.errors import ApiError
from sandbox.promql.http import matrix
from sandbox.resources import BY_KIND, POD
from tests.unit.sandbox.bench import Bench


def ask(bench: Bench, *words: str) -> Diagnosis:
    """The diagnosis of the words at the bench's time."""
    request = Diagnose(words=words)
    store, moment = bench.cluster.store, bench.cluster.clock.now
    now = datetime.fromtimestamp(moment, UTC)
    objects = [obj for kind in KINDS for obj in store.list(BY_KIND[kind])]
    wanted = needs(ClusterView(objects, now=now), request)
    known = _logs(bench, wanted.logs)
    series: list[Series] = []
    for query in wanted.queries:
        found = matrix(bench.sandbox.series, query.expr, moment - query.range_s, moment, query.step_s)
        series += read_series(found, query.name)
    known |= _logs(bench, needs(ClusterView(objects, now=now, logs=known), request).logs)
    return diagnose(ClusterView(objects, now=now, logs=known, metrics=series), request)


def _logs(bench: Bench, keys: tuple[LogKey, ...]) -> dict[LogKey, str]:
    found: dict[LogKey, str] = {}
    for key in keys:
        pod = bench.cluster.store.need(POD, key.namespace, key.pod)
        try:
            trace, run = logs.run_of(bench.sandbox.kubelet, pod, key.container, key.previous)
        except ApiError:
            continue
        said = logs.lines(trace, run, bench.cluster.clock.now, tail=TAIL_LINES)
        found[key] = logs.text_of(said, timestamps=True).decode()
    return found
