"""Tool calls that a model writes as text, because its server has no parser for its marks. Pure.

A call counts only when the tool was offered, its arguments fit the tool's schema, the message holds little else, and what is
written does not stand in anything that the model was given: a log line that looks like a call is a quotation.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from json import JSONDecoder
from typing import Any, cast

from agent_runtime.models.arguments import Broken, arguments_of

Json = dict[str, Any]
MOST_CALLS = 8
_BESIDE = 400
"""Characters of prose beside a bare JSON object or a fence: more is an answer that shows one."""

_TAGGED = re.compile(r"<(tool_call|function_call)>(.*?)(?:</\1>|\Z)", re.DOTALL)
_FUNCTION = re.compile(r"<function=([\w.-]+)>(.*?)(?:</function>|\Z)", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=([\w.-]+)>\n?(.*?)\n?(?:</parameter>|\Z)", re.DOTALL)
_PYTHON_TAG = re.compile(r"<\|(?:python_tag|tool_call)\|>(.*)\Z", re.DOTALL)
_MISTRAL = re.compile(r"\[TOOL_CALLS\](.*)\Z", re.DOTALL)
_FENCE = re.compile(r"```(?:json|tool_call|tool_code|tool)?[ \t]*\n(.*?)```", re.DOTALL)
_TAIL = re.compile(r"<\|?(?:eom_id|eot_id|im_end|end_of_text|/s)\|?>\s*\Z")
_BETWEEN = re.compile(r"[\W_]+")
_MARKED = (_TAGGED, _FUNCTION, _PYTHON_TAG, _MISTRAL)
_NAMES = ("name", "tool", "tool_name", "function")
_ARGUMENTS = ("arguments", "parameters", "args", "input")
_DECODER = JSONDecoder(strict=False)


@dataclass(frozen=True, slots=True)
class TextCall:
    name: str
    args: Json


def text_calls(text: str, tools: Sequence[Mapping[str, Any]], given: Iterable[str]) -> tuple[TextCall, ...]:
    """The calls in `text`, or none: it is all or nothing. `tools` in OpenAI's form; `given` is what the model was told."""
    offered = {str(tool["function"]["name"]): cast(Json, tool["function"].get("parameters") or {}) for tool in tools}
    text = _TAIL.sub("", text)
    found = _candidates(text)
    if not found or len(found) > MOST_CALLS:
        return ()
    told = [_folded(part) for part in given]
    calls: list[TextCall] = []
    for written, call in found:
        if call is None or call.name not in offered or not fits(call.args, offered[call.name]):
            return ()
        if any(_folded(written) in part for part in told):
            return ()
        calls.append(call)
    return tuple(calls)


def without_calls(text: str, given: Iterable[str]) -> str:
    """What is left for people of a text whose calls can't be run, because no such tool is offered. Quotations stay."""
    told = [_folded(part) for part in given]

    def kept(found: re.Match[str]) -> str:
        quoted = _folded(found.group(found.re.groups))
        return found.group() if any(quoted in part for part in told) else ""

    for pattern in _MARKED:
        text = pattern.sub(kept, text)
    return text


def fits(args: Mapping[str, Any], schema: Mapping[str, Any]) -> bool:
    """Every required field, none that is unknown, and each of the type that the schema names at its top."""
    properties = cast(Json, schema.get("properties") or {})
    if any(key not in args for key in cast(list[str], schema.get("required") or [])):
        return False
    return all(key in properties and _is(value, cast(Json, properties[key])) for key, value in args.items())


def _candidates(text: str) -> list[tuple[str, TextCall | None]]:
    """What is written like calls, in the first style that is found."""
    if "<data>" in text:
        return []
    tagged = [(match.group(2), match.group(2)) for match in _TAGGED.finditer(text)]
    if tagged:
        return [(written, call) for written, inner in tagged for call in (_xml(inner) or _objects(inner) or [None])]
    functions = list(_FUNCTION.finditer(text))
    if functions:
        return [(match.group(0), _function(match.group(1), match.group(2))) for match in functions]
    for pattern in (_PYTHON_TAG, _MISTRAL):
        marked = pattern.search(text)
        if marked is not None:
            return [(marked.group(1), call) for call in _objects(marked.group(1)) or [None]]
    fences = list(_FENCE.finditer(text))
    if fences:
        beside = len(_FENCE.sub("", text).strip())
        return [] if beside > _BESIDE else [(m.group(1), call) for m in fences for call in _objects(m.group(1)) or [None]]
    bare = text.strip()
    return [(bare, call) for call in _objects(bare)] if bare.startswith(("{", "[")) else []


def _objects(text: str) -> list[TextCall | None]:
    """JSON objects, one after the other or in a list, and nothing else."""
    rest, calls = text.strip(), list[TextCall | None]()
    while rest:
        try:
            value, end = _DECODER.raw_decode(rest)
        except ValueError:
            return []
        for item in cast(list[Any], value) if isinstance(value, list) else [value]:
            calls.append(_call(item))
        rest = rest[end:].lstrip(" \t\r\n;,")
    return calls


def _call(value: Any) -> TextCall | None:
    if not isinstance(value, dict):
        return None
    told = cast(Json, value)
    inner = told.get("function")
    if isinstance(inner, dict):
        told = cast(Json, inner)
    name = next((told[key] for key in _NAMES if isinstance(told.get(key), str)), None)
    args = arguments_of(next((told[key] for key in _ARGUMENTS if key in told), None) or "")
    return None if name is None or isinstance(args, Broken) else TextCall(name, args)


def _function(name: str, inner: str) -> TextCall | None:
    parameters = _parameters(inner)
    if parameters:
        return TextCall(name, parameters)
    args = arguments_of(inner)
    return None if isinstance(args, Broken) else TextCall(name, args)


def _xml(inner: str) -> list[TextCall | None]:
    """<tool_call><function=name><parameter=key>value</parameter></function></tool_call>"""
    return [_function(match.group(1), match.group(2)) for match in _FUNCTION.finditer(inner)]


def _parameters(inner: str) -> Json:
    return {match.group(1): _value(match.group(2)) for match in _PARAMETER.finditer(inner)}


def _value(text: str) -> Any:
    """A parameter in XML has no type: what reads as JSON's number, truth or structure is one."""
    stripped = text.strip()
    if re.fullmatch(r"-?\d+(\.\d+)?|true|false|null|[\[{].*[\]}]", stripped, re.DOTALL):
        try:
            value, end = _DECODER.raw_decode(stripped)
        except ValueError:
            return text
        return value if end == len(stripped) else text
    return text


def _is(value: Any, schema: Json) -> bool:
    kind = schema.get("type")
    if kind is None and "anyOf" in schema:
        return any(_is(value, cast(Json, option)) for option in cast(list[Any], schema["anyOf"]))
    match kind:
        case "string":
            return isinstance(value, str)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "object":
            return isinstance(value, dict)
        case "array":
            return isinstance(value, list)
        case "null":
            return value is None
        case _:
            return True


def _folded(text: str) -> str:
    """Letters and digits only: a quotation may be spaced and escaped in another way than what it quotes."""
    return _BETWEEN.sub("", text).lower()
