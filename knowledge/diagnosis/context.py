"""What a rule is given: the view with its graph, changes and read logs, each worked out once a run."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from knowledge.diagnosis.changes import changes_of, revisions
from knowledge.diagnosis.fields import Obj, rows, sub, text, time_at
from knowledge.diagnosis.graph import Graph
from knowledge.diagnosis.hit import Quote, quote_change
from knowledge.diagnosis.logs import Match
from knowledge.diagnosis.pods import Container, containers, is_ready, troubled
from knowledge.diagnosis.view import ClusterView, Key
from protocol.diagnosis import Change


class Context:
    """Shared by all rules of one run. Rules only read."""

    def __init__(self, view: ClusterView, graph: Graph | None = None, changes: Sequence[Change] = ()) -> None:
        self.view = view
        self.now: datetime = view.now
        self.graph = graph or Graph(view)
        self._known = changes
        self._changes: dict[Key, tuple[Change, ...]] = {}
        self._troubled: dict[Key, bool] = {}
        self._ips: dict[str, Key] | None = None

    def changes(self, key: Key) -> tuple[Change, ...]:
        """Known changes of one object, newest first."""
        found = self._changes.get(key)
        if found is None:
            found = self._changes[key] = tuple(changes_of(self.view, key, self._known))
        return found

    def troubled(self, pod: Key) -> bool:
        known = self._troubled.get(pod)
        if known is None:
            in_trouble = troubled(self.view.get(pod) or {}, self.now)
            known = self._troubled[pod] = in_trouble and not self._is_history(pod)
        return known

    def _is_history(self, pod: Key) -> bool:
        """A failed attempt of a Job that has completed since, or of a CronJob whose later run succeeded."""
        job = self.view.owner(pod)
        if job is None or job.kind != "Job" or text(self.view.get(pod) or {}, "status", "phase") != "Failed":
            return False
        obj = self.view.get(job) or {}
        if any(row.get("type") == "Complete" and row.get("status") == "True" for row in rows(obj, "status", "conditions")):
            return True
        cron, made = self.view.owner(job), time_at(obj, "metadata", "creationTimestamp")
        others = self.view.owned(cron, "Job") if cron is not None and made is not None else ()
        done = (time_at(self.view.get(other) or {}, "status", "completionTime") for other in others if other != job)
        return made is not None and any(moment is not None and moment > made for moment in done)

    def matches(self, pod: Key, container: str) -> Iterator[tuple[Match, bool]]:
        """(signature match, from the run before?) in a container's logs: the current log first."""
        return self.graph.logs.matches(pod, container)

    def containers(self, pod: Key) -> Iterator[Container]:
        return containers(pod, self.view.get(pod) or {})

    def object_of_ip(self, address: str) -> Key | None:
        """The Service with this cluster IP, or the workload of the pod with this IP."""
        if self._ips is None:
            self._ips = {}
            for pod, obj in self.view.of_kind("Pod").items():
                if text(obj, "status", "podIP") and sub(obj, "spec").get("hostNetwork") is not True:
                    self._ips[text(obj, "status", "podIP")] = pod
            for service, obj in self.view.of_kind("Service").items():
                self._ips[text(obj, "spec", "clusterIP")] = service
        found = self._ips.get(address)
        return self.view.workload(found) if found is not None and found.kind == "Pod" else found

    def ready_pods(self, pods: Iterable[Key]) -> int:
        return sum(1 for pod in pods if is_ready(self.view.get(pod) or {}))

    def newest_revision(self, workload: Key) -> tuple[int, Key, Obj] | None:
        found = revisions(self.view, workload) if workload.kind == "Deployment" else []
        return found[0] if found else None

    def revision_before(self, workload: Key) -> tuple[int, Obj] | None:
        """(revision to go back to, its ReplicaSet) of a Deployment."""
        found = revisions(self.view, workload) if workload.kind == "Deployment" else []
        return (found[1][0], found[1][2]) if len(found) > 1 else None

    def container_before(self, workload: Key, container: str) -> Obj:
        """The container's spec in the revision before, or {}."""
        before = self.revision_before(workload)
        if before is None:
            return {}
        spec = sub(before[1], "spec", "template", "spec")
        for field in ("containers", "initContainers"):
            for row in rows(spec, field):
                if text(row, "name") == container:
                    return row
        return {}

    def change_quotes(self, workload: Key, *needles: str) -> list[Quote]:
        """Changes of the workload whose path holds all `needles`, as evidence."""
        return [quote_change(change, workload) for change in self.changes(workload) if all(n in change.path for n in needles)][
            :2
        ]


def path_of_template(workload: Key, container: str, rest: str, *, init: bool = False) -> str:
    """`spec.template.spec.containers[app].resources…` for a workload, `spec.containers[app]…` for a pod."""
    prefix = {"Pod": "spec", "CronJob": "spec.jobTemplate.spec.template.spec"}.get(workload.kind, "spec.template.spec")
    return f"{prefix}.{'initContainers' if init else 'containers'}[{container}].{rest}"
