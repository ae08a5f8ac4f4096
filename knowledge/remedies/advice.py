"""How a recommendation is made of facts: a typed action, or instructions for a person."""

from collections.abc import Callable, Iterator

from pydantic import ValidationError

from protocol.diagnosis import Recommendation, RootCause
from protocol.objects import ObjectRef
from protocol.redaction import MARK
from protocol.remediation import (
    WORKLOADS,
    Remediation,
    Risk,
    RollbackWorkload,
)
from protocol.risk import remediation_risk

ROLLOUT_S = 120


def act(make: Callable[[], Remediation], *, why: str, effect: str, seconds: int = ROLLOUT_S) -> Iterator[Recommendation]:
    """A typed action. None when the facts, which come from a cluster, make no valid one, or hold a blacked-out secret:
    writing the mark back would destroy the value.
    """
    try:
        action = make()
    except (ValidationError, ValueError):
        return
    if MARK in action.model_dump_json():
        return
    risk, _ = remediation_risk(action, has_undo=True)
    yield Recommendation(remediation=action, risk=risk, why=why, expected_effect=effect, expected_duration_s=seconds)


def by_hand(instructions: str, *, why: str, effect: str, risk: Risk = Risk.LOW) -> Recommendation:
    return Recommendation(instructions=instructions, risk=risk, why=why, expected_effect=effect)


def text(cause: RootCause, fact: str) -> str:
    value = cause.facts.get(fact, "")
    return value if isinstance(value, str) else str(value)


def number(cause: RootCause, fact: str) -> float:
    value = cause.facts.get(fact)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


def workload_of(cause: RootCause) -> ObjectRef | None:
    """The workload to act on: the cause's object, or the one that its facts name."""
    if cause.object.kind in (*WORKLOADS, "CronJob"):
        return cause.object
    try:
        named = ObjectRef.parse(text(cause, "workload"))
    except ValueError:
        return None
    return named if named.kind in WORKLOADS else None


def rollback(cause: RootCause, why: str) -> Iterator[Recommendation]:
    workload, revision = workload_of(cause), int(number(cause, "revision"))
    if workload is not None and workload.kind in WORKLOADS and revision >= 1:
        yield from act(
            lambda: RollbackWorkload(target=workload, to_revision=revision),
            why=why,
            effect=f"The pods run revision {revision} again; everything else that the newer revision changed goes back too.",
        )


def edit(cause: RootCause, field: str, to: str) -> str:
    workload = workload_of(cause) or cause.object
    return f"kubectl -n {workload.namespace} edit {workload.kind.lower()} {workload.name}: set {field} to {to}"
