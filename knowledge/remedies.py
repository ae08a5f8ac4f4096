"""From a Diagnosis to what to do about it, ranked: typed Remediations where one exists, else precise instructions.

A remedy is a row: catalogue code → function from one root cause to recommendations. Every code has at least one.
Risk here is advice for ranking and display; what counts is the policy's verdict on the frozen plan.
"""

from collections.abc import Callable, Iterator
from typing import TypeAlias

from pydantic import ValidationError

from knowledge.diagnosis import quantity
from protocol.diagnosis import Diagnosis, Recommendation, RootCause
from protocol.objects import ObjectRef
from protocol.redaction import MARK
from protocol.remediation import (
    WORKLOADS,
    CreateConfigMap,
    DeletePod,
    DrainNode,
    PatchConfigMap,
    Remediation,
    RestartWorkload,
    Risk,
    RollbackWorkload,
    ScaleWorkload,
    SetEnv,
    SetImage,
    SetResources,
)
from protocol.risk import remediation_risk

HEADROOM = 1.3
"""A limit of peak x 1.3 leaves room for what the samples did not see."""

SIZES_MI = (
    32,
    48,
    64,
    96,
    128,
    192,
    256,
    384,
    512,
    768,
    1024,
    1536,
    2048,
    3072,
    4096,
    6144,
    8192,
    12288,
    16384,
    24576,
    32768,
    65536,
)

ROLLOUT_S = 120

Remedy: TypeAlias = Callable[[RootCause], Iterator[Recommendation]]


def recommend(diagnosis: Diagnosis) -> tuple[Recommendation, ...]:
    """Recommendations for all root causes: the best of the first cause first. None for a healthy or unknown diagnosis."""
    found: list[Recommendation] = []
    for cause in diagnosis.root_causes:
        found.extend(remedies_of(cause))
    unique: dict[str, Recommendation] = {}
    for one in found:
        unique.setdefault(one.remediation.model_dump_json() if one.remediation else one.instructions or "", one)
    return tuple(unique.values())


def remedies_of(cause: RootCause) -> tuple[Recommendation, ...]:
    """Remedies of one root cause, best first. A remedy whose facts make no valid action is left out."""
    remedy = REMEDIES.get(cause.code)
    if remedy is None:
        return (
            _by_hand(
                "Look at the evidence and correct the object by hand.", why=cause.explanation, effect="The finding closes."
            ),
        )
    return tuple(remedy(cause))


def _act(make: Callable[[], Remediation], *, why: str, effect: str, seconds: int = ROLLOUT_S) -> Iterator[Recommendation]:
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


def _by_hand(instructions: str, *, why: str, effect: str, risk: Risk = Risk.LOW) -> Recommendation:
    return Recommendation(instructions=instructions, risk=risk, why=why, expected_effect=effect)


def _text(cause: RootCause, fact: str) -> str:
    value = cause.facts.get(fact, "")
    return value if isinstance(value, str) else str(value)


def _number(cause: RootCause, fact: str) -> float:
    value = cause.facts.get(fact)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


def _workload(cause: RootCause) -> ObjectRef | None:
    """The workload to act on: the cause's object, or the one that its facts name."""
    if cause.object.kind in (*WORKLOADS, "CronJob"):
        return cause.object
    try:
        named = ObjectRef.parse(_text(cause, "workload"))
    except ValueError:
        return None
    return named if named.kind in WORKLOADS else None


def _rollback(cause: RootCause, why: str) -> Iterator[Recommendation]:
    workload, revision = _workload(cause), int(_number(cause, "revision"))
    if workload is not None and workload.kind in WORKLOADS and revision >= 1:
        yield from _act(
            lambda: RollbackWorkload(target=workload, to_revision=revision),
            why=why,
            effect=f"The pods run revision {revision} again; everything else that the newer revision changed goes back too.",
        )


def _edit(cause: RootCause, field: str, to: str) -> str:
    workload = _workload(cause) or cause.object
    return f"kubectl -n {workload.namespace} edit {workload.kind.lower()} {workload.name}: set {field} to {to}"


