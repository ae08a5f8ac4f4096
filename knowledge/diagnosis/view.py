"""ClusterView: everything known about a cluster at one moment, indexed for the rules. Built from raw objects, no I/O.

Building is linear and cheap (times are parsed when asked for); nothing that the caller passed in is changed or copied.
"""

import copy
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import NamedTuple

from knowledge.diagnosis.events import EventRow, read_event
from knowledge.diagnosis.fields import Obj, rows, strings, sub, text
from knowledge.diagnosis.series import Series
from protocol.diagnosis import Change
from protocol.objects import ObjectRef, valid_name, valid_namespace


class Key(NamedTuple):
    """An object's name inside the engine: a tuple, because building models for 5,000 pods costs more than the rules."""

    kind: str
    namespace: str
    name: str

    def ref(self) -> ObjectRef:
        return ObjectRef(kind=self.kind, namespace=self.namespace, name=self.name)

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"


class LogKey(NamedTuple):
    namespace: str
    pod: str
    container: str
    previous: bool


CONTROLLERS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "ReplicationController", "Rollout")


class ClusterView:
    """What the rules read. `limits` says what the caller could not see; the view adds objects that it could not read."""

    def __init__(
        self,
        objects: Iterable[Obj],
        *,
        now: datetime,
        logs: Mapping[LogKey, str] | None = None,
        metrics: Sequence[Series] = (),
        changes: Sequence[Change] = (),
        limits: Sequence[str] = (),
    ) -> None:
        self.now = now
        self.logs: Mapping[LogKey, str] = logs or {}
        self.metrics = metrics
        self.changes = tuple(changes)
        self.limits = list(limits)
        self._objects: dict[Key, Obj] = {}
        self._by_kind: dict[str, dict[Key, Obj]] = defaultdict(dict)
        self._by_place: dict[tuple[str, str], list[Key]] = defaultdict(list)
        self._raw_events: list[Obj] = []
        self._pods_by_workload: dict[str, Mapping[Key, tuple[Key, ...]]] = {}
        self._pods_by_label: dict[str, Mapping[tuple[str, str], frozenset[Key]]] = {}
        self._services_by_pod: dict[str, Mapping[Key, tuple[Key, ...]]] = {}
        unreadable = 0
        for obj in objects:
            if not self._add(obj):
                unreadable += 1
        if unreadable:
            self.limits.append(f"{unreadable} objects had no readable kind or name and were left out")

    def with_readings(self, *, logs: Mapping[LogKey, str], metrics: Sequence[Series], limits: Sequence[str]) -> "ClusterView":
        """The same objects with other logs, metrics and limits: what was indexed is not indexed again."""
        view = copy.copy(self)
        view.__dict__.pop("_series", None)
        view.logs, view.metrics, view.limits = logs, metrics, list(limits)
        return view

    def _add(self, obj: Obj) -> bool:
        kind = obj.get("kind")
        meta = obj.get("metadata")
        if not isinstance(kind, str) or not isinstance(meta, Mapping):
            return False
        if kind == "Event":
            self._raw_events.append(obj)
            return True
        namespace, name = text(obj, "metadata", "namespace"), text(obj, "metadata", "name")
        if (
            not kind[:1].isupper()
            or not kind.isalnum()
            or not valid_name(name)
            or (namespace and not valid_namespace(namespace))
        ):
            return False
        key = Key(kind, namespace, name)
        if key not in self._objects:
            self._by_place[kind, namespace].append(key)
        self._objects[key] = obj
        self._by_kind[kind][key] = obj
        return True

    # objects

    def get(self, key: Key) -> Obj | None:
        return self._objects.get(key)

    def has(self, kind: str, namespace: str, name: str) -> bool:
        return Key(kind, namespace, name) in self._objects

    def of_kind(self, kind: str) -> Mapping[Key, Obj]:
        return self._by_kind.get(kind, {})

    def within(self, kind: str, namespace: str) -> Sequence[Key]:
        """Keys of one kind in one namespace."""
        return self._by_place.get((kind, namespace), ())

    def kinds(self) -> Iterable[str]:
        return self._by_kind.keys()

    def __iter__(self) -> Iterator[Key]:
        return iter(self._objects)

    def __len__(self) -> int:
        return len(self._objects)

    def knows(self, kind: str) -> bool:
        """Was this kind seen at all? A missing object of an unseen kind proves nothing."""
        return bool(self._by_kind.get(kind))

    def names(self, kind: str, namespace: str) -> tuple[str, ...]:
        return tuple(key.name for key in self.within(kind, namespace))

    @cached_property
    def namespaces(self) -> frozenset[str]:
        seen = {key.name for key in self.of_kind("Namespace")}
        return frozenset(seen | {namespace for _, namespace in self._by_place if namespace})

    # ownership

    def owner(self, key: Key) -> Key | None:
        """The controlling owner, whether or not it is in the view."""
        obj = self._objects.get(key)
        if obj is None:
            return None
        owners = rows(obj, "metadata", "ownerReferences")
        for row in owners:
            if row.get("controller") is True or len(owners) == 1:
                kind, name = text(row, "kind"), text(row, "name")
                if kind and valid_name(name):
                    return Key(kind, "" if kind == "Node" else key.namespace, name)
        return None

    def workload(self, key: Key) -> Key:
        """The top of the owner chain that is a known controller: a pod's Deployment, a Job's CronJob; else the object."""
        here = key
        for _ in range(6):
            above = self.owner(here)
            if above is None or above.kind not in CONTROLLERS or above not in self._objects:
                return here
            here = above
        return here

    def _workload_pods(self, namespace: str) -> Mapping[Key, tuple[Key, ...]]:
        """Of one namespace, since a question seldom needs more; owners never stand in another."""
        known = self._pods_by_workload.get(namespace)
        if known is not None:
            return known
        found: dict[Key, list[Key]] = defaultdict(list)
        tops: dict[Key, Key] = {}
        for pod in self.within("Pod", namespace):
            owner = self.owner(pod)
            if owner is None or owner not in self._objects:
                found[pod].append(pod)
                continue
            top = tops.get(owner)
            if top is None:
                top = tops[owner] = self.workload(owner)
            found[top].append(pod)
            if owner != top:
                found[owner].append(pod)
        known = self._pods_by_workload[namespace] = {key: tuple(pods) for key, pods in found.items()}
        return known

    def pods_of(self, workload: Key) -> tuple[Key, ...]:
        """Pods under a workload at any depth; a pod is its own."""
        found = self._workload_pods(workload.namespace).get(workload)
        if found is None and workload.kind == "Pod" and workload in self._objects:
            return (workload,)
        return found or ()

    def owned(self, key: Key, kind: str) -> tuple[Key, ...]:
        """Direct children of `kind`, e.g. a Deployment's ReplicaSets."""
        return self._children.get((key, kind), ())

    @cached_property
    def _children(self) -> Mapping[tuple[Key, str], tuple[Key, ...]]:
        found: dict[tuple[Key, str], list[Key]] = defaultdict(list)
        for kind in ("ReplicaSet", "Job"):
            for key in self.of_kind(kind):
                owner = self.owner(key)
                if owner is not None:
                    found[owner, kind].append(key)
        return {pair: tuple(keys) for pair, keys in found.items()}

    # labels

    def _labelled_pods(self, namespace: str) -> Mapping[tuple[str, str], frozenset[Key]]:
        known = self._pods_by_label.get(namespace)
        if known is not None:
            return known
        found: dict[tuple[str, str], set[Key]] = defaultdict(set)
        for key in self.within("Pod", namespace):
            for label in strings(self._objects[key], "metadata", "labels").items():
                found[label].add(key)
        known = self._pods_by_label[namespace] = {label: frozenset(keys) for label, keys in found.items()}
        return known

    def pods_matching(self, namespace: str, labels: Mapping[str, str]) -> tuple[Key, ...]:
        """Pods of `namespace` that carry all `labels`; no labels match nothing (a Service's rule)."""
        if not labels:
            return ()
        pods = self._labelled_pods(namespace)
        first, *others = (pods.get(label, frozenset[Key]()) for label in labels.items())
        return tuple(sorted(first.intersection(*others)))

    def services_of(self, pods: Iterable[Key]) -> tuple[Key, ...]:
        """Services that select any of `pods`."""
        found: dict[Key, None] = {}
        for pod in pods:
            for service in self._selecting_services(pod.namespace).get(pod, ()):
                found[service] = None
        return tuple(found)

    def _selecting_services(self, namespace: str) -> Mapping[Key, tuple[Key, ...]]:
        known = self._services_by_pod.get(namespace)
        if known is not None:
            return known
        found: dict[Key, list[Key]] = defaultdict(list)
        for key in self.within("Service", namespace):
            for pod in self.pods_matching(namespace, strings(self._objects[key], "spec", "selector")):
                found[pod].append(key)
        known = self._services_by_pod[namespace] = {pod: tuple(keys) for pod, keys in found.items()}
        return known

    # events

    @cached_property
    def _events(self) -> Mapping[Key, tuple[EventRow, ...]]:
        found: dict[Key, list[EventRow]] = defaultdict(list)
        for raw in self._raw_events:
            event = read_event(raw)
            if event is not None:
                found[Key(*event.object)].append(event)
        return {key: tuple(sorted(events, key=lambda event: event.order, reverse=True)) for key, events in found.items()}

    def events(self, key: Key, *reasons: str) -> tuple[EventRow, ...]:
        """Events about the object, newest first; of the given reasons when any are named."""
        found = self._events.get(key, ())
        return tuple(event for event in found if event.reason in reasons) if reasons else found

    @property
    def event_count(self) -> int:
        return len(self._raw_events)

    # logs and metrics

    def log(self, pod: Key, container: str, *, previous: bool = False) -> str | None:
        return self.logs.get(LogKey(pod.namespace, pod.name, container, previous))

    @cached_property
    def _series(self) -> Mapping[tuple[str, str], tuple[Series, ...]]:
        found: dict[tuple[str, str], list[Series]] = defaultdict(list)
        for series in self.metrics:
            found[series.metric.get("__name__", ""), series.metric.get("namespace", "")].append(series)
        return {pair: tuple(values) for pair, values in found.items()}

    def series(self, name: str, namespace: str = "", **labels: str) -> tuple[Series, ...]:
        """Series by metric name, namespace and labels."""
        found = self._series.get((name, namespace), ())
        return tuple(one for one in found if all(one.metric.get(label) == value for label, value in labels.items()))

    # templates

    def template(self, workload: Key) -> Obj:
        """The pod spec that a workload makes pods from (a pod's own spec for a pod)."""
        obj = self._objects.get(workload)
        return template_of(workload.kind, obj) if obj is not None else {}


def template_of(kind: str, obj: Obj) -> Obj:
    if kind == "Pod":
        return sub(obj, "spec")
    if kind == "CronJob":
        return sub(obj, "spec", "jobTemplate", "spec", "template", "spec")
    return sub(obj, "spec", "template", "spec")
