"""The live cache: a reflector for each kind that rules use, and the changes that they saw."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from protocol.diagnosis import Change
from runner.cache.difference import appeared, changes_between
from runner.cache.reflector import Kind, Reflector
from runner.kube.client import KubeClient
from runner.kube.discovery import Discovery

Obj = dict[str, Any]

NAMESPACED_KINDS = (
    "Pod",
    "Event",
    "Deployment",
    "ReplicaSet",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "CronJob",
    "Service",
    "Endpoints",
    "Ingress",
    "ConfigMap",
    "PersistentVolumeClaim",
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "ServiceAccount",
)
CLUSTER_KINDS = ("Node", "Namespace", "PersistentVolume", "StorageClass")
KINDS = NAMESPACED_KINDS + CLUSTER_KINDS

MAX_CHANGES = 2000
KEEP_CHANGES = timedelta(hours=24)

OnChanges = Callable[[Sequence[Change]], None]


class LiveCache:
    """`run` keeps it warm until cancelled. Reading never waits, but `wait_settled` can."""

    def __init__(
        self,
        client: KubeClient,
        discovery: Discovery,
        *,
        namespaces: Sequence[str] = (),
        now: Callable[[], datetime],
        on_changes: OnChanges,
        on_update: Callable[[], None] = lambda: None,
    ) -> None:
        self._now = now
        self._on_changes = on_changes
        self._on_update = on_update
        self.namespaces = tuple(namespaces)
        places = [(kind, space) for kind in NAMESPACED_KINDS for space in (namespaces or ("",))]
        if not namespaces:
            places += [(kind, "") for kind in CLUSTER_KINDS]
        self._reflectors = [Reflector(client, discovery, kind, space, self._seen) for kind, space in places]
        self._changes: deque[Change] = deque(maxlen=MAX_CHANGES)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for reflector in self._reflectors:
                tasks.create_task(reflector.run(), name=f"watch-{reflector.kind}-{reflector.namespace}")

    async def wait_settled(self, timeout_s: float) -> bool:
        """True when every kind was listed once or is known to be out of reach."""
        try:
            async with asyncio.timeout(timeout_s):
                for reflector in self._reflectors:
                    await reflector.settled.wait()
        except TimeoutError:
            return False
        return True

    def objects(self, kinds: Sequence[str] = KINDS) -> Iterator[Obj]:
        for reflector in self._reflectors:
            if reflector.kind in kinds:
                yield from reflector.objects.values()

    def get(self, kind: str, namespace: str, name: str) -> Obj | None:
        for reflector in self._reflectors:
            if reflector.kind == kind and reflector.namespace in ("", namespace):
                found = reflector.objects.get((namespace, name))
                if found is not None:
                    return found
        return None

    def count(self, kind: str) -> int:
        return sum(len(reflector.objects) for reflector in self._reflectors if reflector.kind == kind)

    def size(self) -> int:
        return sum(len(reflector.objects) for reflector in self._reflectors)

    @property
    def state(self) -> Literal["cold", "warm", "stale"]:
        states = [reflector.health.state for reflector in self._reflectors]
        if any(state == "stale" for state in states):
            return "stale"
        return "cold" if any(state == "cold" for state in states) or "warm" not in states else "warm"

    def limits(self) -> list[str]:
        """What cannot be seen and why, in words."""
        notes = [r.health.note for r in self._reflectors if r.health.state in ("forbidden", "stale") and r.health.note]
        cold = sorted({r.kind for r in self._reflectors if r.health.state == "cold"})
        if cold:
            notes.append(f"not yet read: {', '.join(cold)}")
        if self.namespaces:
            notes.append(f"this runner watches only the namespaces {', '.join(self.namespaces)}")
        return notes

    def changes(self, since: datetime) -> list[Change]:
        """Newest first."""
        return [change for change in reversed(self._changes) if change.at is None or change.at >= since]

    def _seen(self, what: Kind, old: Obj | None, new: Obj) -> None:
        now = self._now()
        if what == "modified" and old is not None:
            found = changes_between(old, new, now)
        else:
            found = appeared(new, now, gone=what == "deleted") if what != "modified" else []
        if found:
            self._changes.extend(found)
            while self._changes and self._changes[0].at is not None and self._changes[0].at < now - KEEP_CHANGES:
                self._changes.popleft()
            self._on_changes(found)
        self._on_update()
