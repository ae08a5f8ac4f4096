"""Where to look further after a diagnosis, so that a person sees the proof itself. Pure; a row per kind of cause."""

from collections.abc import Iterator

from protocol.diagnosis import Diagnosis, Evidence, RootCause
from protocol.objects import ObjectRef
from tools.names import KUBECTL, PROMETHEUS

MAX_PROBES = 2

Probe = tuple[str, dict[str, object]]

_DIED = frozenset(
    {
        "memory-limit-too-low",
        "out-of-memory-on-node",
        "crash-on-start",
        "command-not-found",
        "env-variable-missing",
        "env-wrong-value",
        "liveness-probe-wrong",
    }
)
"""Codes whose containers end: the log before the last restart tells how."""


def probes(diagnosis: Diagnosis) -> tuple[Probe, ...]:
    """Up to MAX_PROBES tool calls that show what the first root cause rests on."""
    if not diagnosis.root_causes:
        return ()
    found: list[Probe] = []
    for probe in _for(diagnosis.root_causes[0], diagnosis):
        if probe not in found:
            found.append(probe)
    return tuple(found[:MAX_PROBES])


def _for(cause: RootCause, diagnosis: Diagnosis) -> Iterator[Probe]:
    pod = _pod(cause, diagnosis)
    if cause.object.kind == "ConfigMap" and not cause.code.endswith("-missing"):
        yield _kubectl(f"get configmap {cause.object.name} -n {cause.object.namespace} -o yaml")
    if cause.code in _DIED and pod is not None:
        container = str(cause.facts.get("container", ""))
        yield _kubectl(f"logs {pod.name} -n {pod.namespace}{f' -c {container}' if container else ''} --previous --tail=20")
    for item in cause.evidence:
        yield from _evidence(item)
    if cause.code.startswith("image-") and pod is not None:
        yield _kubectl(f"events -n {pod.namespace} --for=pod/{pod.name}")
    yield _kubectl(f"get {look(cause.object)}")


def look(item: ObjectRef) -> str:
    """The operands and flags that show one object: `deployment payments -n shop -o wide`."""
    where = f" -n {item.namespace}" if item.namespace else ""
    return f"{item.kind.lower()} {item.name}{where} -o wide"


def _evidence(item: Evidence) -> Iterator[Probe]:
    if item.source == "metric" and item.field:
        yield PROMETHEUS, {"query": item.field, "minutes": 60}
    if item.source == "log" and item.object.kind == "Pod":
        yield _kubectl(f"logs {item.object.name} -n {item.object.namespace} --tail=20")


def _pod(cause: RootCause, diagnosis: Diagnosis) -> ObjectRef | None:
    candidates = (cause.object, *(e.object for e in cause.evidence), *(s.object for s in diagnosis.symptoms))
    return next((item for item in candidates if item.kind == "Pod"), None)


def _kubectl(command: str) -> Probe:
    return KUBECTL, {"command": command}
