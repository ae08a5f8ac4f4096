"""What alerts and their groups are here. Names, labels and annotations are somebody else's text: cleaned, capped, redacted."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from protocol.base import Value
from protocol.text import one_line

Severity = Literal["critical", "warning", "info"]
State = Literal["firing", "resolved"]
Silence = Literal["1h", "4h", "resolved", "off"]

SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")
"""The last is the worst."""
_RANK = {severity: place for place, severity in enumerate(SEVERITIES)}
_SAID: Mapping[str, Severity] = {
    **dict.fromkeys(("critical", "crit", "page", "pager", "emergency", "fatal", "error", "high", "p1", "sev1"), "critical"),
    **dict.fromkeys(("warning", "warn", "medium", "p2", "sev2"), "warning"),
    **dict.fromkeys(("info", "informational", "notice", "none", "low", "ok", "debug"), "info"),
}
_OBJECTS = (
    ("pod", "Pod"),
    ("deployment", "Deployment"),
    ("statefulset", "StatefulSet"),
    ("daemonset", "DaemonSet"),
    ("job_name", "Job"),
    ("cronjob", "CronJob"),
    ("persistentvolumeclaim", "PersistentVolumeClaim"),
    ("horizontalpodautoscaler", "HorizontalPodAutoscaler"),
    ("node", "Node"),
    ("service", "Service"),
)
"""Which label names an object of which kind; the first that is there is what an alert is about. Prometheus' own `job` names a
scrape, not a Job."""


class Alert(Value):
    """One member of a group, by its fingerprint."""

    fingerprint: str
    state: State
    name: str
    severity: Severity
    namespace: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    starts_at: datetime
    ends_at: datetime | None = None
    fired: int = 1
    """How often it has started."""

    @property
    def object(self) -> str:
        """`Pod/shop/payments-1`, `Node//worker-1`; "" when its labels name none."""
        return object_of(self.labels, self.namespace)

    @property
    def summary(self) -> str:
        return self.annotations.get("summary") or self.annotations.get("description") or self.annotations.get("message", "")


class Report(Value):
    """What a source says of one group now. The source-neutral door: `Alerts.take` wants nothing else."""

    source: str
    """alertmanager; later the watch."""
    key: str
    """The source's own name of the group."""
    cluster: str
    """Its id."""
    labels: dict[str, str] = {}
    """What its alerts have in common."""
    title: str
    alerts: tuple[Alert, ...]
    more_firing: bool = False
    """There are more alerts than are told here, and some fire."""


class Group(Value):
    id: str
    generation: int
    source: str
    cluster: str
    cluster_name: str
    namespace: str
    """"" when its alerts are of several namespaces, or of none."""
    severity: Severity
    title: str
    labels: dict[str, str]
    state: State
    revision: int
    told: int
    route: str | None
    """None: not decided. "": the web alone."""
    in_digest: bool
    conversation: str | None
    opened_at: datetime
    updated_at: datetime
    resolved_at: datetime | None
    acknowledged_by: str
    acknowledged_by_name: str
    acknowledged_at: datetime | None
    silenced_by_name: str
    silenced_until: datetime | None
    silenced_until_resolved: bool
    wrong_by_name: str
    wrong_reason: str
    wrong_at: datetime | None
    alerts: tuple[Alert, ...] = ()
    """Firing first, newest first; at most `groups.SHOWN`."""
    firing: int = 0
    resolved: int = 0
    """How many alerts there are in each state."""

    @property
    def silenced(self) -> bool:
        return self.silenced_until is not None or self.silenced_until_resolved

    @property
    def quiet(self) -> bool:
        """Is nothing said of it but in its own message? Also when it was silenced until it was resolved."""
        return self.silenced or (self.state == "resolved" and bool(self.silenced_by_name))

    @property
    def objects(self) -> tuple[str, ...]:
        """What its alerts are about, each once, in order of name."""
        return tuple(sorted({alert.object for alert in self.alerts if alert.object}))


def severity_of(labels: Mapping[str, str]) -> Severity:
    """Of what people write into `severity` (or `priority`, `level`); what is unknown or missing is a warning."""
    said = next((labels[name] for name in ("severity", "priority", "level") if labels.get(name)), "")
    return _SAID.get(one_line(said, 40).lower(), "warning")


def rank(severity: str) -> int:
    return _RANK.get(severity, 1)


def worst(severities: tuple[Severity, ...]) -> Severity:
    return severities[max(range(len(severities)), key=lambda n: rank(severities[n]))] if severities else "warning"


def object_of(labels: Mapping[str, str], namespace: str) -> str:
    for label, kind in _OBJECTS:
        # Where the scrape has a label of the same name, the exporter's own is this one.
        name = labels.get(f"exported_{label}") or labels.get(label)
        if name:
            return f"{kind}/{'' if kind == 'Node' else namespace}/{name}"
    return ""
