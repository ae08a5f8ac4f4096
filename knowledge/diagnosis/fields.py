"""Reading raw Kubernetes objects: JSON of any shape, since a dump may be broken. Absent or wrong-typed means empty."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias, cast

Obj: TypeAlias = Mapping[str, Any]
"""One JSON object as the API speaks it."""

NOTHING: Obj = {}


def sub(obj: Obj, *path: str) -> Obj:
    """The object at `path`, or an empty one when a step is absent or not an object."""
    here: Any = obj
    for step in path:
        if not isinstance(here, Mapping):
            return NOTHING
        here = cast(Obj, here).get(step)
    return cast(Obj, here) if isinstance(here, Mapping) else NOTHING


def rows(obj: Obj, *path: str) -> list[Obj]:
    """The objects of the list at `path`, or []."""
    return [cast(Obj, row) for row in items(obj, *path) if isinstance(row, Mapping)]


def items(obj: Obj, *path: str) -> Sequence[Any]:
    """The list at `path`, or []."""
    value = _value(obj, path)
    return cast(Sequence[Any], value) if isinstance(value, list) else []


def _value(obj: Obj, path: tuple[str, ...]) -> Any:
    """The value at `path`, or None: one look-up for one step, which is most of the calls."""
    if len(path) == 1:
        return obj.get(path[0])
    return sub(obj, *path[:-1]).get(path[-1])


def texts(obj: Obj, *path: str) -> list[str]:
    """The strings of the list at `path`."""
    return [item for item in items(obj, *path) if isinstance(item, str)]


def text(obj: Obj, *path: str) -> str:
    """The string at `path`, or ""."""
    value = _value(obj, path)
    return value if isinstance(value, str) else ""


def number(obj: Obj, *path: str, default: int = 0) -> int:
    """The integer at `path`, or `default`."""
    value = _value(obj, path)
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def strings(obj: Obj, *path: str) -> dict[str, str]:
    """The string-to-string map at `path` (labels, annotations, data), other values left out."""
    return {key: value for key, value in sub(obj, *path).items() if isinstance(value, str)}


def when(value: object) -> datetime | None:
    """An RFC 3339 time in UTC, or None when it is no time."""
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    if not isinstance(value, str) or len(value) < 10:
        return None
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        return None
    return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def time_at(obj: Obj, *path: str) -> datetime | None:
    return when(text(obj, *path))