# containers


def _memory(cause: RootCause) -> Iterator[Recommendation]:
    workload = _workload(cause)
    size, why = memory_limit(
        _number(cause, "limit_bytes"), peak=_number(cause, "peak_bytes"), previous=_number(cause, "previous_limit_bytes")
    )
    previous = _text(cause, "previous_limit")
    if workload is not None and workload.kind in WORKLOADS:
        limit = previous if previous and quantity.parse(previous) == size else quantity.mebibytes(size)
        yield from _act(
            lambda: SetResources(target=workload, container=_text(cause, "container"), limits={"memory": limit}),
            why=why,
            effect=f"Container {_text(cause, 'container')} stays below its limit and is not killed again.",
        )
    if _number(cause, "previous_limit_bytes") > _number(cause, "limit_bytes"):
        yield from _rollback(cause, f"Revision {_text(cause, 'revision')} had a limit of {previous}.")
    yield _by_hand(
        "If memory goes on growing under the new limit, it is a leak: take a heap profile before the next kill.",
        why="A higher limit only delays a leak.",
        effect="The growth is found.",
    )


def memory_limit(limit: float, *, peak: float = 0, previous: float = 0) -> tuple[float, str]:
    """A new memory limit in bytes, and the arithmetic in words.

    The next size above peak x 1.3; at least the previous limit when that was higher. A peak near the limit was cut off
    by it, so the limit grows by half at least.
    """
    mib = 2**20
    wanted, said = (
        (peak * HEADROOM, f"peak {peak / mib:.0f}Mi x {HEADROOM} = {peak * HEADROOM / mib:.0f}Mi")
        if peak
        else (0.0, "no peak was measured")
    )
    if peak < limit * 1.02 and limit * 1.5 > wanted and previous <= limit:
        wanted = limit * 1.5
        said += f"; the limit of {limit / mib:.0f}Mi cuts the peak off, so at least x 1.5 = {wanted / mib:.0f}Mi"
    size = next((step * mib for step in SIZES_MI if step * mib >= wanted), wanted)
    if previous > limit and previous >= size:
        return previous, f"{said}; the limit before was {previous / mib:.0f}Mi, which is enough and was used before"
    return float(size), f"{said}; the next size is {size / mib:.0f}Mi"


def _node_memory(cause: RootCause) -> Iterator[Recommendation]:
    yield _by_hand(
        _edit(cause, f"resources of container {_text(cause, 'container')}", "a memory request and limit that fit its use")
        + f"; look at what else uses memory on node {_text(cause, 'node')} (kubectl top pod -A --sort-by=memory)",
        why="Without a request the scheduler does not reserve memory, and without a limit the node decides whom to kill.",
        effect="The node does not run out of memory.",
        risk=Risk.MEDIUM,
    )


def _crash(cause: RootCause) -> Iterator[Recommendation]:
    yield from _rollback(cause, "The revision before did not crash.")
    workload = _workload(cause) or cause.object
    yield _by_hand(
        f"Read the end of the log of the run before: kubectl -n {workload.namespace} logs {workload.kind.lower()}/{workload.name} "
        f"-c {_text(cause, 'container')} --previous --tail=100",
        why=f"Exit code {_text(cause, 'exit_code') or 'and log'} says how it ended, not why.",
        effect="The reason is known.",
    )


def _command(cause: RootCause) -> Iterator[Recommendation]:
    yield from _rollback(cause, "The revision before had another command.")
    yield _by_hand(
        _edit(cause, f"command of container {_text(cause, 'container')}", "a program that exists in the image, or remove it"),
        why=f"{_text(cause, 'command') or 'The command'} cannot be executed in this image.",
        effect="The container starts.",
        risk=Risk.MEDIUM,
    )


