"""Who may do what: bearer tokens, three identities, rules as rows."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.errors import ApiError
from sandbox.resources import READ, WRITE

_ANY = ("*",)


@dataclass(frozen=True)
class Rule:
    """Verbs on resources ("pods", "pods/log") of API groups; '*' is all of them."""

    verbs: tuple[str, ...]
    groups: tuple[str, ...]
    resources: tuple[str, ...]

    def covers(self, verb: str, group: str, resource: str) -> bool:
        return all(
            "*" in have or wanted in have
            for have, wanted in ((self.verbs, verb), (self.groups, group), (self.resources, resource))
        )


_LOOK = (
    Rule(
        READ,
        ("",),
        (
            "namespaces", "nodes", "pods", "pods/log", "pods/status", "services", "endpoints", "configmaps",
            "serviceaccounts", "events", "persistentvolumeclaims", "persistentvolumes", "resourcequotas",
            "limitranges", "namespaces/status", "nodes/status",
        ),
    ),
    Rule(
        READ,
        (
            "apps", "batch", "autoscaling", "policy", "networking.k8s.io", "discovery.k8s.io",
            "storage.k8s.io", "coordination.k8s.io", "metrics.k8s.io",
        ),
        _ANY,
    ),
    Rule(("create",), ("authorization.k8s.io",), _ANY),
)  # fmt: skip
_REMEDY = (
    Rule(
        ("update", "patch"),
        ("apps",),
        ("deployments", "statefulsets", "daemonsets", "deployments/scale", "statefulsets/scale", "replicasets/scale"),
    ),
    Rule(("delete",), ("",), ("pods",)),
    Rule(("create",), ("",), ("pods/eviction",)),
    Rule(("patch", "update"), ("",), ("nodes", "persistentvolumeclaims")),
    Rule(("create", "patch", "update"), ("",), ("configmaps",)),
    Rule(("patch", "update"), ("batch",), ("cronjobs",)),
    Rule(("patch", "update"), ("autoscaling",), _ANY),
    Rule(("create", "update", "patch", "get"), ("coordination.k8s.io",), ("leases",)),
)
_EVERYTHING = (Rule(_ANY, _ANY, _ANY),)


@dataclass(frozen=True)
class Identity:
    name: str
    groups: tuple[str, ...]
    rules: tuple[Rule, ...]

    def may(self, verb: str, group: str, resource: str) -> bool:
        return any(rule.covers(verb, group, resource) for rule in self.rules)


IDENTITIES = (
    Identity("admin", ("system:masters", "system:authenticated"), _EVERYTHING),
    Identity("viewer", ("system:authenticated",), _LOOK),
    Identity("runner", ("system:authenticated",), _LOOK + _REMEDY),
)


class Tokens:
    """One random token an identity, new at each start unless it was kept."""

    def __init__(self, kept: Mapping[str, str] | None = None) -> None:
        self.by_name = {i.name: (kept or {}).get(i.name) or secrets.token_urlsafe(24) for i in IDENTITIES}
        self._identities = {self.by_name[identity.name]: identity for identity in IDENTITIES}

    def identify(self, authorization: str) -> Identity:
        """The identity behind an Authorization header. Raises ApiError 401."""
        scheme, _, token = authorization.partition(" ")
        identity = self._identities.get(token.strip()) if scheme.lower() == "bearer" else None
        if identity is None:
            raise ApiError(401, "Unauthorized")
        return identity


def require(identity: Identity, verb: str, group: str, resource: str, namespace: str, name: str) -> None:
    """Raises ApiError 403 in the API server's words."""
    if identity.may(verb, group, resource):
        return
    plural = resource.partition("/")[0]
    head = f"{plural}.{group}" if group else plural
    subject = f'{head} "{name}"' if name else head
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    details: dict[str, object] = {"kind": plural}
    if name:
        details = {"name": name, **details}
    if group:
        details["group"] = group
    raise ApiError(
        403,
        f'{subject} is forbidden: User "{identity.name}" cannot {verb} resource "{resource}" in API group "{group}" {where}',
        details=details,
    )


ALL_VERBS = READ + WRITE
