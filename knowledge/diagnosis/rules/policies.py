"""NetworkPolicies that stop a connection of which a log says that it times out."""

from collections.abc import Iterator

from knowledge.diagnosis.context import Context
from knowledge.diagnosis.fields import Obj, items, number, rows, strings, sub, time_at
from knowledge.diagnosis.hit import Fact, Hit, quote_field
from knowledge.diagnosis.policies import Blocked, Peer, blocked
from knowledge.diagnosis.rules.logged import counts, dependency_hit
from knowledge.diagnosis.rules.registry import rule
from knowledge.diagnosis.view import Key

_SILENT = ("connection-timeout",)
"""A packet that is dropped is never answered; a refusal or a name that is not found is something else."""


@rule("Pod", logged=True)
def network_policy_blocks(context: Context, key: Key, pod: Obj) -> Iterator[Hit]:
    """The log names an address that times out, and a policy of either end does not let this pod through to it."""
    if not context.view.knows("NetworkPolicy"):
        return
    caller = Peer(key.namespace, strings(pod, "metadata", "labels"))
    told: set[Key] = set()
    for container in context.containers(key):
        for match, previous in context.matches(key, container.name):
            if match.signature.name not in _SILENT or not counts(context, container, match, previous):
                continue
            hit = dependency_hit(context, key, container, match)
            if hit is None:
                continue
            service = next((to for to in hit.towards if to.kind == "Service"), None)
            found = _stopped(context, caller, service, number(hit.facts, "port"))
            if found is not None and found.policy not in told:
                told.add(found.policy)
                yield _hit(context, key, hit, found, service)


def _stopped(context: Context, caller: Peer, service: Key | None, port: int) -> Blocked | None:
    if service is None:
        return blocked(context.view, caller, Peer("", {}), port)
    obj = context.view.get(service) or {}
    for pod in context.view.pods_matching(service.namespace, strings(obj, "spec", "selector"))[:3]:
        target = Peer(service.namespace, strings(context.view.get(pod) or {}, "metadata", "labels"))
        found = blocked(context.view, caller, target, _target_port(obj, port))
        if found is not None:
            return found
    return None


def _target_port(service: Obj, port: int) -> int:
    """The number that the pods listen on; 0 when it is a name."""
    for row in rows(service, "spec", "ports"):
        if not port or row.get("port") == port:
            return number(row, "targetPort", default=0 if "targetPort" in row else number(row, "port"))
    return 0


def _hit(context: Context, pod: Key, dependency: Hit, found: Blocked, service: Key | None) -> Hit:
    policy, workload = context.view.get(found.policy) or {}, context.view.workload(pod)
    field = "ingress" if found.direction == "Ingress" else "egress"
    labels = strings(context.view.get(pod) or {}, "metadata", "labels")
    shown = {name: value for name, value in sorted(labels.items()) if "hash" not in name}
    to = f"Service {service.name}" if service else str(dependency.facts["host"])
    facts: dict[str, Fact] = {
        "workload": str(workload),
        "to": str(service) if service else str(dependency.facts["host"]),
        "direction": found.direction,
        "labels": ",".join(f"{name}={value}" for name, value in shown.items()),
    }
    return Hit(
        code="network-policy-blocks",
        object=found.policy,
        explanation=f"NetworkPolicy {found.policy.name} does not let {workload.kind} {workload.name} "
        f"({facts['labels']}) through to {to}, and its connections time out.",
        evidence=(
            *dependency.evidence,
            quote_field(found.policy, "spec.podSelector", dict(sub(policy, "spec", "podSelector"))),
            quote_field(found.policy, f"spec.{field}", list(items(policy, "spec", field))),
            quote_field(pod, "metadata.labels", shown),
        ),
        confidence=0.88,
        facts=facts,
        since=time_at(policy, "metadata", "creationTimestamp"),
        affected=(pod,),
    )
