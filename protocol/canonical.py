"""Canonical JSON: one byte string for one value, so that hashes and signatures mean something.

Keys sorted by code point, no spaces, UTF-8, integers and finite floats as orjson writes them, times in RFC 3339
with `Z`. NaN and infinities are refused (orjson would write null). The same value gives the same bytes on every replica.
"""

import hashlib
import math
from typing import Any, cast

import orjson
from pydantic import BaseModel


def canonical_json(value: BaseModel | dict[str, Any] | list[Any]) -> bytes:
    """The canonical bytes of `value`. Raises ValueError for NaN and infinities, TypeError for what is not JSON."""
    plain: Any = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    _refuse_non_finite(plain)
    return orjson.dumps(plain, option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z)


def sha256_hex(data: bytes) -> str:
    """Lower-case hexadecimal SHA-256, 64 characters."""
    return hashlib.sha256(data).hexdigest()


def digest(value: BaseModel | dict[str, Any] | list[Any]) -> str:
    """SHA-256 of the canonical JSON."""
    return sha256_hex(canonical_json(value))


def _refuse_non_finite(value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("NaN and infinities have no canonical JSON")
    if isinstance(value, dict):
        for item in cast(dict[str, Any], value).values():
            _refuse_non_finite(item)
    elif isinstance(value, list | tuple):
        for item in cast(list[Any], value):
            _refuse_non_finite(item)
