"""How often Slack may be called: so many times a minute a method and workspace, one post a second a channel. Only the lead
sends, so that what is counted here is all there is; what Slack says by 429 holds besides."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

MINUTE_S = 60.0
UPDATE = "chat.update"

A_MINUTE: Mapping[str, int] = {
    "chat.startStream": 18,
    "chat.stopStream": 18,
    "chat.appendStream": 95,
    UPDATE: 46,
    "conversations.replies": 45,
    "conversations.history": 45,
}
"""A little below Slack's tiers (20, 20, 100, 50 a minute), because its minute is not ours. Others are not counted."""
_LEFT_FOR_CARDS = 6
POST_EVERY_S = 1.0
"""A channel's posts."""


@dataclass
class _Window:
    at: deque[float] = field(default_factory=deque[float])
    closed_until: float = 0.0


class Pace:
    """Times are of `clock`, in seconds."""

    def __init__(
        self,
        clock: Callable[[], float] | None = None,
        *,
        a_minute: Mapping[str, int] = A_MINUTE,
        post_every_s: float = POST_EVERY_S,
    ) -> None:
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._a_minute = a_minute
        self._post_every_s = post_every_s
        self._windows: dict[tuple[str, str], _Window] = {}
        self._posted: dict[tuple[str, str], float] = {}
        self._promised: dict[str, int] = {}
        """By workspace: messages that are shown before they are whole, each of which will need an update."""

    def wait_s(self, team: str, method: str) -> float:
        """Until the method may be called; 0: now."""
        window, now = self._window(team, method), self._clock()
        wait = max(0.0, window.closed_until - now)
        most = self._a_minute.get(method)
        if most is not None and len(window.at) >= most:
            wait = max(wait, window.at[-most] + MINUTE_S - now)
        return wait

    def promise(self, team: str) -> bool:
        """May a message be shown before it is whole? Only when the update that makes it whole can be had within the minute:
        what is shown whole from the start is a post, and waits for nobody. Each True is given back by `kept`."""
        open_now, most = self._promised.get(team, 0), self._a_minute.get(UPDATE)
        if most is not None and open_now + len(self._window(team, UPDATE).at) >= most - _LEFT_FOR_CARDS:
            return False
        self._promised[team] = open_now + 1
        return True

    def kept(self, team: str) -> None:
        self._promised[team] = max(0, self._promised.get(team, 0) - 1)

    def spare(self, team: str, method: str) -> float:
        """The part of this minute's calls that is left, from 0 to 1."""
        most = self._a_minute.get(method)
        if self.wait_s(team, method) > 0:
            return 0.0
        return 1.0 - len(self._window(team, method).at) / most if most else 1.0

    def take(self, team: str, method: str) -> float:
        """0: it is called now, and counted. Else how long to wait."""
        wait = self.wait_s(team, method)
        if wait == 0 and method in self._a_minute:
            self._window(team, method).at.append(self._clock())
        return wait

    def refused(self, team: str, method: str, after_s: float) -> None:
        """Slack said 429."""
        window = self._window(team, method)
        window.closed_until = max(window.closed_until, self._clock() + after_s)

    def post_wait_s(self, team: str, channel: str) -> float:
        return max(0.0, self._posted.get((team, channel), float("-inf")) + self._post_every_s - self._clock())

    def posted(self, team: str, channel: str) -> None:
        self._posted[team, channel] = self._clock()

    def _window(self, team: str, method: str) -> _Window:
        window = self._windows.setdefault((team, method), _Window())
        past = self._clock() - MINUTE_S
        while window.at and window.at[0] <= past:
            window.at.popleft()
        return window
