"""Images that cannot be pulled: the kubelet's and containerd's messages, told apart."""

import re
from collections.abc import Iterator

from knowledge.diagnosis.context import Context, path_of_template
from knowledge.diagnosis.fields import Obj, rows, text
from knowledge.diagnosis.hit import Fact, Hit, Quote, quote_change, quote_event, quote_field
from knowledge.diagnosis.pods import Container
from knowledge.diagnosis.rules.registry import rule
from knowledge.diagnosis.view import Key

WAITING = (
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
)

# First match wins. Texts of containerd, CRI-O and dockershim as the kubelet passes them on.
_CAUSES: tuple[tuple[str, str], ...] = (
    ("image-name-invalid", r"invalid reference format|couldn't parse image|invalidimagename|must be lowercase"),
    ("image-pull-rate-limited", r"toomanyrequests|rate limit|429 too many"),
    ("image-architecture-mismatch", r"no match for platform|no matching manifest|does not match the specified platform"),
    (
        "image-tag-not-found",
        r"manifest unknown|not found|manifest for .{1,300} not found|name unknown|repository .{1,300} does not exist",
    ),
    (
        "image-pull-unauthorized",
        r"unauthorized|401|403 forbidden|authentication required|access denied|denied|no basic auth|insufficient_scope",
    ),
    (
        "image-registry-unreachable",
        (
            r"no such host|i/o timeout|connection refused|deadline exceeded|"
            r"x509|tls|no route to host|server gave http|network is unreachable|"
            r"connection reset|temporary failure|"
            r"5\d\d (?:internal|bad|service|gateway)"
        ),
    ),
)
CAUSES = tuple((code, re.compile(pattern, re.IGNORECASE)) for code, pattern in _CAUSES)

_EXPLAINED = {
    "image-tag-not-found": "the registry does not have it",
    "image-pull-unauthorized": "the registry refuses the pull",
    "image-pull-rate-limited": "the registry limits how often it may be pulled",
    "image-registry-unreachable": "the registry cannot be reached",
    "image-name-invalid": "the name is malformed",
    "image-architecture-mismatch": "it has no build for this node's architecture",
    "image-pull-failed": "the pull fails",
}


@rule("Pod")
def image_pull(context: Context, key: Key, _pod: Obj) -> Iterator[Hit]:
    """A container that waits for its image. The message of the newest Failed event is better than the back-off's."""
    for container in context.containers(key):
        if container.waiting_reason in WAITING:
            yield _pull_hit(context, key, container)


def _pull_hit(context: Context, key: Key, container: Container) -> Hit:
    workload = context.view.workload(key)
    image = text(container.spec, "image") or text(container.status, "image")
    told = (
        [quote_field(key, f"{container.path}.state.waiting.message", container.waiting_message)]
        if container.waiting_message
        else []
    )
    told += [
        quote_event(key, event)
        for event in context.view.events(key, "Failed", "InspectFailed", "ErrImageNeverPull")
        if event.container() in ("", container.name) and image in event.message
    ][:3]
    code, quote = _classify(container.waiting_reason, told)
    before = text(context.container_before(workload, container.name), "image")
    facts: dict[str, Fact] = {"container": container.name, "image": image}
    evidence: list[Quote] = [quote] if quote else []
    evidence.append(quote_field(key, f"{container.path}.state.waiting.reason", container.waiting_reason))
    evidence.append(quote_field(workload, path_of_template(workload, container.name, "image", init=container.init), image))
    said = ""
    revision = context.revision_before(workload)
    if before and before != image and revision:
        facts |= {"previous": before, "revision": revision[0]}
        said = f" Revision {revision[0]} ran {before}."
        evidence += [
            quote_change(change, workload)
            for change in context.changes(workload)
            if change.path.endswith(f"[{container.name}].image")
        ][:1]
    if code == "image-pull-unauthorized":
        secrets = [text(row, "name") for row in rows(context.view.template(workload), "imagePullSecrets")]
        facts["pull_secrets"] = ",".join(secrets)
    return Hit(
        code=code,
        object=workload,
        explanation=f"Image {image} of container {container.name} cannot be pulled: {_EXPLAINED[code]}.{said}",
        evidence=tuple(evidence),
        confidence={"image-pull-failed": 0.55}.get(code, 0.95 if said else 0.9),
        facts=facts,
        since=quote.at if quote else None,
        affected=(key,),
    )


def _classify(reason: str, told: list[Quote]) -> tuple[str, Quote | None]:
    if reason == "InvalidImageName":
        return "image-name-invalid", told[0] if told else None
    for quote in told:
        for code, pattern in CAUSES:
            if pattern.search(quote.excerpt):
                return code, quote
    return "image-pull-failed", told[0] if told else None
