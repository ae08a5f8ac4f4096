"""Slack's limits as rows: what each block, element and view may hold, and how much of it.

`LIMITS` names the figures that stand outside blocks; `ROWS` has one row a field. `blocks` reads them and refuses like Slack.
"""

from dataclasses import dataclass
from enum import StrEnum

LIMITS: dict[str, int] = {
    "message text": 40_000,
    "text of chat.update": 4_000,
    "markdown_text": 12_000,
    "blocks of a message": 50,
    "blocks of a view": 100,
    "text of all blocks": 13_200,
    "bytes of a stream": 12_000,
    "tables of a message": 1,
    "rows of a table": 100,
    "columns of a table": 20,
    "loading messages": 10,
    "suggested prompts": 4,
    "uses of a response_url": 5,
}


class Kind(StrEnum):
    """How a field is read; the limit is of characters for texts, of items for lists."""

    STRING = "string"
    NUMBER = "number"
    FLAG = "true or false"
    CHOICE = "one of some words"
    PLAIN = "plain_text object"
    TEXT = "plain_text or mrkdwn object"
    ONE = "object of some types"
    LIST = "list of objects of some types"
    TABLE = "rows of cells"
    FREE = "anything"


@dataclass(frozen=True)
class Field:
    name: str
    kind: Kind
    limit: int = 0
    """The most; 0: no limit of its own."""
    of: tuple[str, ...] = ()
    """Names of rows, or the words of a choice."""
    required: bool = False
    least: int = 1
    """The least number of items of a list, or of characters of a text."""


def plain(name: str, limit: int, *, required: bool = False) -> Field:
    return Field(name, Kind.PLAIN, limit, required=required)


def text(name: str, limit: int, *, required: bool = False) -> Field:
    return Field(name, Kind.TEXT, limit, required=required)


def string(name: str, limit: int = 0, *, required: bool = False, least: int = 1) -> Field:
    return Field(name, Kind.STRING, limit, required=required, least=least)


def flag(name: str) -> Field:
    return Field(name, Kind.FLAG)


def number(name: str) -> Field:
    return Field(name, Kind.NUMBER)


def choice(name: str, *words: str, required: bool = False) -> Field:
    return Field(name, Kind.CHOICE, of=words, required=required)


def one(name: str, *of: str, required: bool = False) -> Field:
    return Field(name, Kind.ONE, of=of, required=required)


def several(name: str, limit: int, *of: str, required: bool = False, least: int = 1) -> Field:
    return Field(name, Kind.LIST, limit, of, required, least)


def free(name: str, *, required: bool = False) -> Field:
    return Field(name, Kind.FREE, required=required)


ACTION = string("action_id", 255)
BLOCK = string("block_id", 255)
CONFIRM = one("confirm", "confirm")
PLACEHOLDER = plain("placeholder", 150)
FOCUS = flag("focus_on_load")
ASKED = (CONFIRM, FOCUS, PLACEHOLDER)
TEN_OPTIONS = several("options", 10, "option", required=True)
OPTIONS = several("options", 100, "option")
STATUSES = ("pending", "in_progress", "complete", "error")
PICKERS = ("datepicker", "timepicker", "datetimepicker")
SELECTS = ("static_select", "external_select", "users_select", "conversations_select", "channels_select")
MULTI_SELECTS = tuple(f"multi_{name}" for name in SELECTS)
TYPED = ("plain_text_input", "email_text_input", "url_text_input", "number_input", "rich_text_input")
CHOOSERS = ("checkboxes", "radio_buttons")
PRESSED = ("button", "overflow", *SELECTS, *MULTI_SELECTS, *PICKERS, *CHOOSERS)