def _env_missing(cause: RootCause) -> Iterator[Recommendation]:
    workload, name, previous = _workload(cause), _text(cause, "env"), _text(cause, "previous")
    if workload is not None and previous and workload.kind in WORKLOADS:
        yield from _act(
            lambda: SetEnv(target=workload, container=_text(cause, "container"), env={name: previous}),
            why=f"Revision {_text(cause, 'revision')} set {name} to {previous}; the program needs it.",
            effect="The program finds its variable and goes on running.",
        )
    yield from _rollback(cause, f"The revision before set {name}.")
    if not previous:
        yield _by_hand(
            f"kubectl -n {cause.object.namespace} set env {cause.object.kind.lower()}/{cause.object.name} {name}=<value>",
            why=f"The program needs {name}, and its value is not in any revision that is kept.",
            effect="The program finds its variable and goes on running.",
            risk=Risk.MEDIUM,
        )


def _env_wrong(cause: RootCause) -> Iterator[Recommendation]:
    workload, key = _workload(cause), _text(cause, "key")
    value = _text(cause, "previous") or _renamed(cause)
    if workload is not None and value:
        yield from _act(
            lambda: SetEnv(target=workload, container=_text(cause, "container"), env={key: value}),
            why=_why_value(cause, value),
            effect="The workload calls a Service that exists.",
        )
    yield from _rollback(cause, f"The revision before had another {key}.")
    yield _missing_service(cause)


def _why_value(cause: RootCause, value: str) -> str:
    if _text(cause, "previous"):
        by = f", before {_text(cause, 'by')} changed it" if _text(cause, "by") else ""
        return f"{_text(cause, 'key')} was {value}{by}; {_text(cause, 'current')} names a Service that does not exist."
    return (
        f"The Service that exists is called {_text(cause, 'near').rpartition('/')[2]}; check that it is the one that is meant."
    )


def _renamed(cause: RootCause) -> str:
    """The current value with the missing Service's name replaced by the near one of the same namespace; "" if unclear."""
    missing, near = _text(cause, "missing_service").split("/"), _text(cause, "near").split("/")
    current = _text(cause, "current")
    if len(missing) != 3 or len(near) != 3 or missing[1] != near[1] or current.count(missing[2]) != 1:
        return ""
    return current.replace(missing[2], near[2])


def _missing_service(cause: RootCause) -> Recommendation:
    parts = (_text(cause, "missing_service") or str(cause.object)).split("/")
    namespace, name = (parts[1], parts[2]) if len(parts) == 3 else ("", "")
    return _by_hand(
        f"If {name} is the right name, create the Service: kubectl -n {namespace} expose deployment <name> --name={name} --port=<port>",
        why=f"There is no Service {name} in namespace {namespace}.",
        effect="The address resolves.",
        risk=Risk.MEDIUM,
    )


def _liveness(cause: RootCause) -> Iterator[Recommendation]:
    yield from _rollback(cause, "The revision before had another probe.")
    slow = int(_number(cause, "needs_s"))
    field = _text(cause, "probe") or "livenessProbe"
    target = (
        f"a startupProbe or an initialDelaySeconds above {slow * 2} s"
        if slow
        else "a path and port that answer within its time-out"
    )
    yield _by_hand(
        _edit(cause, f"{field} of container {_text(cause, 'container')}", target),
        why="The kubelet restarts a container whose liveness probe fails, even when it works.",
        effect="The container is not restarted while it works.",
        risk=Risk.MEDIUM,
    )


def _readiness_wrong(cause: RootCause) -> Iterator[Recommendation]:
    yield from _rollback(cause, "The revision before had another probe.")
    yield _by_hand(
        _edit(cause, f"readinessProbe of container {_text(cause, 'container')}", "a path and port that the container serves"),
        why=f"It asks {_text(cause, 'path')}:{_text(cause, 'port')}, which the container does not serve.",
        effect="The pods become ready and get traffic.",
        risk=Risk.MEDIUM,
    )


