"""Slack's rate limits on the fake's clock: a method a minute and workspace, a post a second and channel."""

import math
from collections import deque

from tests.fake_slack.calls import Call
from tests.fake_slack.errors import SlackError
from tests.fake_slack.methods import Method
from tests.fake_slack.world import World

A_SECOND_AND_CHANNEL = {"chat.postMessage", "chat.postEphemeral"}
BURST = 4
"""Posts that a channel takes at once before one a second is all."""


class Rates:
    """Refuses with 429 and Retry-After. Off until `on` is set, for a test whose clock stands still has no minutes."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.on = False
        self.a_minute: dict[str, int] = {}
        """Overrides of the table, such as one history call a minute for apps that are sold outside the Marketplace."""
        self._taken: dict[tuple[str, ...], deque[float]] = {}

    def check(self, call: Call, row: Method) -> None:
        """Count the call, or raise `ratelimited`."""
        if not self.on:
            return
        most = self.a_minute.get(call.method, row.a_minute)
        limits: list[tuple[tuple[str, ...], int, float]] = [((call.method, call.token.team_id), most, 60.0)]
        if call.method in A_SECOND_AND_CHANNEL:
            limits.append((("post", call.token.team_id, call.text("channel")), BURST, float(BURST)))
        now = self._world.clock.now()
        for key, most, within in limits:
            taken = self._taken.setdefault(key, deque())
            while taken and taken[0] <= now - within:
                taken.popleft()
            if len(taken) >= most:
                wait = max(1, math.ceil(taken[0] + within - now))
                raise SlackError("ratelimited", status=429, headers={"Retry-After": str(wait)})
        for key, _, _ in limits:
            self._taken[key].append(now)
