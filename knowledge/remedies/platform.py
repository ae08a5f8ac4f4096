"""Remedies of storage, nodes and roll-outs."""

from collections.abc import Iterator

from knowledge.remedies.advice import act, by_hand, rollback, text
from protocol.diagnosis import Recommendation, RootCause
from protocol.remediation import (
    DeletePod,
    DrainNode,
    Risk,
)


def claim(cause: RootCause) -> Iterator[Recommendation]:
    yield by_hand(
        (
            f"kubectl -n {cause.object.namespace} describe pvc {cause.object.name}; "
            f"check the StorageClass {text(cause, 'storage_class') or '(none)'}, its "
            "provisioner's pods and, without one, that a PersistentVolume of that size, class and access mode is Available"
        ),
        why=cause.explanation,
        effect="The claim is bound and the pods start.",
    )


def storage_class(cause: RootCause) -> Iterator[Recommendation]:
    yield by_hand(
        (
            f"A claim's class cannot be changed: create StorageClass "
            f"{text(cause, 'storage_class')}, or delete the unbound claim {cause.object.name} and "
            f"make it anew with one of: {text(cause, 'classes')}"
        ),
        why=cause.explanation,
        effect="The claim is bound.",
        risk=Risk.MEDIUM,
    )


def node(cause: RootCause) -> Iterator[Recommendation]:
    node = cause.object
    if node.kind == "Node":
        yield by_hand(
            f"On {node.name}: is it up and reachable? Then systemctl status kubelet containerd; journalctl -u kubelet -n 100",
            why=cause.explanation,
            effect="The node reports again and its pods recover.",
        )
        yield from act(
            lambda: DrainNode(target=node),
            why=(
                "If it does not come back, its pods should run elsewhere. "
                "Budgets hold; local data of pods is lost only if you say so."
            ),
            effect="Its pods are made anew on other nodes.",
            seconds=600,
        )


def stuck(cause: RootCause) -> Iterator[Recommendation]:
    if cause.object.kind == "Pod":
        yield by_hand(
            (
                f"Look at its finalizers and its node {text(cause, 'node')}; only "
                f"if the node is gone for good: kubectl -n {cause.object.namespace} "
                f"delete pod {cause.object.name} --grace-period=0 --force"
            ),
            why=cause.explanation,
            effect="The pod goes away.",
            risk=Risk.HIGH,
        )
        yield from act(
            lambda: DeletePod(target=cause.object),
            why="Asks the API server once more to delete it.",
            effect="The pod goes away.",
        )


def rollout(cause: RootCause) -> Iterator[Recommendation]:
    yield from rollback(
        cause, f"Revision {text(cause, 'current_revision')} fails and the one before worked ({text(cause, 'changed')})."
    )
    yield by_hand(
        (
            f"Compare: kubectl -n {cause.object.namespace} rollout history "
            f"deployment/{cause.object.name} --revision={text(cause, 'current_revision')}"
        ),
        why="The difference holds the reason.",
        effect="The reason is known.",
    )
