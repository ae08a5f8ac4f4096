"""The cluster in a heartbeat: counts from the cache. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from knowledge.diagnosis.fields import rows, sub
from protocol.bus import ClusterSummary

Obj = dict[str, Any]

_BAD_WAITING = frozenset(
    {
        "CrashLoopBackOff",
        "ImagePullBackOff",
        "ErrImagePull",
        "CreateContainerConfigError",
        "CreateContainerError",
        "InvalidImageName",
    }
)


def summarise(
    objects: Iterable[Obj],
    *,
    findings: Mapping[str, int],
    metrics_api: bool,
    prometheus: bool,
    metrics: str = "",
    cache: Literal["cold", "warm", "stale"],
    note: str,
) -> ClusterSummary:
    nodes = nodes_ready = pods = ready = failing = 0
    namespaces: list[str] = []
    for obj in objects:
        kind = obj["kind"]
        if kind == "Node":
            nodes += 1
            nodes_ready += condition(obj, "Ready")
        elif kind == "Namespace":
            namespaces.append(obj["metadata"]["name"])
        elif kind == "Pod":
            pods += 1
            ready += condition(obj, "Ready")
            failing += pod_fails(obj)
    return ClusterSummary(
        nodes=nodes,
        nodes_ready=nodes_ready,
        pods=pods,
        pods_ready=ready,
        pods_failing=failing,
        namespaces=tuple(sorted(namespaces)),
        findings=dict(findings),
        metrics_api=metrics_api,
        prometheus=prometheus,
        metrics=metrics[:500],
        cache=cache,
        cache_note=note[:500],
    )


def condition(obj: Obj, kind: str) -> bool:
    table = rows(obj, "status", "conditions")
    return any(row.get("type") == kind and row.get("status") == "True" for row in table)


def pod_fails(pod: Obj) -> bool:
    """Failed, or a container waits for a reason that does not go away by itself."""
    status = sub(pod, "status")
    if status.get("phase") == "Failed":
        return True
    table = [*rows(status, "containerStatuses"), *rows(status, "initContainerStatuses")]
    return any(sub(row, "state", "waiting").get("reason") in _BAD_WAITING for row in table)
