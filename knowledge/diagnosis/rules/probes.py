"""Probes: readiness that fails, liveness that kills, probes that ask the wrong thing."""

import re
from collections.abc import Iterator
from datetime import timedelta

from knowledge.diagnosis.context import Context, path_of_template
from knowledge.diagnosis.events import EventRow
from knowledge.diagnosis.fields import Obj, number, rows, sub, text, time_at
from knowledge.diagnosis.hit import Fact, Hit, Quote, quote_event, quote_field, quote_part
from knowledge.diagnosis.pods import Container
from knowledge.diagnosis.rules.registry import rule
from knowledge.diagnosis.view import Key

FRESH = timedelta(minutes=15)
"""A probe event older than this says nothing about now: probes run every few seconds."""

_STATUS = re.compile(r"statuscode: (\d{3})")


@rule("Pod")
def readiness_probe(context: Context, key: Key, pod: Obj) -> Iterator[Hit]:
    """A container that runs and is not ready, with a failing probe or past the time its probe allows."""
    if text(pod, "status", "phase") != "Running" or "deletionTimestamp" in sub(pod, "metadata"):
        return
    for container in context.containers(key):
        since = container.running_since
        probe = sub(container.spec, "readinessProbe")
        if container.init or container.ready or since is None or not probe:
            continue
        event = _probe_event(context, key, container, "Readiness probe")
        if event is None and context.now - since < _allowance(probe):
            continue
        yield _readiness_hit(context, key, container, probe, event)


def _readiness_hit(context: Context, key: Key, container: Container, probe: Obj, event: EventRow | None) -> Hit:
    workload = context.view.workload(key)
    evidence: list[Quote] = [quote_event(key, event)] if event else []
    evidence.append(quote_field(key, f"{container.path}.ready", container.status.get("ready")))
    wrong = _asks_wrong_thing(container, probe, event)
    facts = _probe_facts(container, probe, event)
    if wrong:
        evidence.append(quote_part(key, f"{container.spec_path}.readinessProbe", probe, "httpGet", "tcpSocket", "exec", "grpc"))
        before = context.revision_before(workload)
        if before and any("readinessProbe" in change.path for change in context.changes(workload)):
            facts["revision"] = before[0]
            evidence += context.change_quotes(workload, "readinessProbe")
    said = f": {event.message}" if event else " and has had the time that its probe allows"
    return Hit(
        code="readiness-probe-wrong" if wrong else "readiness-probe-failing",
        object=workload,
        explanation=f"Container {container.name} runs but is not ready{said}.{f' {wrong}' if wrong else ''}",
        evidence=tuple(evidence),
        confidence=0.82 if wrong else 0.6,
        facts=facts,
        since=event.first if event else container.running_since,
        affected=(key,),
    )


def _asks_wrong_thing(container: Container, probe: Obj, event: EventRow | None) -> str:
    """Why the probe itself must be wrong, or ""."""
    message = event.message if event else ""
    status = _STATUS.search(message)
    path = text(probe, "httpGet", "path")
    if status and status[1] in ("404", "405"):
        return f"The container answers {status[1]} on {path or '/'}: it does not serve that path."
    port = _probe_port(container, probe)
    declared = [number(row, "containerPort") for row in rows(container.spec, "ports")]
    if "connection refused" in message and declared and port and port not in declared:
        return f"The probe asks port {port}; the container declares {', '.join(map(str, declared))}."
    return ""


def _probe_port(container: Container, probe: Obj) -> int:
    for kind in ("httpGet", "tcpSocket", "grpc"):
        port = sub(probe, kind).get("port")
        if isinstance(port, int):
            return port
        if isinstance(port, str):
            return next(
                (number(row, "containerPort") for row in rows(container.spec, "ports") if text(row, "name") == port), -1
            )
    return 0


def _probe_facts(container: Container, probe: Obj, event: EventRow | None) -> dict[str, Fact]:
    facts: dict[str, Fact] = {"container": container.name}
    path, port = text(probe, "httpGet", "path"), _probe_port(container, probe)
    if path:
        facts["path"] = path
    if port > 0:
        facts["port"] = port
    status = _STATUS.search(event.message) if event else None
    if status:
        facts["status"] = int(status[1])
    return facts


