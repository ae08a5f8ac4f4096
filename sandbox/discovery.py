"""What the API server says about itself: version, groups, resources, and as much OpenAPI as kubectl asks."""

from sandbox.objects import Obj
from sandbox.resources import METRICS_GROUP, RESOURCES, Resource, groups, verbs
from sandbox.reviews import KINDS as REVIEWS

VERSION: Obj = {
    "major": "1",
    "minor": "32",
    "gitVersion": "v1.32.5",
    "gitCommit": "9894294ef13a5b32803e3ca2c0d620a088cc84d1",
    "gitTreeState": "clean",
    "buildDate": "2025-05-15T00:00:00Z",
    "goVersion": "go1.23.8",
    "compiler": "gc",
    "platform": "linux/amd64",
}

_SUBRESOURCE_KINDS = {
    "status": (None, None, None, ["get", "patch", "update"]),
    "scale": ("Scale", "autoscaling", "v1", ["get", "patch", "update"]),
    "log": ("Pod", None, None, ["get"]),
    "token": ("TokenRequest", "authentication.k8s.io", "v1", ["create"]),
    "eviction": ("Eviction", "policy", "v1", ["create"]),
}


def api_versions(server: str) -> Obj:
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": server}],
    }


def group_list(metrics: bool) -> Obj:
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(*row) for row in _groups(metrics).items()]}


def group(name: str, metrics: bool) -> Obj | None:
    versions = _groups(metrics).get(name)
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)} if versions else None


def _groups(metrics: bool) -> dict[str, list[str]]:
    found = groups() | {group: ["v1"] for group in REVIEWS}
    if metrics:
        found[METRICS_GROUP] = ["v1beta1"]
    return found


def _group(name: str, versions: list[str]) -> Obj:
    rows = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": rows, "preferredVersion": rows[0]}


def resource_list(group_name: str, version: str, metrics: bool) -> Obj | None:
    """The APIResourceList of a group version, None if it is not served."""
    if version not in (["v1"] if not group_name else _groups(metrics).get(group_name, [])):
        return None
    rows: list[Obj] = []
    for resource in RESOURCES:
        if (resource.group, resource.version) == (group_name, version):
            rows += _resource_rows(resource)
    if group_name == METRICS_GROUP:
        for plural, kind, namespaced in (("nodes", "NodeMetrics", False), ("pods", "PodMetrics", True)):
            rows.append({"name": plural, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": ["get", "list"]})
    for plural, kind in REVIEWS.get(group_name, {}).items():
        rows.append({"name": plural, "singularName": kind.lower(), "namespaced": False, "kind": kind, "verbs": ["create"]})
    group_version = f"{group_name}/{version}" if group_name else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": rows}


def _resource_rows(resource: Resource) -> list[Obj]:
    row: Obj = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(verbs(resource)),
    }
    if resource.short:
        row["shortNames"] = list(resource.short)
    if resource.categories:
        row["categories"] = list(resource.categories)
    rows = [row]
    for name in resource.subresources:
        kind, group_name, version, allowed = _SUBRESOURCE_KINDS[name]
        extra: Obj = {
            "name": f"{resource.plural}/{name}",
            "singularName": "",
            "namespaced": resource.namespaced,
            "kind": kind or resource.kind,
            "verbs": allowed,
        }
        if group_name:
            extra |= {"group": group_name, "version": version}
        rows.append(extra)
    return rows
