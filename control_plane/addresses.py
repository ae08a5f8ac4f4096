"""E-mail addresses by which people are recognised: one spelling each, and none that only looks like another. Pure."""

import re

MOST = 320
_ADDRESS = re.compile(
    r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
)


def normal_address(text: str) -> str | None:
    """The address in lower case, or None for what is none. Only ASCII: letters that look alike, are folded into each other, or
    are written in two ways would make two addresses one. Domains with other letters are written as xn--…"""
    plain = text.strip()
    # Before lower(): it makes an ASCII k of the sign for kelvin.
    if not plain.isascii() or len(plain) > MOST:
        return None
    lower = plain.lower()
    return lower if _ADDRESS.fullmatch(lower) is not None else None
