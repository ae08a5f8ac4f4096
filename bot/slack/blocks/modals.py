"""The windows that buttons open: a plan's details, the reason of a rejection, what was wrong with an alert's thread."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from bot.slack import mrkdwn
from bot.slack.blocks.approval import RISKS, decision, still_open
from bot.slack.blocks.limits import LIMITS, Block, split
from bot.slack.blocks.parts import actions, button, context, divider, modal, option, plain, section, text_input
from bot.slack.blocks.plan_facts import command, diff, facts, held_by, owner, titled
from bot.slack.blocks.rich import block_of_code, prose, quoted, rich
from bot.slack.mrkdwn import line
from bot.slack.words import Language, say, told

View = dict[str, Any]

REJECT_MODAL, WRONG_MODAL, DETAILS_MODAL = "reject_modal", "wrong_modal", "details_modal"
FEEDBACK_MODAL, ACTUAL = "feedback_modal", "actual"
WITHDRAW = "withdraw"
REASON = "reason"
"""block_id and action_id of what is typed: `view.state.values.reason.reason.value`."""
_DIFF = 20_000
_REASON = 1_000


def details_modal(view: View, *, language: Language, withdraw: str = "", note: str = "") -> Block:
    """All of a plan, read only: the whole diff (20,000 characters), reach, undo, patch for Git, decisions, times, hash.
    `view` is approval_view's; its `you` is not read. `withdraw` is what the button to take it back carries, for whom one is
    shown; `note` is what has just become of a press in this window."""
    level = str(view["risk"])
    state, risk = line(say(language, f"state.{view['state']}")), line(say(language, f"risk.{level}"))
    blocks = [
        *([section(line(note, 600))] if note else []),
        section(f"*{state}* · {RISKS.get(level, '')} {risk} · {line(str(view['cluster_name']))}"),
        *([actions(button(say(language, "approval.withdraw"), WITHDRAW, value=withdraw))] if withdraw else []),
        *held_by(view, language),
        *([rich(quoted(*prose(str(view["why"]), 2_000)))] if view["why"] else []),
        rich(*command(view)),
        *diff(view, language, _DIFF),
        *owner(view, language, on_card=False),
        *_patches(cast(View, view["owner"]), language),
        divider(),
        rich(facts(view, language)),
        *_decisions(view, language),
        *(still_open(view, language) if view["state"] == "pending" else ()),
        *([rich(quoted(*prose(str(view["outcome"]), 2_000)))] if view["outcome"] else []),
        context(*_times(view, language)),
        rich(titled(say(language, "approval.hash")), block_of_code(str(view["plan_hash"]), 200)),
    ]
    parts = [part for block in blocks for part in split(block)]
    most = LIMITS["modal.blocks"] - 1
    if len(parts) > most:
        parts = [*parts[:most], context(line(say(language, "rest_on_web")))]
    title = say(language, "approval.details")
    return modal(title, parts, close=say(language, "modal.close"), callback=DETAILS_MODAL)


def reject_modal(private_metadata: str, *, language: Language, view: View | None = None) -> Block:
    """Asks why not. `private_metadata` is the caller's: what is rejected, and the nonce of the card."""
    what = [rich(block_of_code(str(view["command_line"]), 1_200))] if view else []
    why = text_input(
        say(language, "reject.label"), REASON, placeholder=say(language, "reject.hint"), optional=True, most=_REASON
    )
    return modal(
        say(language, "reject.title"),
        [*what, why],
        submit=say(language, "approval.reject"),
        close=say(language, "modal.cancel"),
        callback=REJECT_MODAL,
        private_metadata=private_metadata,
    )


def wrong_modal(private_metadata: str, *, language: Language, title: str = "") -> Block:
    """Asks what is wrong with an alert, or with an answer. `title` names it."""
    what = [rich(quoted(*prose(title, 300)))] if title else []
    why = text_input(say(language, "feedback.note"), REASON, placeholder=say(language, "feedback.note_hint"), optional=True)
    return modal(
        say(language, "wrong.title"),
        [*what, why, context(line(say(language, "feedback.redacted")))],
        submit=say(language, "feedback.send"),
        close=say(language, "modal.cancel"),
        callback=WRONG_MODAL,
        private_metadata=private_metadata,
    )


def feedback_modal(private_metadata: str, *, language: Language, causes: Mapping[str, Sequence[tuple[str, str]]]) -> Block:
    """Asks what it was instead. `causes` are (code, title) by the heading under which they stand."""
    groups = [
        {"label": plain(head, LIMITS["option.text"]), "options": [option(title, code) for code, title in rows]}
        for head, rows in causes.items()
    ]
    cause: Block = {
        "type": "input",
        "block_id": ACTUAL,
        "optional": True,
        "label": plain(say(language, "feedback.cause"), LIMITS["input.label"]),
        "element": {
            "type": "static_select",
            "action_id": ACTUAL,
            "placeholder": plain(say(language, "feedback.no_cause"), LIMITS["placeholder"]),
            "option_groups": groups,
        },
    }
    why = text_input(say(language, "feedback.note"), REASON, placeholder=say(language, "feedback.note_hint"), optional=True)
    return modal(
        say(language, "wrong.title"),
        [cause, why, context(line(say(language, "feedback.redacted")))],
        submit=say(language, "feedback.send"),
        close=say(language, "modal.cancel"),
        callback=FEEDBACK_MODAL,
        private_metadata=private_metadata,
    )


def _patches(value: View, language: Language) -> Iterator[Block]:
    if value["git_patch"]:
        yield rich(titled(say(language, "approval.git_patch")), block_of_code(str(value["git_patch"]), 6_000))
    if value["values_hint"]:
        yield rich(titled("values.yaml"), block_of_code(str(value["values_hint"]), 4_000))


def _decisions(view: View, language: Language) -> Iterator[Block]:
    yield rich(titled(say(language, "approval.decisions")))
    said = [decision(one, language) for one in cast(list[View], view["decisions"])[-30:]]
    for start in range(0, len(said), LIMITS["context.elements"]):
        yield context(*said[start : start + LIMITS["context.elements"]])
    if not said:
        yield context(line(say(language, "approval.no_decisions")))


def _times(view: View, language: Language) -> list[str]:
    rows = (
        ("approval.asked_at", view["created_at"]),
        ("approval.expires_at", view["expires_at"]),
        ("approval.decided_at", view["decided_at"]),
        ("approval.started_at", view["started_at"]),
        ("approval.finished_at", view["finished_at"]),
    )
    return [told(language, line(say(language, key)), _when(str(at))) for key, at in rows if at]


def _when(iso: str) -> str:
    at = datetime.fromisoformat(iso)
    return mrkdwn.date(int(at.timestamp()), f"{at:%Y-%m-%d %H:%M:%S} UTC", "{date_short_pretty} {time_secs}")
