"""Taking over pods that run already, as a kubelet does after its own restart: their status says where they stand."""

from sandbox.clock import epoch
from sandbox.environment import environment
from sandbox.objects import Obj, first, number, rows, sub, text
from sandbox.podstatus import ContainerState
from sandbox.podworker import PodWorker
from sandbox.programs import outcome
from sandbox.runtime import Run

_SOON = 2.0


def adopt(worker: PodWorker, pod: Obj) -> None:
    """Let a new worker go on with a pod: what ran runs on, what waited tries again soon."""
    worker.ip = text(pod, "status", "podIP") or worker.ip
    said = rows(pod, "status", "containerStatuses") + rows(pod, "status", "initContainerStatuses")
    for c in worker.containers:
        row = first(said, lambda row, name=c.name: row.get("name") == name)
        if row:
            _remember(worker, c, row, pod)
    started = {c.name for c in worker.containers if c.run is not None}
    for c in worker.mains:
        ended = sub(c.last, "terminated") or sub(c.state, "terminated")
        if c.name in started and c.run is not None:
            worker.go_on(c, pod)
            # what holds now is taken to have held since it started
            c.run.segments[0].start = c.run.started
        elif ended and not c.done():
            worker.later(c, _SOON, lambda c=c, ended=ended: worker.restart(c, ended))
    if any(c.run is None and not c.restarts and "terminated" not in c.state for c in worker.containers):
        worker.mount(_SOON)


def _remember(worker: PodWorker, c: ContainerState, row: Obj, pod: Obj) -> None:
    c.state, c.last = sub(row, "state"), sub(row, "lastState")
    c.ready, c.restarts = bool(row.get("ready")), number(row, "restartCount")
    c.crashes = min(c.restarts, 7)
    c.container_id = text(row, "containerID")
    c.trace.created = epoch(text(pod, "status", "startTime")) or c.trace.created
    c.trace.restarts = [worker.cluster.clock.now] * c.restarts
    ended = sub(c.last, "terminated") or sub(c.state, "terminated")
    if ended:
        lines = outcome(c.program, c.spec, environment(worker.cluster, pod, c.spec)).lines
        c.trace.runs.append(
            Run(
                epoch(text(ended, "startedAt")), epoch(text(ended, "finishedAt")), number(ended, "exitCode"),
                text(ended, "reason"), lines,
            )
        )  # fmt: skip
    if "running" in c.state:
        c.run = Run(epoch(text(c.state, "running", "startedAt")))
        c.trace.runs.append(c.run)
