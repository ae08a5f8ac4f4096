"""How a server labels a container's series, and which exporters it has. What differs is put right for our own queries only.

`exported_…`: where a scrape does not honour labels, `namespace` and `pod` are the exporter's, and those of the measured pod are
prefixed. `pod_name`, `container_name`: cAdvisor before Kubernetes 1.16. Pure.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MEMORY = "container_memory_working_set_bytes"


@dataclass(frozen=True, slots=True)
class Dialect:
    """The names under which namespace, pod and container are found."""

    namespace: str = "namespace"
    pod: str = "pod"
    container: str = "container"

    @property
    def usual(self) -> bool:
        return self == Dialect()

    def probe(self) -> str:
        """Has it a series where these labels are set?"""
        return f'count({MEMORY}{{{self.pod}!="",{self.container}!=""}})'

    def query(self, expr: str) -> str:
        """A query of ours in these labels. Only for expressions without strings that look like matchers."""
        for usual, ours in self._pairs():
            expr = re.sub(rf"\b{usual}(?==~|!~|!=|=)", ours, expr)
        return expr

    def row(self, row: dict[str, Any]) -> dict[str, Any]:
        """A series of the answer in the usual labels."""
        labels: Mapping[str, Any] = row.get("metric") or {}
        renamed = dict(labels)
        for usual, ours in self._pairs():
            if ours in renamed:
                renamed[usual] = renamed.pop(ours)
        return {**row, "metric": renamed}

    def _pairs(self) -> list[tuple[str, str]]:
        pairs = (("namespace", self.namespace), ("pod", self.pod), ("container", self.container))
        return [(usual, ours) for usual, ours in pairs if usual != ours]


DIALECTS = (
    Dialect("exported_namespace", "exported_pod", "exported_container"),
    Dialect(),
    Dialect("namespace", "pod_name", "container_name"),
)
"""The prefixed ones first: where they exist, the plain ones name the exporter."""

NEEDED: Mapping[str, tuple[str, str]] = {
    MEMORY: ("cAdvisor", "memory and CPU of containers are not known: scrape /metrics/cadvisor of the kubelets"),
    "kube_pod_info": (
        "kube-state-metrics",
        "the past of limits and restarts is not known: install kube-state-metrics",
    ),
    "node_memory_MemAvailable_bytes": ("node-exporter", "memory and disks of nodes are not known: install node-exporter"),
}
"""A series of each exporter, and what is missing without it."""


def missing(present: Mapping[str, bool]) -> tuple[str, ...]:
    """Sentences for exporters whose series are not there. Nothing for what nobody has looked at."""
    return tuple(f"no series of {who}: {why}" for name, (who, why) in NEEDED.items() if present.get(name) is False)
