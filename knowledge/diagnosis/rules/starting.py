"""Pods that do not get as far as running their program: init containers that wait, sandboxes and containers not created."""

from collections.abc import Iterator
from datetime import timedelta

from knowledge.diagnosis.addresses import addresses_in_text, near_service, service_of
from knowledge.diagnosis.context import Context, path_of_template
from knowledge.diagnosis.fields import Obj, text, texts
from knowledge.diagnosis.hit import Fact, Hit, Quote, quote_event, quote_field, quote_log
from knowledge.diagnosis.logs import last_lines
from knowledge.diagnosis.pods import Container, age
from knowledge.diagnosis.rules.registry import rule
from knowledge.diagnosis.view import Key

PATIENCE = timedelta(minutes=3)


@rule("Pod")
def init_container_waiting(context: Context, key: Key, pod: Obj) -> Iterator[Hit]:
    """An init container that has run for minutes. What it waits for is read from its log, else from its command."""
    if text(pod, "status", "phase") != "Pending":
        return
    for container in context.containers(key):
        since = container.running_since
        # A sidecar (restartPolicy Always) is meant to go on running.
        if (
            not container.init
            or since is None
            or context.now - since < PATIENCE
            or text(container.spec, "restartPolicy") == "Always"
        ):
            continue
        yield from _waiting_hits(context, key, container)


def _waiting_hits(context: Context, key: Key, container: Container) -> Iterator[Hit]:
    workload = context.view.workload(key)
    evidence: list[Quote] = [quote_field(key, f"{container.path}.state.running", container.status["state"]["running"])]
    log = context.view.log(key, container.name)
    lines = list(last_lines(log, 3)) if log else []
    evidence += [quote_log(key, container.name, line) for line in lines[-1:]]
    command = " ".join((*texts(container.spec, "command"), *texts(container.spec, "args")))
    facts: dict[str, Fact] = {"container": container.name}
    target = _awaited(context, workload, lines, command)
    said = ""
    if target is not None:
        facts["dependency"] = str(target)
        said = f" It waits for {target.kind} {target.name}"
        if context.view.has(*target):
            said += "."
        else:
            near = near_service(context.view, target)
            said += ", which does not exist" + (f"; there is one called {near.name}." if near else ".")
            if near is not None:
                facts |= {"near": str(near), "host": target.name}
                evidence.append(quote_field(near, "metadata.name", near.name))
            if command:
                evidence.append(
                    quote_field(workload, path_of_template(workload, container.name, "command", init=True), command)
                )
            if near is None:
                yield Hit(
                    code="service-missing",
                    object=target,
                    explanation=f"{workload.kind} {workload.name} waits for Service {target.name}, which does not exist.",
                    evidence=tuple(evidence),
                    confidence=0.8,
                    facts={"workload": str(workload), "missing_service": str(target)},
                    affected=(key,),
                    supporting=True,
                )
    yield Hit(
        code="init-container-waiting",
        object=workload,
        explanation=f"Init container {container.name} has not ended since it "
        f"started at {container.running_since:%H:%M:%S}, so the pod "
        f"does not start.{said}",
        evidence=tuple(evidence),
        confidence=0.86 if target is not None else 0.65,
        facts=facts,
        since=container.running_since,
        affected=(key,),
        towards=(target,) if target is not None else (),
    )


def _awaited(context: Context, workload: Key, lines: list[str], command: str) -> Key | None:
    for source in (*reversed(lines), command):
        for address in addresses_in_text(source):
            target = service_of(context.view, address.host, workload.namespace)
            if target is not None:
                return target
        for word in source.replace("'", " ").replace('"', " ").replace(";", " ").split():
            key = Key("Service", workload.namespace, word.strip(".,:()[]…"))
            if context.view.has(*key):
                return key
    return None


_CREATE_REASONS = (
    "CreateContainerError",
    "RunContainerError",
    "CreateContainerConfigError",
    "PreCreateHookError",
    "PreStartHookError",
    "PostStartHookError",
)


@rule("Pod")
def container_create_error(context: Context, key: Key, _pod: Obj) -> Iterator[Hit]:
    """The kubelet's message where it says no more than that; missing references and commands have their own rules."""
    for container in context.containers(key):
        if container.waiting_reason not in _CREATE_REASONS or " not found" in container.waiting_message:
            continue
        if "couldn't find key" in container.waiting_message:
            continue
        workload = context.view.workload(key)
        yield Hit(
            code="container-create-error",
            object=workload,
            explanation=(
                f"Container {container.name} cannot be created: {container.waiting_message or container.waiting_reason}"
            ),
            evidence=(
                quote_field(key, f"{container.path}.state.waiting.reason", container.waiting_reason),
                *(
                    [quote_field(key, f"{container.path}.state.waiting.message", container.waiting_message)]
                    if container.waiting_message
                    else []
                ),
            ),
            confidence=0.8,
            facts={"container": container.name, "reason": container.waiting_reason},
            affected=(key,),
        )


@rule("Pod")
def sandbox_failed(context: Context, key: Key, pod: Obj) -> Iterator[Hit]:
    """FailedCreatePodSandBox, fresh, while no container has started."""
    if text(pod, "status", "phase") != "Pending" or age(context.view, pod) < timedelta(seconds=30):
        return
    for event in context.view.events(key, "FailedCreatePodSandBox", "FailedSandbox", "NetworkNotReady")[:1]:
        if event.at is None or context.now - event.at > timedelta(minutes=15):
            continue
        node = text(pod, "spec", "nodeName")
        yield Hit(
            code="sandbox-failed",
            object=context.view.workload(key),
            explanation=f"The pod's sandbox cannot be created on node {node}: {event.message}",
            evidence=(quote_event(key, event),),
            confidence=0.75,
            facts={"node": node},
            since=event.first,
            affected=(key,),
        )
