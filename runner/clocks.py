"""How much time has passed, whatever somebody does to the wall clock; and what time others take it to be."""

import time
from datetime import datetime, timedelta

_WORTH_IT = timedelta(seconds=5)
"""Dates of answers are to the second, so a smaller offset is no better known than our own clock."""


def elapsed() -> float:
    """Seconds since the machine started, its sleep included where the system can tell. Never goes back."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def corrected(now: datetime, offset: timedelta | None) -> datetime:
    """`now` as others have it, for a proof that they must accept, where our own clock is off: reads go on then."""
    return now if offset is None or abs(offset) < _WORTH_IT else now + offset
