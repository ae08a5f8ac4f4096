"""What else a plan touches: pods that go, Services that they serve, budgets that cover them."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, cast

from knowledge.diagnosis.fields import number, rows, sub
from protocol.remediation import BlastRadius, Remediation, ScaleWorkload
from runner.commands.ask import Ask
from runner.commands.pods import pod_selector
from runner.kube.resources import POD
from runner.remediation.others import evictable
from runner.remediation.rows import row_of
from runner.remediation.types import Obj, Situation
from runner.remediation.workloads import replicas_of

_UNREAD = "what else is affected could not be read"
_WITHIN_S = 5.0
"""A plan does not wait longer for what it is well without."""


async def blast_radius(action: Remediation, situation: Situation, ask: Ask) -> BlastRadius:
    """Never fails: what cannot be read is said in the note."""
    obj = situation.obj
    namespace = action.target.namespace
    if action.type in ("patch_configmap", "create_configmap", "delete_configmap"):
        users = await users_of_config_map(action.target.name, namespace, ask)
        if users is None:
            return BlastRadius(note=_UNREAD)
        names = ", ".join(sorted(f"{row['kind']}/{row['metadata']['name']}" for row in users)) or "no workload"
        return BlastRadius(note=f"used by {names}")
    if obj is None:
        return BlastRadius()
    if row_of(action).how == "drain":
        return BlastRadius(pods=len(evictable(situation.node_pods)))
    pods = await _pods_touched(action, obj, ask)
    if pods is None:
        return BlastRadius(note=_UNREAD)
    before = replicas_of(obj) if "replicas" in sub(obj, "spec") else None
    after = action.replicas if isinstance(action, ScaleWorkload) else before
    gone = max(0, (before or 0) - (after or 0)) if isinstance(action, ScaleWorkload) else len(pods)
    services, budgets = await asyncio.gather(
        _beside(pods, "Service", namespace, ask), _beside(pods, "PodDisruptionBudget", namespace, ask)
    )
    return BlastRadius(
        pods=gone,
        replicas_before=before,
        replicas_after=after,
        services=tuple(_services(pods, services or [])),
        budgets=tuple(_budgets(pods, budgets or [])),
        note=_UNREAD if services is None or budgets is None else "",
    )


async def _pods_touched(action: Remediation, obj: Obj, ask: Ask) -> list[Obj] | None:
    if action.target.kind == "Pod":
        return [obj]
    if not row_of(action).rolls_out and action.type != "scale":
        return []
    selector = pod_selector(obj)
    return await ask.objects_or_none(POD, [action.target.namespace], labels=selector) if selector else []


async def _beside(pods: Sequence[Obj], kind: str, namespace: str, ask: Ask) -> list[Obj] | None:
    """None when it cannot be read now."""
    if not pods:
        return []
    try:
        async with asyncio.timeout(_WITHIN_S):
            return await ask.objects_or_none(kind, [namespace])
    except TimeoutError:
        return None


def _services(pods: Sequence[Obj], found: Sequence[Obj]) -> list[str]:
    return [
        str(service["metadata"]["name"])
        for service in found
        if any(_carries(pod, sub(service, "spec").get("selector")) for pod in pods)
    ]


def _budgets(pods: Sequence[Obj], found: Sequence[Obj]) -> list[str]:
    covering = [pdb for pdb in found if any(_carries(pod, sub(pdb, "spec", "selector").get("matchLabels")) for pod in pods)]
    return [f"{pdb['metadata']['name']} (allows {number(pdb, 'status', 'disruptionsAllowed')} disruptions)" for pdb in covering]


def _carries(pod: Obj, wanted: Any) -> bool:
    """An empty or absent selector selects nothing here."""
    if not isinstance(wanted, Mapping) or not wanted:
        return False
    labels = sub(pod["metadata"], "labels")
    return all(labels.get(key) == value for key, value in cast(Mapping[str, str], wanted).items())


async def users_of_config_map(name: str, namespace: str, ask: Ask) -> list[Obj] | None:
    """Workloads whose pod template mentions the ConfigMap; None when nothing can be read."""
    found: list[Obj] = []
    for kind in ("Deployment", "StatefulSet", "DaemonSet"):
        table = await ask.objects_or_none(kind, [namespace])
        if table is None:
            return None
        found.extend({**row, "kind": kind} for row in table if uses_config_map(sub(row["spec"], "template", "spec"), name))
    return found


def uses_config_map(pod_spec: Mapping[str, Any], name: str) -> bool:
    containers = [*rows(pod_spec, "containers"), *rows(pod_spec, "initContainers")]
    for container in containers:
        if any(sub(row, "configMapRef").get("name") == name for row in rows(container, "envFrom")):
            return True
        if any(sub(row, "valueFrom", "configMapKeyRef").get("name") == name for row in rows(container, "env")):
            return True
    for volume in rows(pod_spec, "volumes"):
        sources = [volume, *rows(volume, "projected", "sources")]
        if any(sub(source, "configMap").get("name") == name for source in sources):
            return True
    return False
