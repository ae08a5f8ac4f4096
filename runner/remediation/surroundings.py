"""Reads what tells who looks after an object: its controllers upwards, autoscalers, and the objects of GitOps tools.

It never fails: what may not be read is left out, and `owner` then says the careful thing. It reads by the runner's own rights,
not by the asker's scope: of what it finds, only the name that the object itself carries and the tool's drift setting are told.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast
from urllib.parse import quote

from knowledge.diagnosis.fields import rows, sub
from protocol.remediation import CreateConfigMap, Remediation
from runner.commands.ask import Ask
from runner.kube.errors import KubeError
from runner.kube.resources import Resource
from runner.remediation.blast import users_of_config_map
from runner.remediation.owner import Keeper, Surroundings, keeper_of
from runner.remediation.types import Obj

_MOST_LEVELS = 6
_GROUPS = {
    "Application": ("applications", "argoproj.io"),
    "Kustomization": ("kustomizations", "kustomize.toolkit.fluxcd.io"),
    "HelmRelease": ("helmreleases", "helm.toolkit.fluxcd.io"),
}
_TIMEOUT_S = 5.0


async def surroundings(action: Remediation, obj: Obj | None, ask: Ask) -> Surroundings:
    if obj is None:
        users = await users_of_config_map(action.target.name, action.target.namespace, ask) if _creates(action) else None
        return Surroundings(users=users or ())
    spaces = [action.target.namespace]
    hpas = await ask.objects_or_none("HorizontalPodAutoscaler", spaces) if action.type == "scale" else None
    vpas = await _vpas(spaces, ask) if action.type == "set_resources" else []
    above = await controllers_of(obj, ask) if action.target.kind != "Pod" else ()
    keepers = {
        keeper: found for keeper in [keeper_of(obj)] if keeper and (found := await _read_keeper(keeper, ask)) is not None
    }
    return Surroundings(above=above, hpas=hpas or (), vpas=vpas, keepers=keepers)


async def controllers_of(obj: Obj, ask: Ask) -> tuple[Obj, ...]:
    """The controllers above an object, nearest first; one that can't be read ends the way, but is named."""
    found: list[Obj] = []
    seen: set[str] = set()
    while len(found) < _MOST_LEVELS:
        ref = next((row for row in rows(obj, "metadata", "ownerReferences") if row.get("controller")), None)
        if ref is None or str(ref.get("uid")) in seen:
            return tuple(found)
        seen.add(str(ref.get("uid")))
        named: Obj = {"apiVersion": ref.get("apiVersion"), "kind": ref.get("kind"), "metadata": {"name": ref.get("name")}}
        read = await _read_controller(ref, str(sub(obj, "metadata").get("namespace") or ""), ask)
        found.append(read or named)
        if read is None:
            return tuple(found)
        obj = read
    return tuple(found)


async def _read_controller(ref: Mapping[str, Any], namespace: str, ask: Ask) -> Obj | None:
    group, _, version = str(ref.get("apiVersion") or "").rpartition("/")
    try:
        served = [row for row in await ask.discovery.resources() if row.group == group and row.kind == ref.get("kind")]
        resource = next((row for row in served if row.version == version), served[0] if served else None)
        if resource is None:
            return None
        path = resource.path(namespace if resource.namespaced else "", str(ref.get("name")))
        read = await ask.client.get(path, timeout=_TIMEOUT_S)
    except (KubeError, ValueError):
        return None
    # A name can be taken again: only the uid says that it is the one.
    same = sub(read, "metadata").get("uid") == ref.get("uid")
    return {**read, "kind": resource.kind, "apiVersion": resource.api_version} if same else None


async def _read_keeper(keeper: Keeper, ask: Ask) -> Obj | None:
    if keeper.kind not in _GROUPS:
        return None
    plural, group = _GROUPS[keeper.kind]
    try:
        resource = await ask.discovery.find(plural, group)
        if resource is None:
            return None
        if keeper.namespace:
            return await ask.client.get(resource.path(keeper.namespace, keeper.name), timeout=_TIMEOUT_S)
        return _only(await _named_so(resource, keeper.name, ask))
    except (KubeError, ValueError):
        return None


async def _named_so(resource: Resource, name: str, ask: Ask) -> list[Obj]:
    """An Argo CD application does not say in which namespace Argo CD is."""
    params = {"fieldSelector": f"metadata.name={quote(name, safe='')}", "limit": 2}
    page = await ask.client.get(resource.path(""), params, timeout=_TIMEOUT_S)
    return [row for row in cast(list[Obj], rows(page, "items")) if sub(row, "metadata").get("name") == name]


def _only(found: Sequence[Obj]) -> Obj | None:
    """Of two with the same name nobody knows which is meant."""
    return found[0] if len(found) == 1 else None


async def _vpas(spaces: Sequence[str], ask: Ask) -> list[Obj]:
    try:
        resource = await ask.discovery.find("verticalpodautoscalers", "autoscaling.k8s.io")
    except KubeError:
        return []
    return (await ask.objects_or_none(resource, spaces) or []) if resource else []


def _creates(action: Remediation) -> bool:
    return isinstance(action, CreateConfigMap)
