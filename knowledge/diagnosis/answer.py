"""From hits and roots to the Diagnosis: findings, root causes, summary in plain English, what was checked and what was not."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from knowledge.diagnosis.catalogue import Tier, entry
from knowledge.diagnosis.context import Context
from knowledge.diagnosis.fields import number, rows, text, time_at
from knowledge.diagnosis.hit import Hit, Quote
from knowledge.diagnosis.pods import is_ready
from knowledge.diagnosis.ranking import Root
from knowledge.diagnosis.resolve import Resolved
from knowledge.diagnosis.scope import WORKLOADS, Scope
from knowledge.diagnosis.steady import steady_since
from knowledge.diagnosis.view import Key
from protocol.commands import Diagnose
from protocol.diagnosis import Change, Diagnosis, Finding, RootCause

MAX_CAUSES = 20
MAX_SYMPTOMS = 60
MAX_CHANGES = 20
CHANGE_WINDOW = timedelta(days=7)


def compose(
    context: Context,
    request: Diagnose,
    asked: Resolved,
    scope: Scope,
    roots: Sequence[Root],
    limits: list[str],
) -> Diagnosis:
    mine = [root for root in roots if _concerns(root, scope)]
    reported = [root for root in mine if entry(root.hit.code).tier > Tier.SYMPTOM]
    shown = reported[:MAX_CAUSES]
    if len(reported) > len(shown):
        limits.append(f"{len(reported) - len(shown)} more root causes of lower rank are not shown")
    symptoms = _symptoms(mine, shown)
    seen = scope.whole or any(context.view.get(key) is not None for key in scope.own)
    healthy = not mine and seen and not asked.unknown and len(context.view) > 0
    limits += _unseen(context, scope)
    if asked.guessed:
        limits.append(asked.guessed)
    subject = _subject(request, asked)
    return Diagnosis(
        summary=_summary(context, scope, subject, shown, symptoms, healthy, asked),
        root_causes=tuple(_root_cause(root) for root in shown),
        symptoms=tuple(_finding(hit) for hit in symptoms[:MAX_SYMPTOMS]),
        healthy=healthy,
        steady_since=steady_since(context, scope) if healthy else None,
        changes=_changes(context, scope, shown),
        checked=_checked(context, scope) if not asked.unknown else (),
        limits=tuple(dict.fromkeys(limits)),
    )


def _concerns(root: Root, scope: Scope) -> bool:
    """Is the root, or something that it explains, trouble of what was asked about?"""
    return scope.whole or any(_touches(hit, scope) for hit in (root.hit, *root.explained))


def _touches(hit: Hit, scope: Scope) -> bool:
    return hit.object in scope.own or any(key in scope.own for key in hit.affected)


def _symptoms(mine: Sequence[Root], shown: Sequence[Root]) -> list[Hit]:
    causes = {id(root.hit) for root in shown}
    found: dict[int, Hit] = {}
    for root in mine:
        for hit in (root.hit, *root.explained):
            if id(hit) not in causes and not hit.supporting:
                found[id(hit)] = hit
    return sorted(found.values(), key=lambda hit: (-entry(hit.code).tier, str(hit.object)))


def _root_cause(root: Root) -> RootCause:
    return RootCause(
        code=root.hit.code,
        object=root.hit.object.ref(),
        explanation=root.hit.explanation,
        confidence=root.confidence,
        evidence=tuple(quote.evidence() for quote in (*root.hit.evidence, *_seen_in_effects(root))),
        reasons=tuple(root.reasons),
        facts=dict(root.hit.facts),
    )


def _seen_in_effects(root: Root) -> list[Quote]:
    """What the root's effects show: the first quote of each, events and logs first, so that the chain can be followed."""
    quotes = [quote for hit in root.explained for quote in hit.evidence[:1] if quote not in root.hit.evidence]
    return sorted(quotes, key=lambda quote: quote.source == "object")[:3]


def _finding(hit: Hit) -> Finding:
    code = entry(hit.code)
    return Finding(
        code=hit.code,
        object=hit.object.ref(),
        severity=code.severity,
        title=code.title,
        evidence=tuple(quote.evidence() for quote in hit.evidence[:3]),
        first_seen=hit.since,
    )


def _changes(context: Context, scope: Scope, shown: Sequence[Root]) -> tuple[Change, ...]:
    """Changes of the roots' objects first in mind: of every workload and ConfigMap in scope, newest first."""
    keys: dict[Key, None] = {root.hit.object: None for root in shown}
    kinds = ("Deployment", "ConfigMap")
    keys.update(
        dict.fromkeys(key for kind in kinds for key in context.view.of_kind(kind))
        if scope.whole and len(context.view.of_kind("Deployment")) <= 200
        else dict.fromkeys(key for key in scope.related if key.kind in kinds)
    )
    found = [change for key in keys for change in context.changes(key)]
    recent = [change for change in found if change.at is None or context.now - change.at <= CHANGE_WINDOW]
    unique = {(str(change.object), change.path, change.after): change for change in recent}
    ordered = sorted(unique.values(), key=lambda change: change.at.timestamp() if change.at else 0.0, reverse=True)
    return tuple(ordered[:MAX_CHANGES])


