"""The published catalogue: every code that a rule may report, what it means, how bad it is and what can bring it about.

Codes are kebab-case and never renamed; docs, remedies, wording, weights and exams refer to them.
"""

from dataclasses import dataclass
from enum import IntEnum

from protocol.diagnosis import Severity


class Tier(IntEnum):
    """How near to the root a code is. On one object a higher tier explains a lower one."""

    SYMPTOM = 10  # what a user sees: never a root cause by itself
    FAILURE = 20  # something fails, the reason is not in the rule
    CHANGE = 25  # it began with a change of its own; which part of it is at fault is not in the rule
    MECHANISM = 30  # how it fails is known; a dependency may be behind it
    CAUSE = 40  # a person can put exactly this right


class Channel(IntEnum):
    """By which relation another object's trouble can bring a code about."""

    CALLS = 1
    CONFIG = 2
    NODE = 3
    STORAGE = 4
    SELECTS = 5
    LIMITS = 6


@dataclass(frozen=True, slots=True)
class Code:
    code: str
    title: str
    meaning: str
    severity: Severity
    tier: Tier
    channels: frozenset[Channel] = frozenset()
    prior: float = 1.0


_C, _H, _M, _L = Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM, Severity.LOW
_ANY = frozenset(Channel)
_WORLD = frozenset({Channel.CALLS, Channel.CONFIG, Channel.NODE, Channel.STORAGE})
_NODE = frozenset({Channel.NODE})
_SERVED = frozenset({Channel.CALLS, Channel.SELECTS, Channel.NODE})

