"""`diagnose` and `changes`: the rules over the live cache, with the logs and metrics that they ask for."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from knowledge.diagnosis import ClusterView, Key, LogKey, NamedQuery, Series, diagnose, needs, read_series
from knowledge.diagnosis.changes import changes_of
from knowledge.diagnosis.needs import MAX_LOG_BYTES, MAX_LOGS, TAIL_LINES
from knowledge.diagnosis.pictures import charts_of
from protocol.commands import Diagnose, ListChanges, ScopeLimit
from protocol.diagnosis import Change, Diagnosis
from protocol.kubectl.calls import LogsCall
from protocol.redaction import redact
from protocol.text import clean, one_line
from runner.cache.difference import ROOTS
from runner.cache.live import LiveCache
from runner.commands.answer import Answer, Refusal, safe_tree
from runner.commands.ask import Ask, gather_bounded
from runner.commands.logs import Source, read_log
from runner.commands.render import age, columns
from runner.kube.errors import KubeError
from runner.metrics.client import NOT_CONFIGURED, Prometheus

WARM_WITHIN_S = 4.0
CHANGES_LOOKED_AT = timedelta(hours=24)
_LOGS_AT_ONCE = 8
_LOGS_WITHIN_S = 8.0
_METRICS_WITHIN_S = 5.0
_ROUNDS = 2
"""Error lines name dependencies, whose own logs are worth a second look; a third has never told more."""

Obj = dict[str, Any]


async def run_diagnosis(command: Diagnose, ask: Ask, cache: LiveCache, prometheus: Prometheus) -> Answer:
    """Never fails for what cannot be seen: the diagnosis' `limits` say so."""
    await cache.wait_settled(WARM_WITHIN_S)
    now = ask.now()
    objects = visible_objects(cache, ask.scope)
    limits = cache.limits()
    if ask.scope.namespaces is not None:
        limits.append(
            f"only the namespaces {', '.join(ask.scope.namespaces)} were looked at; nodes and volumes are outside of your scope"
        )
    changes = _merged(command.changes, cache.changes(now - CHANGES_LOOKED_AT), ask.scope)
    view = await asyncio.to_thread(ClusterView, objects, now=now, changes=changes, limits=limits)
    asked_logs: set[LogKey] = set()
    asked_queries: set[str] = set()
    for _ in range(_ROUNDS):
        wanted = await asyncio.to_thread(needs, view, command)
        new_logs = [key for key in wanted.logs if key not in asked_logs]
        new_queries = [query for query in wanted.queries if query.name not in asked_queries]
        if not new_logs and not new_queries:
            break
        ask.report(f"reading {len(new_logs)} logs and {len(new_queries)} metrics")
        (found_logs, lost), (found_metrics, unmeasured) = await asyncio.gather(
            fetch_logs(ask, new_logs), fetch_metrics(prometheus, new_queries, now)
        )
        asked_logs.update(new_logs)
        asked_queries.update(query.name for query in new_queries)
        logs = {**view.logs, **found_logs}
        metrics = (*view.metrics, *found_metrics)
        view = view.with_readings(logs=logs, metrics=metrics, limits=(*view.limits, *lost, *unmeasured))
        if len(new_logs) >= MAX_LOGS:
            # More pods in trouble than logs are read for: a second look would go on with those, not with what they name.
            break
    found = await asyncio.to_thread(diagnose, view, command)
    if cache.state != "warm":
        # It may have been well since in what was seen last, and be down by now.
        found = found.model_copy(update={"steady_since": None})
    charts = [chart.model_dump(mode="json") for chart in charts_of(view, found)]
    told = {"diagnosis": found.model_dump(mode="json"), "charts": charts}
    data, redacted = await asyncio.to_thread(safe_tree, told)
    return Answer(text=_words(found), data=data, redacted=redacted)


async def list_changes(command: ListChanges, ask: Ask, cache: LiveCache) -> Answer:
    """What the watch saw, and what the objects themselves tell: revisions, managedFields, last-applied."""
    settled = await cache.wait_settled(WARM_WITHIN_S)
    now = ask.now()
    since = now - timedelta(seconds=command.since_s)
    watched = _merged((), cache.changes(since), ask.scope)
    objects = visible_objects(cache, ask.scope)
    view = ClusterView(objects, now=now, changes=watched)
    about = command.target
    told = [
        change
        for key in ([Key(about.kind, about.namespace, about.name)] if about else _keys(objects, command.namespace))
        for change in changes_of(view, key)
    ]
    found = [
        change
        for change in dict.fromkeys([*told, *watched])
        if (change.at is None or change.at >= since)
        and (command.namespace is None or change.object.namespace == command.namespace)
        and (command.target is None or change.object == command.target)
    ]
    found.sort(key=lambda change: change.at or since, reverse=True)
    cut = "" if settled and cache.state == "warm" else "the cache is not complete yet: " + "; ".join(cache.limits())
    data, redacted = safe_tree([change.model_dump(mode="json") for change in found[:500]])
    if not found:
        return Answer(text=f"No changes seen in the last {command.since_s} s.\n", empty=True, data={"changes": []}, cut=cut)
    rows = [_change_row(change, now) for change in found[:500]]
    text = columns(["Age", "Object", "Field", "Before", "After", "By"], rows)
    return Answer(text=text, data={"changes": data}, cut=cut, redacted=redacted)


