"""Windows that a click opens: answered by the process that receives it, within the three seconds that its trigger lives, from
reads alone. What is submitted comes in through the inbox."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from slack_bolt.async_app import AsyncApp

from bot.api.cards import approval_view
from bot.slack.blocks import notices
from bot.slack.blocks.answer import FEEDBACK_DOWN
from bot.slack.blocks.approval import DETAILS, REJECT
from bot.slack.blocks.limits import Block
from bot.slack.blocks.modals import details_modal, feedback_modal, reject_modal
from bot.slack.doors.cards import Card, card_in_view, card_on, private_value
from bot.slack.doors.feedback import causes_in
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
Draw = Callable[[Kept, Place], Awaitable[Block | None]]
"""None: they were told why not."""
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
        self._draws: dict[str, Draw] = {
            DETAILS: lambda kept, place: self._of_card(kept, place, self._details),
            REJECT: lambda kept, place: self._of_card(kept, place, self._reject),
            FEEDBACK_DOWN: self._feedback,
        }

    def install(self, app: AsyncApp) -> None:
        registers: Any = app  # the listeners' types are open in Bolt
        for action, draw in self._draws.items():
            registers.action(re.compile(rf"{action}(:\d+)?"))(self._listener(draw))

    def _listener(self, draw: Draw) -> Callable[[Ack, dict[str, Any]], Awaitable[None]]:
        async def listen(ack: Ack, body: dict[str, Any]) -> None:
            await ack()
            await self._open(body, draw)

        return listen

    async def _open(self, body: dict[str, Any], draw: Draw) -> None:
        kept = trimmed(body, "")
        if kept is None:
            return
        place = place_of(kept.team, kept.payload)
        try:
            view = await draw(kept, place)
            if view is not None:
                api = await self._rim.clients.of(kept.team)
                await api.call("views.open", trigger_id=str(body.get("trigger_id", "")), view=view)
        except (SlackTrouble, ServiceError) as error:
            log.warning("slack.no_window", action=kept.payload.get("action_id"), why=str(error)[:300])
            await self._sorry(place)

    async def _of_card(self, kept: Kept, place: Place, make: Make) -> Block | None:
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

    async def _feedback(self, kept: Kept, place: Place) -> Block | None:
        """The press itself is a word already; whoever may not give one is told so when it is handled."""
        person = await self._rim.identity.who(place.team, place.user)
        if person.principal is None:
            return None
        language = await self._rim.language(place, person)
        return feedback_modal(str(kept.payload["value"]), language=language, causes=causes_in(language))

    async def _sorry(self, place: Place) -> None:
        try:
            await self._rim.tell(place, notices.notice("try_again", await self._rim.language(place)))
        except (SlackTrouble, ServiceError) as error:
            log.warning("slack.not_told", channel=place.channel, why=str(error)[:300])
