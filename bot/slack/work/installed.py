"""The app comes and goes: invited to a channel, removed from a workspace."""

import structlog

from bot.slack.clients import Clients
from bot.slack.mrkdwn import escape
from bot.slack.web_api import SlackRefused
from bot.slack.work.words import tell
from control_plane.services import ControlPlane
from control_plane.slack.inbox import Received
from control_plane.slack.outbox import Content

log = structlog.get_logger(__name__)


class Installed:
    def __init__(self, plane: ControlPlane, clients: Clients) -> None:
        self._plane = plane
        self._clients = clients

    async def joined(self, item: Received) -> str:
        """Handles kind `joined`: says once what the channel may see, or that it is bound to nothing."""
        where = str(item.payload.get("channel", ""))
        channel = await self._plane.slack_channels.get(item.team, where)
        language = channel.language if channel is not None else "en"
        if channel is not None and channel.reach:
            clusters = ", ".join(reach.cluster_name for reach in channel.reach)
            text = f"{tell(language, 'hello')} {tell(language, 'bound', clusters=clusters)}"
        else:
            text = tell(language, "unbound")
        await self._plane.slack_outbox.put_now(
            team=item.team, channel=where, thread=None, key=f"joined:{where}", content=Content(text=escape(text))
        )
        return "told"

    async def gone(self, item: Received) -> str:
        """Handles kind `gone`: the app was removed, or its token was revoked; unless it has been installed once more since.
        Raises SlackTrouble when Slack does not tell."""
        self._clients.forget(item.team)
        if await self._still_there(item.team):
            return "it is installed again"
        revoked = await self._plane.slack_workspaces.revoke(item.team)
        log.warning("slack.gone", team=item.team)
        return "revoked" if revoked else "it was gone already"

    async def _still_there(self, team: str) -> bool:
        """Has the token that we have now come after what the event tells of?"""
        try:
            await (await self._clients.of(team)).call("auth.test")
        except SlackRefused as error:
            if not error.dead:
                raise
            return False
        return True
