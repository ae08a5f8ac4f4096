"""Reads what the messages of a thread are made from, and makes them."""

from collections.abc import Awaitable
from contextlib import suppress

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bot.api.cards import approval_view
from bot.slack.nonces import key_of, value
from bot.slack.web_api import SlackTrouble
from bot.slack.work import contents
from bot.slack.work.contents import Keyed
from bot.slack.work.pictures import Pictures
from control_plane.approvals import Approval
from control_plane.clock import utc_now
from control_plane.errors import NotFound, ServiceError
from control_plane.principals import Principal
from control_plane.services import ControlPlane
from control_plane.slack.threads import Thread
from protocol.events import Language, LogEntry, UserMessage

log = structlog.get_logger(__name__)

_NOBODY = Principal(account="", name="")
"""Cards are for everybody in the channel, so they are drawn for nobody in particular."""


class Drawing:
    """Reads what the contents of messages are made from."""

    def __init__(self, plane: ControlPlane, url: str, pictures: Pictures | None = None) -> None:
        self._plane = plane
        self._url = url
        self._pictures = pictures
        self._key = key_of(plane.grant_key)

    def page(self, conversation: str) -> str:
        return f"{self._url}/c/{conversation}" if self._url else ""

    async def answer(self, thread: Thread, turn: str, *, ended: bool) -> list[Keyed]:
        entries = await self._plane.conversations.turn_log(turn)
        language = language_of(entries, thread)
        messages = contents.answered(entries, turn, language, url=self.page(thread.conversation))
        if not ended:
            return messages[:1]
        return [*messages, *await self._chart(thread, turn, entries, language)]

    async def _chart(self, thread: Thread, turn: str, entries: tuple[LogEntry, ...], language: Language) -> list[Keyed]:
        """Decoration: whatever is wrong with it, the answer comes."""
        command = contents.charted(entries)
        if command is None or self._pictures is None:
            return []
        try:
            seen = await self._pictures.first(turn, command, language)
        except Exception:
            log.exception("slack.no_chart", turn=turn)
            return []
        return [contents.chart(turn, thread.conversation, command, *seen)] if seen is not None else []

    async def card(self, thread: Thread, approval: Approval) -> Keyed:
        view = approval_view(approval, _NOBODY, utc_now(), language=thread.language)
        told = value(self._key, thread.team, thread.channel, approval.id, approval.plan.plan_hash)
        url = f"{self._url}/approvals/{approval.id}" if self._url else ""
        return contents.approval_card(view, thread.language, url=url, value=lambda _action: told)

    async def cards(self, thread: Thread, approvals: set[str]) -> list[Keyed]:
        drawn: list[Keyed] = []
        for approval in sorted(approvals):
            with suppress(NotFound):
                drawn += await self.safely(thread, f"approval:{approval}", self._card_of(thread, approval))
        return drawn

    async def _card_of(self, thread: Thread, approval: str) -> list[Keyed]:
        return [await self.card(thread, await self._plane.approvals.get(approval))]

    async def safely(self, thread: Thread, key: str, drawn: Awaitable[list[Keyed]]) -> list[Keyed]:
        """What can't be drawn is told of in a word, with a link: the next time it would be the same, and the thread would stop
        at it."""
        try:
            return await drawn
        except (ServiceError, SlackTrouble, SQLAlchemyError):
            raise
        except Exception:
            log.exception("slack.not_drawn", key=key)
            return [contents.on_the_web(key, thread.language, self.page(thread.conversation))]


def language_of(entries: tuple[LogEntry, ...], thread: Thread) -> Language:
    """Of the question; of the thread where there is none."""
    asked = next((entry.event for entry in entries if isinstance(entry.event, UserMessage)), None)
    return asked.language if asked is not None else thread.language
