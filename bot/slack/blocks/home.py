"""The Home tab: what is there, what is wrong, what waits for me. One person sees it, so it may be about them."""

from collections.abc import Callable, Sequence
from typing import Any

from bot.slack.blocks import lists
from bot.slack.blocks.alert import AlertView
from bot.slack.blocks.answer import OPEN_WEB
from bot.slack.blocks.approval import DETAILS
from bot.slack.blocks.limits import LIMITS, Block, split
from bot.slack.blocks.notices import unknown_user
from bot.slack.blocks.parts import actions, button, context, divider, header, section
from bot.slack.mrkdwn import line
from bot.slack.words import Language, say

View = dict[str, Any]
_BUTTONS = 5


def home(
    *,
    clusters: Sequence[View],
    alerts: Sequence[AlertView],
    approvals: Sequence[View],
    language: Language,
    public_url: str,
    alert_url: Callable[[AlertView], str],
    approval_url: Callable[[View], str],
    details: Callable[[View], str] | None = None,
    note: str = "",
) -> Block:
    """A view for views.publish. All three lists are as this person may see them; approvals are those that wait for them.
    `details` is what the button carries that shows one whole; nothing is decided here, where a plan is a line.
    `note` is something that is to be said first: a cluster is frozen."""
    whole = [
        button(str(view["command_line"]), f"{DETAILS}:{n}", value=details(view), spoken=say(language, "approval.details"))
        for n, view in enumerate(approvals[:_BUTTONS])
        if details is not None
    ]
    return _view(
        [
            *([section(line(note, 600))] if note else []),
            header(say(language, "home.approvals")),
            lists.approvals(approvals, language, approval_url),
            *([actions(*whole)] if whole else []),
            header(say(language, "home.incidents")),
            lists.incidents(alerts, language, alert_url),
            header(say(language, "changes.clusters")),
            lists.clusters(clusters, language),
            divider(),
            actions(button(say(language, "home.open"), OPEN_WEB, url=public_url)),
            context(line(say(language, "help.ask"))),
        ]
    )


def stranger_home(language: Language, link_url: str) -> Block:
    """For somebody whose account is not known."""
    return _view(unknown_user(language, link_url).blocks)


def _view(blocks: list[Block]) -> Block:
    parts = [part for block in blocks for part in split(block)]
    return {"type": "home", "blocks": parts[: LIMITS["home.blocks"]]}
