"""Deployments: a ReplicaSet a revision, rolled out as the strategy says."""

import hashlib
import math
from collections.abc import Iterable

import orjson

from sandbox.clock import epoch
from sandbox.cluster import Cluster, Key, with_condition
from sandbox.controllers.replicasets import MANAGER, owned_pods
from sandbox.controllers.waking import own_and_parts
from sandbox.objects import (
    Obj,
    annotations_of,
    being_deleted,
    clone,
    condition,
    controller_of,
    first,
    name_of,
    namespace_of,
    number,
    owned_by,
    owner_reference,
    rows,
    sub,
    text,
)
from sandbox.resources import DEPLOYMENT, POD, REPLICA_SET
from sandbox.store import Change

REVISION = "deployment.kubernetes.io/revision"
HASH = "pod-template-hash"
SOURCE = "deployment-controller"
_NOT_COPIED = {REVISION, "kubectl.kubernetes.io/last-applied-configuration"}


class Deployments:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def wake(self, change: Change) -> Iterable[Key]:
        yield from own_and_parts(change, DEPLOYMENT, REPLICA_SET)
        if change.resource is POD and change.type == "DELETED":
            owner = controller_of(change.obj)
            parent = self.cluster.store.get(REPLICA_SET, namespace_of(change.obj), str(owner.get("name")))
            if parent is not None:
                yield namespace_of(change.obj), str(controller_of(parent).get("name"))

    def reconcile(self, key: Key) -> None:
        deployment = self.cluster.store.get(DEPLOYMENT, *key)
        if deployment is None or being_deleted(deployment):
            return
        if not sub(deployment, "spec").get("paused"):
            self._roll(deployment)
        fresh = self.cluster.store.need(DEPLOYMENT, *key)
        self._report(fresh)

    def _roll(self, deployment: Obj) -> None:
        sets = self._sets(deployment)
        # of two with this template, the one with the newest revision: the other is old like any other
        current = next((s for s in reversed(sets) if _same_template(deployment, s)), None)
        old = [s for s in sets if s is not current]
        if text(deployment, "spec", "strategy", "type") == "Recreate":
            self._recreate(deployment, current, old)
        else:
            self._rolling(deployment, self._current(deployment, current, old, 0), old)
        self._forget_old(deployment)

    def _recreate(self, deployment: Obj, current: Obj | None, old: list[Obj]) -> None:
        wanted = number(deployment, "spec", "replicas", default=1)
        for replica_set in old:
            self._scale(deployment, replica_set, 0)
        if any(owned_pods(self.cluster, replica_set) for replica_set in old):
            return
        self._scale(deployment, self._current(deployment, current, old, wanted), wanted)

    def _rolling(self, deployment: Obj, current: Obj, old: list[Obj]) -> None:
        wanted = number(deployment, "spec", "replicas", default=1)
        surge, unavailable = _bounds(deployment, wanted)
        total = sum(_size(s) for s in [current, *old])
        if _size(current) > wanted:
            current = self._scale(deployment, current, wanted)
        elif _size(current) < wanted:
            grow = min(wanted - _size(current), max(wanted + surge - total, 0))
            if not any(_size(s) for s in old):
                grow = wanted - _size(current)
            current = self._scale(deployment, current, _size(current) + grow)
        available = sum(number(s, "status", "availableReplicas") for s in [current, *old])
        pending = _size(current) - number(current, "status", "availableReplicas")
        room = sum(_size(s) for s in [current, *old]) - (wanted - unavailable) - pending
        for replica_set in old:
            sick = _size(replica_set) - number(replica_set, "status", "availableReplicas")
            drop = min(sick, max(room, 0))
            if drop > 0:
                self._scale(deployment, replica_set, _size(replica_set) - drop)
                room -= drop
        spare = available - (wanted - unavailable)
        for replica_set in self._sets(deployment):
            if name_of(replica_set) == name_of(current) or spare <= 0:
                continue
            drop = min(_size(replica_set), spare)
            self._scale(deployment, replica_set, _size(replica_set) - drop)
            spare -= drop

    def _current(self, deployment: Obj, current: Obj | None, old: list[Obj], size: int) -> Obj:
        """The ReplicaSet of this template, made or given the newest revision."""
        newest = max((_revision(s) for s in old), default=0)
        notes = {k: v for k, v in annotations_of(deployment).items() if k not in _NOT_COPIED}
        wanted = number(deployment, "spec", "replicas", default=1)
        surge, _ = _bounds(deployment, wanted)
        notes |= {
            "deployment.kubernetes.io/desired-replicas": str(wanted),
            "deployment.kubernetes.io/max-replicas": str(wanted + surge),
        }
        if current is None:
            current = self._create(deployment, newest + 1, notes, size)
        else:
            marked = clone(current)
            have = marked["metadata"].setdefault("annotations", {})
            revision = _revision(current)
            if revision <= newest:
                history = have.get("deployment.kubernetes.io/revision-history", "")
                past = ",".join(filter(None, (history, str(revision))))
                have["deployment.kubernetes.io/revision-history"] = past
                revision = newest + 1
            have |= notes | {REVISION: str(revision)}
            current = self.cluster.store.update(REPLICA_SET, marked, MANAGER)
        revision = str(_revision(current))
        if annotations_of(deployment).get(REVISION) != revision:
            marked = clone(self.cluster.store.need(DEPLOYMENT, namespace_of(deployment), name_of(deployment)))
            marked["metadata"].setdefault("annotations", {})[REVISION] = revision
            self.cluster.store.update(DEPLOYMENT, marked, MANAGER)
        return current

    def _create(self, deployment: Obj, revision: int, notes: dict[str, str], size: int) -> Obj:
        template = clone(sub(deployment, "spec", "template"))
        mark = _hash(template)
        name = f"{name_of(deployment)}-{mark}"
        if self.cluster.store.get(REPLICA_SET, namespace_of(deployment), name) is not None:
            mark = _hash({**template, "collision": revision})
            name = f"{name_of(deployment)}-{mark}"
        labels = template.setdefault("metadata", {}).setdefault("labels", {})
        labels[HASH] = mark
        selector = clone(sub(deployment, "spec", "selector"))
        selector.setdefault("matchLabels", {})[HASH] = mark
        made = self.cluster.store.create(
            REPLICA_SET,
            {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "metadata": {
                    "name": name,
                    "namespace": namespace_of(deployment),
                    "labels": labels,
                    "annotations": notes | {REVISION: str(revision)},
                    "ownerReferences": [owner_reference(deployment)],
                },
                "spec": {"replicas": size, "selector": selector, "template": template},
                "status": {"replicas": 0},
            },
            MANAGER,
        )
        if size:
            self._say_scaled(deployment, name, 0, size)
        return made

    def _scale(self, deployment: Obj, replica_set: Obj, size: int) -> Obj:
        key = namespace_of(replica_set), name_of(replica_set)
        fresh = self.cluster.store.get(REPLICA_SET, *key)
        if fresh is None or _size(fresh) == size:
            return fresh or replica_set
        self._say_scaled(deployment, key[1], _size(fresh), size)
        scaled = {**fresh, "spec": {**fresh["spec"], "replicas": size}}
        return self.cluster.store.update(REPLICA_SET, scaled, MANAGER)

    def _say_scaled(self, deployment: Obj, name: str, before: int, after: int) -> None:
        way = "up" if after > before else "down"
        message = f"Scaled {way} replica set {name} from {before} to {after}"
        self.cluster.event(deployment, "ScalingReplicaSet", message, component=SOURCE)

    def _forget_old(self, deployment: Obj) -> None:
        keep = number(deployment, "spec", "revisionHistoryLimit", default=10)
        idle = [
            s
            for s in self._sets(deployment)
            if not _same_template(deployment, s) and not _size(s) and not number(s, "status", "replicas")
        ]
        for replica_set in sorted(idle, key=_revision)[: max(len(idle) - keep, 0)]:
            self.cluster.store.remove(REPLICA_SET, namespace_of(replica_set), name_of(replica_set))

    def _sets(self, deployment: Obj) -> list[Obj]:
        candidates = self.cluster.store.list(REPLICA_SET, namespace_of(deployment))
        return sorted((s for s in candidates if owned_by(s, deployment)), key=_revision)

    def _report(self, deployment: Obj) -> None:
        sets = self._sets(deployment)
        current = first(reversed(sets), lambda s: _same_template(deployment, s))
        wanted = number(deployment, "spec", "replicas", default=1)
        total = sum(number(s, "status", "replicas") for s in sets)
        updated = number(current, "status", "replicas")
        available = sum(number(s, "status", "availableReplicas") for s in sets)
        _, unavailable = _bounds(deployment, wanted)
        counts = {
            "observedGeneration": number(deployment, "metadata", "generation"),
            "replicas": total,
            "updatedReplicas": updated,
            "readyReplicas": sum(number(s, "status", "readyReplicas") for s in sets),
            "availableReplicas": available,
            "unavailableReplicas": max(wanted - available, 0),
        }
        now = self.cluster.clock.now
        conditions = rows(deployment, "status", "conditions")
        if available >= wanted - unavailable:
            said = ("MinimumReplicasAvailable", "Deployment has minimum availability.")
        else:
            said = ("MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
        conditions = with_condition(conditions, now, "Available", said[0].endswith("sAvailable"), *said)
        before = sub(deployment, "status")
        complete = updated == total == wanted and available >= wanted
        conditions = self._progress(deployment, current, conditions, complete, before, counts)
        status: Obj = {k: v for k, v in counts.items() if v} | {"conditions": conditions}
        self.cluster.set_status(DEPLOYMENT, deployment, status, MANAGER)

    def _progress(
        self, deployment: Obj, current: Obj, conditions: list[Obj], complete: bool, before: Obj, counts: dict[str, int]
    ) -> list[Obj]:
        now, name = self.cluster.clock.now, name_of(current)
        deadline = number(deployment, "spec", "progressDeadlineSeconds", default=600)
        old = condition({"status": {"conditions": conditions}}, "Progressing")
        if complete:
            message = f'ReplicaSet "{name}" has successfully progressed.'
            return with_condition(conditions, now, "Progressing", True, "NewReplicaSetAvailable", message)
        rolled = before.get("observedGeneration") != counts["observedGeneration"] or name not in str(old.get("message"))
        moved = any(counts[k] > before.get(k, 0) for k in ("updatedReplicas", "readyReplicas", "availableReplicas")) or counts[
            "replicas"
        ] - counts["updatedReplicas"] < before.get("replicas", 0) - before.get("updatedReplicas", 0)
        if not rolled and old.get("reason") == "NewReplicaSetAvailable":
            return conditions
        late = old and now - epoch(str(old.get("lastUpdateTime", ""))) >= deadline
        if old and not rolled and not moved:
            if late and old.get("status") == "True":
                message = f'ReplicaSet "{name}" has timed out progressing.'
                return with_condition(conditions, now, "Progressing", False, "ProgressDeadlineExceeded", message)
            return conditions
        if name:
            key = namespace_of(deployment), name_of(deployment)
            self.cluster.clock.after((deadline + 1) * self.cluster.clock.speed, lambda: self.cluster.enqueue(self, key))
        rest = [row for row in conditions if row.get("type") != "Progressing"]
        kept = {"lastTransitionTime": old.get("lastTransitionTime")} if old.get("status") == "True" else {}
        message = f'ReplicaSet "{name}" is progressing.'
        fresh = with_condition(rest, now, "Progressing", True, "ReplicaSetUpdated", message)
        fresh[-1] |= kept
        return fresh


def _same_template(deployment: Obj, replica_set: Obj) -> bool:
    template = clone(sub(replica_set, "spec", "template"))
    sub(template, "metadata", "labels").pop(HASH, None)
    return template == sub(deployment, "spec", "template")


def _hash(template: Obj) -> str:
    digest = int.from_bytes(hashlib.sha256(orjson.dumps(template, option=orjson.OPT_SORT_KEYS)).digest()[:8])
    alphabet, mark = "bcdfghjklmnpqrstvwxz2456789", ""
    while len(mark) < 10:
        digest, rest = divmod(digest, len(alphabet))
        mark += alphabet[rest]
    return mark


def _revision(replica_set: Obj) -> int:
    return int(annotations_of(replica_set).get(REVISION, "0"))


def _size(replica_set: Obj) -> int:
    return number(replica_set, "spec", "replicas")


def _bounds(deployment: Obj, wanted: int) -> tuple[int, int]:
    """maxSurge and maxUnavailable in pods."""
    if text(deployment, "spec", "strategy", "type") == "Recreate":
        return 0, wanted
    rolling = sub(deployment, "spec", "strategy", "rollingUpdate")
    surge = _share(rolling.get("maxSurge", "25%"), wanted, up=True)
    unavailable = _share(rolling.get("maxUnavailable", "25%"), wanted, up=False)
    return surge, (1 if not surge and not unavailable else min(unavailable, wanted))


def _share(value: object, whole: int, *, up: bool) -> int:
    if isinstance(value, str) and value.endswith("%"):
        part = whole * float(value[:-1]) / 100
        return math.ceil(part) if up else math.floor(part)
    return int(str(value))
