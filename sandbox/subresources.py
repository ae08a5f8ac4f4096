"""The subresources that are not `status`: scale and eviction."""

import math
from typing import Any, cast

from sandbox import patches, selectors
from sandbox.cluster import Cluster
from sandbox.deletion import delete_gracefully
from sandbox.errors import bad_request, conflict, too_many
from sandbox.objects import Obj, being_deleted, clone, is_ready, labels_of, name_of, namespace_of, number, sub, text
from sandbox.requests import Call
from sandbox.resources import BUDGET, POD, Resource
from sandbox.validation import check


def scale_of(obj: Obj) -> Obj:
    """The autoscaling/v1 Scale of a workload."""
    meta = sub(obj, "metadata")
    selector = selectors.written(sub(obj, "spec", "selector"))
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            key: meta[key] for key in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp") if key in meta
        },
        "spec": {"replicas": number(obj, "spec", "replicas")},
        "status": {"replicas": number(obj, "status", "replicas"), "selector": selector},
    }


def set_scale(cluster: Cluster, resource: Resource, old: Obj, call: Call) -> Obj:
    """Change the size by PUT or PATCH of the Scale. Raises ApiError 400, 409 or 422."""
    now = scale_of(old)
    wanted = call.obj() if call.method == "PUT" else patches.patched(now, call.parsed(), call.content_type)
    version = text(wanted, "metadata", "resourceVersion")
    if version and version != old["metadata"]["resourceVersion"]:
        raise conflict(resource, name_of(old))
    replicas: Any = sub(wanted, "spec").get("replicas", 0)
    if not isinstance(replicas, int):
        raise bad_request('Scale in version "v1" cannot be handled as a Scale: spec.replicas must be an integer')
    obj = clone(old)
    obj["spec"]["replicas"] = replicas
    check(resource, obj)
    written = cluster.store.update(resource, obj, call.manager, dry_run=call.dry_run)
    return scale_of(written)


def evict(cluster: Cluster, pod: Obj, call: Call) -> Obj:
    """Delete a pod if no disruption budget stands against it. Raises ApiError 429."""
    for budget in cluster.store.list(BUDGET, namespace_of(pod)):
        if not selectors.matches(sub(budget, "spec", "selector"), labels_of(pod)):
            continue
        needed, healthy = needed_healthy(cluster, budget)
        if is_ready(pod) and healthy - 1 < needed:
            raise too_many(
                "Cannot evict pod as it would violate the pod's disruption budget.",
                10,
                [
                    {
                        "reason": "DisruptionBudget",
                        "message": f"The disruption budget {name_of(budget)} needs {needed} healthy pods and has "
                        f"{healthy} currently",
                    }
                ],
            )
    body = call.obj() if call.body else {}
    options = sub(body, "deleteOptions")
    if not call.dry_run and not options.get("dryRun"):
        grace = cast(int | None, options.get("gracePeriodSeconds"))
        delete_gracefully(cluster, POD, pod, grace=grace)
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def needed_healthy(cluster: Cluster, budget: Obj) -> tuple[int, int]:
    """How many healthy pods a budget wants, and how many there are."""
    selector = sub(budget, "spec", "selector")
    pods = [
        pod
        for pod in cluster.store.list(POD, namespace_of(budget))
        if selectors.matches(selector, labels_of(pod)) and text(pod, "status", "phase") in ("Running", "Pending")
    ]
    spec = sub(budget, "spec")
    if "minAvailable" in spec:
        needed = _share(spec["minAvailable"], len(pods))
    else:
        needed = len(pods) - _share(spec.get("maxUnavailable", 0), len(pods))
    return needed, sum(1 for pod in pods if is_ready(pod) and not being_deleted(pod))


def _share(value: Any, whole: int) -> int:
    said = str(value)
    return math.ceil(whole * float(said[:-1]) / 100) if said.endswith("%") else int(said)
