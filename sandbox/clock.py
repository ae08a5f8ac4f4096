"""Time for the practice cluster: one queue of timers, driven by hand or by the wall clock.

History is made by running the same controllers over past time: `run_until` jumps from timer to
timer, so that 25 minutes of a crash loop cost milliseconds. Afterwards the cluster lives on wall
time, and `speed` shortens every wait.
"""

import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime


class Clock:
    """Seconds since the epoch, and what is due when. Deterministic: equal times keep their order."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.speed = 1.0
        self._order = itertools.count()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Run `action` once, `seconds` (divided by the speed) from now."""
        due = self.now + seconds / self.speed
        heapq.heappush(self._timers, (due, next(self._order), action))

    def next_due(self) -> float | None:
        return self._timers[0][0] if self._timers else None

    def pop_due(self, until: float) -> Callable[[], None] | None:
        """The next action that is due by `until`, with `now` moved to its time; None if there is none."""
        if not self._timers or self._timers[0][0] > until:
            return None
        due, _, action = heapq.heappop(self._timers)
        self.now = max(self.now, due)
        return action


def rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rfc3339_nano(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"


def rfc3339_micro(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def epoch(stamp: str) -> float:
    """Seconds of an RFC 3339 time; 0 for ''."""
    return datetime.fromisoformat(stamp).timestamp() if stamp else 0.0


def duration(text: str) -> float:
    """Seconds of "90s", "25m", "6d2h"; the notation of kubectl and of the scenarios."""
    unit = {"d": 86400, "h": 3600, "m": 60, "s": 1}
    total, digits = 0.0, ""
    for char in text:
        if char in unit:
            total += float(digits) * unit[char]
            digits = ""
        else:
            digits += char
    return total + (float(digits) if digits else 0.0)


def human(seconds: float) -> str:
    """An age as kubectl prints it: 45s, 3m20s, 25m, 5h10m, 6d23h, 41d."""
    total = int(max(seconds, 0))
    if total < 120:
        return f"{total}s"
    minutes, rest = divmod(total, 60)
    if minutes < 10:
        return f"{minutes}m{rest}s" if rest else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    hours, rest = divmod(minutes, 60)
    if hours < 8:
        return f"{hours}h{rest}m" if rest else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    days, rest = divmod(hours, 24)
    if days < 8:
        return f"{days}d{rest}h" if rest else f"{days}d"
    if days < 730:
        return f"{days}d"
    return f"{days // 365}y{days % 365}d"
