"""Pods and their containers as rules see them: spec and status joined, and the question whether anything is wrong at all."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from knowledge.diagnosis.fields import Obj, number, rows, sub, text, time_at
from knowledge.diagnosis.view import ClusterView, Key

RECENT = timedelta(hours=1)
"""A container that ended longer ago and has run since is history."""


@dataclass(frozen=True, slots=True)
class Container:
    """One container of a pod. `path` is the JSON path of its status, `spec_path` of its spec."""

    pod: Key
    name: str
    init: bool
    spec: Obj
    status: Obj
    path: str
    spec_path: str

    @property
    def waiting(self) -> Obj:
        return sub(self.status, "state", "waiting")

    @property
    def waiting_reason(self) -> str:
        return text(self.status, "state", "waiting", "reason")

    @property
    def waiting_message(self) -> str:
        return text(self.status, "state", "waiting", "message")

    @property
    def ended(self) -> tuple[Obj, str]:
        """The newest termination and the path to it: the current state if ended, else the last state. Empty if none."""
        now = sub(self.status, "state", "terminated")
        if now:
            return now, f"{self.path}.state.terminated"
        return sub(self.status, "lastState", "terminated"), f"{self.path}.lastState.terminated"

    @property
    def ended_at(self) -> datetime | None:
        """When it ended last; None when it never did, or when that is not told."""
        return time_at(self.ended[0], "finishedAt")

    @property
    def running_since(self) -> datetime | None:
        return time_at(self.status, "state", "running", "startedAt")

    @property
    def ready(self) -> bool:
        return self.status.get("ready") is True

    @property
    def restarts(self) -> int:
        return number(self.status, "restartCount")

    def ended_recently(self, now: datetime) -> bool:
        """Did it end within RECENT, or is it ended or crash-looping now?"""
        ended, _ = self.ended
        if not ended:
            return False
        if self.waiting_reason == "CrashLoopBackOff":
            return True
        return self.ended_at is not None and now - self.ended_at <= RECENT


def containers(key: Key, pod: Obj) -> Iterator[Container]:
    """All containers with a status, init containers first."""
    for init, statuses, specs in (
        (True, "initContainerStatuses", "initContainers"),
        (False, "containerStatuses", "containers"),
    ):
        by_name = {text(spec, "name"): (n, spec) for n, spec in enumerate(rows(pod, "spec", specs))}
        for n, status in enumerate(rows(pod, "status", statuses)):
            name = text(status, "name")
            at, spec = by_name.get(name, (n, {}))
            yield Container(key, name, init, spec, status, f"status.{statuses}[{n}]", f"spec.{specs}[{at}]")


def troubled(pod: Obj, now: datetime) -> bool:
    """Is there anything about this pod that a rule should look at? The cheap gate in front of all pod rules."""
    status = sub(pod, "status")
    phase = status.get("phase")
    if phase == "Succeeded":
        return False
    if phase != "Running" or "deletionTimestamp" in sub(pod, "metadata"):
        return True
    for row in rows(status, "containerStatuses"):
        if row.get("ready") is not True:
            return True
        if row.get("restartCount") and _ended_since(row, now - RECENT):
            return True
    return any(row.get("type") == "Ready" and row.get("status") != "True" for row in rows(status, "conditions"))


def _ended_since(status: Obj, since: datetime) -> bool:
    finished = time_at(status, "lastState", "terminated", "finishedAt")
    return finished is not None and finished >= since


def is_ready(pod: Obj) -> bool:
    return any(row.get("type") == "Ready" and row.get("status") == "True" for row in rows(pod, "status", "conditions"))


def ready_since(pod: Obj) -> datetime | None:
    for row in rows(pod, "status", "conditions"):
        if row.get("type") == "Ready":
            return time_at(row, "lastTransitionTime")
    return None


def age(view: ClusterView, obj: Obj) -> timedelta:
    """Since its creation; zero when it does not say."""
    made = time_at(obj, "metadata", "creationTimestamp")
    return view.now - made if made else timedelta(0)
