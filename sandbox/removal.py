"""Taking fields out of an object by their managedFields paths, as server-side apply does with what an applier drops."""

from collections.abc import Iterable
from typing import Any, cast

from sandbox.fields import Path, row_key
from sandbox.objects import Obj

_ROW = "."
"""The last step of a path that stands for a whole row of a keyed list."""


def without(obj: Obj, paths: Iterable[Path]) -> None:
    """Remove the fields at `paths` from `obj`, in place; rows before their fields, and what is left empty goes too."""
    for path in sorted(paths, key=lambda path: (path[-1] != _ROW, path)):
        _remove(obj, path[:-1] if path[-1] == _ROW else path)


def _remove(here: Any, path: Path) -> bool:
    """Remove one path below `here`; True if `here` is empty afterwards. A path that is not there is as good as removed."""
    step, rest = path[0], path[1:]
    if isinstance(here, dict) and step.startswith("f:"):
        fields, name = cast(Obj, here), step[2:]
        if name in fields and (not rest or _remove(fields[name], rest)):
            del fields[name]
        return not fields
    if isinstance(here, list) and step.startswith("k:"):
        items = cast(list[Any], here)
        at = next((n for n, item in enumerate(items) if row_key(item) == step), None)
        if at is not None and (not rest or _remove(items[at], rest)):
            del items[at]
        return not items
    return False
