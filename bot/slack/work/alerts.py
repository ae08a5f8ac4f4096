"""Groups of alerts as messages in Slack: one a group, edited as alerts join, fire anew and resolve; a thread below it for the
conversation; a digest of what came too many. What a surface has been given is noted in the transaction that gives it."""

from contextlib import aclosing
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bot.slack.blocks.alert import AlertView, alert, digest
from bot.slack.blocks.parts import Message, section
from bot.slack.mrkdwn import line
from bot.slack.nonces import key_of, value
from bot.slack.sharing import covers
from bot.slack.words import say
from bot.slack.work.alert_views import view_of
from bot.slack.work.lead import Term
from control_plane.alerts.routes import Route
from control_plane.alerts.values import Group
from control_plane.clock import utc_now
from control_plane.database import Session
from control_plane.errors import ServiceError
from control_plane.replica import LeaseLost
from control_plane.services import ControlPlane
from control_plane.slack.lead import require_lead
from control_plane.slack.outbox import Content
from control_plane.slack.threads import Thread
from protocol.commands import ScopeLimit
from protocol.events import Language

log = structlog.get_logger(__name__)

CAUSES_OF = timedelta(minutes=30)
"""A thread that has said something so lately may have found a cause: the group's message shows it."""
FRESH = timedelta(hours=24)
"""What happened before that, while nobody worked for Slack, is no news: it stays on the web."""
AGAIN_S = 600
"""That a group fires anew is said in its thread at most so often."""
BUTTONS = "alert"
"""What the nonce of a group's buttons is about, in place of a plan's hash."""


def alert_value(key: bytes, team: str, channel: str, group: str) -> str:
    """Of every button of a group's message in this channel."""
    return value(key, team, channel, group, BUTTONS)


