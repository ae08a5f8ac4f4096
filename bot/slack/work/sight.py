"""May this thread still show its conversation? Asked whenever something of it is about to be shown: channels are bound anew,
roles are taken away, and a conversation of a thread can go on elsewhere."""

from datetime import timedelta
from typing import Protocol

from bot.slack.identity import Identity
from bot.slack.sharing import covers
from bot.slack.work import contents
from control_plane.clock import Clock, utc_now
from control_plane.errors import NotFound
from control_plane.services import ControlPlane
from control_plane.slack.outbox import Content, Outgoing
from control_plane.slack.threads import Thread

LATE = timedelta(seconds=10)
"""What has waited for Slack so long is looked at once more before it goes there."""


class Sight:
    def __init__(self, plane: ControlPlane, identity: Identity) -> None:
        self._plane = plane
        self._identity = identity

    async def reaches(self, thread: Thread) -> bool:
        """In a channel: the channel may see all that the conversation may. In a direct message: the person may. Raises
        SlackTrouble when Slack does not tell who that is."""
        try:
            if thread.channel.startswith("D"):
                return await self._person(thread)
            conversation = await self._plane.conversations.get(thread.conversation)
        except NotFound:
            return False
        channel = await self._plane.slack_channels.get(thread.team, thread.channel)
        over = channel.over(conversation.cluster) if channel is not None else None
        return over is not None and covers(over, conversation.scope)

    async def _person(self, thread: Thread) -> bool:
        person = await self._identity.who(thread.team, thread.started_by)
        if person.principal is None:
            return False
        await self._plane.conversations.get(thread.conversation, person.principal)
        return True


class Still(Protocol):
    """What may be shown of a message now, for it may have waited."""

    async def __call__(self, outgoing: Outgoing) -> Content | None:
        """None: nothing. Raises SlackTrouble."""
        ...


async def as_put(outgoing: Outgoing) -> Content:
    return outgoing.content


class Late:
    """Implements Still. Slack may have been away for hours, and a channel been bound anew because of what was about
    to be shown in it."""

    def __init__(self, plane: ControlPlane, sight: Sight, *, clock: Clock = utc_now) -> None:
        self._plane = plane
        self._sight = sight
        self._clock = clock

    async def __call__(self, outgoing: Outgoing) -> Content | None:
        if outgoing.thread is None or self._clock() - outgoing.created_at < LATE:
            return outgoing.content
        thread = await self._plane.slack_threads.get(outgoing.thread)
        if thread is None or await self._sight.reaches(thread):
            return outgoing.content
        kind, _, rest = outgoing.key.partition(":")
        if kind == "alert":
            await self._plane.alerts.show_again(rest)  # it is made anew, of what its channel sees
            return None
        if outgoing.content.file is not None:
            return None
        return contents.withheld(outgoing.key, thread.language)[1]
