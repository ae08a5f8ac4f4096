"""Slack's own SDK reads our blocks and views without a complaint: its validators are other people's reading of the limits."""

import logging
from typing import Any

import pytest
from slack_sdk.models.blocks import Block
from slack_sdk.models.views import View

from bot.slack.blocks.alert import alert, digest
from bot.slack.blocks.answer import answer
from bot.slack.blocks.approval import card
from bot.slack.blocks.help import help_message
from bot.slack.blocks.home import stranger_home
from bot.slack.blocks.modals import details_modal, reject_modal, wrong_modal
from bot.slack.blocks.parts import Message
from tests.unit.bot.slack import made
from tests.unit.bot.slack.hostile import EVERYTHING


def messages(text: str) -> list[Message]:
    return [
        *answer(made.turn(text), language="en", url=made.URL, feedback="x"),
        *answer(made.failed(text), language="en", url=made.URL),
        *(card(made.approval(text, state=s, **made.ENDS.get(s, {})), language="en", url=made.URL, value=str) for s in STATES),
        alert(made.alert(text), language="en", url=made.URL, value=str),
        *digest([made.alert(text)] * 9, language="en", url=lambda _: made.URL),
        help_message("en", public_url=made.URL),
    ]


STATES = ("pending", *made.ENDS)


@pytest.mark.parametrize("text", ["", EVERYTHING])
def test_blocks(text: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="slack_sdk"):
        for message in messages(text):
            assert [_valid(block) for block in message.blocks] == message.blocks
    assert caplog.messages == []


@pytest.mark.parametrize("text", ["", EVERYTHING])
def test_views(text: str, caplog: pytest.LogCaptureFixture) -> None:
    views = [
        details_modal(made.approval(text), language="en"),
        reject_modal("m", language="en"),
        wrong_modal("m", language="en"),
    ]
    with caplog.at_level(logging.WARNING, logger="slack_sdk"):
        for view in [*views, stranger_home("en", made.URL)]:
            View(**view).validate_json()
            assert [_valid(block) for block in view["blocks"]] == view["blocks"]
    assert caplog.messages == []


def _valid(block: dict[str, Any]) -> dict[str, Any]:
    """As the SDK would send it."""
    library: Any = Block  # it has no types
    return library.parse(block).to_dict()
