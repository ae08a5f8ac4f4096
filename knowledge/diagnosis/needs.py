"""What the runner should fetch before it diagnoses: logs of the pods in question, and a few named queries. Bounded."""

from dataclasses import dataclass

from knowledge.diagnosis.context import Context
from knowledge.diagnosis.engine import find_targets
from knowledge.diagnosis.fields import number, rows, text
from knowledge.diagnosis.graph import Graph
from knowledge.diagnosis.scope import scope_of, scope_of_cluster, scope_of_namespace
from knowledge.diagnosis.view import ClusterView, Key, LogKey
from protocol.commands import Diagnose

MAX_LOGS = 40
TAIL_LINES = 200
MAX_LOG_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class NamedQuery:
    """A range query over the last `range_s` seconds; give its series to `series.read_series(matrix, name)`."""

    name: str
    expr: str
    range_s: int
    step_s: int


@dataclass(frozen=True, slots=True)
class Needs:
    """`logs`: tails of `TAIL_LINES` lines, at most `MAX_LOG_BYTES` each, most telling first; absent ones are no error."""

    logs: tuple[LogKey, ...]
    queries: tuple[NamedQuery, ...]


def needs(view: ClusterView, request: Diagnose) -> Needs:
    """Logs of pods in trouble first, then of the pods asked about, then of what they need. Nothing for an unknown name.

    Logs that the view has are left out. Logs may name further dependencies: fetch, build the view with them, ask once more.
    """
    graph = Graph(view)
    context = Context(view, graph)
    asked = find_targets(view, request)
    if asked.unknown:
        return Needs((), ())
    spaces = [key.name for key in asked.targets if key.kind == "Namespace"]
    if spaces or (not asked.targets and request.namespace):
        scope = scope_of_namespace(graph, spaces[0] if spaces else str(request.namespace))
    else:
        scope = scope_of(graph, asked.targets) if asked.targets else scope_of_cluster()
    pods = sorted(key for key in (view.of_kind("Pod") if scope.whole else scope.related) if key.kind == "Pod" and view.get(key))
    own_only_when_asked = [key for key in pods if key in scope.own] if asked.targets and not spaces else []
    troubled = [key for key in pods if context.troubled(key)]
    # Two pods of each workload in trouble before any third: siblings say the same, and the logs are few.
    first = dict.fromkeys([*_one_each(view, troubled), *troubled])
    order = first if scope.whole else dict.fromkeys([*first, *_one_each(view, own_only_when_asked), *_one_each(view, pods)])
    logs: list[LogKey] = []
    for pod in order:
        for key in _log_keys(view, pod):
            if len(logs) < MAX_LOGS and key not in view.logs:
                logs.append(key)
    namespaces = sorted({key.namespace for key in order if key in first or key in scope.own})[:10]
    return Needs(tuple(logs), tuple(_queries(namespaces)))


def _one_each(view: ClusterView, pods: list[Key]) -> list[Key]:
    """At most two pods of each workload: siblings say the same."""
    count: dict[Key, int] = {}
    kept: list[Key] = []
    for pod in pods:
        top = view.workload(pod)
        count[top] = count.get(top, 0) + 1
        if count[top] <= 2:
            kept.append(pod)
    return kept


def _log_keys(view: ClusterView, pod: Key) -> list[LogKey]:
    """Containers that have run, with the run before where one ended."""
    found: list[LogKey] = []
    obj = view.get(pod) or {}
    for field in ("initContainerStatuses", "containerStatuses"):
        for status in rows(obj, "status", field):
            name = text(status, "name")
            done = field.startswith("init") and status.get("ready") is True
            if (
                not name
                or done
                or (
                    not text(status, "containerID")
                    and not number(status, "restartCount")
                    and "running" not in (status.get("state") or {})
                )
            ):
                continue
            found.append(LogKey(pod.namespace, pod.name, name, False))
            if number(status, "restartCount"):
                found.append(LogKey(pod.namespace, pod.name, name, True))
    return found


def _queries(namespaces: list[str]) -> list[NamedQuery]:
    if not namespaces:
        return []
    inside = "|".join(namespaces)
    where = f'namespace="{inside}"' if len(namespaces) == 1 else f'namespace=~"{inside}"'
    return [
        NamedQuery(
            "container_memory_working_set_bytes",
            f'container_memory_working_set_bytes{{{where},container!="",container!="POD"}}',
            6 * 3600,
            60,
        ),
    ]
