"""Secrets out of a parsed document: what a text shows by its notation, a tree shows by its keys."""

from collections.abc import Mapping
from typing import Any, cast

from protocol.redaction.mark import MARK
from protocol.redaction.names import Strength, is_harmless, strength
from protocol.redaction.pairs import is_user_and_password
from protocol.redaction.passes import redact

_SECRET_FIELDS = ("data", "stringData")
_NAMING = ("name", "path", "field", "key")
"""Fields that name what the fields beside them hold."""
_NAMED = ("value", "before", "after", "excerpt")
_LABELS = "metric"
"""A series' labels name objects: `secret="db"` is the name of a Secret."""


def redact_tree(value: Any) -> tuple[Any, int]:
    """A JSON value without secrets: texts as `redact` has them, whole values of keys that promise one, the data of Secrets,
    and what an entry of an environment or a change of a field holds. Also how many there were. Pure, linear."""
    return _walk(value, "")


def _walk(value: Any, key: str) -> tuple[Any, int]:
    if isinstance(value, str):
        if _is_secret(key, value):
            return MARK, 1
        safe = redact(value)
        return safe.text, safe.count
    if isinstance(value, Mapping):
        return _mapping(cast(Mapping[str, Any], value), key)
    if isinstance(value, list | tuple):
        return _sum([_walk(item, _singular(key)) for item in cast(list[Any], value)])
    if isinstance(value, int | float) and not isinstance(value, bool) and strength(key) is Strength.STRONG:
        return MARK, 1
    return value, 0


def _mapping(value: Mapping[str, Any], key: str) -> tuple[dict[str, Any], int]:
    hidden = _SECRET_FIELDS if value.get("kind") == "Secret" else ()
    named = next((_leaf(name) for field in _NAMING if isinstance(name := value.get(field), str)), "")
    found: dict[str, Any] = {}
    count = 0
    for field, item in value.items():
        if field in hidden and isinstance(item, Mapping):
            data = cast(Mapping[str, Any], item)
            found[field] = {name: MARK if held else held for name, held in data.items()}
            more = sum(1 for held in data.values() if held and held != MARK)
        else:
            about = named if field in _NAMED and strength(named) is not Strength.NONE else field
            found[field], more = _walk(item, "" if key == _LABELS and field == "secret" else about)
        count += more
    return found, count


def _is_secret(key: str, value: str) -> bool:
    strong = strength(key)
    if strong is Strength.NONE or value.startswith(MARK) or is_harmless(value, strong, quoted=True):
        return False
    return strong is not Strength.DOCKER or is_user_and_password(value)


def _leaf(path: str) -> str:
    """The last name of a field's path: `spec.containers[app].env[DB_PASSWORD].value` is about DB_PASSWORD."""
    path = path.removesuffix(".value")
    return path[path.rindex("[") + 1 : -1] if path.endswith("]") and "[" in path else path.rpartition(".")[2]


def _singular(key: str) -> str:
    """Items of `passwords` are passwords; `secrets` are most often names."""
    return key.removesuffix("s") if key.lower() not in ("secrets", "credentials") else ""


def _sum(items: list[tuple[Any, int]]) -> tuple[list[Any], int]:
    return [item for item, _ in items], sum(count for _, count in items)
