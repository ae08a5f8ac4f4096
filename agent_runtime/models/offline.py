"""The model for when there is none: rules that drive the same loop over the same tools.

A pure function of the transcript, so that streaming, repeating and resuming give the same plan.
"""

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from json import dumps
from typing import Any, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolCallChunk
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from agent_runtime.models.answers import so_far
from agent_runtime.models.phrases import phrase
from agent_runtime.models.plan import Answer, Step, next_step
from agent_runtime.models.view import View, view_of
from protocol.canonical import digest
from protocol.events import Language

_LINES = re.compile(r".*\n|.+")


class OfflineModel(BaseChatModel):
    """Intents in English, Chinese and Japanese; see plan.next_step."""

    language: Language = "en"
    namespaces: tuple[str, ...] = ()
    """The cluster's namespaces, so that "in shop" is understood."""
    note: str = ""
    """Why it answers in place of a language model; said in the answer."""
    tool_names: tuple[str, ...] = ()
    withdrawn: bool = False
    """The turn has to end: answer from what was seen."""

    @property
    def _llm_type(self) -> str:
        return "opsthread-offline"

    def bind_tools(
        self, tools: Sequence[dict[str, Any] | type | BaseTool | Any], *, tool_choice: str | None = None, **kwargs: Any
    ) -> Runnable[Any, AIMessage]:
        del tool_choice, kwargs
        names = tuple(str(convert_to_openai_tool(tool)["function"]["name"]) for tool in tools)
        return self.model_copy(update={"tool_names": names})

    def respond(self, messages: Sequence[BaseMessage]) -> AIMessage:
        """The next message: tool calls, or the answer with the lines that say how it was made."""
        view = view_of(messages)
        step = self._step(view)
        if isinstance(step, Answer):
            return AIMessage(content=self._signed(step.text))
        round_number = sum(isinstance(message, AIMessage) for message in messages)
        calls = [
            {"name": call.name, "args": call.args, "id": _call_id(round_number, n, call.args), "type": "tool_call"}
            for n, call in enumerate(step)
        ]
        return AIMessage(content="", tool_calls=cast(Any, calls))

    def _step(self, view: View) -> Step:
        step = next_step(view, language=self.language, tools=self.tool_names, namespaces=self.namespaces)
        return Answer(so_far(view, self.language)) if self.withdrawn and not isinstance(step, Answer) else step

    def _signed(self, text: str) -> str:
        lines = [text]
        if self.withdrawn:
            lines.append(phrase("budget", self.language))
        if self.note:
            lines.append(phrase("fallback", self.language, why=self.note))
        return "\n\n".join([*lines, phrase("offline", self.language)])

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        del stop, run_manager, kwargs
        return ChatResult(generations=[ChatGeneration(message=self.respond(messages))])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        del stop, run_manager, kwargs
        return ChatResult(generations=[ChatGeneration(message=self.respond(messages))])

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        del stop, kwargs
        for chunk in _chunks(self.respond(messages)):
            if run_manager is not None and chunk.text:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk


def _chunks(message: AIMessage) -> Iterator[ChatGenerationChunk]:
    """Lines as they come, then the tool calls, then the end."""
    for piece in _LINES.findall(str(message.text)):
        yield ChatGenerationChunk(message=AIMessageChunk(content=piece))
    calls: list[ToolCallChunk] = [
        tool_call_chunk(name=call["name"], args=dumps(call["args"], ensure_ascii=False), id=call["id"], index=n)
        for n, call in enumerate(message.tool_calls)
    ]
    yield ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=calls, chunk_position="last"))


def _call_id(round_number: int, n: int, args: dict[str, Any]) -> str:
    """The same transcript gives the same ids."""
    return f"o{round_number}_{n}_{digest(args)[:8]}"