def _readiness(cause: RootCause) -> Iterator[Recommendation]:
    workload = _workload(cause)
    if workload is not None and workload.kind in WORKLOADS:
        yield _by_hand(
            f"Ask the probe yourself: kubectl -n {workload.namespace} port-forward {workload.kind.lower()}/{workload.name} 8080:"
            f"{_text(cause, 'port') or '<port>'}, then curl -i localhost:8080{_text(cause, 'path')}",
            why="Its answer says what the container misses.",
            effect="The reason is known.",
        )
        yield from _act(
            lambda: RestartWorkload(target=workload),
            why="A restart helps if the container hangs or holds an old configuration; it changes nothing else.",
            effect="The containers start anew.",
        )


def _init(cause: RootCause) -> Iterator[Recommendation]:
    host, near = _text(cause, "host"), _text(cause, "near").rpartition("/")[2]
    yield from _rollback(cause, "The revision before started.")
    if near:
        yield _by_hand(
            _edit(cause, f"the host in init container {_text(cause, 'container')}", f"{near} (it waits for {host})")
            + "; and give the wait a time-out, so that the next wrong name is an error and not silence",
            why=f"There is no Service {host}; there is one called {near}.",
            effect="The init container ends and the pod starts.",
            risk=Risk.MEDIUM,
        )
    else:
        yield _by_hand(
            f"Make what it waits for available ({_text(cause, 'dependency') or 'see its log'}), or correct the init container "
            f"{_text(cause, 'container')}; give the wait a time-out",
            why="An init container that never ends keeps the pod from starting.",
            effect="The pod starts.",
            risk=Risk.MEDIUM,
        )


# configuration


def _config_value(cause: RootCause) -> Iterator[Recommendation]:
    key, value = _text(cause, "key"), _text(cause, "previous") or _renamed(cause)
    if cause.object.kind == "ConfigMap" and value:
        yield from _act(
            lambda: PatchConfigMap(target=cause.object, data={key: value}),
            why=_why_value(cause, value),
            effect=f"What reads {cause.object.name} calls a Service that exists"
            + (
                "; variables are read at start, so the pods must be restarted to see it."
                if cause.facts.get("read_as") == "env"
                else "."
            ),
            seconds=90,
        )
    workload = _workload(cause)
    if workload is not None and cause.facts.get("read_as") == "env":
        yield from _act(
            lambda: RestartWorkload(target=workload),
            why="Variables from a ConfigMap are read when a container starts; do this after the ConfigMap is right.",
            effect="The pods start with the corrected value.",
        )
    yield _missing_service(cause)


def _config_missing(cause: RootCause) -> Iterator[Recommendation]:
    near, name = _text(cause, "near"), cause.object.name
    yield from _rollback(cause, f"The revision before did not need {name}.")
    if near:
        yield _by_hand(
            _edit(cause, f"the reference to {cause.object.kind} {name}", near),
            why=f"There is no {cause.object.kind} {name}, but there is {near}.",
            effect="The containers can be created.",
            risk=Risk.MEDIUM,
        )
    if cause.object.kind == "ConfigMap":
        yield _by_hand(
            f"Or create it with the keys that the pods need: kubectl -n {cause.object.namespace} create configmap {name} --from-literal=KEY=value"
            + (f" (copy of {near}: kubectl -n {cause.object.namespace} get configmap {near} -o yaml)" if near else ""),
            why=f"{_text(cause, 'workload')} refers to it.",
            effect="The containers can be created.",
        )
    else:
        yield _by_hand(
            f"Create Secret {name} in namespace {cause.object.namespace} from your secret store; its values are not visible here",
            why=f"{_text(cause, 'workload')} refers to it.",
            effect="The containers can be created.",
            risk=Risk.MEDIUM,
        )


def create_configmap(cause: RootCause, data: dict[str, str]) -> Recommendation | None:
    """The typed form of creating a missing ConfigMap, for a caller that has proposed its data."""
    found = _act(
        lambda: CreateConfigMap(target=cause.object, data=data),
        why=f"{_text(cause, 'workload')} refers to {cause.object.name}, which does not exist.",
        effect="The containers can be created.",
        seconds=90,
    )
    return next(found, None)


