"""Remedies of images that cannot be pulled."""

from collections.abc import Iterator

from knowledge.remedies.advice import act, by_hand, edit, rollback, text, workload_of
from protocol.diagnosis import Recommendation, RootCause
from protocol.remediation import (
    Risk,
    SetImage,
)


def image(cause: RootCause) -> Iterator[Recommendation]:
    workload, previous = workload_of(cause), text(cause, "previous")
    if workload is not None and previous:
        yield from act(
            lambda: SetImage(target=workload, container=text(cause, "container"), image=previous),
            why=f"Revision {text(cause, 'revision')} ran {previous}; {text(cause, 'image')} cannot be pulled.",
            effect="The image is pulled and the roll-out finishes.",
        )
        yield from rollback(cause, f"The revision before ran {previous}.")
    yield by_hand(
        f"Check the name and tag of {text(cause, 'image')} in the registry, and set one that exists: "
        + edit(cause, f"image of container {text(cause, 'container')}", "<image:tag>"),
        why="The registry says that it does not have this image.",
        effect="The image is pulled.",
        risk=Risk.MEDIUM,
    )


def image_access(cause: RootCause) -> Iterator[Recommendation]:
    secrets = text(cause, "pull_secrets")
    yield by_hand(
        f"Renew the pull secret ({secrets}) in namespace {cause.object.namespace}"
        if secrets
        else (
            f"Give the pods a pull secret: kubectl -n {cause.object.namespace} "
            f"create secret docker-registry …, and name it in imagePullSecrets"
        ),
        why="The registry refuses the pull; credentials are missing, wrong or expired.",
        effect="The image is pulled.",
        risk=Risk.MEDIUM,
    )
    yield from rollback(cause, "The revision before used an image that is on the nodes or may be pulled.")


def image_later(cause: RootCause) -> Iterator[Recommendation]:
    yield by_hand(
        (
            "Try the pull from a node (crictl pull), check DNS, proxy and "
            "certificate of the registry, or use a mirror or signed-in pulls"
        ),
        why=cause.explanation,
        effect="The image is pulled; the kubelet tries again by itself.",
    )
    yield from rollback(cause, "The revision before used another image.")
