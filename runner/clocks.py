"""How much time has passed, whatever somebody does to the wall clock."""

import time


def elapsed() -> float:
    """Seconds since the machine started, its sleep included where the system can tell. Never goes back."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)
