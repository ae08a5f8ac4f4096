"""Advice for codes where a person has to act: instructions, expected effect, risk. `{o}` is the object, `{c}` the container."""

from collections.abc import Callable, Iterator

from knowledge.remedies.advice import by_hand, rollback, text
from protocol.diagnosis import Recommendation, RootCause
from protocol.remediation import Risk


def general(instructions: str, effect: str, risk: Risk) -> Callable[[RootCause], Iterator[Recommendation]]:
    def remedy(cause: RootCause) -> Iterator[Recommendation]:
        yield from rollback(cause, "The revision before worked.")
        yield by_hand(
            instructions.format(o=cause.object, c=text(cause, "container")), why=cause.explanation, effect=effect, risk=risk
        )

    return remedy


GENERAL: dict[str, tuple[str, str, Risk]] = {
    "container-create-error": (
        "kubectl -n {o.namespace} describe {o.kind} {o.name}, and correct what the kubelet's message names",
        "The container is created.",
        Risk.MEDIUM,
    ),
    "sandbox-failed": (
        "Check the network plug-in's pods in kube-system and the container runtime on that node (journalctl -u containerd)",
        "Sandboxes are created again; the kubelet tries by itself.",
        Risk.LOW,
    ),
    "pod-evicted": (
        "Give {o.name} requests that match its use, and free or add the resource that its node ran short of",
        "It is not evicted again.",
        Risk.MEDIUM,
    ),
    "pod-affinity-unsatisfied": (
        "Relax the affinity, anti-affinity or spread rule of {o.name} (preferred instead of required), or add nodes",
        "The scheduler finds a node.",
        Risk.MEDIUM,
    ),
    "volume-node-conflict": (
        "Let {o.name} run in the zone of its volume, or restore the volume in the zone where it may run",
        "The scheduler finds a node.",
        Risk.MEDIUM,
    ),
    "unschedulable": (
        "kubectl -n {o.namespace} describe pod of {o.name}: lift the constraint that the scheduler names for most nodes",
        "The scheduler finds a node.",
        Risk.LOW,
    ),
    "ingress-backend-missing": (
        "kubectl -n {o.namespace} edit ingress {o.name}: name a Service that exists, or create the missing one",
        "The Ingress serves its paths.",
        Risk.MEDIUM,
    ),
    "port-in-use": (
        "Two processes of the pod want one port: give container {c} of {o.name} another port, or remove the other listener",
        "The program can listen.",
        Risk.MEDIUM,
    ),
    "pvc-missing": (
        "Create claim {o.name} in namespace {o.namespace}, or correct the claim's name in the pod template",
        "The pods start.",
        Risk.MEDIUM,
    ),
    "volume-mount-failed": (
        (
            "kubectl -n {o.namespace} describe pod of {o.name}: if the volume is still attached "
            "to another node, wait or end the pod there; else check the CSI driver's pods"
        ),
        "The volume is mounted.",
        Risk.LOW,
    ),
    "disk-full": (
        "Free space on the volume of container {c} of {o.name}, or expand its claim; check df -h in the container first",
        "The program can write.",
        Risk.MEDIUM,
    ),
    "pods-not-created": (
        (
            "kubectl -n {o.namespace} get events --field-selector reason=FailedCreate: "
            "correct the template of {o.name} or the policy that refuses it"
        ),
        "The pods are created.",
        Risk.MEDIUM,
    ),
    "service-account-missing": (
        "kubectl -n {o.namespace} create serviceaccount {o.name}, or name one that exists in the pod template",
        "The pods are created.",
        Risk.MEDIUM,
    ),
    "job-failed": (
        "Read the Job's log: kubectl -n {o.namespace} logs job/<name> --tail=100; a failed Job has to be made anew",
        "The reason is known.",
        Risk.LOW,
    ),
    "permission-denied": (
        (
            "Give {o.name} the right that its log names: file owner and "
            "fsGroup, a writable volume, or a Role for its ServiceAccount"
        ),
        "The program may do its work.",
        Risk.MEDIUM,
    ),
    "certificate-invalid": (
        (
            "Check the certificate that the log of {o.name} names: openssl s_client -connect "
            "<host:port> </dev/null | openssl x509 -noout -dates -subject; renew it or trust its issuer"
        ),
        "TLS connections work.",
        Risk.MEDIUM,
    ),
    "authentication-failed": (
        "Check the credentials that {o.name} uses against the dependency; after a rotation the pods must be restarted",
        "The dependency accepts the program.",
        Risk.MEDIUM,
    ),
    "hpa-cannot-scale": (
        (
            "kubectl -n {o.namespace} describe hpa {o.name}: check "
            "metrics-server, the target's name and its CPU or memory requests"
        ),
        "The autoscaler works.",
        Risk.LOW,
    ),
    "service-no-endpoints": ("Make the pods behind Service {o.name} ready", "The Service has endpoints.", Risk.LOW),
    "upstream-errors": (
        "Look at what {o.name} calls: the first service without errors of its own upstream is the one",
        "The errors end.",
        Risk.LOW,
    ),
    "workload-unavailable": ("kubectl -n {o.namespace} describe {o.kind} {o.name}", "The reason is known.", Risk.LOW),
}
