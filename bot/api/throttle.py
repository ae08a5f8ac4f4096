"""A rate limit by key, for doors that are open to strangers: counted by all replicas together, and cheap under attack."""

from collections import OrderedDict, deque
from collections.abc import Callable
from time import monotonic

from control_plane.errors import TooMany
from control_plane.limits import Limits


class Door:
    """At most `limit` calls a key in `window_s` seconds, on all replicas. Who has used up their share at this one is refused
    from memory, without a look at the database."""

    def __init__(self, name: str, limits: Limits, limit: int, window_s: float) -> None:
        self._name = name
        self._limits = limits
        self._limit = limit
        self._window = window_s
        self._here = Throttle(limit, window_s)

    async def take(self, key: str) -> None:
        """Raises TooMany."""
        self._here.take(key)
        await self._limits.take(f"{self._name}:{key}", limit=self._limit, window_s=self._window)


class Throttle:
    """In memory of one process: at most `limit` calls a key in `window_s` seconds. Remembers the most recent `keys` keys."""

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
