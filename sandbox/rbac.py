"""RBAC: the rules that bindings in the store give an identity, and the objects every cluster starts with.

Pure over the store. There is no list of who may what in the program: change a Role or a binding, and rights change.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sandbox.auth import Identity
from sandbox.cluster import Cluster
from sandbox.objects import Obj, name_of, rows, sub, text, texts
from sandbox.resources import BY_KIND, CLUSTER_ROLE, CLUSTER_ROLE_BINDING, READ, ROLE, ROLE_BINDING, WRITE
from sandbox.store import Store

GROUP = "rbac.authorization.k8s.io"
MASTERS = "system:masters"


@dataclass(frozen=True)
class Question:
    """May somebody do this? A path that names no resource is asked with `path`; resource may be "pods/log"."""

    verb: str
    group: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""


def allowed(store: Store, identity: Identity, question: Question) -> bool:
    if MASTERS in identity.groups:
        return True
    return any(_covers(rule, question) for rule in rules(store, identity, question.namespace))


def rules(store: Store, identity: Identity, namespace: str) -> Iterator[Obj]:
    """All rules that hold for an identity in a namespace; "" is cluster-wide."""
    bindings = list(store.list(CLUSTER_ROLE_BINDING))
    if namespace:
        bindings += store.list(ROLE_BINDING, namespace)
    for binding in bindings:
        if not any(_is(subject, identity, binding) for subject in rows(binding, "subjects")):
            continue
        ref = sub(binding, "roleRef")
        kind = ROLE if ref.get("kind") == "Role" else CLUSTER_ROLE
        role = store.get(kind, namespace if kind is ROLE else "", text(ref, "name"))
        yield from rows(role or {}, "rules")


def _is(subject: Obj, identity: Identity, binding: Obj) -> bool:
    name = text(subject, "name")
    match text(subject, "kind"):
        case "User":
            return name == identity.name
        case "Group":
            return name in identity.groups
        case "ServiceAccount":
            space = text(subject, "namespace") or text(binding, "metadata", "namespace")
            return identity.name == f"system:serviceaccount:{space}:{name}"
        case _:
            return False


def _covers(rule: Obj, question: Question) -> bool:
    if not _has(texts(rule, "verbs"), question.verb):
        return False
    if question.path:
        return any(_path_matches(pattern, question.path) for pattern in texts(rule, "nonResourceURLs"))
    names = texts(rule, "resourceNames")
    return (
        _has(texts(rule, "apiGroups"), question.group)
        and _has_resource(texts(rule, "resources"), question.resource)
        and (not names or question.name in names)
    )


def _has(listed: list[str], wanted: str) -> bool:
    return "*" in listed or wanted in listed


def _has_resource(listed: list[str], wanted: str) -> bool:
    _, _, part = wanted.partition("/")
    return _has(listed, wanted) or bool(part and f"*/{part}" in listed)


def _path_matches(pattern: str, path: str) -> bool:
    return path == pattern or (pattern.endswith("*") and path.startswith(pattern[:-1]))


def install(cluster: Cluster) -> None:
    """Create the roles and bindings that a cluster starts with, those that are there stay as they are."""
    for obj in _bootstrap():
        resource = BY_KIND[obj["kind"]]
        if cluster.store.get(resource, "", name_of(obj)) is None:
            cluster.store.create(resource, obj, "kube-apiserver")


_WORKLOADS = ["deployments", "statefulsets", "daemonsets"]
_SEEN = [
    "namespaces", "nodes", "pods", "pods/log", "pods/status", "services", "endpoints", "configmaps", "serviceaccounts",
    "events", "persistentvolumeclaims", "persistentvolumes", "resourcequotas", "limitranges", "namespaces/status",
    "nodes/status",
]  # fmt: skip
_SEEN_GROUPS = [
    "apps", "batch", "autoscaling", "policy", "networking.k8s.io", "discovery.k8s.io", "storage.k8s.io",
    "coordination.k8s.io", "metrics.k8s.io", "argoproj.io",
]  # fmt: skip


def _rule(verbs: list[str], groups: list[str], resources: list[str]) -> Obj:
    return {"verbs": verbs, "apiGroups": groups, "resources": resources}


_LOOK = [_rule([*READ], [""], _SEEN), _rule([*READ], _SEEN_GROUPS, ["*"])]
_REMEDY = [
    _rule(
        ["update", "patch"],
        ["apps"],
        [*_WORKLOADS, "replicasets", "deployments/scale", "statefulsets/scale", "replicasets/scale"],
    ),
    _rule(["delete"], [""], ["pods"]),
    _rule(["create"], [""], ["pods/eviction"]),
    _rule(["patch", "update"], [""], ["nodes", "persistentvolumeclaims"]),
    _rule(["create", "patch", "update", "delete"], [""], ["configmaps"]),
    _rule(["patch", "update"], ["batch"], ["cronjobs"]),
    _rule(["patch", "update"], ["autoscaling"], ["*"]),
    _rule(["create", "update", "patch", "get"], ["coordination.k8s.io"], ["leases"]),
]
_EDIT = [
    _rule([*READ, *WRITE], [""], ["pods", "services", "endpoints", "configmaps", "secrets", "serviceaccounts",
                                  "persistentvolumeclaims", "pods/eviction", "serviceaccounts/token"]),
    _rule([*READ], [""], ["namespaces", "events", "pods/log", "pods/status", "resourcequotas", "limitranges"]),
    _rule([*READ, *WRITE], ["apps", "batch", "autoscaling", "policy", "networking.k8s.io"], ["*"]),
    _rule([*READ], ["discovery.k8s.io", "metrics.k8s.io"], ["*"]),
]  # fmt: skip
_ROLES: dict[str, list[Obj]] = {
    "cluster-admin": [_rule(["*"], ["*"], ["*"]), {"verbs": ["*"], "nonResourceURLs": ["*"]}],
    "admin": [*_EDIT, _rule([*READ, *WRITE], [GROUP], ["roles", "rolebindings"])],
    "edit": _EDIT,
    "view": [
        _rule([*READ], [""], [what for what in _SEEN if not what.startswith(("nodes", "persistentvolumes"))]),
        _rule([*READ], [g for g in _SEEN_GROUPS if g not in ("storage.k8s.io", "coordination.k8s.io")], ["*"]),
    ],
    "practice-viewer": _LOOK,
    "practice-runner": [*_LOOK, *_REMEDY],
    "system:basic-user": [
        _rule(["create"], ["authorization.k8s.io"], ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]),
        _rule(["create"], ["authentication.k8s.io"], ["selfsubjectreviews"]),
    ],
    "system:discovery": [
        {"verbs": ["get"], "nonResourceURLs": ["/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/livez/*",
                                               "/openapi", "/openapi/*", "/readyz", "/readyz/*", "/version", "/version/"]}
    ],
}  # fmt: skip
_BOUND = (
    ("cluster-admin", "cluster-admin", "Group", MASTERS),
    ("practice-viewer", "practice-viewer", "User", "viewer"),
    ("practice-runner", "practice-runner", "User", "runner"),
    ("system:basic-user", "system:basic-user", "Group", "system:authenticated"),
    ("system:discovery", "system:discovery", "Group", "system:authenticated"),
)


def _bootstrap() -> Iterator[Obj]:
    labels = {"kubernetes.io/bootstrapping": "rbac-defaults"}
    for name, rights in _ROLES.items():
        meta: Obj = {"name": name, "labels": dict(labels)}
        yield {"apiVersion": f"{GROUP}/v1", "kind": "ClusterRole", "metadata": meta, "rules": rights}
    for name, role, kind, subject in _BOUND:
        yield {
            "apiVersion": f"{GROUP}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name, "labels": dict(labels)},
            "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": GROUP, "kind": kind, "name": subject}],
        }
