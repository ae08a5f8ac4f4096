"""Kubernetes quantities ("250m", "512Mi") as numbers and back."""

import re
from decimal import Decimal, InvalidOperation

_PATTERN = re.compile(r"([+-]?[0-9.]+)([eE][+-]?[0-9]+|m|u|n|[kMGTPE]i?|Ki)?")
_SCALE = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{unit: Decimal(1000) ** (power + 1) for power, unit in enumerate("kMGTPE")},
    **{f"{unit}i": Decimal(1024) ** (power + 1) for power, unit in enumerate("KMGTPE")},
}


def parse(text: object) -> float:
    """The value in base units (cores, bytes). Raises ValueError with Kubernetes' own words."""
    match = _PATTERN.fullmatch(str(text))
    if match is None:
        raise ValueError("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
    number, unit = match[1], match[2] or ""
    try:
        if unit[:1] in ("e", "E") and len(unit) > 1:
            return float(Decimal(number + unit))
        return float(Decimal(number) * _SCALE[unit])
    except (InvalidOperation, KeyError) as error:
        raise ValueError(f"unable to parse quantity's suffix of {text!r}") from error


def value(text: object, default: float = 0.0) -> float:
    """Like `parse`, but absent is `default`."""
    return default if text in (None, "") else parse(text)


def millicores(cores: float) -> str:
    return f"{round(cores * 1000)}m"


def mebibytes(size: float) -> str:
    return f"{round(size / 2**20)}Mi"
