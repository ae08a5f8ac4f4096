"""Which Services of a cluster look like a metrics server, by their well-known names and labels. Pure.

A Service is believed only in a namespace of monitoring: anybody who may create Services could otherwise answer for Prometheus.
One that leads out of the cluster (ExternalName, or no selector) never counts.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from knowledge.diagnosis.fields import rows, sub, text
from protocol.objects import valid_name, valid_namespace

NAMESPACES = (
    "monitoring", "kube-prometheus-stack", "prometheus", "prometheus-operator", "observability", "metrics", "victoria-metrics",
    "victoriametrics", "vm", "thanos", "mimir", "cortex", "openshift-monitoring", "cattle-monitoring-system", "kube-system",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of server: how its Service is called or labelled, its ports by preference, and where its API begins."""

    name: str
    names: re.Pattern[str]
    labels: tuple[tuple[str, str], ...]
    ports: tuple[int | str, ...]
    base: str = ""


KINDS = (
    # A server of this cluster alone comes first: Thanos and Mimir may hold the series of others too.
    Kind(
        "Prometheus",
        re.compile(r"prometheus|prometheus-(server|k8s|operated|main)|(.+-)?kube-prom(etheus-stack|.*)-prometheus"),
        (
            ("operated-prometheus", "true"),
            ("app", "kube-prometheus-stack-prometheus"),
            ("app.kubernetes.io/name", "prometheus"),
        ),
        (9090, "http-web", "web", 80),
    ),
    Kind(
        "VictoriaMetrics",
        re.compile(r"vmsingle(-.+)?|(.+-)?victoria-metrics-single-server"),
        (("app.kubernetes.io/name", "vmsingle"), ("app.kubernetes.io/name", "victoria-metrics-single")),
        (8428, 8429, "http"),
    ),
    Kind(
        "VictoriaMetrics cluster",
        re.compile(r"vmselect(-.+)?|(.+-)?victoria-metrics-cluster-vmselect"),
        (("app.kubernetes.io/name", "vmselect"), ("app", "vmselect")),
        (8481, "http"),
        "/select/0/prometheus",
    ),
    Kind(
        "Thanos",
        re.compile(r"(.+-)?thanos-query(-frontend|-http)?|thanos-querier"),
        (("app.kubernetes.io/name", "thanos-query"),),
        (9090, 10902, "http"),
    ),
    Kind(
        "Mimir",
        re.compile(r"(.+-)?mimir(-nginx|-gateway|-query-frontend)?"),
        (),
        (80, 8080, "http-metrics"),
        "/prometheus",
    ),
    Kind(
        "Cortex",
        re.compile(r"(.+-)?cortex-(nginx|gateway|query-frontend)"),
        (),
        (80, 8080, "http-metrics"),
        "/prometheus",
    ),
)  # fmt: skip

BASES = ("", "/prometheus", "/select/0/prometheus", "/api/prom")
"""Base paths to try, in this order, where the API is not at the one that was given."""


@dataclass(frozen=True, slots=True)
class Candidate:
    kind: str
    namespace: str
    service: str
    cluster_ip: str
    """"" for a headless Service, which is reached by its DNS name."""
    scheme: str
    port: int
    base: str

    @property
    def shown(self) -> str:
        return f"Service/{self.namespace}/{self.service}:{self.port}{self.base}"

    @property
    def url(self) -> str:
        """From inside of the cluster. A certificate is made out to the DNS name, so https goes there."""
        host = self.cluster_ip if self.cluster_ip and self.scheme == "http" else f"{self.service}.{self.namespace}.svc"
        shown = f"[{host}]" if ":" in host else host
        return f"{self.scheme}://{shown}:{self.port}{self.base}"


@dataclass(frozen=True, slots=True)
class Found:
    """`usable` best first; `elsewhere` are Services outside of the believed namespaces, which are told and not asked."""

    usable: tuple[Candidate, ...] = ()
    elsewhere: tuple[str, ...] = ()


def candidates(services: Iterable[Mapping[str, Any]], namespaces: Sequence[str] = ()) -> Found:
    believed = tuple(namespaces) or NAMESPACES
    ranked: list[tuple[tuple[int, int, bool, str, str], Candidate]] = []
    elsewhere: list[str] = []
    for service in services:
        found = _candidate(service)
        if found is None:
            continue
        rank, candidate = found
        if candidate.namespace not in believed:
            elsewhere.append(candidate.shown)
            continue
        order = (rank, believed.index(candidate.namespace), not candidate.cluster_ip, candidate.namespace, candidate.service)
        ranked.append((order, candidate))
    return Found(tuple(candidate for _, candidate in sorted(ranked, key=lambda item: item[0])), tuple(sorted(elsewhere)))


def _candidate(service: Mapping[str, Any]) -> tuple[int, Candidate] | None:
    spec, metadata = sub(service, "spec"), sub(service, "metadata")
    if text(spec, "type") == "ExternalName" or not sub(spec, "selector"):
        return None
    name, labels = text(metadata, "name"), sub(metadata, "labels")
    if not valid_name(name) or not valid_namespace(text(metadata, "namespace")):
        return None
    for rank, kind in enumerate(KINDS):
        if not kind.names.fullmatch(name) and not any(labels.get(key) == value for key, value in kind.labels):
            continue
        port = _port(rows(spec, "ports"), kind.ports)
        if port is None:
            continue
        address = text(spec, "clusterIP")
        number, scheme = port
        return rank, Candidate(
            kind.name, text(metadata, "namespace"), name, "" if address == "None" else address, scheme, number, kind.base
        )
    return None


def _port(ports: Sequence[Mapping[str, Any]], wanted: tuple[int | str, ...]) -> tuple[int, str] | None:
    for one in wanted:
        for port in ports:
            number = port.get("port")
            if isinstance(number, int) and one in (number, port.get("name")):
                secure = port.get("appProtocol") == "https" or "https" in str(port.get("name", ""))
                return number, "https" if secure else "http"
    return None
