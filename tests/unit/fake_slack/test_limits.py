"""The fake's limits: what is at a limit is taken, one more is refused; the figures are those of the SDK's own models."""

from collections.abc import Callable
from typing import Any

import pytest
from slack_sdk.models import blocks as models
from slack_sdk.models.blocks import basic_components, block_elements
from slack_sdk.models.views import View

from tests.fake_slack import SlackError, problems_of_blocks
from tests.fake_slack.blocks import check_blocks, check_text, check_view
from tests.fake_slack.limits import ROWS

Json = dict[str, Any]


def plain(text: str = "x") -> Json:
    return {"type": "plain_text", "text": text}


def mrkdwn(text: str = "x") -> Json:
    return {"type": "mrkdwn", "text": text}


def section(**more: Any) -> list[Json]:
    return [{"type": "section", "text": mrkdwn(), **more}]


def actions(*elements: Json) -> list[Json]:
    return [{"type": "actions", "elements": list(elements)}]


def button(**more: Any) -> Json:
    return {"type": "button", "text": plain(), **more}


def options(count: int, text: int = 1, value: int = 1) -> list[Json]:
    return [{"text": plain("x" * text), "value": f"{number}".ljust(value, "v")} for number in range(count)]


def select(**more: Any) -> list[Json]:
    return actions({"type": "static_select", **more})


def confirm(**more: Any) -> list[Json]:
    whole = {"title": plain(), "text": mrkdwn(), "confirm": plain(), "deny": plain()}
    return actions(button(confirm={**whole, **more}))


def table(rows: int, columns: int) -> list[Json]:
    return [{"type": "table", "rows": [[{"type": "raw_text", "text": "x"}] * columns for _ in range(rows)]}]


def feedback(value: str) -> list[Json]:
    one, other = {"text": plain(), "value": value}, {"text": plain(), "value": "no"}
    return [
        {
            "type": "context_actions",
            "elements": [{"type": "feedback_buttons", "action_id": "f", "positive_button": one, "negative_button": other}],
        }
    ]


AT_AND_OVER: dict[str, tuple[Callable[[int], list[Json]], int]] = {
    "section text": (lambda n: section(text=mrkdwn("x" * n)), 3000),
    "section fields": (lambda n: section(fields=[mrkdwn()] * n), 10),
    "field text": (lambda n: section(fields=[mrkdwn("x" * n)]), 2000),
    "block_id": (lambda n: section(block_id="x" * n), 255),
    "header": (lambda n: [{"type": "header", "text": plain("x" * n)}], 150),
    "context elements": (lambda n: [{"type": "context", "elements": [mrkdwn()] * n}], 10),
    "actions elements": (lambda n: actions(*[button(action_id=str(one)) for one in range(n)]), 25),
    "button text": (lambda n: actions(button(text=plain("x" * n))), 75),
    "button value": (lambda n: actions(button(value="x" * n)), 2000),
    "button url": (lambda n: actions(button(url="x" * n)), 3000),
    "action_id": (lambda n: actions(button(action_id="x" * n)), 255),
    "select options": (lambda n: select(options=options(n)), 100),
    "option text": (lambda n: select(options=options(1, text=n)), 75),
    "option value": (lambda n: select(options=options(1, value=n)), 150),
    "overflow options": (lambda n: actions({"type": "overflow", "options": options(n)}), 5),
    "confirm title": (lambda n: confirm(title=plain("x" * n)), 100),
    "confirm text": (lambda n: confirm(text=mrkdwn("x" * n)), 300),
    "confirm button": (lambda n: confirm(confirm=plain("x" * n)), 30),
    "feedback value": (lambda n: feedback("x" * n), 2000),
    "image alt text": (lambda n: [{"type": "image", "image_url": "https://x", "alt_text": "x" * n}], 2000),
    "markdown": (lambda n: [{"type": "markdown", "text": "x" * n}], 12_000),
    "table rows": (lambda n: table(n, 1), 100),
    "table columns": (lambda n: table(1, n), 20),
    "blocks": (lambda n: [{"type": "divider"}] * n, 50),
    "tables": (lambda n: table(1, 1) * n, 1),
}


