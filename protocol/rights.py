"""Which rights in a cluster each type of remediation needs, so that an installation grants these and no more."""

from collections.abc import Iterable

from protocol.base import Strict
from protocol.kubectl.resources import by_kind
from protocol.remediation import CLUSTER_SCOPED, REMEDIATIONS


class Right(Strict):
    """One verb on one resource, in RBAC's words. `resource` may name a subresource: `pods/eviction`."""

    group: str
    resource: str
    verb: str
    namespaced: bool


_VERBS: dict[str, tuple[str, ...]] = {
    "delete_pod": ("delete",),
    "create_configmap": ("create", "delete"),
    "delete_configmap": ("delete",),
}
"""Everything else patches. What is created must be deletable, or it could not be undone."""
_BESIDES = {"drain": (Right(group="", resource="pods/eviction", verb="create", namespaced=True),)}


def rights_for(types: Iterable[str]) -> tuple[Right, ...]:
    """What a runner that executes these types must be allowed, each right once, in a stable order.

    Raises KeyError for a type that does not exist.
    """
    found: set[Right] = set()
    for name in types:
        found.update(_BESIDES.get(name, ()))
        for kind in REMEDIATIONS[name].kinds():
            resource = by_kind(kind)
            if resource is None:
                raise KeyError(kind)
            for verb in _VERBS.get(name, ("patch",)):
                found.add(Right(group=resource.group, resource=resource.plural, verb=verb, namespaced=resource.namespaced))
    return tuple(sorted(found, key=lambda right: (right.group, right.resource, right.verb)))


def needs_nodes(name: str) -> bool:
    """Does this type touch what is in no namespace?"""
    return any(kind in CLUSTER_SCOPED for kind in REMEDIATIONS[name].kinds())
