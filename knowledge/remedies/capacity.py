"""Remedies of pods that no node takes."""

from collections.abc import Iterator

from knowledge.diagnosis import quantity
from knowledge.remedies.advice import act, by_hand, edit, number, rollback, text, workload_of
from protocol.diagnosis import Recommendation, RootCause
from protocol.remediation import (
    Risk,
    ScaleWorkload,
    SetResources,
)


def capacity(cause: RootCause) -> Iterator[Recommendation]:
    resource = "cpu" if cause.code == "insufficient-cpu" else "memory"
    workload, previous = workload_of(cause), text(cause, "previous")
    fitting = _fitting_request(cause, resource)
    value = (
        previous if previous and (quantity.parse(previous) or 0) < (quantity.parse(text(cause, "request")) or 0) else fitting
    )
    if workload is not None and value:
        why = (
            f"The revision before requested {previous}."
            if value == previous
            else f"The largest node has {text(cause, 'largest')}; half of it fits beside others."
        )
        yield from act(
            lambda: SetResources(
                target=workload,
                container=text(cause, "container"),
                requests={"cpu": value} if resource == "cpu" else {"memory": value},
            ),
            why=f"{text(cause, 'request')} {resource} fits on no node now. {why}",
            effect="The scheduler finds a node.",
        )
    if previous:
        yield from rollback(cause, f"The revision before requested {previous}.")
    yield by_hand(
        (
            f"Or add a node with more than {text(cause, 'request')} free {resource}, "
            f"or free some: kubectl describe nodes | grep -A8 'Allocated resources'"
        ),
        why=cause.explanation,
        effect="The scheduler finds a node.",
        risk=Risk.MEDIUM,
    )


def _fitting_request(cause: RootCause, resource: str) -> str:
    """Half of the largest node, where the request is more than all of it; else nothing is guessed."""
    largest = quantity.parse(text(cause, "largest"))
    if not cause.facts.get("fits_no_node") or not largest:
        return ""
    return quantity.cores(largest / 2) if resource == "cpu" else quantity.mebibytes(largest / 2)


def selector(cause: RootCause) -> Iterator[Recommendation]:
    yield from rollback(cause, "The revision before could be scheduled.")
    yield by_hand(
        edit(cause, "nodeSelector or affinity", "labels that a node has (kubectl get nodes --show-labels)")
        + f"; or label a node: kubectl label node <node> {text(cause, 'selector') or '<key>=<value>'}",
        why=cause.explanation,
        effect="The scheduler finds a node.",
        risk=Risk.MEDIUM,
    )


def taint(cause: RootCause) -> Iterator[Recommendation]:
    yield by_hand(
        "Add a toleration to the pod template, or remove the taint if it is out of date: kubectl describe nodes | grep Taints",
        why=cause.explanation,
        effect="The scheduler finds a node.",
        risk=Risk.MEDIUM,
    )


def quota(cause: RootCause) -> Iterator[Recommendation]:
    workload, fits = workload_of(cause), int(number(cause, "fits"))
    if workload is not None and 0 < fits < number(cause, "wanted"):
        yield from act(
            lambda: ScaleWorkload(target=workload, replicas=fits),
            why=f"The quota leaves room for {fits} of the {int(number(cause, 'wanted'))} pods that are asked for.",
            effect="Nothing that runs ends, and no pod is refused any more.",
        )
    yield by_hand(
        (
            f"Raise ResourceQuota {text(cause, 'quota')} in namespace "
            f"{cause.object.namespace}, or lower the requests of {text(cause, 'workload')} "
            f"(requested {text(cause, 'requested')}, used {text(cause, 'used')}, limited {text(cause, 'limited')})"
        ),
        why=cause.explanation,
        effect="The pods are created.",
        risk=Risk.MEDIUM,
    )
