"""Operands of a line (types and names) into validated, typed resources."""

import re

from protocol.kubectl import resources
from protocol.kubectl.calls import MAX_RESOURCES, GrammarError, NamedResource, ResourceType
from protocol.objects import valid_name
from protocol.remediation import CONTAINER_PATTERN

_CONTAINER = re.compile(CONTAINER_PATTERN)
_GROUP = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_API_WORD = re.compile(r"[a-z]{1,32}")


def resource_type(token: str) -> ResourceType:
    """`po`, `Pod`, `deployments.apps`, `deployments.v1.apps`, `certificates.cert-manager.io`. Raises GrammarError."""
    parts = resources.spelled(token)
    if parts is None:
        raise GrammarError(token, f"{token!r} is not a resource type; write for example pods, deploy or deployments.apps")
    row = resources.by_word(parts.word, parts.group)
    if row is None:
        return ResourceType(plural=parts.word, group=parts.group or "", version=parts.version, known=False)
    if parts.version and parts.version not in row.versions:
        raise GrammarError(token, f"{row.plural} has no version {parts.version!r}; allowed: {', '.join(row.versions)}")
    return ResourceType(plural=row.plural, group=row.group, version=parts.version, kind=row.kind, namespaced=row.namespaced)


def object_name(token: str) -> str:
    if not valid_name(token):
        raise GrammarError(token, f"{token!r} is not an object name: letters, digits, '-', '.', ':' and '_', at most 253")
    return token


def type_and_name(token: str) -> NamedResource:
    """`type/name`."""
    kind, slash, name = token.partition("/")
    if not slash:
        raise GrammarError(token, f"{token!r} needs the form TYPE/NAME, for example deployment/payments")
    return NamedResource(type=resource_type(kind), name=object_name(name))


def listed(operands: list[str], verb: str) -> tuple[NamedResource, ...]:
    """`po`, `po,deploy`, `po a b`, `po/a deploy/b`, `all`. Raises GrammarError."""
    if not operands:
        raise GrammarError(verb, f"{verb} needs a resource type, for example: {verb} pods")
    slashed = ["/" in word for word in operands]
    if all(slashed):
        found = tuple(type_and_name(word) for word in operands)
    elif any(slashed):
        mixed = next(word for word in operands if "/" in word)
        raise GrammarError(mixed, f"{mixed!r}: write TYPE/NAME for every object, or TYPE NAME NAME")
    else:
        found = _types_by_names(operands[0], operands[1:])
    if len(found) > MAX_RESOURCES:
        raise GrammarError(operands[0], f"the line names {len(found)} types or objects; at most {MAX_RESOURCES} at once")
    return found


def one(operands: list[str], verb: str) -> NamedResource:
    """Exactly one object: `type/name` or `type name`."""
    if len(operands) == 1 and "/" not in operands[0]:
        raise GrammarError(operands[0], f"{verb} needs one object: TYPE/NAME, for example deployment/payments")
    found = listed(operands, verb)
    if len(found) != 1:
        raise GrammarError(operands[-1], f"{verb} takes one object at a time, not {len(found)}")
    return found[0]


def none(operands: list[str], verb: str) -> None:
    if operands:
        raise GrammarError(operands[0], f"{verb} takes no operand such as {operands[0]!r}")


def _types_by_names(types: str, names: list[str]) -> tuple[NamedResource, ...]:
    words: list[str] = []
    for word in types.split(","):
        words.extend(resources.CATEGORY_ALL if word.lower() == "all" else (word,))
    if "all" in types.lower().split(",") and names:
        raise GrammarError(names[0], "'all' takes no names; name a type")
    kinds = [resource_type(word) for word in words]
    for name in names:
        object_name(name)
    return tuple(NamedResource(type=kind, name=name) for kind in kinds for name in names or [""])


def is_type(token: str) -> bool:
    """Is the word one of the built-in types?"""
    parts = resources.spelled(token)
    return parts is not None and resources.by_word(parts.word, parts.group) is not None


def container(token: str) -> str:
    if not _CONTAINER.fullmatch(token):
        raise GrammarError(token, f"{token!r} is not a container name: lower-case letters, digits and dashes, at most 63")
    return token


def api_group(token: str) -> str:
    if not _GROUP.fullmatch(token):
        raise GrammarError(token, f"{token!r} is not an API group, such as apps or batch")
    return token


def api_word(token: str, what: str) -> str:
    if not _API_WORD.fullmatch(token):
        raise GrammarError(token, f"{token!r} is not {what}")
    return token
