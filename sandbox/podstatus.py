"""The status of a pod as a kubelet writes it, from the states of its containers."""

import hashlib
from dataclasses import dataclass, field

from sandbox.clock import rfc3339
from sandbox.objects import Obj, condition, sub, text
from sandbox.programs import Program, split_image
from sandbox.runtime import Run, Trace


@dataclass
class ContainerState:
    """One container in the kubelet's hands."""

    spec: Obj
    init: bool
    program: Program
    trace: Trace
    state: Obj = field(default_factory=lambda: {"waiting": {"reason": "PodInitializing"}})
    last: Obj = field(default_factory=dict[str, object])
    ready: bool = False
    restarts: int = 0
    crashes: int = 0
    pull_failures: int = 0
    failures: int = 0
    run: Run | None = None
    container_id: str = ""
    turn: int = 0
    probe_turn: int = 0

    @property
    def name(self) -> str:
        return text(self.spec, "name")

    @property
    def image(self) -> str:
        return text(self.spec, "image")

    @property
    def field_path(self) -> str:
        return f"spec.{'initContainers' if self.init else 'containers'}{{{self.name}}}"

    def done(self) -> bool:
        return sub(self.state, "terminated").get("exitCode") == 0 and "terminated" in self.state


def status(pod: Obj, containers: list[ContainerState], now: float, host_ip: str, pod_ip: str) -> Obj:
    """The whole status object; transition times survive from the status that the pod has."""
    inits = [c for c in containers if c.init]
    mains = [c for c in containers if not c.init]
    phase = _phase(pod, inits, mains)
    conditions = _conditions(pod, inits, mains, phase, now)
    body: Obj = {
        "phase": phase,
        "conditions": conditions,
        "hostIP": host_ip,
        "hostIPs": [{"ip": host_ip}],
        "startTime": text(pod, "status", "startTime") or rfc3339(now),
        "containerStatuses": [_container(c) for c in mains],
        "qosClass": text(pod, "status", "qosClass") or "BestEffort",
    }
    if any(c.container_id for c in containers):
        body |= {"podIP": pod_ip, "podIPs": [{"ip": pod_ip}]}
    if inits:
        body["initContainerStatuses"] = [_container(c) for c in inits]
    return body


def _phase(pod: Obj, inits: list[ContainerState], mains: list[ContainerState]) -> str:
    policy = text(pod, "spec", "restartPolicy") or "Always"
    if policy == "Never" and any("terminated" in c.state and not c.done() for c in inits):
        return "Failed"
    if not all(c.done() for c in inits) or all("waiting" in c.state and not c.last for c in mains):
        return "Pending"
    over = [c for c in mains if "terminated" in c.state]
    if len(over) == len(mains) and policy != "Always":
        if all(c.done() for c in mains):
            return "Succeeded"
        if policy == "Never":
            return "Failed"
    return "Running"


def _conditions(pod: Obj, inits: list[ContainerState], mains: list[ContainerState], phase: str, now: float) -> list[Obj]:
    waiting = [c.name for c in inits if not c.done()]
    unready = [c.name for c in mains if not c.ready]
    over = phase == "Succeeded"

    def row(kind: str, holds: bool, reason: str = "", message: str = "") -> Obj:
        word = "True" if holds else "False"
        old = condition(pod, kind)
        since = old["lastTransitionTime"] if old.get("status") == word else rfc3339(now)
        said: Obj = {"type": kind, "status": word, "lastProbeTime": None, "lastTransitionTime": since}
        if not holds:
            said |= {"reason": reason, **({"message": message} if message else {})}
        return said

    init_said = ("ContainersNotInitialized", f"containers with incomplete status: [{' '.join(waiting)}]")
    said = (
        ("PodCompleted", "")
        if over
        else (
            "ContainersNotReady",
            f"containers with unready status: [{' '.join(unready)}]",
        )
    )
    started = any(c.container_id for c in [*inits, *mains])
    return [
        row("PodReadyToStartContainers", started and phase not in ("Succeeded", "Failed")),
        row("Initialized", not waiting, *init_said),
        row("Ready", not unready, *said),
        row("ContainersReady", not unready, *said),
        row("PodScheduled", True),
    ]


def _container(state: ContainerState) -> Obj:
    digest = hashlib.sha256(state.image.encode()).hexdigest()
    repository, _ = split_image(state.image)
    row: Obj = {
        "name": state.name,
        "state": state.state,
        "lastState": state.last,
        "ready": state.ready if not state.init else state.done(),
        "restartCount": state.restarts,
        "image": state.image,
        "imageID": f"{repository}@sha256:{digest}" if state.container_id else "",
        "started": "running" in state.state,
    }
    if state.container_id:
        row["containerID"] = state.container_id
    return row
