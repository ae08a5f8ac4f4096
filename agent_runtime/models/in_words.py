"""Tools for a model whose server has no field for them: told in the system prompt, called in text, answered as messages.

What a model writes in place of a call is read in `text_calls`. Pure.
"""

from collections.abc import Sequence
from typing import Any

import orjson

_HOW = (
    "You have these tools. To call one, write nothing but one line\n"
    '<tool_call>{"name": "<tool>", "arguments": {…}}</tool_call>\n'
    "and wait for its result, which comes as the next message.\n"
)


def told_in_words(messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same conversation without the fields for tools. It begins with a system message."""
    listed = "\n".join(orjson.dumps(tool["function"]).decode() for tool in tools)
    told: list[dict[str, Any]] = []
    for message in messages:
        if message["role"] == "system" and listed:
            told.append({"role": "system", "content": f"{message['content']}\n\n{_HOW}{listed}"})
        elif message["role"] == "tool":
            told.append({"role": "user", "content": f"<tool_response>\n{message['content']}\n</tool_response>"})
        elif message.get("tool_calls"):
            calls = [_called(call) for call in message["tool_calls"]]
            told.append({"role": "assistant", "content": "\n".join([message["content"] or "", *calls]).strip()})
        else:
            told.append(message)
    return told


def _called(call: dict[str, Any]) -> str:
    function = call["function"]
    return f'<tool_call>{{"name": "{function["name"]}", "arguments": {function["arguments"]}}}</tool_call>'
