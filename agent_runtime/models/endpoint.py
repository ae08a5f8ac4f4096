"""A configured OpenAI-compatible endpoint as a LangChain chat model.

The official client carries the bytes (keys, proxies, TLS, time-outs, Azure's addresses); the request and the answer are put
together here, because compatible servers keep to the format in their own ways and the exact bytes are to be kept.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol, cast
from urllib.parse import urlsplit, urlunsplit

import httpx2
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from openai import APIStatusError, APITimeoutError, AsyncAzureOpenAI, AsyncOpenAI, Timeout
from pydantic import GetPydanticSchema
from pydantic_core import core_schema

from agent_runtime.models.answer import Answer, answer_of
from agent_runtime.models.assembly import Assembly, BrokeOff
from agent_runtime.models.reading import Reader
from agent_runtime.models.wire import Asked, Body, Manner, adapted, as_bytes, compose
from agent_runtime.pseudonyms import PLAIN, Names
from control_plane.settings import Price, Settings
from control_plane.spending import Used

CONNECT_S = 5.0
READ_OUT_S = 0.25
READ_OUT_PIECES = 8
ADAPTATIONS = 4
"""So many fields may be refused, one after the other, before the refusal counts."""
WHOLE_ANSWER = 3
"""A whole answer may take so many times as long as the longest silence."""


@dataclass(frozen=True)
class Spec:
    """Where a model is and how it is asked."""

    name: str
    base_url: str | None
    key: str = field(repr=False)
    api: str = "openai"
    api_version: str = ""
    timeout_s: float = 60
    context_tokens: int = 64_000
    price: Price | None = None
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    manner: Manner = field(default_factory=Manner)

    def cost(self, input_tokens: int, output_tokens: int) -> float:
        if self.price is None:
            return 0.0
        return (input_tokens * self.price.input + output_tokens * self.price.output) / 1_000_000


class Ledger(Protocol):
    """Who is told of each request before it is sent, and of its end."""

    async def begin(self, spec: Spec, url: str, body: bytes) -> str:
        """Raises OverBudget: then nothing is sent."""
        ...

    async def end(self, call: str, used: Used) -> None: ...


class NoLedger:
    async def begin(self, spec: Spec, url: str, body: bytes) -> str:
        del spec, url, body
        return ""

    async def end(self, call: str, used: Used) -> None:
        del call, used


@dataclass(frozen=True)
class Hooks:
    """What belongs to one turn."""

    shown: Callable[[str], None] = lambda _: None
    """Gets the text for people as it comes."""
    ledger: Ledger = field(default_factory=NoLedger)
    names: Names = PLAIN


class Line:
    """The connection to one endpoint, shared by all turns, and what was learnt of its manner."""

    def __init__(self, spec: Spec) -> None:
        self.manner = spec.manner
        self._client = _client(spec)
        azure = isinstance(self._client, AsyncAzureOpenAI)
        self._path = f"/deployments/{spec.name}/chat/completions" if azure else "/chat/completions"
        self._timeout_s = spec.timeout_s

    @property
    def url(self) -> str:
        """For people and the log: without user, password and query."""
        parts = urlsplit(str(self._client.base_url))
        host = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname or ""
        return urlunsplit((parts.scheme, host, parts.path.rstrip("/") + self._path, "", ""))

    async def send(self, body: bytes, *, streams: bool, into: Assembly) -> None:
        """One exchange. Raises the client's and the transport's errors, BrokeOff, AnswerFailed, NotAnAnswer."""
        silence = self._timeout_s if streams else WHOLE_ANSWER * self._timeout_s
        response = await self._client.post(
            self._path,
            cast_to=httpx2.Response,
            content=body,
            options={"timeout": Timeout(silence, connect=CONNECT_S)},
            stream=True,
        )
        try:
            await _read(response, into)
        finally:
            await response.aclose()

    async def close(self) -> None:
        await self._client.close()


_HELD = GetPydanticSchema(lambda _source, _handler: core_schema.any_schema())
"""LangChain's models are pydantic's; these parts are ours, and kept as they are."""


class Endpoint(BaseChatModel):
    """One model of one endpoint. Raises what `trouble` puts into words."""

    spec: Annotated[Spec, _HELD]
    line: Annotated[Line, _HELD]
    hooks: Annotated[Hooks, _HELD]

    @property
    def _llm_type(self) -> str:
        return "opsthread-endpoint"

    def bind_tools(
        self, tools: Sequence[dict[str, Any] | type | BaseTool | Any], *, tool_choice: str | None = None, **kwargs: Any
    ) -> Runnable[Any, AIMessage]:
        del tool_choice, kwargs
        return self.bind(tools=[_shape(tool) for tool in tools])

    def with_hooks(self, hooks: Hooks) -> "Endpoint":
        return self.model_copy(update={"hooks": hooks})

    async def respond(self, messages: Sequence[BaseMessage], tools: Sequence[Mapping[str, Any]]) -> AIMessage:
        """What the endpoint does not take is left out, and remembered, and it is asked again."""
        asked = Asked(self.spec.name, messages, tools, self.spec.options)
        for message in messages:
            self.hooks.names.learn(str(message.text))
        for attempt in range(ADAPTATIONS + 1):
            manner = self.line.manner
            body = compose(asked, manner, hide=self.hooks.names.hide)
            try:
                return await self._exchange(body, tools)
            except APIStatusError as error:
                other = adapted(manner, body, error.status_code, str(error.message)) if attempt < ADAPTATIONS else None
                if other is None or other == manner:
                    raise
                self.line.manner = other
        raise BrokeOff("the endpoint refused every way of asking")

    async def _exchange(self, body: Body, tools: Sequence[Mapping[str, Any]]) -> AIMessage:
        data, ledger, names = as_bytes(body), self.hooks.ledger, self.hooks.names
        call = await ledger.begin(self.spec, self.line.url, data)
        reveal = names.stream(self.hooks.shown)
        into = Assembly(shown=reveal.feed)
        try:
            await self.line.send(data, streams=bool(body.get("stream")), into=into)
            into.done()
            reveal.end()
            answer = answer_of(into, body, tools, names.reveal)
        except BaseException as error:
            # Also when the task is cancelled: a reservation must not outlive its call.
            await asyncio.shield(ledger.end(call, self._lost(error, into, len(data))))
            raise
        used = self._used(answer)
        await asyncio.shield(ledger.end(call, used))
        return answer.message(model=self.spec.name, money=used.money)

    def _used(self, answer: Answer) -> Used:
        return Used(
            outcome=answer.outcome,
            input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens,
            money=self.spec.cost(answer.input_tokens, answer.output_tokens),
            estimated=answer.estimated,
        )

    def _lost(self, error: BaseException, into: Assembly, sent: int) -> Used:
        """Of a call without an answer. What was refused costs nothing; of what broke off nobody tells the cost, and who waited
        in vain pays for what the model was given to read."""
        words = f"{type(error).__name__}: {str(error)[:200]}"
        if not into.begun and not _was_read(error):
            return Used(outcome=words, failed=True)
        guess = Answer.guess(into, sent)
        money = self.spec.cost(*guess)
        return Used(words, input_tokens=guess[0], output_tokens=guess[1], money=money, estimated=True, failed=True)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        raise NotImplementedError("an endpoint is only asked asynchronously")

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        del stop, run_manager
        tools = cast(list[dict[str, Any]], kwargs.get("tools") or [])
        return ChatResult(generations=[ChatGeneration(message=await self.respond(messages, tools))])


def endpoints(settings: Settings) -> tuple[Endpoint, ...]:
    """The configured model and its fallback, in the order in which they are asked; none without a key. Connects to nothing."""
    return tuple(Endpoint(spec=spec, line=Line(spec), hooks=Hooks()) for spec in specs(settings))


def specs(settings: Settings) -> tuple[Spec, ...]:
    """Raises OSError when a key's file can't be read."""
    key, found = settings.api_key(), list[Spec]()
    manner = Manner(stream=settings.model_stream, parallel_tools=settings.model_parallel_tools)
    if key is not None:
        found.append(
            Spec(
                name=settings.model,
                base_url=settings.openai_base_url,
                key=key,
                api=settings.model_api,
                api_version=settings.azure_api_version,
                timeout_s=settings.model_timeout_s,
                context_tokens=settings.model_context_tokens,
                price=settings.model_prices.get(settings.model),
                options=settings.model_options,
                manner=manner,
            )
        )
    other_key = settings.fallback_key()
    if settings.fallback_model and other_key is not None:
        found.append(
            Spec(
                name=settings.fallback_model,
                base_url=settings.fallback_base_url or settings.openai_base_url,
                key=other_key,
                api=settings.fallback_api if settings.fallback_base_url else settings.model_api,
                api_version=settings.azure_api_version,
                timeout_s=settings.model_timeout_s,
                context_tokens=settings.fallback_context_tokens,
                price=settings.model_prices.get(settings.fallback_model),
                manner=manner,
            )
        )
    return tuple(found)


def _was_read(error: BaseException) -> bool:
    """May the endpoint have worked on the request, though nothing of an answer came? Not where it refused, or was not there."""
    if isinstance(error, asyncio.CancelledError | BrokeOff | httpx2.ReadTimeout):
        return True
    return isinstance(error, APITimeoutError) and isinstance(error.__cause__, httpx2.ReadTimeout)


def _client(spec: Spec) -> AsyncOpenAI:
    """Without retries of its own: those are ours, because people are told of them."""
    timeout = Timeout(spec.timeout_s, connect=CONNECT_S)
    if spec.api == "azure" and not _is_v1(spec.base_url):
        return AsyncAzureOpenAI(
            azure_endpoint=_resource(spec.base_url or ""),
            api_key=spec.key,
            api_version=spec.api_version,
            timeout=timeout,
            max_retries=0,
        )
    headers = {"api-key": spec.key} if spec.api == "azure" else None
    return AsyncOpenAI(api_key=spec.key, base_url=spec.base_url, timeout=timeout, max_retries=0, default_headers=headers)


def _is_v1(base_url: str | None) -> bool:
    """Azure's newer path is like anybody's: https://NAME.openai.azure.com/openai/v1/"""
    return (base_url or "").rstrip("/").endswith("/v1")


