"""The buttons of a group's message: acknowledge, silence, wrong, follow. Whoever presses is resolved at the click; the message
is ours, for its buttons carry a sign that only we can make, and it is the one that shows the group in this channel."""

from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from slack_bolt.async_app import AsyncApp

from bot.slack.blocks import notices
from bot.slack.blocks.alert import ACKNOWLEDGE, FOLLOW, SILENCE, UNACKNOWLEDGE, UNFOLLOW, WRONG, read_silence
from bot.slack.blocks.modals import REASON, wrong_modal
from bot.slack.doors.registry import Doors
from bot.slack.doors.rim import Rim
from bot.slack.doors.verdicts import typed_in
from bot.slack.front.trim import trimmed
from bot.slack.nonces import current
from bot.slack.web_api import SlackTrouble
from bot.slack.work.alerts import BUTTONS
from bot.slack.work.telling import Place, place_of
from control_plane.alerts.values import Group
from control_plane.errors import Conflict, Forbidden, Invalid, NotFound, ServiceError
from control_plane.principals import Principal
from control_plane.slack.inbox import Received
from knowledge.wording import translate

log = structlog.get_logger(__name__)

WRONG_ALERT = "wrong_alert_modal"
"""callback_id of the window that asks what is wrong."""

Ack = Callable[[], Awaitable[Any]]
Change = Callable[[Group, Principal, str], Awaitable[object]]
"""The last is where it was said, for the audit."""


def alert_doors(rim: Rim) -> Doors:
    clicks = AlertClicks(rim)
    return Doors(
        install=clicks.install,
        actions={
            ACKNOWLEDGE: clicks.acknowledge,
            UNACKNOWLEDGE: clicks.hand_back,
            SILENCE: clicks.silence,
            FOLLOW: clicks.follow,
            UNFOLLOW: clicks.unfollow,
        },
        views={WRONG_ALERT: clicks.wrong},
    )


class AlertClicks:
    def __init__(self, rim: Rim) -> None:
        self._rim = rim

    def install(self, app: AsyncApp) -> None:
        async def wrong(ack: Ack, body: dict[str, Any]) -> None:
            await ack()
            await self._ask_what(body)

        registers: Any = app  # the listeners' types are open in Bolt
        registers.action(WRONG)(wrong)

    async def acknowledge(self, item: Received) -> str:
        alerts = self._rim.plane.alerts
        return await self._on_message(item, lambda group, who, at: alerts.acknowledge(group.id, who, door="slack", source=at))

    async def hand_back(self, item: Received) -> str:
        alerts = self._rim.plane.alerts
        return await self._on_message(
            item, lambda group, who, at: alerts.acknowledge(group.id, who, on=False, door="slack", source=at)
        )

    async def silence(self, item: Received) -> str:
        chosen = read_silence(str(item.payload.get("value", "")))
        if chosen is None:
            return "nothing is done with these"
        until, told = chosen
        alerts = self._rim.plane.alerts
        return await self._on_message(
            item, lambda group, who, at: alerts.silence(group.id, who, until, door="slack", source=at), told
        )

    async def follow(self, item: Received) -> str:
        return await self._on_message(item, lambda group, who, _: self._follow(group, who, True))

    async def unfollow(self, item: Received) -> str:
        return await self._on_message(item, lambda group, who, _: self._follow(group, who, False))

    async def wrong(self, item: Received) -> str:
        """Handles the window that asks what is wrong; it remembers the channel that it was opened in."""
        place = place_of(item.team, item.payload)
        channel, _, told = str(item.payload.get("private_metadata", "")).partition(" ")
        at = Place(place.team, channel, place.user)
        reason, alerts = typed_in(item, REASON), self._rim.plane.alerts
        return await self._change(at, told, lambda group, who, at: alerts.wrong(group.id, who, reason, door="slack", source=at))

    async def _on_message(self, item: Received, change: Change, told: str | None = None) -> str:
        place = place_of(item.team, item.payload)
        return await self._change(place, str(item.payload.get("value", "")) if told is None else told, change)

    async def _change(self, place: Place, told: str, change: Change) -> str:
        rim = self._rim
        principal, language, code = await rim.somebody(place, fresh=True)
        if principal is None:
            return code
        group = await self._group(place, told)
        if group is None or not principal.sees(group.cluster, group.namespace or None):
            which = "stale_card" if group is None else "no_role"
            await rim.tell(place, notices.notice(which, language))
            return which
        try:
            await change(group, principal, "/".join(part for part in (place.team, place.channel, place.ts) if part))
        except (Forbidden, Conflict, NotFound, Invalid) as error:
            await rim.tell(place, notices.refused(translate(error.message, language), language))
            return error.code
        return "done"

    async def _group(self, place: Place, told: str) -> Group | None:
        """None for a button that is forged, or of another channel or message."""
        group = told.partition(".")[0]
        if not current(self._rim.key, place.team, place.channel, told, BUTTONS):
            return None
        post = await self._rim.plane.slack_posts.get(place.team, f"alert:{group}")
        if post is None or post.channel != place.channel or (post.ts and place.ts and post.ts != place.ts):
            return None
        try:
            return await self._rim.plane.alerts.get(group)
        except NotFound:
            return None

    async def _follow(self, group: Group, who: Principal, on: bool) -> None:
        """For who holds all that the thread may show, as when it is said in words. Raises NotFound."""
        plane = self._rim.plane
        thread = await plane.slack_threads.of_conversation(group.conversation) if group.conversation else None
        if thread is not None:
            await plane.conversations.get(thread.conversation, who)
            await plane.slack_threads.follow(thread.id, on)
            await plane.alerts.show_again(group.id)

    async def _ask_what(self, body: dict[str, Any]) -> None:
        """Within Slack's three seconds, from reads alone."""
        kept = trimmed(body, "")
        if kept is None:
            return
        rim, place = self._rim, place_of(kept.team, kept.payload)
        told = str(kept.payload.get("value", ""))
        try:
            principal, language, _ = await rim.somebody(place, fresh=False)
            group = await self._group(place, told)
            if principal is None:
                return
            if group is None or not principal.sees(group.cluster, group.namespace or None):
                await rim.tell(place, notices.notice("stale_card" if group is None else "no_role", language))
                return
            window = wrong_modal(f"{place.channel} {told}", language=language, title=group.title)
            api = await rim.clients.of(kept.team)
            asked = [{**block, "optional": False} if block["type"] == "input" else block for block in window["blocks"]]
            view = {**window, "blocks": asked, "callback_id": WRONG_ALERT}
            await api.call("views.open", trigger_id=str(body.get("trigger_id", "")), view=view)
        except (SlackTrouble, ServiceError) as error:
            log.warning("slack.no_window", action=WRONG, why=str(error)[:300])