def visible_objects(cache: LiveCache, scope: ScopeLimit) -> list[Obj]:
    """A list of its own, so that a thread can read it while the watch goes on."""
    if scope.namespaces is None:
        return list(cache.objects())
    allowed = frozenset(scope.namespaces)
    return [
        obj
        for obj in cache.objects()
        if obj["metadata"].get("namespace") in allowed or (obj["kind"] == "Namespace" and obj["metadata"]["name"] in allowed)
    ]


async def fetch_logs(ask: Ask, wanted: Sequence[LogKey]) -> tuple[dict[LogKey, str], list[str]]:
    """Tails, cleaned and redacted before any rule quotes them; what could not be read is said once."""
    found: dict[LogKey, str] = {}
    problems: list[str] = []

    async def one(key: LogKey) -> None:
        call = LogsCall(previous=key.previous, tail=TAIL_LINES)
        piece = await read_log(call, ask, Source(key.namespace, key.pod, key.container), MAX_LOG_BYTES)
        if isinstance(piece, KubeError):
            if piece.status not in (400, 404):
                problems.append(piece.message)
            return
        found[key] = await asyncio.to_thread(_safe, piece.text)

    jobs = [lambda key=key: one(key) for key in wanted]
    try:
        async with asyncio.timeout(_LOGS_WITHIN_S):
            await gather_bounded(jobs, _LOGS_AT_ONCE)
    except TimeoutError:
        problems.append(f"{len(wanted) - len(found)} logs took longer than {_LOGS_WITHIN_S:.0f} s")
    if not problems:
        return found, []
    return found, [f"{len(problems)} of {len(wanted)} logs could not be read: {one_line(problems[0], 200)}"]


def _safe(text: str) -> str:
    return redact(clean(text)).text


async def fetch_metrics(prometheus: Prometheus, wanted: Sequence[NamedQuery], now: datetime) -> tuple[list[Series], list[str]]:
    if not wanted:
        return [], []
    if not prometheus.configured:
        return [], [NOT_CONFIGURED]
    found: list[Series] = []
    problems: list[str] = []
    partly: list[str] = []

    async def one(query: NamedQuery) -> None:
        try:
            start = now - timedelta(seconds=query.range_s)
            rows, limits = await prometheus.container_series(query.expr, start, now, query.step_s, _METRICS_WITHIN_S)
            found.extend(read_series(rows, query.name))
            partly.extend(limits)
        except Refusal as refusal:
            problems.append(refusal.message)

    await gather_bounded([lambda query=query: one(query) for query in wanted], 4)
    said = list(dict.fromkeys([*partly, *(() if found else prometheus.container_limits)]))
    return found, [*said, f"metrics could not be read: {one_line(problems[0], 200)}"] if problems else said


def _keys(objects: Sequence[Obj], namespace: str | None) -> list[Key]:
    """Objects of kinds that can tell of changes, in one namespace or all."""
    found = [
        Key(obj["kind"], obj["metadata"].get("namespace") or "", obj["metadata"]["name"])
        for obj in objects
        if obj["kind"] in ROOTS
    ]
    return [key for key in found if namespace is None or key.namespace == namespace]


def _merged(told: Sequence[Change], seen: Sequence[Change], scope: ScopeLimit) -> list[Change]:
    by_key = {(str(c.object), c.path, c.after): c for c in [*told, *seen]}
    return [c for c in by_key.values() if scope.namespaces is None or c.object.namespace in scope.namespaces]


def _words(found: Diagnosis) -> str:
    lines = [found.summary]
    for cause in found.root_causes:
        lines.append(f"- {cause.code} on {cause.object} (confidence {cause.confidence:.2f}): {cause.explanation}")
        lines.extend(f"    {item.source} {item.object} {item.field or ''}: {one_line(item.excerpt)}" for item in cause.evidence)
    lines.extend(f"Limit: {limit}" for limit in found.limits)
    return "\n".join(lines) + "\n"


def _change_row(change: Change, now: datetime) -> list[str]:
    when = age(change.at.isoformat(), now) if change.at else "?"
    before, after = (one_line(text, 80) if text is not None else "-" for text in (change.before, change.after))
    return [when, str(change.object), change.path, before, after, change.by or "?"]
