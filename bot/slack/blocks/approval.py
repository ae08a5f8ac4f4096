"""The approval card in a channel: what would run, what for, who may say yes, and where it stands. Everybody in the channel
sees the same card, so nothing in it is about the reader; who may really decide is looked up at the click.

`view` is bot.api.cards.approval_view's, of which `you` is not read. What runs is the frozen plan's: the command, the diff and
the undo stand in code blocks, and nothing on the card but "why" can have been written by a model.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, cast

from bot.slack import mrkdwn
from bot.slack.blocks.answer import OPEN_WEB
from bot.slack.blocks.limits import Block, fit
from bot.slack.blocks.parts import Message, actions, button, confirm, context, header, section
from bot.slack.blocks.plan_facts import command, diff, facts, held_by, owner
from bot.slack.blocks.rich import block_of_code, paragraph, prose, quoted, rich
from bot.slack.mrkdwn import code, escape, line
from bot.slack.words import Language, duration, say, say_or, sentences, told
from knowledge.wording import translate
from protocol.text import one_line

View = dict[str, Any]
Value = Callable[[str], str]
"""What a button of this card carries, by its action: an approval's id and a nonce, opaque here."""

APPROVE, REJECT, DETAILS = "approve", "reject", "details"
DECISIONS = 4
"""The last of them, on the card; the details have all."""
_MARKS = {
    "pending": ":hourglass_flowing_sand:",
    "approved": ":white_check_mark:",
    "running": ":gear:",
    "succeeded": ":white_check_mark:",
    "failed": ":x:",
    "rolled_back": ":rewind:",
    "unknown": ":question:",
    "rejected": ":no_entry_sign:",
    "expired": ":clock3:",
    "cancelled": ":no_entry_sign:",
    "superseded": ":arrows_counterclockwise:",
}
RISKS = {"low": ":large_green_circle:", "medium": ":large_yellow_circle:", "high": ":red_circle:"}


def card(view: View, *, language: Language, url: str, value: Value, progress: str = "") -> Message:
    """The card in its state. `url` is where the web shows it. Buttons that decide are there only while it is pending, and
    Approve only where a click here can count: the last step of high risk, an owner's override and a broken glass take the
    web. `progress` is what the action does now. It is one message, whatever the plan: what is long is cut here, and whole in
    the details."""
    blocks = [
        header(f"{say(language, 'approval.title')} · {say(language, _state_key(view))}"),
        section(_headline(view, language)),
        *held_by(view, language),
        *([rich(quoted(*prose(str(view["why"]), 900)))] if view["why"] else []),
        rich(*command(view)),
        *diff(view, language),
        *owner(view, language),
        rich(facts(view, language)),
    ]
    # Where it stands and what can be pressed is never what is left out.
    tail = [
        *_stands(view, language, progress),
        *_buttons(view, language, url, value),
        context(line(say(language, "approval.origin", hash=str(view["plan_hash"])[:12]))),
    ]
    rest = context(line(say(language, "approval.whole_diff")))
    return Message(_fallback(view, language), fit(blocks, rest=rest, tail=tail, most=1)[0])


def web_only(view: View) -> str:
    """Why a click in Slack can't approve it now: cannot_run, owner, frozen, step_up; "" when it can."""
    if view["cannot_run"]:
        return "cannot_run"
    if view["owner"]["reverts"]:
        return "owner"
    if view["freeze"]:
        return "frozen"
    last = view["quorum"]["fresh_sign_in_for_last"] and view["missing"] <= 1
    return "step_up" if last else ""


def _state_key(view: View) -> str:
    return f"state.{view['state']}"


def _headline(view: View, language: Language) -> str:
    state = line(_state_words(view, language))
    level = str(view["risk"])
    risk = f"{RISKS.get(level, '')} {line(say(language, f'risk.{level}'))}".strip()
    where = say(language, "approval.in", cluster=str(view["cluster_name"]))
    return f"{_MARKS.get(str(view['state']), '')} *{state}* · {risk} · {line(where)}"


def _state_words(view: View, language: Language) -> str:
    needed = int(view["quorum"]["needed"])
    if view["state"] == "pending" and needed > 1:
        return say(language, "state.pending.many", have=needed - int(view["missing"]), needed=needed)
    return say(language, _state_key(view))


def _stands(view: View, language: Language, progress: str) -> Iterator[Block]:
    if view["decisions"]:
        yield context(*(decision(said, language, 150) for said in cast(list[View], view["decisions"])[-DECISIONS:]))
    match view["state"]:
        case "pending":
            yield from still_open(view, language)
        case "approved" | "running":
            now = translate(progress, language) if progress else say(language, "approval.working")
            yield context(f"{_MARKS[str(view['state'])]} {line(now, 600)}")
        case _:
            yield from _settled(view, language)


def still_open(view: View, language: Language) -> Iterator[Block]:
    """What a pending one waits for, from whom, and until when."""
    why = web_only(view)
    if why == "cannot_run":
        yield rich(paragraph(*prose(say(language, "approval.cannot_run", why=str(view["cannot_run"])), 600, bold=True)))
    elif why:
        yield context(line(say(language, "approval.web_only", why=say(language, f"approval.web_only.{why}"))))
    if view["missing"] and not view["cannot_run"]:
        yield context(f":busts_in_silhouette: {line(_waits(view, language), 500)}")
    if not view["four_eyes"]:
        yield context(f":warning: {line(say(language, 'approval.four_eyes_off'))}")
    yield context(_expires(view, language))


