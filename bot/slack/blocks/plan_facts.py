"""What a plan is, for the card and for its details: the command, the change, its reach, who keeps the object."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, cast

from bot.slack import mrkdwn
from bot.slack.blocks.limits import Block
from bot.slack.blocks.parts import context
from bot.slack.blocks.rich import Element, Piece, block_of_code, code, listed, paragraph, prose, rich, text
from bot.slack.mrkdwn import escape, line
from bot.slack.words import Language, colon, say, say_or, sentences

View = dict[str, Any]
DIFF_ON_CARD = 1_500


def titled(words: str) -> Element:
    return paragraph(text(words, bold=True))


def command(view: View) -> Iterator[Element]:
    """The structured plan's own line."""
    yield block_of_code(str(view["command_line"]), 1_200)


def diff(view: View, language: Language, limit: int = DIFF_ON_CARD) -> Iterator[Block]:
    if not view["diff"]:
        return
    yield rich(titled(say(language, "approval.diff")), block_of_code(str(view["diff"]), limit))
    cut = len(str(view["diff"])) > limit
    note = sentences(
        language, say(language, f"diff.{view['diff_source']}"), say(language, "approval.whole_diff") if cut else None
    )
    yield context(line(note))


def held_by(view: View, language: Language) -> Iterator[Block]:
    """A broken glass stays on the card for ever; a freeze as long as it holds it back."""
    glass = cast(View | None, view["break_glass"])
    if glass:
        broken = line(say(language, "glass.broken", name=str(glass["by_name"])))
        yield context(f":rotating_light: *{broken}* {_when(str(glass['at']))} · {escape(str(glass['reason']), 600)}")
    freeze = cast(View | None, view["freeze"])
    if freeze and view["state"] in ("pending", "approved"):
        reason = f" · {escape(str(freeze['reason']), 600)}" if freeze["reason"] else ""
        yield context(f":snowflake: *{line(say(language, 'freeze.until'))}* {_when(str(freeze['until']))}{reason}")


def owner(view: View, language: Language, *, on_card: bool = True) -> Iterator[Block]:
    """Who would take the change back, or keeps the object and leaves it for now."""
    value = cast(View, view["owner"])
    if value["reverts"]:
        keeper = say(language, "approval.owner_reverts", owner=_owner_name(view, language))
        warning = sentences(language, keeper, str(value["detail"]) or None)
        lasting = say(language, "approval.patch_in_details" if value["git_patch"] else "approval.no_patch")
        lasting = lasting if on_card or not value["git_patch"] else ""
        yield rich(paragraph(text("⚠ "), *prose(sentences(language, warning, lasting), 1_200)))
    elif value["detail"] and value["kind"] != "none":
        yield rich(paragraph(*prose(str(value["detail"]), 900)))


def facts(view: View, language: Language) -> Element:
    """A line a fact."""
    undo = [code(str(view["undo_line"]), 600)] if view["undo_line"] else [text(say(language, "approval.no_undo"))]
    rows: list[tuple[str, list[Piece]]] = [
        ("approval.target", [code(str(view["target"])), text(" · "), *prose(str(view["cluster_name"]), 200)]),
        ("approval.blast", prose(reach(view, language), 900)),
        ("approval.undo", undo),
        ("approval.owner", prose(_owner_name(view, language), 900)),
        ("approval.effect", prose(str(view["expected_effect"]), 600)),
        ("approval.check", prose(str(view["check"]), 600)),
        ("approval.who", prose(_who(view, language), 400)),
        ("approval.requester", prose(str(view["requester_name"]), 200)),
    ]
    return listed([[text(say(language, key), bold=True), text(colon(language)), *pieces] for key, pieces in rows if pieces])


def reach(view: View, language: Language) -> str:
    """The blast radius in words."""
    radius = cast(View, view["blast_radius"])
    parts = [say(language, "blast.pods", n=radius["pods"])]
    before, after = radius["replicas_before"], radius["replicas_after"]
    if before is not None and after is not None:
        parts.append(say(language, "blast.replicas", before=before, after=after))
    named = [(key, cast(list[str], radius[key])) for key in ("services", "budgets")]
    parts += [say(language, f"blast.{key}", names=", ".join(names)) for key, names in named if names]
    return " · ".join([*parts, str(radius["note"])] if radius["note"] else parts)


def _owner_name(view: View, language: Language) -> str:
    value = cast(View, view["owner"])
    kind = str(value["kind"])
    if kind == "none":
        return str(value["detail"]) or say(language, "owner.none")
    return f"{say_or(language, f'owner.{kind}', kind)} {value['name']}".strip()


def _who(view: View, language: Language) -> str:
    quorum = cast(View, view["quorum"])
    glass = cast(View | None, view["break_glass"])
    if glass:
        return say(language, "glass.broken", name=str(glass["by_name"]))
    needed = int(quorum["needed"])
    role = say(language, f"role.{quorum['role']}")
    return sentences(
        language,
        say(language, "who.many" if needed > 1 else "who.one", n=needed, role=role),
        None if quorum["requester_may"] else say(language, "who.not_requester"),
        say(language, "who.fresh") if quorum["fresh_sign_in_for_last"] else None,
    )


def _when(iso: str) -> str:
    at = datetime.fromisoformat(iso)
    return mrkdwn.date(int(at.timestamp()), f"{at:%Y-%m-%d %H:%M} UTC", "{date_short_pretty} {time}")
