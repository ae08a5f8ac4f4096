"""A circuit breaker for one endpoint in one process: after some failures it is left alone, and tried again later."""

import time
from collections.abc import Callable

FAILURES = 3
"""In a row, each after its own attempts."""
FIRST_PAUSE_S = 30.0
LONGEST_PAUSE_S = 600.0


class Breaker:
    """`now` counts seconds. Closed: all may ask. Open: nobody, until its time is over; then one may, and its end decides."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._failures = 0
        self._pause_s = FIRST_PAUSE_S
        self._until: float | None = None
        self._trying = False
        self.why = ""
        """Why it opened."""

    def closed_for_s(self) -> float:
        """0 when a call may be made, which counts as the trial where one is due; else how long none may."""
        if self._until is None:
            return 0.0
        left = self._until - self._now()
        if left > 0:
            return left
        self._trying = True
        # A trial that never ends (its turn was cancelled) must not keep the way closed for ever.
        self._until = self._now() + self._pause_s
        return 0.0

    @property
    def open_for_s(self) -> float:
        """How long no call may be made; asking this is no trial."""
        return 0.0 if self._until is None else max(0.0, self._until - self._now())

    def succeeded(self) -> None:
        self._failures, self._pause_s, self._until, self._trying, self.why = 0, FIRST_PAUSE_S, None, False, ""

    def failed(self, why: str, *, for_s: float = 0) -> None:
        """`for_s` is what the endpoint itself asked for."""
        self._failures += 1
        if not self._trying and self._failures < FAILURES:
            return
        if self._trying:
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        self._trying, self.why = False, why
        self._until = self._now() + max(self._pause_s, min(for_s, LONGEST_PAUSE_S))
