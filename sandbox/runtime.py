"""What containers did: every run of every container, kept for logs, `top` and the metrics API."""

from bisect import bisect_right
from dataclasses import dataclass, field

from sandbox import quantity
from sandbox.objects import Obj, sub
from sandbox.programs import Facts, Program, failing_share, memory_at

KEEP_RUNS = 40


@dataclass
class Segment:
    """From `start` on, these facts held."""

    start: float
    facts: Facts
    ready: bool


@dataclass
class Run:
    """One run of a container, from start to exit."""

    started: float
    ended: float | None = None
    exit_code: int = 0
    reason: str = ""
    exit_lines: tuple[str, ...] = ()
    segments: list[Segment] = field(default_factory=list[Segment])

    def lived_at(self, moment: float) -> bool:
        return self.started <= moment and (self.ended is None or moment < self.ended)


@dataclass(frozen=True)
class Load:
    """Work of `cores` that all pods of a workload share until a moment."""

    namespace: str
    workload: str
    cores: float
    until: float


@dataclass(frozen=True)
class Surge:
    """A stretch of time in which a workload burned `cpu` cores a pod."""

    start: float
    end: float
    cpu: float


@dataclass
class Trace:
    """The whole life of one container of one pod."""

    namespace: str
    pod: str
    uid: str
    container: str
    node: str
    image: str
    program: Program
    resources: Obj
    labels: dict[str, str]
    workload: str
    created: float
    gone: float | None = None
    runs: list[Run] = field(default_factory=list[Run])
    restarts: list[float] = field(default_factory=list[float])
    surges: list[Surge] = field(default_factory=list[Surge])
    injected: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])

    @property
    def memory_limit(self) -> float:
        return quantity.value(sub(self.resources, "limits").get("memory"), float("inf"))

    def run_at(self, moment: float) -> Run | None:
        for run in reversed(self.runs):
            if run.lived_at(moment):
                return run
        return None

    def exists_at(self, moment: float) -> bool:
        return self.created <= moment and (self.gone is None or moment < self.gone)

    def restarts_at(self, moment: float) -> int:
        return bisect_right(self.restarts, moment)

    def memory(self, moment: float) -> float | None:
        """Working set in bytes, None while nothing runs."""
        run = self.run_at(moment)
        if run is None:
            return None
        wobble = 1 + 0.02 * _noise(self.uid, int(moment // 15))
        return min(memory_at(self.program, moment - run.started, self.memory_limit) * wobble, self.memory_limit)

    def cpu(self, moment: float) -> float | None:
        """Cores in use, None while nothing runs."""
        if self.run_at(moment) is None:
            return None
        surge = next((s.cpu for s in self.surges if s.start <= moment < s.end), None)
        return (surge or self.program.cpu) * (1 + 0.15 * _noise(self.uid, int(moment // 15) + 7))

    def cpu_seconds(self, moment: float) -> float:
        """CPU seconds since the container came to be; grows only while it runs."""
        total = 0.0
        for run in self.runs:
            end = min(moment, run.ended if run.ended is not None else moment)
            if end > run.started:
                total += (end - run.started) * self.program.cpu
        for surge in self.surges:
            total += max(min(moment, surge.end) - surge.start, 0) * (surge.cpu - self.program.cpu)
        return total

    def requests(self, moment: float) -> tuple[float, float]:
        """Requests answered well and badly since the current run's counters began."""
        run = self.run_at(moment)
        if run is None or not self.program.requests:
            return 0.0, 0.0
        good = bad = 0.0
        for at, segment in enumerate(run.segments):
            end = run.segments[at + 1].start if at + 1 < len(run.segments) else moment
            seconds = max(min(end, moment) - segment.start, 0)
            share = failing_share(self.program, segment.facts)
            rate = self.program.requests if segment.ready or share < 1 else 0.0
            good += seconds * rate * (1 - share)
            bad += seconds * rate * share
        return good, bad


def _noise(uid: str, step: int) -> float:
    """A number in -1..1 that is always the same for the same pod and step."""
    mixed = (int(uid[:8], 16) * 2654435761 + step * 40503) & 0xFFFFFFFF
    mixed ^= mixed >> 15
    return (mixed * 2246822519 & 0xFFFFFFFF) / 2**31 - 1