_ROWS: tuple[Code, ...] = (
    # containers
    Code("memory-limit-too-low", "Memory limit too low", "The kernel kills the container because it needs more memory than its limit allows.", _C, Tier.CAUSE),
    Code("out-of-memory-on-node", "Node ran out of memory", "A container without a memory limit was killed because the node had no memory left.", _C, Tier.MECHANISM, _NODE),
    Code("crash-on-start", "Container keeps crashing", "The container ends again and again; its exit code and log say how.", _C, Tier.FAILURE, _WORLD),
    Code("command-not-found", "Command cannot be started", "The container's command or entrypoint does not exist in the image or may not be executed.", _C, Tier.CAUSE),
    Code("env-variable-missing", "Environment variable missing", "The program says that a variable which it needs is not set, and the pod template does not set it.", _C, Tier.CAUSE),
    Code("env-wrong-value", "Environment variable has a wrong value", "A variable in the pod template names an address that does not exist.", _C, Tier.CAUSE),
    Code("liveness-probe-wrong", "Liveness probe kills the container", "The kubelet restarts a container because its liveness or startup probe fails, while nothing else ends it.", _H, Tier.MECHANISM, _WORLD),
    Code("readiness-probe-failing", "Readiness probe fails", "The container runs but is not ready, so no Service sends it traffic.", _H, Tier.FAILURE, _WORLD),
    Code("readiness-probe-wrong", "Readiness probe asks the wrong thing", "The probe asks for a port or path that the container does not serve.", _H, Tier.CAUSE),
    Code("init-container-waiting", "Init container does not end", "An init container waits for something that does not come, so the pod never starts.", _H, Tier.MECHANISM, _WORLD),
    Code("container-create-error", "Container cannot be created", "The kubelet cannot create or start the container; its message says why.", _H, Tier.MECHANISM, frozenset({Channel.CONFIG, Channel.NODE})),
    Code("sandbox-failed", "Pod sandbox cannot be created", "The container runtime or the network plug-in fails before any container starts.", _H, Tier.MECHANISM, _NODE),
    Code("pod-evicted", "Pod was evicted", "The kubelet evicted the pod because its node ran short of a resource.", _M, Tier.FAILURE, _NODE),
    Code("pod-stuck-terminating", "Pod does not go away", "The pod was deleted longer ago than its grace period allows: a finalizer or a silent node holds it.", _M, Tier.FAILURE, _NODE),
    # configuration
    Code("configmap-wrong-value", "ConfigMap has a wrong value", "A key of the ConfigMap names something that does not exist, and what reads it fails.", _C, Tier.CAUSE),
    Code("configmap-missing", "ConfigMap missing", "A pod refers to a ConfigMap that does not exist.", _C, Tier.CAUSE),
    Code("configmap-key-missing", "Key missing in ConfigMap", "A pod refers to a key that its ConfigMap does not have.", _C, Tier.CAUSE),
    Code("secret-missing", "Secret missing", "A pod refers to a Secret that does not exist.", _C, Tier.CAUSE),
    Code("secret-key-missing", "Key missing in Secret", "A pod refers to a key that its Secret does not have.", _C, Tier.CAUSE),
    # images
    Code("image-tag-not-found", "Image tag not found", "The registry does not have the image or the tag.", _C, Tier.CAUSE),
    Code("image-pull-unauthorized", "Image pull not authorised", "The registry refuses the pull: credentials are missing or wrong.", _C, Tier.CAUSE),
    Code("image-pull-rate-limited", "Image pull rate limited", "The registry answers with too many requests.", _H, Tier.CAUSE),
    Code("image-registry-unreachable", "Registry cannot be reached", "The node cannot reach the registry: name, network, certificate or time-out.", _C, Tier.CAUSE),
    Code("image-name-invalid", "Image name is malformed", "The image reference cannot be parsed.", _C, Tier.CAUSE),
    Code("image-architecture-mismatch", "Image has no build for this node", "The image has no manifest for the node's architecture.", _C, Tier.CAUSE),
    Code("image-pull-failed", "Image cannot be pulled", "The pull fails; the kubelet's message is all that is known.", _H, Tier.MECHANISM, _NODE),
    # scheduling
    Code("insufficient-cpu", "Not enough CPU", "No node has as much unreserved CPU as the pod requests.", _H, Tier.CAUSE),
    Code("insufficient-memory", "Not enough memory", "No node has as much unreserved memory as the pod requests.", _H, Tier.CAUSE),
    Code("node-selector-unmatched", "No node matches the selector", "The pod's node selector or affinity matches no node.", _H, Tier.CAUSE),
    Code("taint-not-tolerated", "Taints keep the pod away", "Every node that would fit has a taint that the pod does not tolerate.", _H, Tier.CAUSE, _NODE),
    Code("pod-affinity-unsatisfied", "Pod affinity cannot be met", "The pod's affinity, anti-affinity or spread rules leave no node.", _H, Tier.CAUSE),
    Code("volume-node-conflict", "Volume is bound to another zone", "The pod's volume can only be used on nodes where the pod may not run.", _H, Tier.CAUSE),
    Code("unschedulable", "Pod cannot be scheduled", "The scheduler finds no node; its message says why.", _H, Tier.FAILURE, frozenset({Channel.NODE, Channel.STORAGE})),
    Code("quota-exceeded", "Quota exceeded", "A ResourceQuota of the namespace refuses the pods.", _H, Tier.CAUSE),
    # network
    Code("service-selector-mismatch", "Service selects no pods", "The Service's selector matches no pod although the pods it means exist under other labels.", _C, Tier.CAUSE),
    Code("service-port-mismatch", "Service points at a port nobody serves", "The Service's targetPort is not a port of the pods that it selects.", _C, Tier.CAUSE),
    Code("service-missing", "Service missing", "Something calls a Service that does not exist.", _C, Tier.CAUSE),
    Code("service-no-endpoints", "Service has no ready endpoints", "No pod behind the Service is ready.", _H, Tier.SYMPTOM, _SERVED),
    Code("dependency-unreachable", "Dependency cannot be reached", "The log names an address that refuses, times out or does not resolve.", _H, Tier.MECHANISM, _WORLD),
    Code("upstream-errors", "Errors from an upstream", "The log or the metrics show 5xx answers that come from a called service.", _M, Tier.SYMPTOM, frozenset({Channel.CALLS, Channel.CONFIG, Channel.NODE})),
    Code("ingress-backend-missing", "Ingress backend missing", "An Ingress sends traffic to a Service that does not exist.", _H, Tier.CAUSE),
    Code("port-in-use", "Port is already in use", "The program cannot listen because another process in the pod has the port.", _H, Tier.CAUSE),
    Code("scaled-to-zero", "Workload is scaled to zero", "A workload that others need has no replicas.", _M, Tier.CAUSE, prior=0.9),
    # storage
    Code("pvc-pending", "Volume claim is not bound", "A PersistentVolumeClaim waits: its message says for what.", _H, Tier.MECHANISM, frozenset({Channel.STORAGE})),
    Code("pvc-missing", "Volume claim missing", "A pod uses a PersistentVolumeClaim that does not exist.", _H, Tier.CAUSE),
    Code("storage-class-missing", "Storage class missing", "A claim names a StorageClass that does not exist.", _H, Tier.CAUSE),
    Code("volume-mount-failed", "Volume cannot be mounted", "The kubelet cannot attach or mount a volume; its message says why.", _H, Tier.MECHANISM, frozenset({Channel.STORAGE, Channel.CONFIG, Channel.NODE})),
    Code("disk-full", "No space left on device", "The program cannot write because its volume or the node's disk is full.", _C, Tier.CAUSE, _NODE),
    # nodes
    Code("node-not-ready", "Node is not ready", "The node does not report, or reports that it cannot run pods.", _C, Tier.CAUSE),
    Code("node-pressure", "Node is short of a resource", "The kubelet reports pressure on memory, disk or process ids.", _H, Tier.CAUSE),
    # workloads
    Code("bad-rollout", "New revision fails", "The pods of the newest revision fail while the revision before worked.", _H, Tier.CHANGE, _WORLD),
    Code("workload-unavailable", "Workload has too few ready pods", "Fewer pods are ready than wanted.", _H, Tier.SYMPTOM, _ANY),
    Code("pods-not-created", "Pods are not created", "The controller is refused when it creates pods: policy, webhook, service account.", _H, Tier.MECHANISM, frozenset({Channel.LIMITS})),
    Code("service-account-missing", "ServiceAccount missing", "The pod template names a ServiceAccount that does not exist.", _H, Tier.CAUSE),
    Code("job-failed", "Job failed", "The Job has used up its retries or its time.", _M, Tier.SYMPTOM, _WORLD),
    Code("permission-denied", "Permission denied", "The program may not do what it tries: file rights, RBAC or a read-only file system.", _H, Tier.MECHANISM, _WORLD),
    Code("certificate-invalid", "Certificate not accepted", "A TLS certificate is expired, unknown or for another name.", _H, Tier.MECHANISM, _WORLD),
    Code("authentication-failed", "Authentication to a dependency fails", "A dependency refuses the credentials that the program uses.", _H, Tier.MECHANISM, _WORLD),
    Code("hpa-cannot-scale", "Autoscaler cannot work", "The HorizontalPodAutoscaler gets no metrics or cannot find its target.", _M, Tier.CAUSE),
)  # fmt: skip

CATALOGUE: dict[str, Code] = {row.code: row for row in _ROWS}


def entry(code: str) -> Code:
    """Raises KeyError for a code that is not published."""
    return CATALOGUE[code]
