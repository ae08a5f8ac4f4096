"""A request to an OpenAI-compatible endpoint, from LangChain's messages to its bytes. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from json import dumps
from typing import Any, cast

import orjson
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from agent_runtime.models.in_words import told_in_words

Body = dict[str, Any]

CHARACTERS_A_TOKEN = 3.5
"""Of English, YAML and JSON; measured between 3 and 4."""


@dataclass(frozen=True, slots=True)
class Manner:
    """What an endpoint takes. Learnt once from its refusals, then remembered."""

    stream: bool = True
    usage_in_stream: bool = True
    parallel_tools: bool | None = None
    """None: not said at all."""
    native_tools: bool = True
    """False: tools are told in words and called in text."""
    left_out: frozenset[str] = frozenset()
    """Optional fields that it refused."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a body is made of."""

    model: str
    messages: Sequence[BaseMessage]
    tools: Sequence[Mapping[str, Any]]
    options: Mapping[str, Any]


def compose(asked: Asked, manner: Manner, *, hide: Callable[[str], str] = str) -> Body:
    """The request's body. `hide` goes over every text that a person or the cluster wrote, and over ours."""
    messages = [wire_message(message, hide) for message in asked.messages]
    tools = cast(list[dict[str, Any]], _descriptions(list(asked.tools), hide))
    if not manner.native_tools:
        messages, tools = told_in_words(messages, tools), []
    body: Body = {"model": asked.model, "messages": messages}
    if tools:
        body["tools"] = tools
        if manner.parallel_tools is not None:
            body["parallel_tool_calls"] = manner.parallel_tools
    body["stream"] = manner.stream
    if manner.stream and manner.usage_in_stream:
        body["stream_options"] = {"include_usage": True}
    return {key: value for key, value in (body | dict(asked.options)).items() if key not in manner.left_out}


def as_bytes(body: Body) -> bytes:
    """The same body gives the same bytes."""
    return orjson.dumps(body)


def wire_message(message: BaseMessage, hide: Callable[[str], str] = str) -> dict[str, Any]:
    """Only what every endpoint takes: no names, no reasoning of earlier answers. Raises TypeError for other kinds."""
    text = hide(str(message.text))
    match message:
        case SystemMessage():
            return {"role": "system", "content": text}
        case HumanMessage():
            return {"role": "user", "content": text}
        case ToolMessage():
            return {"role": "tool", "tool_call_id": message.tool_call_id, "content": text}
        case AIMessage(tool_calls=[]):
            return {"role": "assistant", "content": text}
        case AIMessage():
            calls = [
                {
                    "id": call["id"],
                    "type": "function",
                    "function": {"name": call["name"], "arguments": dumps(each_text(call["args"], hide), ensure_ascii=False)},
                }
                for call in message.tool_calls
            ]
            return {"role": "assistant", "content": text or None, "tool_calls": calls}
        case _:
            raise TypeError(f"a {type(message).__name__} can't be sent to a model")


def tokens_of(size: int) -> int:
    """About how many tokens so many characters are."""
    return int(size / CHARACTERS_A_TOKEN) + 1


# A refusal names the field that it does not take. The first row whose words are in it, and whose field was sent, counts.
_REFUSED: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("stream_options", ("stream_options", "include_usage")),
    ("parallel_tool_calls", ("parallel_tool_calls", "parallel tool")),
    (
        "tools",
        (
            "does not support tools",
            "tools is not supported",
            "tools are not supported",
            "tool choice requires",
            "tool use is not supported",
            "function calling is not supported",
            "unrecognized request argument supplied: tools",
        ),
    ),
    ("stream", ("streaming is not", "streaming not", "stream is not", "stream=true", "stream must be false", "'stream'")),
)


def adapted(manner: Manner, body: Body, status: int, words: str) -> Manner | None:
    """How to ask instead, when a refusal (400, 404, 422, 500, 501) is about a field that can be left out; else None."""
    if status not in (400, 404, 405, 422, 500, 501):
        return None
    said = words.lower()
    for field, marks in _REFUSED:
        if field in body and any(mark in said for mark in marks) and (field != "stream" or body[field]):
            return _without(manner, field)
    if status in (400, 422):
        optional = (key for key in body if key not in ("model", "messages", "tools", "stream"))
        field = next((key for key in optional if key in said), None)
        if field is not None:
            return replace(manner, left_out=manner.left_out | {field})
    return None


def _without(manner: Manner, field: str) -> Manner:
    match field:
        case "stream_options":
            return replace(manner, usage_in_stream=False)
        case "parallel_tool_calls":
            return replace(manner, parallel_tools=None, left_out=manner.left_out | {field})
        case "tools":
            return replace(manner, native_tools=False)
        case _:
            return replace(manner, stream=False)


def each_text(value: Any, change: Callable[[str], str]) -> Any:
    """The value with every text in it changed, but for the keys of objects."""
    match value:
        case str():
            return change(value)
        case dict():
            return {key: each_text(inner, change) for key, inner in cast(dict[str, Any], value).items()}
        case list():
            return [each_text(inner, change) for inner in cast(list[Any], value)]
        case _:
            return value


def _descriptions(value: Any, hide: Callable[[str], str]) -> Any:
    """Only what is words in a schema: its keys, names and types are the protocol's."""
    match value:
        case dict():
            items = cast(dict[str, Any], value).items()
            return {
                key: hide(inner) if key == "description" and isinstance(inner, str) else _descriptions(inner, hide)
                for key, inner in items
            }
        case list():
            return [_descriptions(inner, hide) for inner in cast(list[Any], value)]
        case _:
            return value
