"""Holds back whoever sends more than people do, so that the others are heard: a script with somebody's token, not somebody in a
hurry. What is held back is done with; the first of it is answered."""

import structlog

from bot.api.language import language_of
from bot.api.throttle import Throttle
from bot.slack.work.inbox import Handler
from bot.slack.work.telling import Telling, place_of
from control_plane.errors import TooMany
from control_plane.slack.inbox import Received
from knowledge.wording import translate

log = structlog.get_logger(__name__)

MOST, WINDOW_S = 120, 60.0
"""Messages, commands and the like of one person."""


class Flood:
    def __init__(self, telling: Telling, *, most: int = MOST) -> None:
        self._telling = telling
        self._all = Throttle(most, WINDOW_S)
        self._told = Throttle(1, WINDOW_S)

    def held(self, handler: Handler) -> Handler:
        """The handler, for as much as a person may ask of it."""

        async def handle(item: Received) -> str:
            who = f"{item.team}/{item.payload.get('user', '')}"
            try:
                self._all.take(who)
            except TooMany as error:
                await self._tell(item, who, error)
                return error.code
            return await handler(item)

        return handle

    async def _tell(self, item: Received, who: str, error: TooMany) -> None:
        try:
            self._told.take(who)
        except TooMany:
            return
        log.warning("slack.flood", team=item.team, user=str(item.payload.get("user", "")), kind=item.kind)
        place = place_of(item.team, item.payload)
        if place.channel:
            await self._telling.say(place, translate(error.message, language_of(str(item.payload.get("text", "")))))