def _probe_event(context: Context, key: Key, container: Container, prefix: str) -> EventRow | None:
    """The newest fresh Unhealthy event of this probe, about this container, since it last started."""
    for event in context.view.events(key, "Unhealthy", "ProbeWarning"):
        if not event.message.startswith(prefix) or event.container() not in ("", container.name):
            continue
        if event.at is None or context.now - event.at <= FRESH:
            return event
    return None


def _allowance(probe: Obj) -> timedelta:
    """Longest normal time from start to ready, with a margin."""
    delay, period = number(probe, "initialDelaySeconds"), number(probe, "periodSeconds", default=10)
    return timedelta(seconds=delay + 3 * max(period, 1) + 30)


@rule("Pod")
def liveness_probe(context: Context, key: Key, _pod: Obj) -> Iterator[Hit]:
    """The kubelet kills the container because of its liveness or startup probe; not when the kernel or the program ends it."""
    for container in context.containers(key):
        if container.init:
            continue
        for field, prefix in (("livenessProbe", "Liveness probe"), ("startupProbe", "Startup probe")):
            probe = sub(container.spec, field)
            event = _probe_event(context, key, container, prefix) if probe else None
            if event is None or not _killed_by_probe(context, key, container):
                continue
            yield _liveness_hit(context, key, container, field, probe, event)
            break


def _killed_by_probe(context: Context, key: Key, container: Container) -> bool:
    ended, _ = container.ended
    if text(ended, "reason") == "OOMKilled":
        return False
    for event in context.view.events(key, "Killing"):
        if "failed liveness probe" in event.message or "failed startup probe" in event.message:
            return event.container() in ("", container.name)
    return bool(ended) and number(ended, "exitCode") in (137, 143) and container.restarts > 0


def _liveness_hit(context: Context, key: Key, container: Container, field: str, probe: Obj, event: EventRow) -> Hit:
    workload = context.view.workload(key)
    wrong = _asks_wrong_thing(container, probe, event)
    facts = _probe_facts(container, probe, event)
    facts["probe"] = field
    evidence: list[Quote] = [quote_event(key, event)]
    evidence += [quote_event(key, killed) for killed in context.view.events(key, "Killing")[:1] if "probe" in killed.message]
    ended, path = container.ended
    if ended:
        evidence.append(
            quote_part(key, path, ended, "exitCode", "reason", "startedAt", "finishedAt", at=time_at(ended, "finishedAt"))
        )
    evidence.append(
        quote_part(
            workload,
            path_of_template(workload, container.name, field),
            probe,
            "httpGet",
            "tcpSocket",
            "exec",
            "grpc",
            "initialDelaySeconds",
            "periodSeconds",
            "timeoutSeconds",
            "failureThreshold",
        )
    )
    slow = _slower_than_probe(container, probe, event)
    if slow:
        facts["needs_s"] = slow
    before = context.revision_before(workload)
    changed = any(field in change.path for change in context.changes(workload))
    if before and changed:
        facts["revision"] = before[0]
        evidence += context.change_quotes(workload, field)
    reason = wrong or (
        f"It is killed {slow} s after its start, before it can answer: it may only be slow to start." if slow else ""
    )
    return Hit(
        code="liveness-probe-wrong",
        object=workload,
        explanation=f"The kubelet restarts container {container.name} because "
        f"its {field} fails ({event.message}); nothing else ends "
        f"it. {reason}".rstrip(),
        evidence=tuple(evidence),
        confidence=0.9 if wrong or changed else 0.75,
        facts=facts,
        since=event.first,
        affected=(key,),
    )


def _slower_than_probe(container: Container, probe: Obj, event: EventRow) -> int:
    """Seconds that the last run lived, if it was killed in the first round of probes with nobody listening; else 0."""
    ended, _ = container.ended
    start, finish = time_at(ended, "startedAt"), time_at(ended, "finishedAt")
    if start is None or finish is None or "refused" not in event.message:
        return 0
    lived = int((finish - start).total_seconds())
    first_round = number(probe, "initialDelaySeconds") + number(probe, "periodSeconds", default=10) * (
        number(probe, "failureThreshold", default=3) + 1
    )
    grace = 35
    return lived if 0 < lived <= first_round + grace else 0
