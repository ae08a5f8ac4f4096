"""Which objects a question is about, and which others can be behind its trouble."""

from collections.abc import Iterable
from dataclasses import dataclass

from knowledge.diagnosis.catalogue import Channel
from knowledge.diagnosis.fields import text
from knowledge.diagnosis.graph import Graph, references
from knowledge.diagnosis.view import ClusterView, Key

MAX_RELATED = 400
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob")


@dataclass(frozen=True, slots=True)
class Scope:
    """`own` is what was asked about with its parts; `related` is `own` and everything that it needs. Whole: no bounds."""

    targets: tuple[Key, ...]
    own: frozenset[Key]
    related: frozenset[Key]
    whole: bool = False

    def holds(self, key: Key) -> bool:
        return self.whole or key in self.related


def scope_of(graph: Graph, targets: Iterable[Key]) -> Scope:
    """The scope of named objects. A namespace is all that is in it."""
    view = graph.view
    asked = tuple(dict.fromkeys(targets))
    own: dict[Key, None] = {}
    for target in asked:
        for key in _own(graph, target):
            own.setdefault(key)
    related = dict(own)
    todo = [key for key in own if key.kind != "Pod" or view.workload(key) == key]
    while todo and len(related) < MAX_RELATED + len(own):
        here = todo.pop(0)
        for edge in graph.edges(here):
            if edge.to in related:
                continue
            related[edge.to] = None
            todo.append(edge.to)
            if graph.is_workload(edge.to):
                for part in _parts(view, edge.to):
                    related.setdefault(part)
    return Scope(asked, frozenset(own), frozenset(related))


def scope_of_namespace(graph: Graph, namespace: str) -> Scope:
    keys = [key for key in graph.view if key.namespace == namespace]
    own = frozenset(keys)
    related = dict.fromkeys(keys)
    todo = [key for key in keys if key.kind in WORKLOADS or key.kind in ("Service", "PersistentVolumeClaim", "Ingress")]
    while todo and len(related) < MAX_RELATED + len(keys):
        for edge in graph.edges(todo.pop(0)):
            if edge.to not in related:
                related[edge.to] = None
                todo.append(edge.to)
                if graph.is_workload(edge.to):
                    related.update(dict.fromkeys(_parts(graph.view, edge.to)))
    return Scope((Key("Namespace", "", namespace),), own, frozenset(related))


def scope_of_cluster() -> Scope:
    return Scope((), frozenset(), frozenset(), whole=True)


def _own(graph: Graph, target: Key) -> Iterable[Key]:
    view = graph.view
    if target.kind == "Namespace":
        yield from (key for key in view if key.namespace == target.name)
    elif target.kind == "Node":
        yield target
        for pod, obj in view.of_kind("Pod").items():
            if text(obj, "spec", "nodeName") == target.name:
                yield pod
                yield view.workload(pod)
    elif graph.is_workload(target):
        top = view.workload(target)
        yield top
        yield from _parts(view, top)
    elif target.kind == "Service":
        yield target
        for edge in graph.edges(target):
            if edge.channel is Channel.SELECTS:
                yield edge.to
                yield from _parts(view, edge.to)
    else:
        yield target
        for workload in consumers(view, target):
            yield workload
            yield from _parts(view, workload)


def _parts(view: ClusterView, workload: Key) -> Iterable[Key]:
    pods = view.pods_of(workload)
    yield from pods
    yield from view.owned(workload, "ReplicaSet")
    yield from view.services_of(pods)
    # A Service of the workload's own name is meant as its own, even when its selector is wrong.
    if view.has("Service", workload.namespace, workload.name):
        yield Key("Service", workload.namespace, workload.name)


def consumers(view: ClusterView, target: Key) -> Iterable[Key]:
    """Workloads of the namespace whose pods need the ConfigMap, Secret, claim or service account."""
    for kind in WORKLOADS:
        for workload in view.within(kind, target.namespace):
            if any((k, name) == (target.kind, target.name) for k, name, _ in references(view.template(workload))):
                yield workload
