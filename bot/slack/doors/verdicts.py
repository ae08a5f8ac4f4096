"""A person's word about a plan, from a click or a window: as they stand at this moment, about exactly the card that they saw.

Everything here may be done twice: a decision by the same person is the same decision.
"""

from typing import Literal

import structlog

from bot.api.cards import approval_view
from bot.slack.blocks import notices
from bot.slack.blocks.answer import OPEN_WEB
from bot.slack.blocks.modals import REASON
from bot.slack.blocks.parts import Message, actions, button
from bot.slack.doors.cards import Card, card_in_view, card_on, show_again
from bot.slack.doors.rim import Rim, typed_in
from bot.slack.doors.windows import details_of
from bot.slack.web_api import SlackRefused
from bot.slack.words import say
from bot.slack.work.telling import Place, place_of
from control_plane.approvals import Approval
from control_plane.clock import utc_now
from control_plane.errors import Conflict, Forbidden, NotFound
from control_plane.principals import Principal
from control_plane.slack.inbox import Received
from knowledge.wording import translate
from protocol.approval import ApprovalState, Decision
from protocol.events import Language

log = structlog.get_logger(__name__)

ON_THE_WEB = frozenset({"step_up", "owner", "frozen", "break_glass"})
"""Refusals that say what more it takes: the web has it."""


class Verdicts:
    def __init__(self, rim: Rim) -> None:
        self._rim = rim

    async def approve(self, item: Received) -> str:
        """Handles the button Approve of a card."""
        place = place_of(item.team, item.payload)
        told = str(item.payload.get("value", ""))
        note = await self._decide(place, await card_on(self._rim, place, told), "approve", again=item.attempts > 1)
        if note == "stale_card":
            await show_again(self._rim, place, told)
        return note

    async def reject(self, item: Received) -> str:
        """Handles the window that asks why not."""
        place = place_of(item.team, item.payload)
        card = await card_in_view(self._rim, place, str(item.payload.get("private_metadata", "")))
        return await self._decide(place, card, "reject", typed_in(item, REASON))

    async def withdraw(self, item: Received) -> str:
        """Handles the button of a window that shows a plan to somebody who may take it back: the window then says so."""
        rim, place = self._rim, place_of(item.team, item.payload)
        principal, language, code = await rim.somebody(place, fresh=True)
        if principal is None:
            return code
        card = await card_in_view(rim, place, str(item.payload.get("value", "")))
        if card is None or not _sees(principal, card.approval):
            await rim.tell(place, notices.notice("stale_card", language))
            return "stale_card"
        note, told = "withdrawn", ""
        try:
            await rim.plane.approvals.withdraw(card.approval.id, principal)
        except (Forbidden, Conflict) as error:
            note, told = error.code, translate(error.message, language)
        now = await rim.plane.approvals.get(card.approval.id)
        api = await rim.clients.of(place.team)
        try:
            window = details_of(rim, place, now, principal, language, note=told)
            await api.call("views.update", view_id=str(item.payload.get("view", "")), view=window)
        except SlackRefused as error:  # it was closed meanwhile: the card tells
            log.info("slack.window_gone", why=error.code)
        return note

    async def _decide(
        self, place: Place, card: Card | None, verdict: Literal["approve", "reject"], reason: str = "", *, again: bool = False
    ) -> str:
        rim = self._rim
        place = card.place if card is not None else place
        principal, language, code = await rim.somebody(place, fresh=True)
        if principal is None:
            return code
        if card is None or not _sees(principal, card.approval):
            await rim.tell(place, notices.notice("stale_card" if card is None else "no_role", language))
            return "stale_card" if card is None else "no_role"
        approval = card.approval
        source = "/".join(part for part in (place.team, place.channel, place.ts or place.thread_ts) if part)
        await rim.plane.approvals.shown([approval], principal, door="slack", source=source)
        word = Decision(
            by=principal.account,
            by_name=principal.name,
            verdict=verdict,
            plan_hash=approval.plan.plan_hash,
            at=utc_now(),
            door="slack",
            reason=reason,
            source=source,
        )
        try:
            decided = await rim.plane.approvals.decide(approval.id, word, principal)
        except (Forbidden, Conflict, NotFound) as error:
            if again and error.code == "twice":
                return "pending"  # the attempt before was killed after it had counted
            await rim.tell(place, await self._refusal(approval, error, verdict, language))
            return error.code
        if decided.state is ApprovalState.PENDING:
            await rim.tell(place, self._one_of(decided, language))
        return decided.state.value

    async def _refusal(
        self, approval: Approval, error: Forbidden | Conflict | NotFound, verdict: str, language: Language
    ) -> Message:
        page = self._rim.approval_page(approval.id)
        match error:
            case Forbidden(code="expired"):
                return notices.notice("expired", language)
            case Forbidden(code="step_up"):
                return notices.step_up(language, page)
            case Forbidden() if verdict == "reject":
                return notices.told(translate(error.message, language))
            case Forbidden(code=code):
                said = notices.refused(translate(error.message, language), language)
                return _with_page(said, page, language) if code in ON_THE_WEB else said
            case NotFound():
                return notices.notice("no_role", language)
            case _:
                now = await self._rim.plane.approvals.get(approval.id)
                return notices.already_decided(language, by=now.decided_by_name, at=now.decided_at, state=now.state.value)

    def _one_of(self, approval: Approval, language: Language) -> Message:
        """It counts, and more is needed."""
        said = notices.notice("done_approved", language)
        view = approval_view(approval, Principal(account="", name=""), utc_now(), language=language)
        if not view["quorum"]["fresh_sign_in_for_last"]:
            return said
        return _with_page(said, self._rim.approval_page(approval.id), language)


def _with_page(said: Message, page: str, language: Language) -> Message:
    if not page:
        return said
    return said._replace(blocks=[*said.blocks, actions(button(say(language, "approval.on_web"), OPEN_WEB, url=page))])


def _sees(principal: Principal, approval: Approval) -> bool:
    return principal.sees(approval.cluster, approval.namespace or None)
