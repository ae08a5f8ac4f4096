"""Where LangChain's loop meets the turn: each model call and each tool call passes here, and nothing else of ours is in it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from json import dumps
from typing import Any, cast

from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
from langchain.agents.middleware.types import ToolCallRequest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langchain_core.messages.tool import ToolCall as ToolCallDict
from langchain_core.messages.tool import tool_call
from langgraph.types import Command

from agent_runtime.compaction import compact
from agent_runtime.models.answer import about, broken_call
from agent_runtime.models.ask import Given, Models
from agent_runtime.models.endpoint import Endpoint, Hooks
from agent_runtime.models.phrases import phrase
from agent_runtime.turns.budget import Budget, Limit
from agent_runtime.turns.live import LiveText
from agent_runtime.turns.recorder import Recorder
from agent_runtime.turns.transcript import this_turn, tool_message
from agent_runtime.turns.turn_log import opening_call
from control_plane.conversations import Turn
from knowledge.wording import translate
from prompts import prompt
from protocol.commands import CommandStatus
from protocol.events import Language, ModelMessage, ToolCall
from protocol.text import cap, clean
from tools.answer import ToolAnswer
from tools.names import REPORT
from tools.titles import title_of

Model = Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
Tool = Callable[[ToolCallRequest], Awaitable["ToolMessage | Command[Any]"]]


STOP_KNOWN_S = 0.5
"""A tool that starts within this time of the last look for a Stop does not look again: the next model call does."""


class TurnStopped(Exception):
    """Somebody pressed Stop. Raised at a model boundary, so that nothing is half done."""


class TurnMiddleware(AgentMiddleware[Any, Any]):
    """Stop, budgets, the model with its fall-back, and the log. Never raises but TurnStopped."""

    def __init__(
        self,
        *,
        turn: Turn,
        recorder: Recorder,
        models: Models,
        budget: Budget,
        live: LiveText,
        language: Language,
        hooks: Hooks,
    ) -> None:
        super().__init__()
        self.tools = []
        self._turn = turn
        self._recorder = recorder
        self._models = models
        self._budget = budget
        self._live = live
        self._language: Language = language
        self._hooks = hooks
        self._stop, self._looked_at = False, float("-inf")
        models.pause = self._pause
        self.limit: Limit | None = None
        """The budget that ended the looking around."""

    async def awrap_model_call(self, request: ModelRequest[Any], handler: Model) -> ModelResponse[Any]:
        if await self._stopped():
            raise TurnStopped
        now = time.monotonic()
        self.limit = self.limit or self._budget.reached(now)
        if self.limit is not None:
            request = request.override(tools=[])

        async def send(model: BaseChatModel, tokens: int) -> list[object]:
            messages: list[AnyMessage] = list(request.messages)
            if isinstance(model, Endpoint):
                model = model.with_hooks(self._hooks)
                messages = cast(list[AnyMessage], compact(messages, tokens=tokens, cited=self._cited()))
                if self.limit is not None:
                    # For a language model only: the rules read the question as the last human message.
                    messages.append(HumanMessage(prompt("budget", self._language, what=self.limit)))
            return list((await handler(request.override(model=model, messages=messages))).result)

        given = await self._models.ask(
            send, withdrawn=self.limit is not None, left_s=self._budget.left_s(now), reset=self._live.next_message
        )
        if given.offline:
            self._live.feed(str(given.message.text))
        await self._live.next_message()
        return ModelResponse(result=[await self._log_message(given)])

    async def awrap_tool_call(self, request: ToolCallRequest, handler: Tool) -> "ToolMessage | Command[Any]":
        call = request.tool_call
        call_id, name, args = str(call["id"]), call["name"], call["args"]
        if await self._stopped(known_for_s=STOP_KNOWN_S):
            return ToolMessage("Stopped before it ran.", tool_call_id=call_id, name=name, status="error")

        async def run() -> ToolAnswer:
            return answer_of(name, args, await handler(request))

        refusal = _unreadable(request) or self._budget.take_tool(name, args, time.monotonic())
        return tool_message(await self._recorder.tool(call_id, name, args, run, refusal=refusal))

    async def _pause(self, seconds: float) -> None:
        """Raises TurnStopped when somebody presses Stop meanwhile."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if await self._stopped():
                raise TurnStopped
            await asyncio.sleep(min(left, STOP_KNOWN_S))

    async def _stopped(self, *, known_for_s: float = 0.0) -> bool:
        now = time.monotonic()
        if now - self._looked_at >= known_for_s:
            self._looked_at, self._stop = now, await self._recorder.stop_requested()
        return self._stop

    async def _log_message(self, given: Given) -> AIMessage:
        """The message as it goes into the log and on in the loop: our call ids, no tool calls once tools are withdrawn."""
        source = given.message
        calls: list[ToolCallDict] = [] if self.limit else source.tool_calls
        text = clean(str(source.text)).strip()
        if not calls and not text:
            # A model that asks for tools it no longer has, with no word besides: the rules answer for it.
            source = self._models.offline.model_copy(update={"withdrawn": True}).respond(self._so_far())
            text, given = str(source.text), replace(given, offline=True, model="")
        final, facts = not calls, about(given.message)
        if final:
            text = "\n\n".join([text, *self._remarks(given, cut=bool(facts.get("cut")))])
        usage = given.message.usage_metadata
        message = ModelMessage(
            text=text,
            tool_calls=tuple(
                ToolCall(id=self._recorder.next_call_id(n), name=c["name"], args=c["args"]) for n, c in enumerate(calls)
            ),
            offline=given.offline,
            input_tokens=usage["input_tokens"] if usage else 0,
            output_tokens=usage["output_tokens"] if usage else 0,
            estimated=bool(facts.get("estimated")),
            money=float(facts.get("money", 0)),
            model=given.model,
            final=final,
        )
        self._budget.count_model(message.input_tokens, message.output_tokens)
        self._recorder.message(message)
        return AIMessage(text, tool_calls=[tool_call(name=c.name, args=c.args, id=c.id) for c in message.tool_calls])

    def _remarks(self, given: Given, *, cut: bool) -> list[str]:
        """What a reader must know of how an answer was made; the rules' own say it themselves."""
        if given.offline:
            return []
        remarks: list[str] = []
        if cut:
            remarks.append(phrase("cut", self._language))
        if self._unproven():
            remarks.append(phrase("unproven", self._language))
        if self._models.why:
            remarks.append(
                phrase("other_model", self._language, model=given.model, why=translate(self._models.why, self._language))
            )
        return remarks

    def _cited(self) -> frozenset[str]:
        """What the diagnoses of this turn quote: it stays in what a model is given, however old."""
        made = [call.diagnosis for call in self._recorder.state.calls.values() if call.diagnosis]
        return frozenset(e.excerpt for diagnosis in made for cause in diagnosis.root_causes for e in cause.evidence)

    def _unproven(self) -> bool:
        """Did the last report of the model leave nothing that holds?"""
        reports = [call for call in self._recorder.state.calls.values() if call.name == REPORT and call.diagnosis]
        last = reports[-1] if reports else None
        return bool(last and last.args.get("root_causes") and last.diagnosis and not last.diagnosis.root_causes)

    def _so_far(self) -> list[Any]:
        return list(this_turn(self._recorder.state, opening=opening_call(self._turn.id)))


def _unreadable(request: ToolCallRequest) -> str:
    """Why a call with arguments that are no JSON is not run, with what they should have been."""
    why = broken_call(request.tool_call["args"])
    if not why:
        return ""
    shape = dumps(request.tool.args) if request.tool is not None else "{}"
    return f"Not run: {why} The arguments must be one JSON object with these fields: {cap(shape, 1200)}"


def answer_of(name: str, args: dict[str, Any], message: "ToolMessage | Command[Any]") -> ToolAnswer:
    """What LangChain's tool node gave: our tools' own answer, or its words about a bad call."""
    if isinstance(message, ToolMessage) and isinstance(message.artifact, ToolAnswer):
        return message.artifact
    words = str(message.text) if isinstance(message, ToolMessage) else "the tool gave no result"
    return ToolAnswer(title_of(name, args), CommandStatus.INVALID.value, note=f"{words[:1500]} Correct the call.")
