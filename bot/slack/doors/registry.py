"""What a part adds to Slack's rim: listeners that answer at once, and handlers of what is kept."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from slack_bolt.async_app import AsyncApp

from bot.slack.work.inbox import Handler


def _nothing(_app: AsyncApp) -> None:
    return


@dataclass(frozen=True)
class Doors:
    install: Callable[[AsyncApp], None] = _nothing
    """Listeners that answer within Slack's three seconds. They change nothing."""
    actions: dict[str, Handler] = field(default_factory=dict[str, Handler])
    """By action_id, without what follows a colon."""
    views: dict[str, Handler] = field(default_factory=dict[str, Handler])
    """By callback_id of the window that was submitted."""
    kinds: dict[str, Handler] = field(default_factory=dict[str, Handler])
    """By kind of the inbox: command, home, joined, gone."""

    parts: tuple[tuple[str, Callable[[], Awaitable[None]]], ...] = ()
    """What runs, by name, while this replica works for Slack."""

    def __or__(self, other: "Doors") -> "Doors":
        """Both; where both have one, the other's."""

        def install(app: AsyncApp) -> None:
            self.install(app)
            other.install(app)

        return Doors(
            install,
            self.actions | other.actions,
            self.views | other.views,
            self.kinds | other.kinds,
            (*self.parts, *other.parts),
        )
