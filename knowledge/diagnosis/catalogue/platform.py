"""Codes of scheduling, network, storage, nodes and workloads."""

from knowledge.diagnosis.catalogue.code import Channel, Code, Tier
from protocol.diagnosis import Severity

_C = Severity.CRITICAL
_H = Severity.HIGH
_M = Severity.MEDIUM
_ANY = frozenset(Channel)
_WORLD = frozenset({Channel.CALLS, Channel.CONFIG, Channel.NODE, Channel.STORAGE})
_NODE = frozenset({Channel.NODE})
_SERVED = frozenset({Channel.CALLS, Channel.SELECTS, Channel.NODE})

PLATFORM: tuple[Code, ...] = (
    Code("insufficient-cpu", "Not enough CPU", "No node has as much unreserved CPU as the pod requests.", _H, Tier.CAUSE),
    Code(
        "insufficient-memory", "Not enough memory", "No node has as much unreserved memory as the pod requests.", _H, Tier.CAUSE
    ),
    Code(
        "node-selector-unmatched",
        "No node matches the selector",
        "The pod's node selector or affinity matches no node.",
        _H,
        Tier.CAUSE,
    ),
    Code(
        "taint-not-tolerated",
        "Taints keep the pod away",
        "Every node that would fit has a taint that the pod does not tolerate.",
        _H,
        Tier.CAUSE,
        _NODE,
    ),
    Code(
        "pod-affinity-unsatisfied",
        "Pod affinity cannot be met",
        "The pod's affinity, anti-affinity or spread rules leave no node.",
        _H,
        Tier.CAUSE,
    ),
    Code(
        "volume-node-conflict",
        "Volume is bound to another zone",
        "The pod's volume can only be used on nodes where the pod may not run.",
        _H,
        Tier.CAUSE,
    ),
    Code(
        "unschedulable",
        "Pod cannot be scheduled",
        "The scheduler finds no node; its message says why.",
        _H,
        Tier.FAILURE,
        frozenset({Channel.NODE, Channel.STORAGE}),
    ),
    Code("quota-exceeded", "Quota exceeded", "A ResourceQuota of the namespace refuses the pods.", _H, Tier.CAUSE),
    Code(
        "service-selector-mismatch",
        "Service selects no pods",
        "The Service's selector matches no pod although the pods it means exist under other labels.",
        _C,
        Tier.CAUSE,
    ),
    Code(
        "service-port-mismatch",
        "Service points at a port nobody serves",
        "The Service's targetPort is not a port of the pods that it selects.",
        _C,
        Tier.CAUSE,
    ),
    Code("service-missing", "Service missing", "Something calls a Service that does not exist.", _C, Tier.CAUSE),
    Code(
        "service-no-endpoints",
        "Service has no ready endpoints",
        "No pod behind the Service is ready.",
        _H,
        Tier.SYMPTOM,
        _SERVED,
    ),
    Code(
        "dependency-unreachable",
        "Dependency cannot be reached",
        "The log names an address that refuses, times out or does not resolve.",
        _H,
        Tier.MECHANISM,
        _WORLD | {Channel.TRAFFIC},
    ),
    Code(
        "network-policy-blocks",
        "NetworkPolicy stops the connection",
        "A NetworkPolicy does not let a workload through to what it calls, and its connections time out.",
        _H,
        Tier.CAUSE,
    ),
    Code(
        "upstream-errors",
        "Errors from an upstream",
        "The log or the metrics show 5xx answers that come from a called service.",
        _M,
        Tier.SYMPTOM,
        frozenset({Channel.CALLS, Channel.CONFIG, Channel.NODE}),
    ),
    Code(
        "ingress-backend-missing",
        "Ingress backend missing",
        "An Ingress sends traffic to a Service that does not exist.",
        _H,
        Tier.CAUSE,
    ),
    Code(
        "port-in-use",
        "Port is already in use",
        "The program cannot listen because another process in the pod has the port.",
        _H,
        Tier.CAUSE,
    ),
    Code(
        "scaled-to-zero",
        "Workload is scaled to zero",
        "A workload that others need has no replicas.",
        _M,
        Tier.CAUSE,
        prior=0.9,
    ),
    Code(
        "pvc-pending",
        "Volume claim is not bound",
        "A PersistentVolumeClaim waits: its message says for what.",
        _H,
        Tier.MECHANISM,
        frozenset({Channel.STORAGE}),
    ),
    Code("pvc-missing", "Volume claim missing", "A pod uses a PersistentVolumeClaim that does not exist.", _H, Tier.CAUSE),
    Code("storage-class-missing", "Storage class missing", "A claim names a StorageClass that does not exist.", _H, Tier.CAUSE),
    Code(
        "volume-mount-failed",
        "Volume cannot be mounted",
        "The kubelet cannot attach or mount a volume; its message says why.",
        _H,
        Tier.MECHANISM,
        frozenset({Channel.STORAGE, Channel.CONFIG, Channel.NODE}),
    ),
    Code(
        "disk-full",
        "No space left on device",
        "The program cannot write because its volume or the node's disk is full.",
        _C,
        Tier.CAUSE,
        _NODE,
    ),
    Code(
        "node-not-ready", "Node is not ready", "The node does not report, or reports that it cannot run pods.", _C, Tier.CAUSE
    ),
    Code(
        "node-pressure",
        "Node is short of a resource",
        "The kubelet reports pressure on memory, disk or process ids.",
        _H,
        Tier.CAUSE,
    ),
    Code(
        "bad-rollout",
        "New revision fails",
        "The pods of the newest revision fail while the revision before worked.",
        _H,
        Tier.CHANGE,
        _WORLD,
    ),
    Code(
        "workload-unavailable", "Workload has too few ready pods", "Fewer pods are ready than wanted.", _H, Tier.SYMPTOM, _ANY
    ),
    Code(
        "pods-not-created",
        "Pods are not created",
        "The controller is refused when it creates pods: policy, webhook, service account.",
        _H,
        Tier.MECHANISM,
        frozenset({Channel.LIMITS}),
    ),
    Code(
        "service-account-missing",
        "ServiceAccount missing",
        "The pod template names a ServiceAccount that does not exist.",
        _H,
        Tier.CAUSE,
    ),
    Code("job-failed", "Job failed", "The Job has used up its retries or its time.", _M, Tier.SYMPTOM, _WORLD),
    Code(
        "permission-denied",
        "Permission denied",
        "The program may not do what it tries: file rights, RBAC or a read-only file system.",
        _H,
        Tier.MECHANISM,
        _WORLD,
    ),
    Code(
        "certificate-invalid",
        "Certificate not accepted",
        "A TLS certificate is expired, unknown or for another name.",
        _H,
        Tier.MECHANISM,
        _WORLD,
    ),
    Code(
        "authentication-failed",
        "Authentication to a dependency fails",
        "A dependency refuses the credentials that the program uses.",
        _H,
        Tier.MECHANISM,
        _WORLD,
    ),
    Code(
        "hpa-cannot-scale",
        "Autoscaler cannot work",
        "The HorizontalPodAutoscaler gets no metrics or cannot find its target.",
        _M,
        Tier.CAUSE,
    ),
)
