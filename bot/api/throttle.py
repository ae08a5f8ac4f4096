"""A rate limit by key in memory of one process: for doors that are open to strangers."""

from collections import OrderedDict, deque
from collections.abc import Callable
from time import monotonic

from control_plane.errors import TooMany


class Throttle:
    """At most `limit` calls a key in `window_s` seconds. Remembers the most recent `keys` keys."""

    def __init__(self, limit: int, window_s: float, *, keys: int = 10_000, clock: Callable[[], float] = monotonic) -> None:
        self._limit = limit
        self._window = window_s
        self._keys = keys
        self._clock = clock
        self._seen: OrderedDict[str, deque[float]] = OrderedDict()

    def take(self, key: str) -> None:
        """Raises TooMany when the key has used its share."""
        at = self._clock()
        times = self._seen.setdefault(key, deque())
        self._seen.move_to_end(key)
        while times and times[0] <= at - self._window:
            times.popleft()
        if len(times) >= self._limit:
            wait = int(times[0] + self._window - at) + 1
            raise TooMany(f"Too many tries from here. Wait {wait} seconds and try again.")
        times.append(at)
        while len(self._seen) > self._keys:
            self._seen.popitem(last=False)
