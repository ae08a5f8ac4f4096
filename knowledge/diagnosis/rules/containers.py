"""Containers that end: out of memory, crash loops, exit codes."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from knowledge.diagnosis import quantity
from knowledge.diagnosis.context import Context, path_of_template
from knowledge.diagnosis.fields import Obj, number, rows, sub, text, texts, time_at
from knowledge.diagnosis.hit import Fact, Hit, Quote, quote_event, quote_field, quote_log, quote_part
from knowledge.diagnosis.logs import last_lines
from knowledge.diagnosis.pods import RECENT, Container
from knowledge.diagnosis.rules.registry import rule
from knowledge.diagnosis.view import Key

MEMORY_METRIC = "container_memory_working_set_bytes"

EXIT_CODES = {
    0: "it ended by itself without an error",
    1: "a general error of the program",
    2: "a usage or shell error",
    126: "the command may not be executed",
    127: "the command was not found",
    128: "an invalid exit argument",
    130: "interrupted (SIGINT)",
    134: "aborted (SIGABRT)",
    137: "killed (SIGKILL)",
    139: "segmentation fault (SIGSEGV)",
    143: "asked to stop (SIGTERM)",
    255: "an exit status out of range",
}


@rule("Pod")
def memory_limit_too_low(context: Context, key: Key, pod: Obj) -> Iterator[Hit]:
    """OOMKilled in the newest termination, recent. A container without a limit was killed by its node instead."""
    for container in context.containers(key):
        ended, path = container.ended
        if text(ended, "reason") != "OOMKilled" or not container.ended_recently(context.now):
            continue
        workload = context.view.workload(key)
        evidence = [
            quote_part(key, path, ended, "reason", "exitCode", "startedAt", "finishedAt", at=time_at(ended, "finishedAt"))
        ]
        evidence += _restarts(container)
        limit = text(container.spec, "resources", "limits", "memory")
        if limit:
            yield _memory_hit(context, workload, container, limit, evidence)
        else:
            yield Hit(
                code="out-of-memory-on-node",
                object=workload,
                explanation=(
                    f"The kernel killed container {container.name}, which has no memory limit: its node had no memory left."
                ),
                evidence=tuple(evidence),
                confidence=0.75,
                facts={"container": container.name, "node": text(pod, "spec", "nodeName")},
                since=time_at(ended, "finishedAt"),
                affected=(key,),
            )


def _memory_hit(context: Context, workload: Key, container: Container, limit: str, evidence: list[Quote]) -> Hit:
    size = quantity.parse(limit) or 0.0
    facts: dict[str, Fact] = {
        "container": container.name,
        "limit": limit,
        "limit_bytes": int(size),
        "restarts": container.restarts,
    }
    request = text(container.spec, "resources", "requests", "memory")
    if request:
        facts["request"] = request
    evidence.append(
        quote_field(workload, path_of_template(workload, container.name, "resources.limits.memory", init=container.init), limit)
    )
    peak = _peak(context, workload, container)
    if peak is not None:
        facts["peak_bytes"] = int(peak[0])
        evidence.append(peak[1])
    before = text(context.container_before(workload, container.name), "resources", "limits", "memory")
    lowered = ""
    if before and before != limit:
        revision = context.revision_before(workload)
        facts["previous_limit"] = before
        facts["previous_limit_bytes"] = int(quantity.parse(before) or 0)
        if revision:
            facts["revision"] = revision[0]
        if (quantity.parse(before) or 0) > size:
            evidence += context.change_quotes(workload, f"[{container.name}]", "memory")
            lowered = f" The revision before had {before}."
    return Hit(
        code="memory-limit-too-low",
        object=workload,
        explanation=f"Container {container.name} needs more memory than its limit of {limit}, so the kernel kills it again and "
        f"again (OOMKilled, {container.restarts} restarts).{lowered}",
        evidence=tuple(evidence),
        confidence=0.93 if container.restarts > 1 or lowered else 0.85,
        facts=facts,
        since=_first_sign(context, container),
        affected=(container.pod,),
    )


def _peak(context: Context, workload: Key, container: Container) -> tuple[float, Quote] | None:
    """The highest memory seen in this container of the workload's pods of any revision, and its sample as evidence.

    Pods that are gone count: under the old limit they show what the container really needs.
    """
    best: tuple[float, float, str] | None = None
    for series in context.view.series(MEMORY_METRIC, workload.namespace, container=container.name):
        pod = series.metric.get("pod", "")
        if pod != container.pod.name and not pod.startswith(f"{workload.name}-"):
            continue
        for at, value in series.values:
            if best is None or value > best[0]:
                best = (value, at, pod)
    if best is None:
        return None
    expression = f'{MEMORY_METRIC}{{namespace="{workload.namespace}",pod="{best[2]}",container="{container.name}"}}'
    at = datetime.fromtimestamp(best[1], tz=context.now.tzinfo)
    return best[0], Quote("metric", Key("Pod", workload.namespace, best[2]), f"{best[0]:.0f}", expression, at)


@rule("Pod")
def crash_on_start(context: Context, key: Key, _pod: Obj) -> Iterator[Hit]:
    """A container that ended, is in its back-off or ended repeatedly just now, for another reason than memory or probes."""
    for container in context.containers(key):
        ended, path = container.ended
        crashing = container.waiting_reason == "CrashLoopBackOff"
        if not ended and not (crashing and container.waiting_message):
            continue
        if text(ended, "reason") == "OOMKilled" or not (crashing or _failing_now(context, container)):
            continue
        if text(ended, "reason") in ("StartError", "ContainerCannotRun"):
            continue
        workload = context.view.workload(key)
        code = number(ended, "exitCode", default=-1)
        evidence: list[Quote] = []
        if ended:
            evidence.append(
                quote_part(
                    key,
                    path,
                    ended,
                    "exitCode",
                    "reason",
                    "message",
                    "startedAt",
                    "finishedAt",
                    at=time_at(ended, "finishedAt"),
                )
            )
        elif container.waiting_message:
            evidence.append(quote_field(key, f"{container.path}.state.waiting.message", container.waiting_message))
        evidence += _restarts(container)
        evidence += _last_words(context, container)
        meaning = EXIT_CODES.get(code, f"killed by signal {code - 128}" if 128 < code < 160 else "an error of the program")
        yield Hit(
            code="crash-on-start",
            object=workload,
            explanation=f"Container {container.name} ends with exit code {code} ({meaning}) and is started again"
            f" ({container.restarts} restarts)."
            if ended
            else f"Container {container.name} is in its restart back-off; how it ended is not recorded.",
            evidence=tuple(evidence),
            confidence=0.55,
            facts={"container": container.name, "exit_code": code, "restarts": container.restarts},
            since=_first_sign(context, container),
            affected=(key,),
        )


def _failing_now(context: Context, container: Container) -> bool:
    """Ended now with an error, or restarted at least twice with the last end within minutes. One old restart is history."""
    terminated = sub(container.status, "state", "terminated")
    if terminated:
        return (not container.init and text(terminated, "reason") != "Completed") or number(terminated, "exitCode") != 0
    last = sub(container.status, "lastState", "terminated")
    finished = time_at(last, "finishedAt")
    if finished is None or number(last, "exitCode") == 0:
        return False
    return container.restarts >= 2 and context.now - finished <= timedelta(minutes=10)


def _restarts(container: Container) -> list[Quote]:
    if not container.restarts:
        return []
    return [quote_field(container.pod, f"{container.path}.restartCount", container.restarts)]


def _last_words(context: Context, container: Container) -> list[Quote]:
    """The last lines that the container wrote before it ended."""
    for previous in (True, False):
        log = context.view.log(container.pod, container.name, previous=previous)
        if log:
            return [quote_log(container.pod, container.name, line) for line in last_lines(log, 2)]
    return []


def _first_sign(context: Context, container: Container) -> datetime | None:
    """When the trouble began: the first back-off event, else the end that is recorded."""
    starts = [event.first for event in context.view.events(container.pod, "BackOff") if event.first]
    ended, _ = container.ended
    finished = time_at(ended, "finishedAt")
    if finished:
        starts.append(finished)
    return min(starts, default=None)


@rule("Pod")
def command_not_found(context: Context, key: Key, _pod: Obj) -> Iterator[Hit]:
    """The runtime could not execute the command: StartError, RunContainerError, exit 127 or 126 right after start."""
    for container in context.containers(key):
        ended, path = container.ended
        message = text(ended, "message")
        field = f"{path}.message"
        if container.waiting_reason in ("RunContainerError", "CrashLoopBackOff", "CreateContainerError") and not message:
            message, field = container.waiting_message, f"{container.path}.state.waiting.message"
        low = message.lower()
        unstartable = any(
            part in low
            for part in (
                "executable file not found",
                "no such file or directory: unknown",
                "exec: ",
                "not found in $path",
                "no command specified",
            )
        )
        failed_code = number(ended, "exitCode", default=-1) in (126, 127) and container.waiting_reason == "CrashLoopBackOff"
        if not unstartable and not failed_code:
            continue
        workload = context.view.workload(key)
        evidence = [quote_field(key, field, message)] if unstartable else [quote_part(key, path, ended, "exitCode", "reason")]
        evidence += [quote_event(key, event) for event in context.view.events(key, "Failed")[:1] if "exec" in event.message]
        evidence += [] if unstartable else _last_words(context, container)
        command = [*_command(container.spec)]
        yield Hit(
            code="command-not-found",
            object=workload,
            explanation=f"Container {container.name} cannot start: its command "
            f"{' '.join(command[:2]) or '(of the image)'} does not "
            "exist in the image or may not be executed.",
            evidence=tuple(evidence),
            confidence=0.9 if unstartable else 0.75,
            facts={
                "container": container.name,
                "command": " ".join(command)[:200],
                **_before(context, workload, container.name, "command"),
            },
            since=time_at(ended, "finishedAt"),
            affected=(key,),
        )


def _command(spec: Obj) -> Iterator[str]:
    for field in ("command", "args"):
        yield from texts(spec, field)


def _before(context: Context, workload: Key, container: str, field: str) -> dict[str, Fact]:
    """The revision to go back to, when `field` differs there."""
    before = context.revision_before(workload)
    if before is None or not any(f"[{container}].{field}" in change.path for change in context.changes(workload)):
        return {}
    return {"revision": before[0]}


@rule("Pod")
def pod_evicted(context: Context, key: Key, pod: Obj) -> Iterator[Hit]:
    """Evicted within the last hour. Older ones are leftovers."""
    if text(pod, "status", "reason") != "Evicted":
        return
    moments = [
        time_at(row, "lastTransitionTime") for row in rows(pod, "status", "conditions") if row.get("type") == "DisruptionTarget"
    ]
    moments += [event.at for event in context.view.events(key, "Evicted")]
    at = max((moment for moment in moments if moment), default=time_at(pod, "status", "startTime"))
    if at is None or context.now - at > RECENT:
        return
    message = text(pod, "status", "message")
    yield Hit(
        code="pod-evicted",
        object=context.view.workload(key),
        explanation=f"Pod {key.name} was evicted by its node: {message or 'no message'}",
        evidence=(quote_field(key, "status.message", message) if message else quote_field(key, "status.reason", "Evicted"),),
        confidence=0.7,
        facts={"node": text(pod, "spec", "nodeName")},
        since=at,
        affected=(key,),
    )


@rule("Pod")
def pod_stuck_terminating(context: Context, key: Key, pod: Obj) -> Iterator[Hit]:
    """Deleted, and its grace period is over by more than five minutes."""
    deleted = time_at(pod, "metadata", "deletionTimestamp")
    if deleted is None or context.now - deleted < timedelta(minutes=5):
        return
    evidence = [quote_field(key, "metadata.deletionTimestamp", text(pod, "metadata", "deletionTimestamp"), deleted)]
    finalizers = sub(pod, "metadata").get("finalizers")
    if finalizers:
        evidence.append(quote_field(key, "metadata.finalizers", finalizers))
    yield Hit(
        code="pod-stuck-terminating",
        object=key,
        explanation=f"Pod {key.name} was to be gone at {deleted:%H:%M:%S} and is still there.",
        evidence=tuple(evidence),
        confidence=0.6,
        facts={"node": text(pod, "spec", "nodeName")},
        since=deleted,
        affected=(key,),
    )