def _key_missing(cause: RootCause) -> Iterator[Recommendation]:
    key, previous = _text(cause, "key"), _text(cause, "previous")
    if cause.object.kind == "ConfigMap" and previous:
        yield from _act(
            lambda: PatchConfigMap(target=cause.object, data={key: previous}),
            why=f"The manifest that was last applied has {key}.",
            effect="The containers can be created.",
            seconds=90,
        )
    yield _by_hand(
        f"Add key {key} to {cause.object.kind} {cause.object.name} in namespace {cause.object.namespace}, or correct the reference in "
        f"{_text(cause, 'workload')}",
        why=f"The pods refer to {key}.",
        effect="The containers can be created.",
        risk=Risk.MEDIUM,
    )


# images


def _image(cause: RootCause) -> Iterator[Recommendation]:
    workload, previous = _workload(cause), _text(cause, "previous")
    if workload is not None and previous:
        yield from _act(
            lambda: SetImage(target=workload, container=_text(cause, "container"), image=previous),
            why=f"Revision {_text(cause, 'revision')} ran {previous}; {_text(cause, 'image')} cannot be pulled.",
            effect="The image is pulled and the roll-out finishes.",
        )
        yield from _rollback(cause, f"The revision before ran {previous}.")
    yield _by_hand(
        f"Check the name and tag of {_text(cause, 'image')} in the registry, and set one that exists: "
        + _edit(cause, f"image of container {_text(cause, 'container')}", "<image:tag>"),
        why="The registry says that it does not have this image.",
        effect="The image is pulled.",
        risk=Risk.MEDIUM,
    )


def _image_access(cause: RootCause) -> Iterator[Recommendation]:
    secrets = _text(cause, "pull_secrets")
    yield _by_hand(
        f"Renew the pull secret ({secrets}) in namespace {cause.object.namespace}"
        if secrets
        else f"Give the pods a pull secret: kubectl -n {cause.object.namespace} create secret docker-registry …, and name it in imagePullSecrets",
        why="The registry refuses the pull; credentials are missing, wrong or expired.",
        effect="The image is pulled.",
        risk=Risk.MEDIUM,
    )
    yield from _rollback(cause, "The revision before used an image that is on the nodes or may be pulled.")


def _image_later(cause: RootCause) -> Iterator[Recommendation]:
    yield _by_hand(
        "Try the pull from a node (crictl pull), check DNS, proxy and certificate of the registry, or use a mirror or signed-in pulls",
        why=cause.explanation,
        effect="The image is pulled; the kubelet tries again by itself.",
    )
    yield from _rollback(cause, "The revision before used another image.")


# scheduling and capacity


def _capacity(cause: RootCause) -> Iterator[Recommendation]:
    resource = "cpu" if cause.code == "insufficient-cpu" else "memory"
    workload, previous = _workload(cause), _text(cause, "previous")
    fitting = _fitting_request(cause, resource)
    value = (
        previous if previous and (quantity.parse(previous) or 0) < (quantity.parse(_text(cause, "request")) or 0) else fitting
    )
    if workload is not None and value:
        why = (
            f"The revision before requested {previous}."
            if value == previous
            else f"The largest node has {_text(cause, 'largest')}; half of it fits beside others."
        )
        yield from _act(
            lambda: SetResources(
                target=workload,
                container=_text(cause, "container"),
                requests={"cpu": value} if resource == "cpu" else {"memory": value},
            ),
            why=f"{_text(cause, 'request')} {resource} fits on no node now. {why}",
            effect="The scheduler finds a node.",
        )
    if previous:
        yield from _rollback(cause, f"The revision before requested {previous}.")
    yield _by_hand(
        f"Or add a node with more than {_text(cause, 'request')} free {resource}, or free some: kubectl describe nodes | grep -A8 'Allocated resources'",
        why=cause.explanation,
        effect="The scheduler finds a node.",
        risk=Risk.MEDIUM,
    )


