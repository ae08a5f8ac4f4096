"""Slack's limits of texts and blocks as rows."""

from tests.fake_slack.errors import SlackError
from tests.fake_slack.records import Json

MESSAGE_TEXT = 40_000
UPDATED_TEXT = 4_000
MARKDOWN_TEXT = 12_000


def check_text(text: str, *, of_update: bool = False, markdown: bool = False) -> None:
    if len(text) > (MARKDOWN_TEXT if markdown else UPDATED_TEXT if of_update else MESSAGE_TEXT):
        raise SlackError("msg_too_long")


def check_blocks(blocks: list[Json]) -> None:
    if len(blocks) > 50:
        raise SlackError("invalid_blocks")
