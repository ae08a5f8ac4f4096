"""What Slack sends to the app, and how each try went."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from tests.fake_slack.records import Json

ACK_WITHIN_S = 3.0
RETRY_AFTER_S = (0.0, 60.0, 300.0)
"""Events that nobody acknowledged come again: about at once, after a minute, after five."""


class Kind(StrEnum):
    """The type of an envelope."""

    EVENT = "events_api"
    INTERACTIVE = "interactive"
    COMMAND = "slash_commands"


@dataclass
class Try:
    """One sending: over which connection or to which URL, and what came back."""

    envelope_id: str
    at: float
    retry: int
    to: str
    """The connection's id or the URL; empty when there was nobody to send to."""
    acked: bool = False
    status: int = 0
    trouble: str = ""


@dataclass
class Delivery:
    id: str
    kind: Kind
    payload: Json
    team_id: str
    then: "Callable[[Delivery], None] | None" = None
    """What Slack does with the acknowledgement."""
    tries: list[Try] = field(default_factory=list[Try])
    answer: Json = field(default_factory=dict[str, object])
    """What came with the acknowledgement: a command's reply, a view's response_action."""
    given_up: bool = False
    no_retry: bool = False
    """The app asked by `x-slack-no-retry` not to hear it again."""

    @property
    def acked(self) -> bool:
        return any(one.acked for one in self.tries)

    @property
    def over(self) -> bool:
        """Acknowledged, or given up."""
        return self.acked or self.given_up