class AlertShow:
    """`run` in one term of the lead."""

    def __init__(self, plane: ControlPlane, term: Term, url: str) -> None:
        self._plane = plane
        self._term = term
        self._url = url.rstrip("/")
        self._key = key_of(plane.grant_key)
        self._causes: dict[str, str] = {}
        """By group: the cause that its message shows."""

    async def run(self) -> None:
        async with aclosing(self._plane.alerts.watch()) as wakes:
            async for _ in wakes:
                await self.once()

    async def once(self) -> None:
        changed = await self._plane.alerts.changed()
        for group in changed:
            await self._each(group)
        done = {group.id for group in changed}
        recent = await self._plane.alerts.with_threads(utc_now() - CAUSES_OF)
        for group in recent:
            cause = await self._plane.alerts.cause(group)
            if group.id not in done and cause != self._causes.get(group.id, "") and await self._each(group):
                self._causes[group.id] = cause
        talking = {group.id for group in recent}
        self._causes = {group: cause for group, cause in self._causes.items() if group in talking}

    async def _each(self, group: Group) -> bool:
        """One group's trouble is not the others'. False: it is looked at again."""
        try:
            await self._show(group)
        except (LeaseLost, SQLAlchemyError):
            raise
        except ServiceError as error:
            log.warning("slack.alert_not_shown", group=group.id, why=error.message)
            return False
        except Exception:  # it would be the same the next time, and those behind it would wait for it
            log.exception("slack.alert_not_drawn", group=group.id)
            await self._tell(group)
        return True

    async def _show(self, group: Group) -> None:
        thread = await self._plane.slack_threads.of_conversation(group.conversation) if group.conversation else None
        route = await self._plane.alert_routes.get(group.route) if group.route else None
        if thread is not None:
            place = (thread.team, thread.channel, thread.language)
        elif route is not None and route.channel and utc_now() - group.updated_at < FRESH:
            place = (route.team, route.channel, route.language)
        else:
            await self._tell(group)
            return
        bound = await self._plane.slack_channels.get(place[0], place[1])
        over = bound.over(group.cluster) if bound is not None else None
        if group.in_digest and route is not None and thread is None:
            await self._digest(group, route, over)
        elif group.conversation is not None and over is not None:
            await self._message(group, thread, place, over, follow=bound is not None and bound.follow)
        else:
            await self._tell(group)

    async def _message(
        self, group: Group, thread: Thread | None, place: tuple[str, str, Language], over: ScopeLimit, *, follow: bool
    ) -> None:
        """`follow`: of a new thread."""
        team, channel, language = place
        cause = await self._plane.alerts.cause(group)
        may = bool(cause) and await self._covers(over, group)
        view = view_of(group, over, cause=cause if may else "", following=thread.follow if thread is not None else follow)
        if view is None:
            await self._tell(group)
            return
        told = alert_value(self._key, team, channel, group.id)
        url = f"{self._url}/c/{group.conversation}" if self._url else ""
        shown = alert(view, language=language, url=url, value=lambda _action: told)
        async with self._plane.database.transaction() as session:
            await self._hold(session, group)
            mine = thread or await self._plane.slack_threads.start_in(
                session,
                team=team,
                channel=channel,
                conversation=group.conversation or "",
                kind="alert",
                follow=follow,
                language=language,
            )
            await self._put(session, mine, f"alert:{group.id}", shown)
            if thread is not None and not group.quiet:
                for key, said in news(group, language):
                    await self._put(session, mine, key, said)
        self._causes[group.id] = cause

    async def _digest(self, group: Group, route: Route, over: ScopeLimit | None) -> None:
        """One message an hour; the later ones of an hour edit it."""
        begins = hour_of(group.opened_at)
        found = await self._plane.alerts.in_digest(route.id, begins, begins + timedelta(hours=1))
        views = [view for one in found if over is not None and (view := view_of(one, over)) is not None]
        parts = digest(views, language=route.language, url=self._page, minutes=60) if views else ()
        async with self._plane.database.transaction() as session:
            await self._hold(session, group)
            for n, part in enumerate(parts, start=1):
                key = f"digest:{route.id}:{begins:%Y%m%d%H}" + (f":{n}" if n > 1 else "")
                content = Content(text=part.text, blocks=part.blocks)
                await self._plane.slack_outbox.put(
                    session, team=route.team, channel=route.channel, thread=None, key=key, content=content
                )

    async def _tell(self, group: Group) -> None:
        """It is on the web alone, or undecided."""
        async with self._plane.database.transaction() as session:
            await self._hold(session, group)

    async def _hold(self, session: Session, group: Group) -> None:
        await require_lead(session, self._term.lease)
        await self._plane.alerts.told(session, group.id, group.revision)

    async def _put(self, session: Session, thread: Thread, key: str, shown: Message) -> None:
        content = Content(text=shown.text, blocks=shown.blocks)
        await self._plane.slack_outbox.put(
            session, team=thread.team, channel=thread.channel, thread=thread.id, key=key, content=content
        )

    async def _covers(self, over: ScopeLimit, group: Group) -> bool:
        """Does the channel, as it is bound now, see all that a cause may be made of?"""
        return covers(over, (await self._plane.conversations.get(group.conversation or "")).scope)

    def _page(self, view: AlertView) -> str:
        return f"{self._url}/alerts/{view.id}" if self._url else ""


def news(group: Group, language: Language) -> list[tuple[str, Message]]:
    """What is said below the group's message, once each: that it is over, that it fires anew. An edit alone tells nobody.
    Pure."""
    if group.state == "resolved" and group.resolved_at is not None:
        at = f"{group.resolved_at:%Y-%m-%d %H:%M:%S} UTC"
        said = line(f"{say(language, 'alert.state.resolved')} · {at}")
        return [(f"alert:{group.id}:over:{int(group.resolved_at.timestamp())}", _said(f":large_green_circle: {said}"))]
    again = max(
        (alert.starts_at.timestamp() for alert in group.alerts if alert.state == "firing" and alert.fired > 1), default=0
    )
    if not again:
        return []
    fired = max(alert.fired for alert in group.alerts if alert.state == "firing")
    said = line(f"{say(language, 'alert.state.firing')} · {say(language, 'alert.fired', n=fired)}")
    return [(f"alert:{group.id}:again:{int(again // AGAIN_S)}", _said(f":rotating_light: {said}"))]


def hour_of(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _said(text: str) -> Message:
    return Message(text, [section(text)])