def _unseen(context: Context, scope: Scope) -> list[str]:
    view = context.view
    said: list[str] = []
    if not view.logs and any(context.troubled(key) for key in _pods(context, scope)):
        said.append("no logs were available")
    if not view.metrics:
        said.append("no metrics were available")
    if not view.knows("Secret"):
        said.append("Secrets cannot be read; only what events say about them is known")
    return said


def _pods(context: Context, scope: Scope) -> list[Key]:
    return list(context.view.of_kind("Pod")) if scope.whole else [key for key in scope.related if key.kind == "Pod"]


def _checked(context: Context, scope: Scope) -> tuple[str, ...]:
    pods = _pods(context, scope)
    inside = set(pods)
    workloads = [key for kind in WORKLOADS for key in context.view.of_kind(kind) if scope.holds(key)]
    logs = {
        (key.namespace, key.pod, key.container) for key in context.view.logs if Key("Pod", key.namespace, key.pod) in inside
    }
    events = context.view.event_count if scope.whole else sum(len(context.view.events(key)) for key in scope.related)
    names = [str(key) for key in scope.targets]
    said = [*names, _count(len(workloads), "workload"), _count(len(pods), "pod"), _count(events, "event")]
    if logs:
        said.append("logs of 1 container" if len(logs) == 1 else f"logs of {len(logs)} containers")
    if context.view.metrics:
        said.append(f"{len(context.view.metrics)} metric series")
    return tuple(said)


def _count(n: int, thing: str) -> str:
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"


def _subject(request: Diagnose, asked: Resolved) -> str:
    if asked.targets:
        return ", ".join(_called(key) for key in asked.targets[:3])
    if request.namespace:
        return f"namespace {request.namespace}"
    return "the cluster"


def _called(key: Key) -> str:
    return f"namespace {key.name}" if key.kind == "Namespace" else f"{key.kind} {key.name}"


def _summary(
    context: Context, scope: Scope, subject: str, shown: Sequence[Root], symptoms: Sequence[Hit], healthy: bool, asked: Resolved
) -> str:
    if asked.unknown:
        return f"I don't know: {asked.unknown}."
    if healthy:
        return " ".join((f"Nothing is wrong with {subject}.", *_why_healthy(context, scope))).strip()
    if not shown:
        seen = "; ".join(hit.explanation for hit in symptoms[:3])
        return (
            f"I don't know why {subject} is in trouble. Seen: {seen}"
            if seen
            else f"I don't know: nothing about {subject} can be seen."
        )
    first = shown[0]
    lines = [first.hit.explanation]
    if len(shown) > 1:
        lines.append("Also: " + " ".join(root.hit.explanation for root in shown[1:4]))
    effects = sorted({str(hit.object) for root in shown for hit in root.explained if hit.object != root.hit.object})
    if effects:
        lines.append(f"Because of it: {', '.join(effects[:5])}.")
    return " ".join(lines)


def _why_healthy(context: Context, scope: Scope) -> list[str]:
    """How many pods are ready, and why old restarts and warnings do not count."""
    if scope.whole:
        return []
    pods = [
        key for key in scope.own if key.kind == "Pod" and text(context.view.get(key) or {}, "status", "phase") != "Succeeded"
    ]
    if not pods:
        return []
    said = [f"{sum(1 for pod in pods if is_ready(context.view.get(pod) or {}))} of {len(pods)} pods are ready."]
    restarts, last = _old_restarts(context, pods)
    if restarts:
        since = f"; the last was {_ago(context.now - last)} ago and the containers have run since" if last else ""
        said.append(f"There were {restarts} restarts{since}.")
    old = [event for key in scope.own for event in context.view.events(key) if event.warning]
    if old:
        newest = max(old, key=lambda event: event.order)
        said.append(
            f"{len(old)} old warning events (the newest: {newest.reason}, "
            f"{_ago(context.now - newest.order)} ago) are older than the "
            "state that followed, so they are history."
        )
    return said


def _old_restarts(context: Context, pods: Sequence[Key]) -> tuple[int, datetime | None]:
    total, ends = 0, list[datetime]()
    for pod in pods:
        for status in rows(context.view.get(pod) or {}, "status", "containerStatuses"):
            total += number(status, "restartCount")
            end = time_at(status, "lastState", "terminated", "finishedAt")
            if end:
                ends.append(end)
    return total, max(ends, default=None)


def _ago(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    if seconds < 120:
        return f"{seconds} seconds"
    if seconds < 7200:
        return f"{seconds // 60} minutes"
    if seconds < 172_800:
        return f"{seconds // 3600} hours"
    return f"{seconds // 86_400} days"
