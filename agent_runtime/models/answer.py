"""A finished answer of an endpoint: the text for people, the tool calls, what it used up. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import ToolCall, tool_call

from agent_runtime.models.arguments import BROKEN_KEY, Broken, arguments_of
from agent_runtime.models.assembly import Assembly, RawCall
from agent_runtime.models.text_calls import text_calls, without_calls
from agent_runtime.models.wire import Body, each_text, tokens_of

ABOUT_KEY = "opsthread_call"
"""In response_metadata: the facts of the call (model, money, estimated, cut)."""
MOST_CALLS = 16
"""In one message; a model that asks for more gets the first ones."""


@dataclass(frozen=True, slots=True)
class Answer:
    text: str
    calls: tuple[ToolCall, ...]
    input_tokens: int
    output_tokens: int
    estimated: bool
    cut: bool
    """The model's output limit, or ours, ended it."""
    wants_tools: bool = False
    """It wrote calls, though it was offered no tool: another attempt would write them again."""

    @property
    def outcome(self) -> str:
        what = f"{len(self.calls)} tool call(s)" if self.calls else "an answer" if self.text else "nothing"
        return f"{what}, cut" if self.cut else what

    @staticmethod
    def guess(into: Assembly, sent: int) -> tuple[int, int]:
        """Tokens in and out by length, where none are told."""
        wrote = into.reasoned + len(into.visible.text) + len(into.visible.held)
        wrote += sum(len(call.name) + len(call.arguments) for call in into.calls)
        return tokens_of(sent), tokens_of(wrote)

    def message(self, *, model: str, money: float) -> AIMessage:
        used = UsageMetadata(
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            total_tokens=self.input_tokens + self.output_tokens,
        )
        about = {"model": model, "money": money, "estimated": self.estimated, "cut": self.cut}
        about |= {"wants_tools": True} if self.wants_tools else {}
        return AIMessage(self.text, tool_calls=list(self.calls), usage_metadata=used, response_metadata={ABOUT_KEY: about})


def about(message: AIMessage) -> dict[str, Any]:
    """The facts of the call that gave a message; empty for the rules'."""
    return cast(dict[str, Any], cast(dict[str, Any], message.response_metadata).get(ABOUT_KEY) or {})


def answer_of(into: Assembly, body: Body, tools: Sequence[Mapping[str, Any]], reveal: Callable[[str], str]) -> Answer:
    """`reveal` goes over all that the model wrote, before it is read."""
    names = {str(tool["function"]["name"]) for tool in tools}
    native = [call for call in into.calls if call.name or call.arguments]
    whole = text = into.visible.text + into.visible.held
    calls = list[ToolCall]()
    if native:
        text = into.visible.text
        calls = [_call(call, names, reveal, n) for n, call in enumerate(native[:MOST_CALLS])]
    else:
        found = text_calls(text, tools, _given(body)) if tools else ()
        text = into.visible.text.split("```")[0] if found else without_calls(text, _given(body))
        if found:
            calls = [tool_call(name=call.name, args=each_text(call.args, reveal), id=f"t{n}") for n, call in enumerate(found)]
    guessed = Answer.guess(into, len(str(body)))
    return Answer(
        text=reveal(text).strip(),
        calls=tuple(calls),
        input_tokens=guessed[0] if into.input_tokens is None else into.input_tokens,
        output_tokens=guessed[1] if into.output_tokens is None else into.output_tokens,
        estimated=into.input_tokens is None or into.output_tokens is None,
        cut=into.cut or into.finish in ("length", "max_tokens", "MAX_TOKENS"),
        wants_tools=not tools and text != whole,
    )


def _call(call: RawCall, names: set[str], reveal: Callable[[str], str], n: int) -> ToolCall:
    read = arguments_of(reveal(call.arguments))
    return tool_call(name=_name(call.name, names), args=read.args if isinstance(read, Broken) else read, id=call.id or f"t{n}")


def _name(name: str, names: set[str]) -> str:
    """Some models put their own prefix before it: functions.kubectl, default_api:kubectl."""
    if name in names:
        return name
    short = name.strip().replace(":", ".").replace("/", ".").rsplit(".", 1)[-1]
    return short if short in names else name.strip()


def _given(body: Body) -> Iterator[str]:
    """What the model was told by others, as it stood in the request."""
    for message in cast(list[dict[str, Any]], body["messages"]):
        if message["role"] in ("user", "tool") and isinstance(message.get("content"), str):
            yield message["content"]


def broken_call(args: Mapping[str, Any]) -> str:
    """Why a call's arguments could not be read; "" when they could."""
    why = args.get(BROKEN_KEY)
    return str(why) if why is not None else ""