def _fitting_request(cause: RootCause, resource: str) -> str:
    """Half of the largest node, where the request is more than all of it; else nothing is guessed."""
    largest = quantity.parse(_text(cause, "largest"))
    if not cause.facts.get("fits_no_node") or not largest:
        return ""
    return quantity.cores(largest / 2) if resource == "cpu" else quantity.mebibytes(largest / 2)


def _selector(cause: RootCause) -> Iterator[Recommendation]:
    yield from _rollback(cause, "The revision before could be scheduled.")
    yield _by_hand(
        _edit(cause, "nodeSelector or affinity", "labels that a node has (kubectl get nodes --show-labels)")
        + f"; or label a node: kubectl label node <node> {_text(cause, 'selector') or '<key>=<value>'}",
        why=cause.explanation,
        effect="The scheduler finds a node.",
        risk=Risk.MEDIUM,
    )


def _taint(cause: RootCause) -> Iterator[Recommendation]:
    yield _by_hand(
        "Add a toleration to the pod template, or remove the taint if it is out of date: kubectl describe nodes | grep Taints",
        why=cause.explanation,
        effect="The scheduler finds a node.",
        risk=Risk.MEDIUM,
    )


def _quota(cause: RootCause) -> Iterator[Recommendation]:
    yield _by_hand(
        f"Raise ResourceQuota {_text(cause, 'quota')} in namespace {cause.object.namespace}, or lower the requests of {_text(cause, 'workload')} "
        f"(requested {_text(cause, 'requested')}, used {_text(cause, 'used')}, limited {_text(cause, 'limited')})",
        why=cause.explanation,
        effect="The pods are created.",
        risk=Risk.MEDIUM,
    )


# network


def _service_selector(cause: RootCause) -> Iterator[Recommendation]:
    right = _text(cause, "right") or _text(cause, "labels")
    pairs = ",".join(f'"{name}":"{value}"' for name, _, value in (pair.partition("=") for pair in right.split(",")) if name)
    yield _by_hand(
        f'kubectl -n {cause.object.namespace} patch service {cause.object.name} -p \'{{"spec":{{"selector":{{{pairs}}}}}}}\'',
        why=f"The pods of {_text(cause, 'workload')} have {_text(cause, 'labels')}; the Service selects {_text(cause, 'selector')}.",
        effect="The Service gets endpoints at once; no pod restarts.",
        risk=Risk.MEDIUM,
    )


def _service_port(cause: RootCause) -> Iterator[Recommendation]:
    yield _by_hand(
        f"kubectl -n {cause.object.namespace} edit service {cause.object.name}: set targetPort to {_text(cause, 'declared') or 'the served port'}",
        why=cause.explanation,
        effect="Connections reach the pods; no pod restarts.",
        risk=Risk.MEDIUM,
    )


def _service_gone(cause: RootCause) -> Iterator[Recommendation]:
    yield _missing_service(cause)


def _dependency(cause: RootCause) -> Iterator[Recommendation]:
    host = _text(cause, "dependency") or _text(cause, "host")
    yield _by_hand(
        f"Check {host}: does it run and listen on port {_text(cause, 'port') or 'that is called'}, and does a NetworkPolicy allow it? "
        f"If the address is wrong, correct it in {cause.object.kind} {cause.object.name}",
        why=cause.explanation,
        effect="The connection works.",
    )


def _zero(cause: RootCause) -> Iterator[Recommendation]:
    if cause.object.kind in ("Deployment", "StatefulSet"):
        yield from _act(
            lambda: ScaleWorkload(target=cause.object, replicas=1),
            why="Others call it, and it has no replicas. Ask first whether that was on purpose.",
            effect="It answers again.",
        )


# storage, nodes, workloads


def _claim(cause: RootCause) -> Iterator[Recommendation]:
    yield _by_hand(
        f"kubectl -n {cause.object.namespace} describe pvc {cause.object.name}; check the StorageClass {_text(cause, 'storage_class') or '(none)'}, its "
        "provisioner's pods and, without one, that a PersistentVolume of that size, class and access mode is Available",
        why=cause.explanation,
        effect="The claim is bound and the pods start.",
    )


