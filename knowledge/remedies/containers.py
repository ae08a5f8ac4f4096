"""Remedies of containers that end or do not start."""

from collections.abc import Iterator

from knowledge.diagnosis import quantity
from knowledge.remedies.advice import act, by_hand, edit, number, rollback, text, workload_of
from protocol.diagnosis import Recommendation, RootCause
from protocol.remediation import (
    WORKLOADS,
    RestartWorkload,
    Risk,
    SetResources,
)

HEADROOM = 1.3
"""A limit of peak x 1.3 leaves room for what the samples did not see."""
CUT_OFF = 2
"""Where the limit itself cuts the peak off, the need is unknown: double it."""

SIZES_MI = (
    32,
    48,
    64,
    96,
    128,
    192,
    256,
    384,
    512,
    768,
    1024,
    1536,
    2048,
    3072,
    4096,
    6144,
    8192,
    12288,
    16384,
    24576,
    32768,
    65536,
)


def memory(cause: RootCause) -> Iterator[Recommendation]:
    workload = workload_of(cause)
    size, why = memory_limit(
        number(cause, "limit_bytes"), peak=number(cause, "peak_bytes"), previous=number(cause, "previous_limit_bytes")
    )
    previous = text(cause, "previous_limit")
    if workload is not None and workload.kind in WORKLOADS:
        limit = previous if previous and quantity.parse(previous) == size else quantity.mebibytes(size)
        yield from act(
            lambda: SetResources(target=workload, container=text(cause, "container"), limits={"memory": limit}),
            why=why,
            effect=f"Container {text(cause, 'container')} stays below its limit and is not killed again.",
        )
    if number(cause, "previous_limit_bytes") > number(cause, "limit_bytes"):
        yield from rollback(cause, f"Revision {text(cause, 'revision')} had a limit of {previous}.")
    yield by_hand(
        "If memory goes on growing under the new limit, it is a leak: take a heap profile before the next kill.",
        why="A higher limit only delays a leak.",
        effect="The growth is found.",
    )


def memory_limit(limit: float, *, peak: float = 0, previous: float = 0) -> tuple[float, str]:
    """A new memory limit in bytes, and the arithmetic in words.

    The next size above peak x 1.3; at least the previous limit when that was higher. A peak near the limit was cut off
    by it and says only that it is not enough, so the limit is doubled: a step that is too small costs another incident.
    """
    mib = 2**20
    wanted, said = (
        (peak * HEADROOM, f"peak {peak / mib:.0f}Mi x {HEADROOM} = {peak * HEADROOM / mib:.0f}Mi")
        if peak
        else (0.0, "no peak was measured")
    )
    if peak < limit * 1.02 and limit * CUT_OFF > wanted and previous <= limit:
        wanted = limit * CUT_OFF
        said += f"; the limit of {limit / mib:.0f}Mi cuts the peak off, so at least x {CUT_OFF} = {wanted / mib:.0f}Mi"
    size = next((step * mib for step in SIZES_MI if step * mib >= wanted), wanted)
    if previous > limit and previous >= size:
        return previous, f"{said}; the limit before was {previous / mib:.0f}Mi, which is enough and was used before"
    return float(size), f"{said}; the next size is {size / mib:.0f}Mi"


def node_memory(cause: RootCause) -> Iterator[Recommendation]:
    yield by_hand(
        edit(cause, f"resources of container {text(cause, 'container')}", "a memory request and limit that fit its use")
        + f"; look at what else uses memory on node {text(cause, 'node')} (kubectl top pod -A --sort-by=memory)",
        why="Without a request the scheduler does not reserve memory, and without a limit the node decides whom to kill.",
        effect="The node does not run out of memory.",
        risk=Risk.MEDIUM,
    )


def crash(cause: RootCause) -> Iterator[Recommendation]:
    yield from rollback(cause, "The revision before did not crash.")
    workload = workload_of(cause) or cause.object
    yield by_hand(
        (
            f"Read the end of the log of the run before: kubectl -n "
            f"{workload.namespace} logs {workload.kind.lower()}/{workload.name} "
            f"-c {text(cause, 'container')} --previous --tail=100"
        ),
        why=f"Exit code {text(cause, 'exit_code') or 'and log'} says how it ended, not why.",
        effect="The reason is known.",
    )


def command(cause: RootCause) -> Iterator[Recommendation]:
    yield from rollback(cause, "The revision before had another command.")
    yield by_hand(
        edit(cause, f"command of container {text(cause, 'container')}", "a program that exists in the image, or remove it"),
        why=f"{text(cause, 'command') or 'The command'} cannot be executed in this image.",
        effect="The container starts.",
        risk=Risk.MEDIUM,
    )


def liveness(cause: RootCause) -> Iterator[Recommendation]:
    yield from rollback(cause, "The revision before had another probe.")
    slow = int(number(cause, "needs_s"))
    field = text(cause, "probe") or "livenessProbe"
    target = (
        f"a startupProbe or an initialDelaySeconds above {slow * 2} s"
        if slow
        else "a path and port that answer within its time-out"
    )
    yield by_hand(
        edit(cause, f"{field} of container {text(cause, 'container')}", target),
        why="The kubelet restarts a container whose liveness probe fails, even when it works.",
        effect="The container is not restarted while it works.",
        risk=Risk.MEDIUM,
    )


def readiness_wrong(cause: RootCause) -> Iterator[Recommendation]:
    yield from rollback(cause, "The revision before had another probe.")
    yield by_hand(
        edit(cause, f"readinessProbe of container {text(cause, 'container')}", "a path and port that the container serves"),
        why=f"It asks {text(cause, 'path')}:{text(cause, 'port')}, which the container does not serve.",
        effect="The pods become ready and get traffic.",
        risk=Risk.MEDIUM,
    )


def readiness(cause: RootCause) -> Iterator[Recommendation]:
    workload = workload_of(cause)
    if workload is not None and workload.kind in WORKLOADS:
        yield by_hand(
            (
                f"Ask the probe yourself: kubectl -n {workload.namespace} "
                f"port-forward {workload.kind.lower()}/{workload.name} 8080:"
                f"{text(cause, 'port') or '<port>'}, then curl -i localhost:8080{text(cause, 'path')}"
            ),
            why="Its answer says what the container misses.",
            effect="The reason is known.",
        )
        yield from act(
            lambda: RestartWorkload(target=workload),
            why="A restart helps if the container hangs or holds an old configuration; it changes nothing else.",
            effect="The containers start anew.",
        )


def init(cause: RootCause) -> Iterator[Recommendation]:
    host, near = text(cause, "host"), text(cause, "near").rpartition("/")[2]
    yield from rollback(cause, "The revision before started.")
    if near:
        yield by_hand(
            edit(cause, f"the host in init container {text(cause, 'container')}", f"{near} (it waits for {host})")
            + "; and give the wait a time-out, so that the next wrong name is an error and not silence",
            why=f"There is no Service {host}; there is one called {near}.",
            effect="The init container ends and the pod starts.",
            risk=Risk.MEDIUM,
        )
    else:
        yield by_hand(
            f"Make what it waits for available ({text(cause, 'dependency') or 'see its log'}), or correct the init container "
            f"{text(cause, 'container')}; give the wait a time-out",
            why="An init container that never ends keeps the pod from starting.",
            effect="The pod starts.",
            risk=Risk.MEDIUM,
        )
