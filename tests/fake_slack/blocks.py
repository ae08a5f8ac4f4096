"""Reads blocks and views by the rows of `limits`, and refuses as Slack does: a code, and where what is wrong."""

from collections.abc import Iterator
from typing import Any, cast

from tests.fake_slack.errors import SlackError, invalid
from tests.fake_slack.limits import IN_MESSAGES, IN_VIEWS, LIMITS, NEEDS_ONE_OF, ROWS, Field, Kind
from tests.fake_slack.records import Json

RICH_PARTS = {"rich_text_section", "rich_text_list", "rich_text_quote", "rich_text_preformatted"}
CELLS = {"raw_text", "raw_number", "rich_text"}


def check_text(text: str, *, of_update: bool = False) -> None:
    """Raise msg_too_long."""
    if len(text) > LIMITS["text of chat.update" if of_update else "message text"]:
        raise SlackError("msg_too_long")


def check_markdown(text: str) -> None:
    if len(text) > LIMITS["markdown_text"]:
        raise SlackError("msg_too_long")


def check_blocks(blocks: list[Json]) -> None:
    """Raise what chat.postMessage would say of these blocks."""
    problems = problems_of_blocks(blocks)
    if problems:
        raise invalid("invalid_blocks", problems)
    if text_of(blocks) > LIMITS["text of all blocks"]:
        raise SlackError("msg_blocks_too_long")


def check_view(view: Json, kind: str) -> None:
    """Raise what views.open (`modal`) or views.publish (`home`) would say of this view."""
    if view.get("type") != kind:
        raise invalid("invalid_arguments", [f"must be of type {kind} [json-pointer:/view/type]"])
    problems = list(_object({**view, "type": ""}, kind, "/view"))
    blocks = cast(list[Json], view.get("blocks") or [])
    problems += _several_blocks(blocks, IN_VIEWS, "/view/blocks")
    if any(block.get("type") == "input" for block in blocks) and kind == "modal" and "submit" not in view:
        problems.append("a modal with inputs needs a submit [json-pointer:/view/submit]")
    if problems:
        raise invalid("invalid_arguments", problems)


def problems_of_blocks(blocks: list[Json]) -> list[str]:
    """What is wrong with the blocks of a message, in words that end in a JSON pointer; empty when nothing is."""
    most = LIMITS["blocks of a message"]
    if len(blocks) > most:
        return [f"no more than {most} items allowed [json-pointer:/blocks]"]
    problems = list(_several_blocks(blocks, IN_MESSAGES, "/blocks"))
    if sum(block.get("type") == "table" for block in blocks) > LIMITS["tables of a message"]:
        problems.append("only_one_table_allowed [json-pointer:/blocks]")
    return problems


def text_of(value: Any) -> int:
    """How many characters of text these blocks hold together."""
    if isinstance(value, dict):
        fields = cast(Json, value)
        return sum(len(one) if key == "text" and isinstance(one, str) else text_of(one) for key, one in fields.items())
    if isinstance(value, list):
        return sum(text_of(one) for one in cast(list[Any], value))
    return 0


def _several_blocks(blocks: list[Json], allowed: frozenset[str], where: str) -> Iterator[str]:
    seen: set[str] = set()
    for place, block in enumerate(blocks):
        kind, here = str(block.get("type", "")), f"{where}/{place}"
        if kind not in allowed:
            yield f"unsupported type: {kind} [json-pointer:{here}/type]"
            continue
        name = str(block.get("block_id", ""))
        if name and name in seen:
            yield f"`block_id` {name} already exists [json-pointer:{here}/block_id]"
        seen.add(name)
        yield from _object(block, kind, here)
        yield from _twice(block, here)


def _twice(block: Json, where: str) -> Iterator[str]:
    seen: set[str] = set()
    elements: Any = block.get("elements")
    for element in cast(list[Any], elements) if isinstance(elements, list) else []:
        name = str(cast(Json, element).get("action_id", "")) if isinstance(element, dict) else ""
        if name and name in seen:
            yield f"`action_id` {name} already exists [json-pointer:{where}/elements]"
        seen.add(name)


def _object(value: Json, row: str, where: str) -> Iterator[str]:
    fields = {field.name: field for field in ROWS[row]}
    for name in value:
        if name not in fields and name != "type":
            yield f"invalid additional property: {name} [json-pointer:{where}]"
    for field in fields.values():
        found = value.get(field.name)
        if found is None:
            if field.required:
                yield f"missing required field: {field.name} [json-pointer:{where}]"
        else:
            yield from _field(found, field, f"{where}/{field.name}")
    needed = NEEDS_ONE_OF.get(row, ())
    if needed and not any(name in value for name in needed):
        yield f"one of {', '.join(needed)} is required [json-pointer:{where}]"