ROWS: dict[str, tuple[Field, ...]] = {
    # Blocks
    "section": (
        BLOCK,
        text("text", 3000),
        several("fields", 10, "field"),
        one("accessory", "image_element", *PRESSED),
        flag("expand"),
    ),
    "header": (BLOCK, plain("text", 150, required=True), number("level")),
    "divider": (BLOCK,),
    "image": (
        BLOCK,
        string("image_url", 3000),
        free("slack_file"),
        string("alt_text", 2000, required=True, least=0),
        plain("title", 2000),
    ),
    "context": (BLOCK, several("elements", 10, "mrkdwn", "plain_text", "image_element", required=True)),
    "actions": (BLOCK, several("elements", 25, *PRESSED, required=True)),
    "context_actions": (BLOCK, several("elements", 5, "feedback_buttons", "icon_button", required=True)),
    "markdown": (BLOCK, string("text", 12_000, required=True)),
    "rich_text": (BLOCK, several("elements", 0, "rich_text_part", required=True, least=0)),
    "table": (BLOCK, Field("rows", Kind.TABLE, required=True), several("column_settings", 20, "column")),
    "input": (
        BLOCK,
        plain("label", 2000, required=True),
        one("element", *TYPED, *SELECTS, *MULTI_SELECTS, *PICKERS, *CHOOSERS, "file_input", required=True),
        plain("hint", 2000),
        flag("optional"),
        flag("dispatch_action"),
    ),
    "task_card": (
        BLOCK,
        string("task_id", 255, required=True),
        string("title", required=True),
        choice("status", *STATUSES),
        one("details", "rich_text"),
        one("output", "rich_text"),
        several("sources", 0, "url"),
    ),
    "plan": (BLOCK, string("title", required=True), several("tasks", 0, "task_card")),
    "alert": (BLOCK, text("text", 3000, required=True), choice("level", "default", "info", "warning", "error", "success")),
    "card": (
        BLOCK,
        text("title", 150),
        text("subtitle", 150),
        text("body", 200),
        free("icon"),
        free("hero_image"),
        free("slack_icon"),
        several("actions", 3, "button"),
    ),
    "carousel": (BLOCK, several("elements", 10, "card", required=True)),
    "file": (BLOCK, string("external_id", required=True), choice("source", "remote", required=True)),
    # Elements
    "button": (
        ACTION,
        plain("text", 75, required=True),
        string("value", 2000),
        string("url", 3000),
        choice("style", "primary", "danger"),
        CONFIRM,
        string("accessibility_label", 75),
    ),
    "icon_button": (
        ACTION,
        choice("icon", "trash", required=True),
        plain("text", 75, required=True),
        string("value", 2000),
        CONFIRM,
        string("accessibility_label", 75),
        free("visible_to_user_ids"),
    ),
    "feedback_buttons": (
        ACTION,
        one("positive_button", "feedback_button", required=True),
        one("negative_button", "feedback_button", required=True),
    ),
    "overflow": (ACTION, several("options", 5, "option", required=True), CONFIRM),
    "image_element": (string("image_url", 3000), free("slack_file"), string("alt_text", 2000, required=True)),
    "static_select": (
        ACTION,
        OPTIONS,
        several("option_groups", 100, "group"),
        one("initial_option", "option"),
        *ASKED,
    ),
    "external_select": (ACTION, number("min_query_length"), one("initial_option", "option"), *ASKED),
    "users_select": (ACTION, string("initial_user"), *ASKED),
    "conversations_select": (
        ACTION,
        string("initial_conversation"),
        flag("default_to_current_conversation"),
        flag("response_url_enabled"),
        free("filter"),
        *ASKED,
    ),
    "channels_select": (ACTION, string("initial_channel"), flag("response_url_enabled"), *ASKED),
    "datepicker": (ACTION, string("initial_date", 10), *ASKED),
    "timepicker": (ACTION, string("initial_time", 5), string("timezone"), *ASKED),
    "datetimepicker": (ACTION, number("initial_date_time"), CONFIRM, FOCUS),
    "checkboxes": (
        ACTION,
        several("options", 10, "option", required=True),
        several("initial_options", 10, "option"),
        CONFIRM,
        FOCUS,
    ),
    "radio_buttons": (ACTION, TEN_OPTIONS, one("initial_option", "option"), CONFIRM, FOCUS),
    "plain_text_input": (
        ACTION,
        string("initial_value", 3000, least=0),
        flag("multiline"),
        number("min_length"),
        number("max_length"),
        free("dispatch_action_config"),
        FOCUS,
        PLACEHOLDER,
    ),
    "email_text_input": (ACTION, string("initial_value"), free("dispatch_action_config"), FOCUS, PLACEHOLDER),
    "url_text_input": (ACTION, string("initial_value"), free("dispatch_action_config"), FOCUS, PLACEHOLDER),
    "number_input": (
        ACTION,
        flag("is_decimal_allowed"),
        string("initial_value"),
        string("min_value"),
        string("max_value"),
        free("dispatch_action_config"),
        FOCUS,
        PLACEHOLDER,
    ),
    "rich_text_input": (ACTION, free("initial_value"), free("dispatch_action_config"), FOCUS, PLACEHOLDER),
    "file_input": (ACTION, free("filetypes"), number("max_files")),
    "url": (string("url", 3000, required=True), string("text", required=True)),
    # Parts of elements
    "option": (
        text("text", 75, required=True),
        string("value", 150, required=True),
        plain("description", 75),
        string("url", 3000),
    ),
    "group": (plain("label", 75, required=True), several("options", 100, "option", required=True)),
    "confirm": (
        plain("title", 100, required=True),
        text("text", 300, required=True),
        plain("confirm", 30, required=True),
        plain("deny", 30, required=True),
        choice("style", "primary", "danger"),
    ),
    "feedback_button": (
        plain("text", 75, required=True),
        string("value", 2000, required=True),
        string("accessibility_label", 75),
    ),
    "column": (choice("align", "left", "center", "right"), flag("is_wrapped")),
    # Views
    "modal": (
        plain("title", 24, required=True),
        several("blocks", 100, "block", required=True),
        plain("submit", 24),
        plain("close", 24),
        string("private_metadata", 3000, least=0),
        string("callback_id", 255),
        string("external_id", 255),
        flag("clear_on_close"),
        flag("notify_on_close"),
        flag("submit_disabled"),
    ),
    "home": (
        several("blocks", 100, "block", required=True, least=0),
        string("private_metadata", 3000, least=0),
        string("callback_id", 255),
        string("external_id", 255),
    ),
}
for _name in SELECTS:
    _single = tuple(field for field in ROWS[_name] if not field.name.startswith("initial_"))
    ROWS[f"multi_{_name}"] = (
        *_single,
        number("max_selected_items"),
        free(f"initial_{_name.split('_')[0]}"),
        free("initial_options"),
    )

IN_MESSAGES = frozenset(
    {
        *("section", "header", "divider", "image", "context", "actions", "context_actions", "markdown", "rich_text", "table"),
        *("input", "task_card", "plan", "alert", "card", "carousel", "file"),
    }
)
IN_VIEWS = frozenset({"section", "header", "divider", "image", "context", "actions", "rich_text", "input", "alert"})
NEEDS_ONE_OF: dict[str, tuple[str, ...]] = {
    "section": ("text", "fields"),
    "image": ("image_url", "slack_file"),
    "image_element": ("image_url", "slack_file"),
    "static_select": ("options", "option_groups"),
    "multi_static_select": ("options", "option_groups"),
    "card": ("hero_image", "title", "actions", "body"),
}
"""Of these fields at least one must be there."""
