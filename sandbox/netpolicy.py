"""NetworkPolicy, as networking.k8s.io/v1 defines it: may this pod open a connection to that one?

A pod that no policy selects for a direction is open in it; one that is selected accepts what any of its policies allows.
"""

from collections.abc import Mapping, Sequence

from sandbox.objects import Obj, namespace_of, rows, sub, texts
from sandbox.programs import Place
from sandbox.selectors import matches

Spaces = Mapping[str, Mapping[str, str]]
"""Namespace to its labels."""


def allowed(policies: Sequence[Obj], spaces: Spaces, source: Place, target: Place, port: int) -> bool:
    """Both ends must agree: the target's ingress and the source's egress."""
    return _open(policies, spaces, target, source, "Ingress", port) and _open(policies, spaces, source, target, "Egress", port)


def _open(policies: Sequence[Obj], spaces: Spaces, holder: Place, peer: Place, direction: str, port: int) -> bool:
    field, end = ("ingress", "from") if direction == "Ingress" else ("egress", "to")
    ruling = [policy for policy in policies if _rules(policy, holder, direction)]
    return not ruling or any(
        _covers(rule, end, policy, spaces, peer, port) for policy in ruling for rule in rows(policy, "spec", field)
    )


def _rules(policy: Obj, holder: Place, direction: str) -> bool:
    spec = sub(policy, "spec")
    types = texts(spec, "policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])]
    selected = namespace_of(policy) == holder.namespace and matches(sub(spec, "podSelector"), holder.labels)
    return selected and direction in types


def _covers(rule: Obj, end: str, policy: Obj, spaces: Spaces, peer: Place, port: int) -> bool:
    ports = rows(rule, "ports")
    if ports and not any(_has_port(row, port) for row in ports):
        return False
    peers = rows(rule, end)
    return not peers or any(_is_peer(row, policy, spaces, peer) for row in peers)


def _has_port(row: Obj, port: int) -> bool:
    wanted, last = row.get("port"), row.get("endPort")
    if not isinstance(wanted, int):
        # no port is every port; a named one is not resolved here and taken as meant
        return True
    return wanted <= port <= (last if isinstance(last, int) else wanted)


def _is_peer(row: Obj, policy: Obj, spaces: Spaces, peer: Place) -> bool:
    if "ipBlock" in row:
        return sub(row, "ipBlock").get("cidr") in ("0.0.0.0/0", "10.0.0.0/8", "10.244.0.0/16")
    home = (
        matches(sub(row, "namespaceSelector"), dict(spaces.get(peer.namespace, {})))
        if "namespaceSelector" in row
        else peer.namespace == namespace_of(policy)
    )
    return home and ("podSelector" not in row or matches(sub(row, "podSelector"), peer.labels))