_SHAPES: dict[tuple[str, str, type], dict[str, Any]] = {}
_MOST_SHAPES = 256


def _shape(tool: dict[str, Any] | type | BaseTool | Any) -> dict[str, Any]:
    """As the endpoint is told of it. Asked for at each call, and it follows from three things that hardly ever change."""
    schema = tool.args_schema if isinstance(tool, BaseTool) else None
    if not isinstance(tool, BaseTool) or not isinstance(schema, type):
        return convert_to_openai_tool(tool)
    key = tool.name, tool.description, schema
    known = _SHAPES.get(key)
    if known is None:
        if len(_SHAPES) >= _MOST_SHAPES:
            _SHAPES.clear()
        known = _SHAPES[key] = convert_to_openai_tool(tool)
    return known


def _resource(base_url: str) -> str:
    return base_url.rstrip("/").removesuffix("/openai")


async def _read(response: httpx2.Response, into: Assembly) -> None:
    reader = Reader(response.headers.get("content-type", ""))
    pieces = response.aiter_bytes()
    async for data in pieces:
        for chunk in reader.feed(data):
            into.take(chunk)
        if reader.done or reader.full or into.full:
            break
    if not (reader.done or into.full):
        for chunk in reader.end():
            into.take(chunk)
    if reader.full:
        into.cut = True
    if not (reader.done or into.ended):
        raise BrokeOff("the stream ended before its end")
    if reader.done:
        await _read_out(pieces)


async def _read_out(pieces: AsyncIterator[bytes]) -> None:
    """What follows the end is next to nothing. Unread it would cost the connection, and the next call a handshake."""
    with contextlib.suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(READ_OUT_S):
            for _ in range(READ_OUT_PIECES):
                if not await anext(pieces, b""):
                    return
