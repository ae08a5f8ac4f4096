"""Windows that a click opens: answered by the process that receives it, within the three seconds that its trigger lives, from
reads alone. What is submitted comes in through the inbox."""

from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from slack_bolt.async_app import AsyncApp

from bot.api.cards import approval_view
from bot.slack.blocks import notices
from bot.slack.blocks.approval import DETAILS, REJECT
from bot.slack.blocks.limits import Block
from bot.slack.blocks.modals import details_modal, reject_modal
from bot.slack.doors.cards import Card, card_in_view, card_on, private_value
from bot.slack.doors.rim import Rim
from bot.slack.front.trim import Kept, trimmed
from bot.slack.web_api import SlackTrouble
from bot.slack.work.telling import Place, place_of
from control_plane.approvals import Approval
from control_plane.clock import utc_now
from control_plane.errors import ServiceError
from control_plane.principals import Principal
from protocol.approval import ApprovalState
from protocol.events import Language

log = structlog.get_logger(__name__)

Ack = Callable[[], Awaitable[Any]]
Make = Callable[[Card, Principal, Language], Awaitable[Block | None]]


def details_of(
    rim: Rim, place: Place, approval: Approval, principal: Principal, language: Language, *, note: str = ""
) -> Block:
    """One person's window: what they may take back has a button."""
    view = approval_view(approval, principal, utc_now(), language=language)
    withdraw = private_value(rim, place.team, place.user, approval) if view["you"]["may_withdraw"] else ""
    return details_modal(view, language=language, withdraw=withdraw, note=note)


class Windows:
    def __init__(self, rim: Rim) -> None:
        self._rim = rim

    def install(self, app: AsyncApp) -> None:
        async def details(ack: Ack, body: dict[str, Any]) -> None:
            await ack()
            await self._open(body, self._details)

        async def reject(ack: Ack, body: dict[str, Any]) -> None:
            await ack()
            await self._open(body, self._reject)

        registers: Any = app  # the listeners' types are open in Bolt
        registers.action(DETAILS)(details)
        registers.action(REJECT)(reject)

    async def _open(self, body: dict[str, Any], make: Make) -> None:
        kept = trimmed(body, "")
        if kept is None:
            return
        place = place_of(kept.team, kept.payload)
        try:
            view = await self._made(kept, place, make)
            if view is not None:
                api = await self._rim.clients.of(kept.team)
                await api.call("views.open", trigger_id=str(body.get("trigger_id", "")), view=view)
        except (SlackTrouble, ServiceError) as error:
            log.warning("slack.no_window", action=kept.payload.get("action_id"), why=str(error)[:300])
            await self._sorry(place)

    async def _made(self, kept: Kept, place: Place, make: Make) -> Block | None:
        """None: they were told why not."""
        rim, told = self._rim, str(kept.payload.get("value", ""))
        card = await (card_on if place.channel else card_in_view)(rim, place, told)
        principal, language, _ = await rim.somebody(place, fresh=False)
        if principal is None:
            return None
        if card is None:
            await rim.tell(place, notices.notice("stale_card", language))
            return None
        if not principal.sees(card.approval.cluster, card.approval.namespace or None):
            await rim.tell(place, notices.notice("no_role", language))
            return None
        return await make(card, principal, language)

    async def _details(self, card: Card, principal: Principal, language: Language) -> Block | None:
        approval, place = card.approval, card.place
        source = "/".join(part for part in (place.team, place.channel, place.ts) if part)
        await self._rim.plane.approvals.shown([approval], principal, door="slack", source=source)
        return details_of(self._rim, place, approval, principal, language)

    async def _reject(self, card: Card, principal: Principal, language: Language) -> Block | None:
        approval = card.approval
        if approval.state is not ApprovalState.PENDING:
            said = notices.already_decided(
                language, by=approval.decided_by_name, at=approval.decided_at, state=approval.state.value
            )
            await self._rim.tell(card.place, said)
            return None
        view = approval_view(approval, principal, utc_now(), language=language)
        return reject_modal(card.value, language=language, view=view)

    async def _sorry(self, place: Place) -> None:
        try:
            await self._rim.tell(place, notices.notice("try_again", await self._rim.language(place)))
        except (SlackTrouble, ServiceError) as error:
            log.warning("slack.not_told", channel=place.channel, why=str(error)[:300])