def _expires(view: View, language: Language) -> str:
    at = datetime.fromisoformat(str(view["expires_at"]))
    when = mrkdwn.date(int(at.timestamp()), f"{at:%Y-%m-%d %H:%M} UTC", "{date_short_pretty} {time}")
    words = line(say(language, "approval.expires_when", when="{when}"))
    return f":clock3: {words.replace('{when}', when)}"


def _waits(view: View, language: Language) -> str:
    role = say(language, f"role.{view['quorum']['role']}")
    words = say(language, "waits.many" if view["missing"] > 1 else "waits.one", n=view["missing"], role=role)
    electors = cast(list[str] | None, view["electors"])
    if electors is None:
        return words
    who = say(language, "waits.people", names=", ".join(electors)) if electors else say(language, "waits.nobody")
    return sentences(language, words, who)


def decision(said: View, language: Language, limit: int = 600) -> str:
    """One person's word, escaped; their reason in at most `limit` characters."""
    approved = said["verdict"] == "approve"
    at = datetime.fromisoformat(str(said["at"]))
    parts = [
        line(say(language, f"decision.{said['verdict']}", name=one_line(str(said["by_name"]), 60))),
        mrkdwn.date(int(at.timestamp()), f"{at:%H:%M:%S} UTC", "{time_secs}"),
    ]
    if said["reason"]:
        parts.append(escape(translate(str(said["reason"]), language), limit))
    if said["override_owner"]:
        parts.append(f"*{line(say(language, 'approval.overridden'))}*")
    if said["break_glass"]:
        parts.append(f"*{line(say(language, 'glass.chip'))}*")
    return f"{':white_check_mark:' if approved else ':no_entry_sign:'} {' · '.join(parts)}"


def _settled(view: View, language: Language) -> Iterator[Block]:
    state = str(view["state"])
    hint = line(say_or(language, f"ended.{state}", say(language, _state_key(view))))
    parts: list[str] = []
    if view["decided_by_name"] and not view["finished_at"]:
        parts.append(line(str(view["decided_by_name"]), 100))
    ended = view["finished_at"] or view["decided_at"]
    if ended:
        at = datetime.fromisoformat(str(ended))
        parts.append(mrkdwn.date(int(at.timestamp()), f"{at:%H:%M:%S} UTC", "{date_short_pretty} {time_secs}"))
    took = _took_ms(view)
    if took:
        parts.append(line(say(language, "approval.took", time=duration(language, took))))
    if view["outcome"]:
        yield rich(paragraph(*prose(str(view["outcome"]), 900)))
    yield context(f"{_MARKS.get(state, '')} {' · '.join([*parts, hint])}")
    if view["look_at"]:
        yield rich(*(block_of_code(one, 200) for one in cast(list[str], view["look_at"])[:3]))


def _took_ms(view: View) -> float:
    if not (view["started_at"] and view["finished_at"]):
        return 0
    took = datetime.fromisoformat(str(view["finished_at"])) - datetime.fromisoformat(str(view["started_at"]))
    return took.total_seconds() * 1_000


def _buttons(view: View, language: Language, url: str, value: Value) -> Iterator[Block]:
    made: list[Block] = []
    pending = view["state"] == "pending"
    why = web_only(view) if pending else ""
    if pending and not why:
        made.append(
            button(
                say(language, "approval.approve"),
                APPROVE,
                value=value(APPROVE),
                style="primary",
                confirm=_ask_twice(view, language) if view["risk"] != "low" else None,
                spoken=f"{say(language, 'approval.approve')}: {view['command_line']}",
            )
        )
    if pending:
        spoken = f"{say(language, 'approval.reject')}: {view['command_line']}"
        made.append(button(say(language, "approval.reject"), REJECT, value=value(REJECT), style="danger", spoken=spoken))
    made.append(button(say(language, "approval.details"), DETAILS, value=value(DETAILS)))
    if url:
        decides = pending and why != "cannot_run"
        words = say(language, "approval.on_web" if decides else "open_web")
        made.append(button(words, OPEN_WEB, url=url, style="primary" if decides and why else ""))
    yield actions(*made)


def _ask_twice(view: View, language: Language) -> Block:
    said = say(
        language,
        "approval.confirm.text",
        risk=say(language, f"risk.{view['risk']}"),
        cluster=str(view["cluster_name"]),
        command=str(view["command_line"]),
    )
    title, no = (say(language, f"approval.confirm.{key}") for key in ("title", "no"))
    return confirm(title, said, say(language, "approval.approve"), no, danger=view["risk"] == "high")


def _fallback(view: View, language: Language) -> str:
    state, risk = line(_state_words(view, language)), line(say(language, f"risk.{view['risk']}"))
    said = told(language, state, f"{code(str(view['command_line']), 400)} · {risk} · {line(str(view['cluster_name']))}")
    return f"{said} · {line(str(view['outcome']), 600)}" if view["outcome"] else said
