"""Remedies of variables, ConfigMaps and Secrets."""

from collections.abc import Iterator

from knowledge.remedies.addresses import missing_service, renamed, why_value
from knowledge.remedies.advice import act, by_hand, edit, rollback, text, workload_of
from protocol.diagnosis import Recommendation, RootCause
from protocol.remediation import (
    WORKLOADS,
    CreateConfigMap,
    PatchConfigMap,
    RestartWorkload,
    Risk,
    SetEnv,
)


def env_missing(cause: RootCause) -> Iterator[Recommendation]:
    workload, name, previous = workload_of(cause), text(cause, "env"), text(cause, "previous")
    if workload is not None and previous and workload.kind in WORKLOADS:
        yield from act(
            lambda: SetEnv(target=workload, container=text(cause, "container"), env={name: previous}),
            why=f"Revision {text(cause, 'revision')} set {name} to {previous}; the program needs it.",
            effect="The program finds its variable and goes on running.",
        )
    yield from rollback(cause, f"The revision before set {name}.")
    if not previous:
        yield by_hand(
            f"kubectl -n {cause.object.namespace} set env {cause.object.kind.lower()}/{cause.object.name} {name}=<value>",
            why=f"The program needs {name}, and its value is not in any revision that is kept.",
            effect="The program finds its variable and goes on running.",
            risk=Risk.MEDIUM,
        )


def env_wrong(cause: RootCause) -> Iterator[Recommendation]:
    workload, key = workload_of(cause), text(cause, "key")
    value = text(cause, "previous") or renamed(cause)
    if workload is not None and value:
        yield from act(
            lambda: SetEnv(target=workload, container=text(cause, "container"), env={key: value}),
            why=why_value(cause, value),
            effect="The workload calls a Service that exists.",
        )
    yield from rollback(cause, f"The revision before had another {key}.")
    yield missing_service(cause)


def config_value(cause: RootCause) -> Iterator[Recommendation]:
    key, value = text(cause, "key"), text(cause, "previous") or renamed(cause)
    if cause.object.kind == "ConfigMap" and value:
        yield from act(
            lambda: PatchConfigMap(target=cause.object, data={key: value}),
            why=why_value(cause, value),
            effect=f"What reads {cause.object.name} calls a Service that exists"
            + (
                "; variables are read at start, so the pods must be restarted to see it."
                if cause.facts.get("read_as") == "env"
                else "."
            ),
            seconds=90,
        )
    workload = workload_of(cause)
    if workload is not None and cause.facts.get("read_as") == "env":
        yield from act(
            lambda: RestartWorkload(target=workload),
            why="Variables from a ConfigMap are read when a container starts; do this after the ConfigMap is right.",
            effect="The pods start with the corrected value.",
        )
    yield missing_service(cause)


def config_missing(cause: RootCause) -> Iterator[Recommendation]:
    near, name = text(cause, "near"), cause.object.name
    yield from rollback(cause, f"The revision before did not need {name}.")
    if near:
        yield by_hand(
            edit(cause, f"the reference to {cause.object.kind} {name}", near),
            why=f"There is no {cause.object.kind} {name}, but there is {near}.",
            effect="The containers can be created.",
            risk=Risk.MEDIUM,
        )
    if cause.object.kind == "ConfigMap":
        yield by_hand(
            (
                f"Or create it with the keys that the pods need: kubectl -n "
                f"{cause.object.namespace} create configmap {name} --from-literal=KEY=value"
            )
            + (f" (copy of {near}: kubectl -n {cause.object.namespace} get configmap {near} -o yaml)" if near else ""),
            why=f"{text(cause, 'workload')} refers to it.",
            effect="The containers can be created.",
        )
    else:
        yield by_hand(
            (
                f"Create Secret {name} in namespace {cause.object.namespace} "
                f"from your secret store; its values are not visible here"
            ),
            why=f"{text(cause, 'workload')} refers to it.",
            effect="The containers can be created.",
            risk=Risk.MEDIUM,
        )


def create_configmap(cause: RootCause, data: dict[str, str]) -> Recommendation | None:
    """The typed form of creating a missing ConfigMap, for a caller that has proposed its data."""
    found = act(
        lambda: CreateConfigMap(target=cause.object, data=data),
        why=f"{text(cause, 'workload')} refers to {cause.object.name}, which does not exist.",
        effect="The containers can be created.",
        seconds=90,
    )
    return next(found, None)


def key_missing(cause: RootCause) -> Iterator[Recommendation]:
    key, previous = text(cause, "key"), text(cause, "previous")
    if cause.object.kind == "ConfigMap" and previous:
        yield from act(
            lambda: PatchConfigMap(target=cause.object, data={key: previous}),
            why=f"The manifest that was last applied has {key}.",
            effect="The containers can be created.",
            seconds=90,
        )
    yield by_hand(
        f"Add key {key} to {cause.object.kind} {cause.object.name} in "
        f"namespace {cause.object.namespace}, or correct the reference in "
        f"{text(cause, 'workload')}",
        why=f"The pods refer to {key}.",
        effect="The containers can be created.",
        risk=Risk.MEDIUM,
    )