def _field(value: Any, field: Field, where: str) -> Iterator[str]:
    match field.kind:
        case Kind.STRING:
            yield from _length(value, field, where)
        case Kind.PLAIN | Kind.TEXT:
            allowed = ("plain_text",) if field.kind is Kind.PLAIN else ("plain_text", "mrkdwn")
            yield from _text_object(value, allowed, field, where)
        case Kind.NUMBER:
            if not isinstance(value, int) or isinstance(value, bool):
                yield f"must be an integer [json-pointer:{where}]"
        case Kind.FLAG:
            if not isinstance(value, bool):
                yield f"must be a boolean [json-pointer:{where}]"
        case Kind.CHOICE:
            if value not in field.of:
                yield f"must be one of {', '.join(field.of)} [json-pointer:{where}]"
        case Kind.ONE:
            yield from _typed(value, field.of, where)
        case Kind.LIST:
            yield from _list(value, field, where)
        case Kind.TABLE:
            yield from _table(value, where)
        case Kind.FREE:
            return


def _length(value: Any, field: Field, where: str) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"must be a string [json-pointer:{where}]"
    elif field.limit and len(value) > field.limit:
        yield f"must be less than {field.limit + 1} characters [json-pointer:{where}]"
    elif len(value) < field.least:
        yield f"must be more than {field.least - 1} characters [json-pointer:{where}]"


def _text_object(value: Any, allowed: tuple[str, ...], field: Field, where: str) -> Iterator[str]:
    if not isinstance(value, dict) or cast(Json, value).get("type") not in allowed:
        yield f"must be a {' or '.join(allowed)} object [json-pointer:{where}]"
        return
    body = cast(Json, value)
    known = {"type", "text", "emoji"} if body["type"] == "plain_text" else {"type", "text", "verbatim"}
    for name in sorted(set(body) - known):
        yield f"invalid additional property: {name} [json-pointer:{where}]"
    yield from _length(body.get("text"), field, f"{where}/text")


def _typed(value: Any, of: tuple[str, ...], where: str) -> Iterator[str]:
    """An object whose type is one of these rows; parts of elements have no type."""
    if not isinstance(value, dict):
        yield f"must be an object [json-pointer:{where}]"
        return
    body = cast(Json, value)
    kind = str(body.get("type", ""))
    if kind in ("plain_text", "mrkdwn") and ("field" in of or kind in of):
        yield from _text_object(body, (kind,), Field("text", Kind.TEXT, 2000 if "field" in of else 3000), where)
    elif of == ("rich_text_part",):
        if kind not in RICH_PARTS:
            yield f"unsupported type: {kind} [json-pointer:{where}/type]"
    elif of == ("block",):
        return
    elif kind == "image" and "image_element" in of:
        yield from _object(body, "image_element", where)
    elif not kind and len(of) == 1 and of[0] not in ("field", "url"):
        yield from _object(body, of[0], where)
    elif kind in of:
        yield from _object(body, kind, where)
    else:
        yield f"unsupported type: {kind} [json-pointer:{where}/type]"


def _list(value: Any, field: Field, where: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"must be a list [json-pointer:{where}]"
        return
    items = cast(list[Any], value)
    if field.limit and len(items) > field.limit:
        yield f"no more than {field.limit} items allowed [json-pointer:{where}]"
    if len(items) < field.least:
        yield f"no less than {field.least} items allowed [json-pointer:{where}]"
    for place, item in enumerate(items):
        if item is None and field.name == "column_settings":
            continue
        yield from _typed(item, field.of, f"{where}/{place}")


def _table(value: Any, where: str) -> Iterator[str]:
    rows = cast(list[Any], value) if isinstance(value, list) else []
    if not rows:
        yield f"no less than 1 items allowed [json-pointer:{where}]"
    if len(rows) > LIMITS["rows of a table"]:
        yield f"no more than {LIMITS['rows of a table']} items allowed [json-pointer:{where}]"
    for place, row in enumerate(rows):
        cells = cast(list[Any], row) if isinstance(row, list) else []
        if not 1 <= len(cells) <= LIMITS["columns of a table"]:
            yield f"between 1 and {LIMITS['columns of a table']} cells allowed [json-pointer:{where}/{place}]"
        for column, cell in enumerate(cells):
            kind = str(cast(Json, cell).get("type", "")) if isinstance(cell, dict) else ""
            if kind not in CELLS:
                yield f"unsupported type: {kind} [json-pointer:{where}/{place}/{column}/type]"
            elif kind == "raw_text" and not str(cast(Json, cell).get("text", "")):
                yield f"must be more than 0 characters [json-pointer:{where}/{place}/{column}/text]"
