"""The Bolt app that socket mode and HTTP both hand over to. What is to be done is kept in the inbox before Slack is told that
it was taken: a failure to keep it is an answer that makes Slack send it again."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.response import BoltResponse

from bot.api.throttle import Throttle
from bot.slack.clients import Clients
from bot.slack.front.trim import Kept, bot_of, team_of, trimmed
from control_plane.errors import TooMany
from control_plane.services import ControlPlane
from control_plane.slack.inbox import Incoming
from protocol.text import one_line

log = structlog.get_logger(__name__)

Install = Callable[[AsyncApp], None]
"""Adds listeners for what must be answered within three seconds with Slack's trigger: modals and menus. They change nothing."""
_ANY = re.compile(".*", re.DOTALL)


MOST_AN_HOUR = 1_200
"""Things of one person that are kept. A script that writes by somebody's token would else fill the disk."""


def build(
    plane: ControlPlane,
    clients: Clients,
    *,
    secret: str = "",
    doors: Install = lambda _: None,
    most_an_hour: int = MOST_AN_HOUR,
) -> AsyncApp:
    """`secret` is the signing secret; requests over a socket need none. Stored first, then `doors`, then acknowledged."""
    people = Throttle(most_an_hour, 3_600.0)

    async def keep(body: dict[str, Any], next_: Callable[[], Awaitable[BoltResponse]]) -> BoltResponse:
        kept = trimmed(body, bot_of(body) or await clients.bot_user(team_of(body)))
        if kept is not None and not await clients.ours(kept.team):
            # Anybody's workspace can ask for an app that is distributed, and Slack signs what happens there as well.
            log.info("slack.not_installed", kind=kept.kind, team=one_line(kept.team, 32))
        elif kept is not None and await _wanted(plane, kept) and not _too_many(people, kept):
            new = await plane.slack_inbox.keep(
                Incoming(
                    team=kept.team,
                    kind=kept.kind,
                    lane=kept.lane,
                    position=kept.position,
                    payload=kept.payload,
                    dedupe=kept.dedupe,
                )
            )
            if not new:
                log.info("slack.again", kind=kept.kind, team=kept.team)
        # Events have no listeners: they are done with once they are kept.
        return BoltResponse(status=200, body="") if body.get("type") == "event_callback" else await next_()

    app = AsyncApp(
        name="opsthread",
        client=clients.client(),
        signing_secret=secret,
        authorize=_authorise(clients),
        before_authorize=keep,
        ignoring_self_events_enabled=False,
    )
    doors(app)
    _take_the_rest(app)
    return app


def _too_many(people: Throttle, kept: Kept) -> bool:
    user = str(kept.payload.get("user", ""))
    try:
        if user:
            people.take(f"{kept.team}/{user}")
    except TooMany:
        log.warning("slack.flood", team=kept.team, user=user, kind=kept.kind)
        return True
    return False


async def _wanted(plane: ControlPlane, kept: Kept) -> bool:
    """What people say to each other in channels is not kept: only what names us, is said to us alone, or is in a thread that
    somebody asked us to follow."""
    if kept.kind != "message" or kept.payload["mention"] or kept.payload["channel_type"] == "im":
        return True
    thread_ts = str(kept.payload["thread_ts"])
    if not thread_ts:
        return False
    thread = await plane.slack_threads.find(kept.team, str(kept.payload["channel"]), thread_ts)
    return thread is not None and thread.follow


def _authorise(clients: Clients) -> Callable[..., Awaitable[AuthorizeResult]]:
    async def authorise(team_id: str | None, enterprise_id: str | None) -> AuthorizeResult:
        api, me = await clients.known(team_id or "")
        return AuthorizeResult(
            enterprise_id=enterprise_id, team_id=me.team, bot_user_id=me.user, bot_id=me.bot, bot_token=api.client.token
        )

    return authorise


def _take_the_rest(app: AsyncApp) -> None:
    """What no door answers is acknowledged: it is in the inbox."""

    async def acknowledge(ack: Callable[[], Awaitable[BoltResponse]]) -> None:
        await ack()

    registers: Any = app  # the listeners' types are open in Bolt
    for register in (registers.action, registers.view, registers.command, registers.shortcut, registers.options):
        register(_ANY)(acknowledge)