def _storage_class(cause: RootCause) -> Iterator[Recommendation]:
    yield _by_hand(
        f"A claim's class cannot be changed: create StorageClass {_text(cause, 'storage_class')}, or delete the unbound claim {cause.object.name} and "
        f"make it anew with one of: {_text(cause, 'classes')}",
        why=cause.explanation,
        effect="The claim is bound.",
        risk=Risk.MEDIUM,
    )


def _node(cause: RootCause) -> Iterator[Recommendation]:
    node = cause.object
    if node.kind == "Node":
        yield _by_hand(
            f"On {node.name}: is it up and reachable? Then systemctl status kubelet containerd; journalctl -u kubelet -n 100",
            why=cause.explanation,
            effect="The node reports again and its pods recover.",
        )
        yield from _act(
            lambda: DrainNode(target=node),
            why="If it does not come back, its pods should run elsewhere. Budgets hold; local data of pods is lost only if you say so.",
            effect="Its pods are made anew on other nodes.",
            seconds=600,
        )


def _stuck(cause: RootCause) -> Iterator[Recommendation]:
    if cause.object.kind == "Pod":
        yield _by_hand(
            f"Look at its finalizers and its node {_text(cause, 'node')}; only if the node is gone for good: kubectl -n {cause.object.namespace} "
            f"delete pod {cause.object.name} --grace-period=0 --force",
            why=cause.explanation,
            effect="The pod goes away.",
            risk=Risk.HIGH,
        )
        yield from _act(
            lambda: DeletePod(target=cause.object),
            why="Asks the API server once more to delete it.",
            effect="The pod goes away.",
        )


def _rollout(cause: RootCause) -> Iterator[Recommendation]:
    yield from _rollback(
        cause, f"Revision {_text(cause, 'current_revision')} fails and the one before worked ({_text(cause, 'changed')})."
    )
    yield _by_hand(
        f"Compare: kubectl -n {cause.object.namespace} rollout history deployment/{cause.object.name} --revision={_text(cause, 'current_revision')}",
        why="The difference holds the reason.",
        effect="The reason is known.",
    )


def _generic(instructions: str, effect: str, risk: Risk = Risk.LOW) -> Remedy:
    def remedy(cause: RootCause) -> Iterator[Recommendation]:
        yield from _rollback(cause, "The revision before worked.")
        yield _by_hand(
            instructions.format(o=cause.object, c=_text(cause, "container")), why=cause.explanation, effect=effect, risk=risk
        )

    return remedy


