"""May this thread still show its conversation? Asked whenever something of it is about to be shown: channels are bound anew,
roles are taken away, and a conversation of a thread can go on elsewhere."""

from bot.slack.identity import Identity
from bot.slack.sharing import covers
from control_plane.errors import NotFound
from control_plane.services import ControlPlane
from control_plane.slack.threads import Thread


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
