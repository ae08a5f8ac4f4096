"""Remedies of Services and dependencies."""

from collections.abc import Iterator

from knowledge.remedies.addresses import missing_service
from knowledge.remedies.advice import act, by_hand, text
from protocol.diagnosis import Recommendation, RootCause
from protocol.remediation import (
    Risk,
    ScaleWorkload,
)


def service_selector(cause: RootCause) -> Iterator[Recommendation]:
    right = text(cause, "right") or text(cause, "labels")
    pairs = ",".join(f'"{name}":"{value}"' for name, _, value in (pair.partition("=") for pair in right.split(",")) if name)
    yield by_hand(
        f'kubectl -n {cause.object.namespace} patch service {cause.object.name} -p \'{{"spec":{{"selector":{{{pairs}}}}}}}\'',
        why=(
            f"The pods of {text(cause, 'workload')} have {text(cause, 'labels')}; "
            f"the Service selects {text(cause, 'selector')}."
        ),
        effect="The Service gets endpoints at once; no pod restarts.",
        risk=Risk.MEDIUM,
    )


def service_port(cause: RootCause) -> Iterator[Recommendation]:
    yield by_hand(
        (
            f"kubectl -n {cause.object.namespace} edit service {cause.object.name}: "
            f"set targetPort to {text(cause, 'declared') or 'the served port'}"
        ),
        why=cause.explanation,
        effect="Connections reach the pods; no pod restarts.",
        risk=Risk.MEDIUM,
    )


def service_gone(cause: RootCause) -> Iterator[Recommendation]:
    yield missing_service(cause)


def dependency(cause: RootCause) -> Iterator[Recommendation]:
    host = text(cause, "dependency") or text(cause, "host")
    yield by_hand(
        (
            f"Check {host}: does it run and listen on port "
            f"{text(cause, 'port') or 'that is called'}, and does a NetworkPolicy allow it? "
            f"If the address is wrong, correct it in {cause.object.kind} {cause.object.name}"
        ),
        why=cause.explanation,
        effect="The connection works.",
    )


def network_policy(cause: RootCause) -> Iterator[Recommendation]:
    field = "egress" if text(cause, "direction") == "Egress" else "ingress"
    yield by_hand(
        (
            f"kubectl -n {cause.object.namespace} edit networkpolicy {cause.object.name}: let {text(cause, 'workload')} "
            f"({text(cause, 'labels')}) through to {text(cause, 'to')} in spec.{field}; ask first who made the policy, and why"
        ),
        why=cause.explanation,
        effect="Connections get through at once; no pod restarts.",
        risk=Risk.MEDIUM,
    )


def zero(cause: RootCause) -> Iterator[Recommendation]:
    if cause.object.kind in ("Deployment", "StatefulSet"):
        yield from act(
            lambda: ScaleWorkload(target=cause.object, replicas=1),
            why="Others call it, and it has no replicas. Ask first whether that was on purpose.",
            effect="It answers again.",
        )