REMEDIES: dict[str, Remedy] = {
    "memory-limit-too-low": _memory,
    "out-of-memory-on-node": _node_memory,
    "crash-on-start": _crash,
    "command-not-found": _command,
    "env-variable-missing": _env_missing,
    "env-wrong-value": _env_wrong,
    "liveness-probe-wrong": _liveness,
    "readiness-probe-failing": _readiness,
    "readiness-probe-wrong": _readiness_wrong,
    "init-container-waiting": _init,
    "configmap-wrong-value": _config_value,
    "configmap-missing": _config_missing,
    "configmap-key-missing": _key_missing,
    "secret-missing": _config_missing,
    "secret-key-missing": _key_missing,
    "image-tag-not-found": _image,
    "image-name-invalid": _image,
    "image-architecture-mismatch": _image,
    "image-pull-unauthorized": _image_access,
    "image-pull-rate-limited": _image_later,
    "image-registry-unreachable": _image_later,
    "image-pull-failed": _image_later,
    "insufficient-cpu": _capacity,
    "insufficient-memory": _capacity,
    "node-selector-unmatched": _selector,
    "taint-not-tolerated": _taint,
    "quota-exceeded": _quota,
    "service-selector-mismatch": _service_selector,
    "service-port-mismatch": _service_port,
    "service-missing": _service_gone,
    "dependency-unreachable": _dependency,
    "scaled-to-zero": _zero,
    "pvc-pending": _claim,
    "storage-class-missing": _storage_class,
    "node-not-ready": _node,
    "node-pressure": _node,
    "pod-stuck-terminating": _stuck,
    "bad-rollout": _rollout,
    "container-create-error": _generic("kubectl -n {o.namespace} describe {o.kind} {o.name}, and correct what the kubelet's message names", "The container is created.", Risk.MEDIUM),
    "sandbox-failed": _generic("Check the network plug-in's pods in kube-system and the container runtime on that node (journalctl -u containerd)", "Sandboxes are created again; the kubelet tries by itself."),
    "pod-evicted": _generic("Give {o.name} requests that match its use, and free or add the resource that its node ran short of", "It is not evicted again.", Risk.MEDIUM),
    "pod-affinity-unsatisfied": _generic("Relax the affinity, anti-affinity or spread rule of {o.name} (preferred instead of required), or add nodes", "The scheduler finds a node.", Risk.MEDIUM),
    "volume-node-conflict": _generic("Let {o.name} run in the zone of its volume, or restore the volume in the zone where it may run", "The scheduler finds a node.", Risk.MEDIUM),
    "unschedulable": _generic("kubectl -n {o.namespace} describe pod of {o.name}: lift the constraint that the scheduler names for most nodes", "The scheduler finds a node."),
    "ingress-backend-missing": _generic("kubectl -n {o.namespace} edit ingress {o.name}: name a Service that exists, or create the missing one", "The Ingress serves its paths.", Risk.MEDIUM),
    "port-in-use": _generic("Two processes of the pod want one port: give container {c} of {o.name} another port, or remove the other listener", "The program can listen.", Risk.MEDIUM),
    "pvc-missing": _generic("Create claim {o.name} in namespace {o.namespace}, or correct the claim's name in the pod template", "The pods start.", Risk.MEDIUM),
    "volume-mount-failed": _generic("kubectl -n {o.namespace} describe pod of {o.name}: if the volume is still attached to another node, wait or end the pod there; else check the CSI driver's pods", "The volume is mounted."),
    "disk-full": _generic("Free space on the volume of container {c} of {o.name}, or expand its claim; check df -h in the container first", "The program can write.", Risk.MEDIUM),
    "pods-not-created": _generic("kubectl -n {o.namespace} get events --field-selector reason=FailedCreate: correct the template of {o.name} or the policy that refuses it", "The pods are created.", Risk.MEDIUM),
    "service-account-missing": _generic("kubectl -n {o.namespace} create serviceaccount {o.name}, or name one that exists in the pod template", "The pods are created.", Risk.MEDIUM),
    "job-failed": _generic("Read the Job's log: kubectl -n {o.namespace} logs job/<name> --tail=100; a failed Job has to be made anew", "The reason is known."),
    "permission-denied": _generic("Give {o.name} the right that its log names: file owner and fsGroup, a writable volume, or a Role for its ServiceAccount", "The program may do its work.", Risk.MEDIUM),
    "certificate-invalid": _generic("Check the certificate that the log of {o.name} names: openssl s_client -connect <host:port> </dev/null | openssl x509 -noout -dates -subject; renew it or trust its issuer", "TLS connections work.", Risk.MEDIUM),
    "authentication-failed": _generic("Check the credentials that {o.name} uses against the dependency; after a rotation the pods must be restarted", "The dependency accepts the program.", Risk.MEDIUM),
    "hpa-cannot-scale": _generic("kubectl -n {o.namespace} describe hpa {o.name}: check metrics-server, the target's name and its CPU or memory requests", "The autoscaler works."),
    "service-no-endpoints": _generic("Make the pods behind Service {o.name} ready", "The Service has endpoints."),
    "upstream-errors": _generic("Look at what {o.name} calls: the first service without errors of its own upstream is the one", "The errors end."),
    "workload-unavailable": _generic("kubectl -n {o.namespace} describe {o.kind} {o.name}", "The reason is known."),
}  # fmt: skip
