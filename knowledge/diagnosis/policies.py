"""Which NetworkPolicy, if any, keeps one pod from another (networking.k8s.io/v1).

A pod that no policy selects for a direction is open in it; one that is selected takes what any of its policies allows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from knowledge.diagnosis.fields import Obj, number, rows, strings, sub, text, texts
from knowledge.diagnosis.view import ClusterView, Key


@dataclass(frozen=True, slots=True)
class Peer:
    """One end of a connection. Namespace "" is outside the cluster."""

    namespace: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Blocked:
    policy: Key
    direction: str
    """Ingress: the target does not take it; Egress: the caller may not send it."""


def blocked(view: ClusterView, caller: Peer, target: Peer, port: int) -> Blocked | None:
    """The policy that stops this connection, None if none does. Port 0 is unknown and taken as meant."""
    for holder, peer, direction in ((target, caller, "Ingress"), (caller, target, "Egress")):
        if not holder.namespace:
            continue
        ruling = list(selecting(view, holder, direction))
        field, end = ("ingress", "from") if direction == "Ingress" else ("egress", "to")
        open_to = (
            _covers(view, rule, end, key, peer, port) for key in ruling for rule in rows(view.get(key) or {}, "spec", field)
        )
        if ruling and not any(open_to):
            return Blocked(ruling[0], direction)
    return None


def selecting(view: ClusterView, holder: Peer, direction: str = "") -> Iterator[Key]:
    """Policies that select a pod with these labels, of one direction or of any."""
    for key in view.within("NetworkPolicy", holder.namespace):
        spec = sub(view.get(key) or {}, "spec")
        types = texts(spec, "policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])]
        if (not direction or direction in types) and selects(sub(spec, "podSelector"), holder.labels):
            yield key


def selects(selector: Obj, labels: Mapping[str, str]) -> bool:
    """Does a LabelSelector match? An empty one matches all."""
    if any(labels.get(name) != value for name, value in strings(selector, "matchLabels").items()):
        return False
    return all(_holds(row, labels) for row in rows(selector, "matchExpressions"))


def _holds(row: Obj, labels: Mapping[str, str]) -> bool:
    key, values = text(row, "key"), texts(row, "values")
    match text(row, "operator"):
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case _:
            return False


def _covers(view: ClusterView, rule: Obj, end: str, policy: Key, peer: Peer, port: int) -> bool:
    ports = rows(rule, "ports")
    if ports and port and not any(_has_port(row, port) for row in ports):
        return False
    peers = rows(rule, end)
    return not peers or any(_is_peer(view, row, policy, peer) for row in peers)


def _has_port(row: Obj, port: int) -> bool:
    first = number(row, "port")
    # no port is every port; a named one is not resolved and taken as meant
    return not first or first <= port <= number(row, "endPort", default=first)


def _is_peer(view: ClusterView, row: Obj, policy: Key, peer: Peer) -> bool:
    if "ipBlock" in row:
        return True  # which addresses pods and hosts have is not judged here: better silent than wrong
    if not peer.namespace:
        return False
    if "namespaceSelector" in row:
        space = view.get(Key("Namespace", "", peer.namespace)) or {}
        if not selects(sub(row, "namespaceSelector"), strings(space, "metadata", "labels")):
            return False
    elif peer.namespace != policy.namespace:
        return False
    return "podSelector" not in row or selects(sub(row, "podSelector"), peer.labels)
