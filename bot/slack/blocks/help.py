"""What /opsthread answers: help, and the lists. For one person, within what they may see."""

from collections.abc import Callable, Sequence
from typing import Any

from bot.slack.blocks import lists
from bot.slack.blocks.alert import AlertView
from bot.slack.blocks.limits import LIMITS, Block, fit
from bot.slack.blocks.parts import Message, context, header
from bot.slack.blocks.rich import code, listed, paragraph, rich, text
from bot.slack.mrkdwn import line, link
from bot.slack.words import Language, say

View = dict[str, Any]

COMMANDS = ("ask", "status", "clusters", "approvals", "help")


def help_message(language: Language, *, command: str = "/opsthread", public_url: str = "") -> Message:
    """How to talk to it, each command with an example."""
    rows = [[code(f"{command} {verb}"), text(f" · {say(language, f'help.do.{verb}')}")] for verb in COMMANDS]
    blocks = [
        header("Opsthread"),
        rich(paragraph(text(say(language, "help.ask"))), listed(rows), paragraph(text(say(language, "help.thread")))),
        *([context(link(public_url, say(language, "home.open")))] if public_url else []),
    ]
    return Message(line(say(language, "help.ask")), blocks)


def clusters_message(views: Sequence[View], language: Language) -> Message:
    """bot.api.views.cluster_view's."""
    return _message(say(language, "changes.clusters"), [lists.clusters(views, language)], language)


def approvals_message(views: Sequence[View], language: Language, url: Callable[[View], str], all_url: str = "") -> Message:
    """bot.api.cards.approval_view's that wait for this person, as far as the place may see; `all_url` is the page of all."""
    blocks = [lists.approvals(views, language, url)]
    if all_url:
        blocks.append(context(link(all_url, say(language, "list.all_approvals"))))
    return _message(say(language, "home.approvals"), blocks, language)


def status_message(
    clusters: Sequence[View],
    alerts: Sequence[AlertView],
    approvals: int,
    language: Language,
    *,
    url: Callable[[AlertView], str],
) -> Message:
    """Clusters, what is open, and how many decisions wait."""
    blocks = [
        lists.clusters(clusters, language),
        rich(paragraph(text(say(language, "home.incidents"), bold=True))),
        lists.incidents(alerts, language, url),
        context(line(say(language, "help.waiting", n=approvals))),
    ]
    return _message(say(language, "help.status_title"), blocks, language)


def _message(title: str, blocks: list[Block], language: Language) -> Message:
    rest = context(line(say(language, "rest_on_web")))
    whole = fit([header(title), *blocks], rest=rest, most=1, room=LIMITS["message.sum"])
    return Message(line(title), whole[0])
