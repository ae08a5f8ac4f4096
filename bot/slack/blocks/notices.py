"""What one person is told about their own click or question, mostly for their eyes alone. A row a case."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal

from bot.slack import mrkdwn
from bot.slack.blocks.answer import OPEN_WEB
from bot.slack.blocks.limits import LIMITS, weight
from bot.slack.blocks.parts import Message, actions, button, option, section, select
from bot.slack.mrkdwn import line
from bot.slack.words import Language, say, say_or

CHOOSE_CLUSTER = "choose_cluster"
_BUTTONS = 5
"""More clusters than these are a menu."""

Notice = Literal[
    "guest",
    "external",
    "bot",
    "stale_card",
    "expired",
    "scope_too_wide",
    "ask_anew",
    "unbound",
    "no_role",
    "done_feedback",
    "done_rejected",
    "done_approved",
    "try_again",
    "linked",
]


def notice(which: Notice, language: Language) -> Message:
    """A case that needs no values."""
    return _said(line(say(language, f"told.{which}"), 900))


def told(words: str) -> Message:
    """Our own sentence, in the reader's language already."""
    return _said(line(words, 1_200))


def refused(why: str, language: Language) -> Message:
    """A decision does not count: protocol.approval.Refusal's words, in the reader's language already."""
    return _said(f":no_entry_sign: {line(say(language, 'approval.would_not_count', why=why), 1_200)}")


def step_up(language: Language, url: str) -> Message:
    """It takes the web: the last approval of high risk, an owner's override, a broken glass."""
    said = _said(line(say(language, "told.step_up"), 900))
    return Message(
        said.text, [*said.blocks, actions(button(say(language, "approval.on_web"), OPEN_WEB, url=url, style="primary"))]
    )


def already_decided(language: Language, *, by: str, at: datetime | None, state: str) -> Message:
    """The loser of a race, or a click on an old card. `by` is "" where nobody did it: expiry, a newer plan."""
    word = say_or(language, f"state.{state}", state)
    if not by or at is None:
        return _said(line(say(language, "told.decided_by_nobody", state=word), 600))
    said = line(say(language, "told.decided", by="{by}", state=word, when="{when}"), 600)
    when = mrkdwn.date(int(at.timestamp()), f"{at:%H:%M:%S} UTC", "{time_secs}")
    return _said(said.replace("{when}", when).replace("{by}", line(by, 100)))


def unknown_user(language: Language, link_url: str) -> Message:
    """No account is known for this person of Slack. The link is for them alone: they sign in, and it is theirs."""
    said = _said(line(say(language, "told.unknown_user"), 900))
    if not link_url:
        return said
    return Message(
        said.text, [*said.blocks, actions(button(say(language, "told.link"), OPEN_WEB, url=link_url, style="primary"))]
    )


def choose_cluster(language: Language, clusters: Sequence[tuple[str, str]], value: Callable[[str], str]) -> Message:
    """Which one is meant: a button each, or a menu. `clusters` are ids with names; `value` gives what a choice carries, at most
    150 characters, by the id. Buttons' action_ids are choose_cluster:<n>, the menu's is choose_cluster."""
    words = line(say(language, "told.choose_cluster"), 300)
    if len(clusters) <= _BUTTONS:
        made = [button(name, f"{CHOOSE_CLUSTER}:{n}", value=value(one)) for n, (one, name) in enumerate(clusters)]
    else:
        options = [option(name, value(one)) for one, name in clusters[: LIMITS["select.options"]]]
        while weight(options) > LIMITS["message.sum"] * 0.9:
            options.pop()
        made = [select(CHOOSE_CLUSTER, say(language, "changes.cluster"), options)]
    return Message(words, [section(words), *([actions(*made)] if made else [])])


def _said(words: str) -> Message:
    return Message(words, [section(words)])
