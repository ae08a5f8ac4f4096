"""From two versions of an object: the JSON patch that leads from one to the other, and the diff that a person reads. Pure."""

import difflib
from typing import Any, cast

import yaml

from knowledge.diagnosis.fields import sub
from protocol.redaction import redact
from protocol.text import clean
from runner.cache.trim import LAST_APPLIED
from runner.remediation.types import Obj

Op = dict[str, Any]

_NOISE = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")
MAX_DIFF = 16_000
CUT = "\n… [cut]\n"
"""The end of a diff that is not whole."""


def json_patch(before: Obj, after: Obj) -> list[Op]:
    """RFC 6902 operations from `before` to `after`. Lists of another length are replaced whole."""
    return _ops("", before, after)


def guarded(ops: list[Op], obj: Obj) -> list[Op]:
    """The operations, refused by the API server (409) unless the object is still this one in this version."""
    metadata = obj["metadata"]
    guards = [{"op": "replace", "path": f"/metadata/{key}", "value": metadata[key]} for key in ("uid", "resourceVersion")]
    return [*guards, *ops]


def unified(before: Obj | None, after: Obj | None, title: str) -> str:
    """A unified diff of both as YAML, without status and server-made metadata, cleaned and redacted."""
    old, new = _lines(before), _lines(after)
    body = difflib.unified_diff(old, new, fromfile=f"{title} (now)", tofile=f"{title} (planned)", n=3)
    text = redact(clean("".join(body))).text
    return text if len(text) <= MAX_DIFF else text[:MAX_DIFF] + CUT


def shown(obj: Obj) -> Obj:
    """The object without status and what the server adds by itself."""
    metadata = {key: value for key, value in sub(obj, "metadata").items() if key not in _NOISE}
    if LAST_APPLIED in sub(metadata, "annotations"):
        metadata["annotations"] = {key: value for key, value in metadata["annotations"].items() if key != LAST_APPLIED}
    kept = {key: value for key, value in obj.items() if key not in ("status", "metadata")}
    return {**kept, "metadata": metadata}


def _lines(obj: Obj | None) -> list[str]:
    if obj is None:
        return []
    return yaml.safe_dump(shown(obj), sort_keys=True, allow_unicode=True, default_flow_style=False, width=4096).splitlines(
        keepends=True
    )


def _ops(path: str, before: Any, after: Any) -> list[Op]:
    if before == after:
        return []
    if isinstance(before, dict) and isinstance(after, dict):
        old, new = cast(Obj, before), cast(Obj, after)
        found: list[Op] = []
        for key in sorted({*old, *new}):
            place = f"{path}/{_escape(key)}"
            if key not in new:
                found.append({"op": "remove", "path": place})
            elif key not in old:
                found.append({"op": "add", "path": place, "value": new[key]})
            else:
                found.extend(_ops(place, old[key], new[key]))
        return found
    if isinstance(before, list) and isinstance(after, list):
        old_rows, new_rows = cast(list[Any], before), cast(list[Any], after)
        if len(old_rows) == len(new_rows):
            pairs = enumerate(zip(old_rows, new_rows, strict=True))
            return [op for at, (old_row, new_row) in pairs for op in _ops(f"{path}/{at}", old_row, new_row)]
    return [{"op": "replace", "path": path, "value": after}]


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
