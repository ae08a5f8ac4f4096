"""Container logs, written at the moment they are read.

Lines are not kept: a run remembers when it started, what held since when, and how it ended, and its
program says which lines that makes. The same question at the same time gives the same text.
"""

import re
from collections.abc import Iterator

from sandbox.clock import rfc3339_nano
from sandbox.errors import ApiError, bad_request
from sandbox.kubelet import Kubelet
from sandbox.objects import Obj, first, name_of, namespace_of, rows, text, uid_of
from sandbox.programs import Facts
from sandbox.runtime import Run, Trace

HORIZON = 3600.0
_FIRST_SPAN = 300.0
MAX_LINES = 20_000

Line = tuple[float, str]
_Draft = tuple[float, str, Facts | None]
"""Time, template and what held then; None for a line that is to stay as it is."""


def container_of(pod: Obj, wanted: str) -> str:
    """The container whose log is meant. Raises ApiError 400 as the API server does."""
    mains = [text(c, "name") for c in rows(pod, "spec", "containers")]
    inits = [text(c, "name") for c in rows(pod, "spec", "initContainers")]
    name = name_of(pod)
    if not wanted:
        if len(mains) == 1:
            return mains[0]
        or_inits = f" or one of the init containers: [{' '.join(inits)}]" if inits else ""
        raise bad_request(f"a container name must be specified for pod {name}, choose one of: [{' '.join(mains)}]{or_inits}")
    if wanted not in mains + inits:
        raise bad_request(f"container {wanted} is not valid for pod {name}")
    return wanted


def run_of(kubelet: Kubelet, pod: Obj, container: str, previous: bool) -> tuple[Trace, Run]:
    """The run whose log is meant. Raises ApiError 400 when there is none yet, 500 when the node can't be reached."""
    name = name_of(pod)
    if text(pod, "spec", "nodeName") in kubelet.machines.silent:
        host = text(pod, "status", "hostIP")
        path = f"https://{host}:10250/containerLogs/{namespace_of(pod)}/{name}/{container}"
        raise ApiError(500, f'Get "{path}": dial tcp {host}:10250: i/o timeout')
    trace = next((t for t in kubelet.traces if t.uid == uid_of(pod) and t.container == container), None)
    states = rows(pod, "status", "containerStatuses") + rows(pod, "status", "initContainerStatuses")
    state = first(states, lambda row: row.get("name") == container)
    if previous:
        if trace is None or not text(state, "lastState", "terminated", "finishedAt"):
            raise bad_request(f'previous terminated container "{container}" in pod "{name}" not found')
        ended = [run for run in trace.runs if run.ended is not None]
        return trace, ended[-1]
    if trace is not None and trace.runs:
        return trace, trace.runs[-1]
    reason = text(state, "state", "waiting", "reason")
    if reason in ("ImagePullBackOff", "ErrImagePull"):
        raise bad_request(f'container "{container}" in pod "{name}" is waiting to start: trying and failing to pull image')
    if reason or not text(pod, "spec", "nodeName"):
        if not text(pod, "spec", "nodeName"):
            raise bad_request(f"pod {name} does not have a host assigned")
        raise bad_request(f'container "{container}" in pod "{name}" is waiting to start: {reason}')
    raise bad_request(f'container "{container}" in pod "{name}" is not available')


def lines(trace: Trace, run: Run, now: float, *, since: float = 0.0, tail: int | None = None) -> list[Line]:
    """Every line of a run up to `now`, oldest first: none older than `since`, at most the last `tail`."""
    end = min(run.ended, now) if run.ended is not None else now
    begin = max(since, end - HORIZON, run.started)
    if tail is None:
        return [_filled(draft, trace) for draft in _drafts(trace, run, begin, end, now)[-MAX_LINES:]]
    # Few lines are wanted more often than all: look back twice as far until there are enough.
    span = _FIRST_SPAN
    while True:
        drafts = _drafts(trace, run, max(begin, end - span), end, now)
        if len(drafts) >= tail or end - span <= begin:
            return [_filled(draft, trace) for draft in (drafts[-tail:] if tail > 0 else [])]
        span *= 2


def _drafts(trace: Trace, run: Run, begin: float, end: float, now: float) -> list[_Draft]:
    said: list[_Draft] = [(run.started + 0.05 * (n + 1), line, {}) for n, line in enumerate(trace.program.start_lines)]
    if run.ended is not None and run.ended <= now:
        last = len(run.exit_lines)
        said += [(run.ended - 0.01 * (last - n), line, {}) for n, line in enumerate(run.exit_lines)]
    said += [(at, line, None) for at, line in trace.injected]
    said = [draft for draft in said if begin <= draft[0] <= end]
    said += _steady(trace, run, begin, end)
    said.sort(key=lambda draft: draft[0])
    return said


def _steady(trace: Trace, run: Run, begin: float, end: float) -> Iterator[_Draft]:
    first = run.started + trace.program.ready_after + 0.5
    for at, segment in enumerate(run.segments):
        until = run.segments[at + 1].start if at + 1 < len(run.segments) else end
        start, until = max(segment.start, first, begin), min(until, end)
        for order, row in enumerate(trace.program.lines):
            if not _holds(row.when, segment.facts):
                continue
            offset = run.started + 0.37 * order
            step = max(int((start - offset) / row.every), 0) + (1 if start > offset else 0)
            while (moment := offset + step * row.every) <= until:
                yield moment, row.line, segment.facts
                step += 1


def _holds(when: str, facts: Facts) -> bool:
    if not when:
        return True
    name, _, state = when.partition(".")
    link = facts.get(name)
    if link is None:
        return False
    return link.state != "ok" if state == "failing" else link.state == state


_SLOT = re.compile(r"\{([a-z_.]+)\}")


def _filled(draft: _Draft, trace: Trace) -> Line:
    moment, line, facts = draft
    if facts is None or "{" not in line:
        return moment, line
    dice = (int(moment * 1000) * 2654435761 + int(trace.uid[:6], 16)) & 0xFFFFFFFF

    def value(match: re.Match[str]) -> str:
        name, _, part = match[1].partition(".")
        if name in facts:
            link = facts[name]
            return {"host": link.host, "url": link.url, "state": link.state}.get(part, match[0])
        simple = {
            "time": rfc3339_nano(moment)[:-7] + "Z",
            "ms": str(8 + dice % 63),
            "slow": str(1200 + dice % 1800),
            "id": str(100000 + dice % 899999),
            "ip": f"10.244.{dice % 3}.{dice % 240 + 10}",
            "namespace": trace.namespace,
            "pod": trace.pod,
            "limit": f"{trace.memory_limit / 2**20:.0f}Mi",
        }
        return simple.get(name, match[0])

    return moment, _SLOT.sub(value, line)


def text_of(said: list[Line], *, timestamps: bool, limit_bytes: int | None = None) -> bytes:
    """The lines as the kubelet sends them."""
    rows_out = [f"{rfc3339_nano(at)} {line}" if timestamps else line for at, line in said]
    body = "".join(f"{row}\n" for row in rows_out).encode()
    return body if limit_bytes is None else body[:limit_bytes]
