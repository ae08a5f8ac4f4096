"""Work that did not get done is tried again, less and less often, and not for ever."""

from collections.abc import Callable, Iterable

MOST_TRIES = 6
FIRST_PAUSE_S = 15.0
GROWTH = 4


class Patience:
    """Of one process: after a restart everything may be tried again. `now` counts seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._tried: dict[str, tuple[int, float]] = {}
        """How often it was tried, and when it may be again."""

    def due(self, waiting: Iterable[str]) -> tuple[str, ...]:
        """Which of these to try now; each of them counts as tried. What waits no longer is forgotten."""
        now, known = self._now(), self._tried
        self._tried = {item: known.get(item, (0, now)) for item in waiting}
        due = [item for item, (tries, at) in self._tried.items() if tries < MOST_TRIES and at <= now]
        for item in due:
            tries, _ = self._tried[item]
            self._tried[item] = tries + 1, now + FIRST_PAUSE_S * GROWTH**tries
        return tuple(due)