@pytest.mark.parametrize("name", AT_AND_OVER)
def test_what_is_at_the_limit_is_taken_and_one_more_is_refused(name: str) -> None:
    made, limit = AT_AND_OVER[name]
    assert problems_of_blocks(made(limit)) == []
    assert len(problems_of_blocks(made(limit + 1))) == 1


REFUSED: dict[str, tuple[list[Json], str]] = {
    "an unknown block": ([{"type": "blink"}], "unsupported type: blink [json-pointer:/blocks/0/type]"),
    "an unknown element": (actions({"type": "lever"}), "unsupported type: lever [json-pointer:/blocks/0/elements/0/type]"),
    "a select in context_actions": (
        [{"type": "context_actions", "elements": [{"type": "button", "text": plain()}]}],
        "unsupported type: button [json-pointer:/blocks/0/elements/0/type]",
    ),
    "mrkdwn in a header": ([{"type": "header", "text": mrkdwn()}], "must be a plain_text object [json-pointer:/blocks/0/text]"),
    "mrkdwn on a button": (
        actions({"type": "button", "text": mrkdwn()}),
        "must be a plain_text object [json-pointer:/blocks/0/elements/0/text]",
    ),
    "an empty text": (section(text=mrkdwn("")), "must be more than 0 characters [json-pointer:/blocks/0/text/text]"),
    "no text": ([{"type": "section"}], "one of text, fields is required [json-pointer:/blocks/0]"),
    "a field that is not there": (section(colour="red"), "invalid additional property: colour [json-pointer:/blocks/0]"),
    "a style of its own": (
        actions(button(style="pink")),
        "must be one of primary, danger [json-pointer:/blocks/0/elements/0/style]",
    ),
    "a name twice": (section(block_id="a") * 2, "`block_id` a already exists [json-pointer:/blocks/1/block_id]"),
    "an action twice": (actions(button(action_id="a"), button(action_id="a")), "`action_id` a already exists"),
    "an image without words": (
        [{"type": "image", "image_url": "https://x"}],
        "missing required field: alt_text [json-pointer:/blocks/0]",
    ),
    "an empty cell": (
        [{"type": "table", "rows": [[{"type": "raw_text", "text": ""}]]}],
        "must be more than 0 characters [json-pointer:/blocks/0/rows/0/0/text]",
    ),
    "a status of its own": (
        [{"type": "task_card", "task_id": "1", "title": "x", "status": "fine"}],
        "must be one of pending, in_progress, complete, error [json-pointer:/blocks/0/status]",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_slack_refuses_is_refused_with_its_place(name: str) -> None:
    blocks, problem = REFUSED[name]
    assert problem in problems_of_blocks(blocks)[0]
    with pytest.raises(SlackError, match="invalid_blocks"):
        check_blocks(blocks)


def test_every_text_of_a_message_counts_together() -> None:
    check_blocks([{"type": "markdown", "text": "x" * 12_000}, *section(text=mrkdwn("x" * 1200))])
    with pytest.raises(SlackError, match="msg_blocks_too_long"):
        check_blocks([{"type": "markdown", "text": "x" * 12_000}, *section(text=mrkdwn("x" * 1201))])


def test_texts_end_at_forty_thousand_and_updates_at_four() -> None:
    check_text("x" * 40_000)
    check_text("x" * 4_000, of_update=True)
    for text, of_update in (("x" * 40_001, False), ("x" * 4_001, True)):
        with pytest.raises(SlackError, match="msg_too_long"):
            check_text(text, of_update=of_update)


def modal(**more: Any) -> Json:
    return {"type": "modal", "title": plain(), "blocks": section(), **more}


INPUT = {"type": "input", "label": plain(), "element": {"type": "plain_text_input", "action_id": "a"}}
VIEWS: dict[str, tuple[Json, Json]] = {
    "title": (modal(title=plain("x" * 24)), modal(title=plain("x" * 25))),
    "submit": (modal(submit=plain("x" * 24)), modal(submit=plain("x" * 25))),
    "private_metadata": (modal(private_metadata="x" * 3000), modal(private_metadata="x" * 3001)),
    "callback_id": (modal(callback_id="x" * 255), modal(callback_id="x" * 256)),
    "blocks": (modal(blocks=[{"type": "divider"}] * 100), modal(blocks=[{"type": "divider"}] * 101)),
    "an input needs a submit": (modal(blocks=[INPUT], submit=plain()), modal(blocks=[INPUT])),
    "no markdown blocks": (modal(), modal(blocks=[{"type": "markdown", "text": "x"}])),
    "no table": (modal(), modal(blocks=table(1, 1))),
}


@pytest.mark.parametrize("name", VIEWS)
def test_a_modal_is_taken_at_the_limit_and_refused_beyond(name: str) -> None:
    fine, bad = VIEWS[name]
    check_view(fine, "modal")
    with pytest.raises(SlackError, match="invalid_arguments"):
        check_view(bad, "modal")


def limit(row: str, name: str) -> int:
    return next(field.limit for field in ROWS[row] if field.name == name)


def test_the_figures_are_those_of_the_sdk() -> None:
    """The SDK checks some of these before it sends; where it does, both must agree."""
    theirs: dict[tuple[str, str], int] = {
        ("section", "text"): models.SectionBlock.text_max_length,
        ("section", "fields"): models.SectionBlock.fields_max_length,
        ("section", "block_id"): models.Block.block_id_max_length,
        ("header", "text"): models.HeaderBlock.text_max_length,
        ("image", "image_url"): models.ImageBlock.image_url_max_length,
        ("image", "alt_text"): models.ImageBlock.alt_text_max_length,
        ("image", "title"): models.ImageBlock.title_max_length,
        ("context", "elements"): models.ContextBlock.elements_max_length,
        ("actions", "elements"): models.ActionsBlock.elements_max_length,
        ("context_actions", "elements"): models.ContextActionsBlock.elements_max_length,
        ("markdown", "text"): models.MarkdownBlock.text_max_length,
        ("input", "label"): models.InputBlock.label_max_length,
        ("input", "hint"): models.InputBlock.hint_max_length,
        ("card", "title"): models.CardBlock.title_max_length,
        ("card", "body"): models.CardBlock.body_max_length,
        ("carousel", "elements"): models.CarouselBlock.elements_max_length,
        ("button", "text"): models.ButtonElement.text_max_length,
        ("button", "value"): models.ButtonElement.value_max_length,
        ("button", "url"): models.ButtonElement.url_max_length,
        ("button", "action_id"): block_elements.InteractiveElement.action_id_max_length,
        ("static_select", "placeholder"): block_elements.InputInteractiveElement.placeholder_max_length,
        ("static_select", "options"): models.StaticSelectElement.options_max_length,
        ("overflow", "options"): models.OverflowMenuElement.options_max_length,
        ("option", "text"): models.Option.label_max_length,
        ("option", "value"): models.Option.value_max_length,
        ("group", "label"): models.OptionGroup.label_max_length,
        ("confirm", "title"): models.ConfirmObject.title_max_length,
        ("confirm", "text"): models.ConfirmObject.text_max_length,
        ("confirm", "deny"): models.ConfirmObject.deny_max_length,
        ("feedback_button", "text"): basic_components.FeedbackButtonObject.text_max_length,
        ("feedback_button", "value"): basic_components.FeedbackButtonObject.value_max_length,
        ("modal", "title"): View.title_max_length,
        ("modal", "blocks"): View.blocks_max_length,
        ("modal", "submit"): View.submit_max_length,
        ("modal", "private_metadata"): View.private_metadata_max_length,
        ("modal", "callback_id"): View.callback_id_max_length,
    }
    assert {key: limit(*key) for key in theirs} == theirs
