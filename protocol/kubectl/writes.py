"""What was given for a write verb, as a typed Remediation. One function a verb; nothing else that writes is taken."""

import re
from collections.abc import Callable
from typing import Literal

from protocol.kubectl import operands
from protocol.kubectl.arguments import Given
from protocol.kubectl.calls import GrammarError
from protocol.objects import ObjectRef
from protocol.remediation import (
    ENV_NAME_PATTERN,
    IMAGE_PATTERN,
    QUANTITY_PATTERN,
    WORKLOADS,
    CordonNode,
    DeletePod,
    DrainNode,
    Remediation,
    RestartWorkload,
    RollbackWorkload,
    ScaleWorkload,
    SetEnv,
    SetImage,
    SetResources,
    UncordonNode,
)

DEFAULT_NAMESPACE = "default"

_IMAGE = re.compile(IMAGE_PATTERN)
_QUANTITY = re.compile(QUANTITY_PATTERN)
_ENV_NAME = re.compile(ENV_NAME_PATTERN)
MAX_ENV_VALUE = 4096


def _target(given: Given, words: list[str], kinds: tuple[str, ...]) -> ObjectRef:
    found = operands.one(words, given.verb)
    if found.type.kind not in kinds:
        raise GrammarError(words[0], f"{given.verb} is taken for {', '.join(kinds)}, not for {found.type.plural}")
    return ObjectRef(kind=found.type.kind, namespace=given.namespace or DEFAULT_NAMESPACE, name=found.name)


def _no_more(given: Given, words: list[str]) -> None:
    if len(words) > 1:
        raise GrammarError(words[1], f"{given.verb} takes one change at a time; leave out {words[1]!r}")


def _object_then_settings(given: Given) -> tuple[list[str], list[str]]:
    """`TYPE/NAME x=y` or `TYPE NAME x=y`: the object's words, then the settings."""
    words = given.operands
    count = 1 if words and "/" in words[0] else 2
    return words[:count], words[count:]


def _scale(given: Given) -> Remediation:
    replicas = given.number("replicas")
    if replicas is None:
        raise GrammarError("scale", "scale needs --replicas=NUMBER")
    return ScaleWorkload(target=_target(given, given.operands, ScaleWorkload.kinds()), replicas=replicas)


def _restart(given: Given) -> Remediation:
    return RestartWorkload(target=_target(given, given.operands, WORKLOADS))


def _undo(given: Given) -> Remediation:
    # kubectl's --to-revision=0 means the one before the current, as if it were not given.
    return RollbackWorkload(target=_target(given, given.operands, WORKLOADS), to_revision=given.number("to-revision") or None)


def _set_image(given: Given) -> Remediation:
    object_words, settings = _object_then_settings(given)
    target = _target(given, object_words, SetImage.kinds())
    if not settings:
        raise GrammarError("set image", "set image needs CONTAINER=IMAGE")
    _no_more(given, settings)
    container, equals, image = settings[0].partition("=")
    if not equals or not _IMAGE.fullmatch(image):
        raise GrammarError(settings[0], f"{settings[0]!r} is not CONTAINER=IMAGE")
    return SetImage(target=target, container=_named_container(container), image=image)


def _set_resources(given: Given) -> Remediation:
    target = _target(given, given.operands, WORKLOADS)
    limits = _quantities("--limits", given.text("limits")) if "limits" in given.flags else {}
    requests = _quantities("--requests", given.text("requests")) if "requests" in given.flags else {}
    if not limits and not requests:
        raise GrammarError(
            "set resources", "set resources needs --limits=... or --requests=..., for example --limits=memory=512Mi"
        )
    return SetResources(target=target, container=_container_flag(given), limits=limits, requests=requests)


def _set_env(given: Given) -> Remediation:
    object_words, settings = _object_then_settings(given)
    target = _target(given, object_words, WORKLOADS)
    env: dict[str, str | None] = {}
    for word in settings:
        name, equals, value = word.partition("=")
        if not equals and word.endswith("-"):
            name, change = word[:-1], None
        elif equals:
            change = value
        else:
            raise GrammarError(word, f"{word!r} is neither NAME=value nor NAME-")
        if not _ENV_NAME.fullmatch(name):
            raise GrammarError(word, f"{name!r} is not the name of an environment variable")
        if change is not None and len(change) > MAX_ENV_VALUE:
            raise GrammarError(word, f"the value of {name} is longer than {MAX_ENV_VALUE} characters")
        if name in env:
            raise GrammarError(word, f"{name!r} is given twice")
        env[name] = change
    if not env:
        raise GrammarError("set env", "set env needs NAME=value, or NAME- to remove one")
    return SetEnv(target=target, container=_container_flag(given), env=env)


def _delete(given: Given) -> Remediation:
    if not given.operands:
        raise GrammarError("delete", "delete needs one pod: delete pod NAME")
    return DeletePod(target=_target(given, given.operands, DeletePod.kinds()))


def _node(given: Given) -> ObjectRef:
    if not given.operands:
        raise GrammarError(given.verb, f"{given.verb} needs one node")
    if len(given.operands) > 1:
        raise GrammarError(given.operands[1], f"{given.verb} takes one node at a time")
    word = given.operands[0]
    if "/" in word:
        found = operands.type_and_name(word)
        if found.type.kind != "Node":
            raise GrammarError(word, f"{given.verb} is taken for nodes, not for {found.type.plural}")
        word = found.name
    return ObjectRef(kind="Node", namespace="", name=operands.object_name(word))


def _cordon(given: Given) -> Remediation:
    return CordonNode(target=_node(given))


def _uncordon(given: Given) -> Remediation:
    return UncordonNode(target=_node(given))


def _drain(given: Given) -> Remediation:
    return DrainNode(target=_node(given), delete_emptydir_data=given.switch("delete-emptydir-data"))


def _container_flag(given: Given) -> str:
    if "container" not in given.flags:
        raise GrammarError(given.verb, f"{given.verb} needs the container: -c NAME; one container at a time")
    return _named_container(given.text("container"))


def _named_container(word: str) -> str:
    if word == "*":
        raise GrammarError(word, "'*' means every container; name one")
    return operands.container(word)


def _quantities(flag: str, text: str) -> dict[Literal["cpu", "memory"], str]:
    found: dict[Literal["cpu", "memory"], str] = {}
    for part in text.split(","):
        name, equals, quantity = part.partition("=")
        if name not in ("cpu", "memory") or not equals:
            raise GrammarError(part, f"{flag}: {part!r} is not cpu=QUANTITY or memory=QUANTITY")
        if not _QUANTITY.fullmatch(quantity):
            raise GrammarError(part, f"{flag}: {quantity!r} is not a quantity such as 500m, 1 or 512Mi")
        if name in found:
            raise GrammarError(part, f"{flag}: {name} is given twice")
        found[name] = quantity
    return found


WRITES: dict[str, Callable[[Given], Remediation]] = {
    "scale": _scale,
    "rollout restart": _restart,
    "rollout undo": _undo,
    "set image": _set_image,
    "set resources": _set_resources,
    "set env": _set_env,
    "delete": _delete,
    "cordon": _cordon,
    "uncordon": _uncordon,
    "drain": _drain,
}
