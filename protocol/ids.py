"""Opaque ids: lower-case base32, safe in URLs, subjects and file names."""

import base64
import os
import re
from collections.abc import Callable

ID_PATTERN = re.compile(r"^[a-z2-7]{16,32}$")


def new_id(random_bytes: Callable[[int], bytes] = os.urandom) -> str:
    """80 random bits as 16 characters of [a-z2-7]. Names are attributes, never ids."""
    return base64.b32encode(random_bytes(10)).decode().lower()


def is_id(text: str) -> bool:
    return ID_PATTERN.fullmatch(text) is not None
