"""Codes of containers, their configuration and their images."""

from knowledge.diagnosis.catalogue.code import Channel, Code, Tier
from protocol.diagnosis import Severity

_C = Severity.CRITICAL
_H = Severity.HIGH
_M = Severity.MEDIUM
_WORLD = frozenset({Channel.CALLS, Channel.CONFIG, Channel.NODE, Channel.STORAGE})
_NODE = frozenset({Channel.NODE})

PODS: tuple[Code, ...] = (
    Code(
        "memory-limit-too-low",
        "Memory limit too low",
        "The kernel kills the container because it needs more memory than its limit allows.",
        _C,
        Tier.CAUSE,
    ),
    Code(
        "out-of-memory-on-node",
        "Node ran out of memory",
        "A container without a memory limit was killed because the node had no memory left.",
        _C,
        Tier.MECHANISM,
        _NODE,
    ),
    Code(
        "crash-on-start",
        "Container keeps crashing",
        "The container ends again and again; its exit code and log say how.",
        _C,
        Tier.FAILURE,
        _WORLD,
    ),
    Code(
        "command-not-found",
        "Command cannot be started",
        "The container's command or entrypoint does not exist in the image or may not be executed.",
        _C,
        Tier.CAUSE,
    ),
    Code(
        "env-variable-missing",
        "Environment variable missing",
        "The program says that a variable which it needs is not set, and the pod template does not set it.",
        _C,
        Tier.CAUSE,
    ),
    Code(
        "env-wrong-value",
        "Environment variable has a wrong value",
        "A variable in the pod template names an address that does not exist.",
        _C,
        Tier.CAUSE,
    ),
    Code(
        "liveness-probe-wrong",
        "Liveness probe kills the container",
        "The kubelet restarts a container because its liveness or startup probe fails, while nothing else ends it.",
        _H,
        Tier.MECHANISM,
        _WORLD,
    ),
    Code(
        "readiness-probe-failing",
        "Readiness probe fails",
        "The container runs but is not ready, so no Service sends it traffic.",
        _H,
        Tier.FAILURE,
        _WORLD,
    ),
    Code(
        "readiness-probe-wrong",
        "Readiness probe asks the wrong thing",
        "The probe asks for a port or path that the container does not serve.",
        _H,
        Tier.CAUSE,
    ),
    Code(
        "init-container-waiting",
        "Init container does not end",
        "An init container waits for something that does not come, so the pod never starts.",
        _H,
        Tier.MECHANISM,
        _WORLD,
    ),
    Code(
        "container-create-error",
        "Container cannot be created",
        "The kubelet cannot create or start the container; its message says why.",
        _H,
        Tier.MECHANISM,
        frozenset({Channel.CONFIG, Channel.NODE}),
    ),
    Code(
        "sandbox-failed",
        "Pod sandbox cannot be created",
        "The container runtime or the network plug-in fails before any container starts.",
        _H,
        Tier.MECHANISM,
        _NODE,
    ),
    Code(
        "pod-evicted",
        "Pod was evicted",
        "The kubelet evicted the pod because its node ran short of a resource.",
        _M,
        Tier.FAILURE,
        _NODE,
    ),
    Code(
        "pod-stuck-terminating",
        "Pod does not go away",
        "The pod was deleted longer ago than its grace period allows: a finalizer or a silent node holds it.",
        _M,
        Tier.FAILURE,
        _NODE,
    ),
    Code(
        "configmap-wrong-value",
        "ConfigMap has a wrong value",
        "A key of the ConfigMap names something that does not exist, and what reads it fails.",
        _C,
        Tier.CAUSE,
    ),
    Code("configmap-missing", "ConfigMap missing", "A pod refers to a ConfigMap that does not exist.", _C, Tier.CAUSE),
    Code(
        "configmap-key-missing",
        "Key missing in ConfigMap",
        "A pod refers to a key that its ConfigMap does not have.",
        _C,
        Tier.CAUSE,
    ),
    Code("secret-missing", "Secret missing", "A pod refers to a Secret that does not exist.", _C, Tier.CAUSE),
    Code("secret-key-missing", "Key missing in Secret", "A pod refers to a key that its Secret does not have.", _C, Tier.CAUSE),
    Code("image-tag-not-found", "Image tag not found", "The registry does not have the image or the tag.", _C, Tier.CAUSE),
    Code(
        "image-pull-unauthorized",
        "Image pull not authorised",
        "The registry refuses the pull: credentials are missing or wrong.",
        _C,
        Tier.CAUSE,
    ),
    Code("image-pull-rate-limited", "Image pull rate limited", "The registry answers with too many requests.", _H, Tier.CAUSE),
    Code(
        "image-registry-unreachable",
        "Registry cannot be reached",
        "The node cannot reach the registry: name, network, certificate or time-out.",
        _C,
        Tier.CAUSE,
    ),
    Code("image-name-invalid", "Image name is malformed", "The image reference cannot be parsed.", _C, Tier.CAUSE),
    Code(
        "image-architecture-mismatch",
        "Image has no build for this node",
        "The image has no manifest for the node's architecture.",
        _C,
        Tier.CAUSE,
    ),
    Code(
        "image-pull-failed",
        "Image cannot be pulled",
        "The pull fails; the kubelet's message is all that is known.",
        _H,
        Tier.MECHANISM,
        _NODE,
    ),
)
