"""Was an answer right? One word a person and answer: the same again is no other word, and the last one stands."""

from functools import cache

from bot.api.feedback import group_of
from bot.slack.blocks import notices
from bot.slack.blocks.modals import ACTUAL, REASON
from bot.slack.doors.rim import Rim, typed_in
from bot.slack.words import say
from bot.slack.work.telling import Place, place_of
from control_plane.errors import Conflict, Forbidden, Invalid, NotFound, TooMany
from control_plane.feedback import Verdict
from control_plane.principals import Principal
from control_plane.slack.inbox import Received
from knowledge.diagnosis.catalogue import CATALOGUE, Tier
from knowledge.wording import title, translate
from protocol.events import Language


@cache
def causes_in(language: Language) -> dict[str, list[tuple[str, str]]]:
    """What an actual cause is picked from: (code, title) by heading."""
    found: dict[str, list[tuple[str, str]]] = {}
    for code, row in CATALOGUE.items():
        if row.tier is not Tier.SYMPTOM:
            found.setdefault(say(language, f"feedback.group.{group_of(code)}"), []).append((code, title(code, language)))
    return found


class FeedbackDoor:
    def __init__(self, rim: Rim) -> None:
        self._rim = rim

    async def right(self, item: Received) -> str:
        return await self._give(item, str(item.payload.get("value", "")), "right")

    async def wrong(self, item: Received) -> str:
        """The press alone; the window that it opens may say more."""
        return await self._give(item, str(item.payload.get("value", "")), "wrong")

    async def told(self, item: Received) -> str:
        """Handles the window that asks what it was instead."""
        turn = str(item.payload.get("private_metadata", ""))
        return await self._give(item, turn, "wrong", actual=typed_in(item, ACTUAL), note=typed_in(item, REASON))

    async def _give(self, item: Received, turn: str, verdict: Verdict, *, actual: str = "", note: str = "") -> str:
        rim, place = self._rim, place_of(item.team, item.payload)
        principal, language, code = await rim.somebody(place, fresh=False)
        if principal is None:
            return code
        try:
            return await self._kept(place, principal, language, turn, verdict, actual, note)
        except (NotFound, Forbidden, Invalid, Conflict, TooMany) as error:
            await rim.tell(place, notices.told(translate(error.message, language)))
            return error.code

    async def _kept(
        self, place: Place, principal: Principal, language: Language, turn: str, verdict: Verdict, actual: str, note: str
    ) -> str:
        rim = self._rim
        conversation = (await rim.plane.conversations.turn(turn)).conversation
        before = next((one for one in await rim.plane.feedback.mine(conversation, principal) if one.turn == turn), None)
        if before is not None and before.verdict == verdict and not (actual or note):
            return "said already"
        given = await rim.plane.feedback.give(conversation, turn, principal, verdict, actual=actual, note=note, door="slack")
        if place.channel:
            await rim.tell(place, notices.told(say(language, "feedback.counted" if given.counted else "feedback.kept")))
        return verdict
