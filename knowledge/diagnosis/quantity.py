"""Kubernetes quantities (`resource.Quantity`): reading, comparing and writing sizes."""

import re

_QUANTITY = re.compile(r"^([+-]?[0-9]+(?:\.[0-9]*)?|[+-]?\.[0-9]+)(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?[0-9]{1,3}))?$")
_SUFFIX = {
    "n": 1e-9,
    "u": 1e-6,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "P": 1e15,
    "E": 1e18,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
    "Pi": 2**50,
    "Ei": 2**60,
}


def parse(value: object) -> float | None:
    """`100Mi` → 104857600.0, `250m` → 0.25; None when it is no quantity."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        return None
    match = _QUANTITY.fullmatch(value.strip())
    if match is None:
        return None
    digits, suffix, exponent = match.groups()
    if exponent:
        return float(digits) * 10.0 ** int(exponent)
    return float(digits) * _SUFFIX.get(suffix or "", 1.0)


def mebibytes(size: float) -> str:
    """Bytes for people: `130Mi`, `1.5Gi`."""
    if size >= 2**30:
        return f"{size / 2**30:.1f}Gi".replace(".0Gi", "Gi")
    if size >= 2**20:
        return f"{size / 2**20:.0f}Mi"
    return f"{size / 2**10:.0f}Ki"


def cores(amount: float) -> str:
    """CPU for people and manifests: `250m`, `2`."""
    return f"{amount:.0f}" if amount >= 1 and amount == int(amount) else f"{amount * 1000:.0f}m"
