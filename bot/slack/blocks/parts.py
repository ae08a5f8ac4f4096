"""Block Kit's other pieces, each within Slack's limits whatever it is given. mrkdwn comes escaped (bot/slack/mrkdwn.py)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from bot.slack import mrkdwn
from bot.slack.blocks.limits import LIMITS, Block, cut_mrkdwn

Element = dict[str, Any]


class Message(NamedTuple):
    """`text` is what notifications and screen readers have: escaped mrkdwn."""

    text: str
    blocks: list[Block]


def plain(said: str, limit: int) -> Element:
    return {"type": "plain_text", "text": mrkdwn.plain(said, limit), "emoji": False}


def marked(said: str, limit: int = LIMITS["section.text"]) -> Element:
    """mrkdwn, already escaped. `verbatim`: Slack looks for no link and no name in it by itself."""
    return {"type": "mrkdwn", "text": cut_mrkdwn(said, limit) or " ", "verbatim": True}


def header(said: str) -> Block:
    return {"type": "header", "text": plain(said, LIMITS["header.text"])}


def section(said: str, *, accessory: Element | None = None, fields: Sequence[str] = ()) -> Block:
    """`fields` are shown in two columns below."""
    block: Block = {"type": "section", "text": marked(said)}
    if fields:
        block["fields"] = [marked(field, LIMITS["section.field"]) for field in fields[: LIMITS["section.fields"]]]
    return {**block, "accessory": accessory} if accessory else block


def context(*lines: str) -> Block:
    """Small grey lines."""
    kept = [marked(line) for line in lines if line][: LIMITS["context.elements"]]
    return {"type": "context", "elements": kept or [marked(" ")]}


def divider() -> Block:
    return {"type": "divider"}


def button(
    label: str,
    action: str,
    *,
    value: str = "",
    style: str = "",
    url: str = "",
    confirm: Element | None = None,
    spoken: str = "",
) -> Element:
    """`value` is ours and opaque; one that is too long is an error of the caller, as a cut one would name something else.
    `spoken` is for screen readers. A button with `url` opens it and still sends its action."""
    if len(value) > LIMITS["button.value"]:
        raise ValueError(f"the value of button {action} has {len(value)} characters; Slack takes {LIMITS['button.value']}")
    made: Element = {"type": "button", "action_id": action, "text": plain(label, LIMITS["button.text"])}
    if value:
        made["value"] = value
    if style:
        made["style"] = style
    if url:
        made["url"] = mrkdwn.safe_url(url)
    if confirm:
        made["confirm"] = confirm
    if spoken:
        made["accessibility_label"] = mrkdwn.plain(spoken, LIMITS["button.text"])
    return made


def confirm(title: str, said: str, yes: str, no: str, *, danger: bool = False) -> Element:
    """The question before a button acts; plain text."""
    return {
        "title": plain(title, LIMITS["confirm.title"]),
        "text": plain(said, LIMITS["confirm.text"]),
        "confirm": plain(yes, LIMITS["confirm.button"]),
        "deny": plain(no, LIMITS["confirm.button"]),
        **({"style": "danger"} if danger else {}),
    }


def actions(*elements: Element, block_id: str = "") -> Block:
    return {"type": "actions", **({"block_id": block_id} if block_id else {}), "elements": list(elements)}


def option(label: str, value: str) -> Element:
    if len(value) > LIMITS["option.value"]:
        raise ValueError(f"the value of option {label!r} has {len(value)} characters; Slack takes {LIMITS['option.value']}")
    return {"text": plain(label, LIMITS["option.text"]), "value": value}


def overflow(action: str, options: Sequence[Element]) -> Element:
    return {"type": "overflow", "action_id": action, "options": list(options)[: LIMITS["overflow.options"]]}


def select(action: str, placeholder: str, options: Sequence[Element]) -> Element:
    return {
        "type": "static_select",
        "action_id": action,
        "placeholder": plain(placeholder, LIMITS["placeholder"]),
        "options": list(options)[: LIMITS["select.options"]],
    }


def text_input(
    label: str, name: str, *, placeholder: str = "", lines: bool = True, optional: bool = False, most: int = 1_000
) -> Block:
    """`name` is both block_id and action_id, so that the answer is found by one name."""
    element: Element = {"type": "plain_text_input", "action_id": name, "multiline": lines, "max_length": min(most, 3_000)}
    if placeholder:
        element["placeholder"] = plain(placeholder, LIMITS["placeholder"])
    return {
        "type": "input",
        "block_id": name,
        "label": plain(label, LIMITS["input.label"]),
        "element": element,
        "optional": optional,
    }


def modal(
    title: str, blocks: list[Block], *, close: str, submit: str = "", callback: str = "", private_metadata: str = ""
) -> Element:
    """Raises ValueError for metadata that Slack would refuse: cut, it would name something else."""
    if len(private_metadata) > LIMITS["modal.private_metadata"]:
        raise ValueError(f"the private metadata of modal {callback} has {len(private_metadata)} characters")
    view: Element = {
        "type": "modal",
        "title": plain(title, LIMITS["modal.title"]),
        "close": plain(close, LIMITS["modal.button"]),
        "blocks": blocks[: LIMITS["modal.blocks"]],
    }
    if submit:
        view["submit"] = plain(submit, LIMITS["modal.button"])
    if callback:
        view["callback_id"] = callback
    if private_metadata:
        view["private_metadata"] = private_metadata
    return view
