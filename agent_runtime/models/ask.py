"""One answer of a model: the endpoint's if it can be had, else the rules' for the rest of the turn, and why."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage

from agent_runtime.models.offline import OfflineModel
from agent_runtime.models.trouble import EMPTY, KNOWN, MALFORMED, Trouble, trouble_of

log = structlog.get_logger(__name__)

ATTEMPTS = 2
LAST_ANSWER_S = 30.0
"""What the last call, without tools, gets at least when the seconds of the turn are used up."""

Send = Callable[[BaseChatModel], Awaitable[Sequence[object]]]
"""Sends the transcript to a model and gives its messages."""


@dataclass(frozen=True, slots=True)
class Given:
    message: AIMessage
    offline: bool


@dataclass(slots=True)
class Models:
    """The models of one turn. Once the endpoint has failed, the rules answer for the rest of it."""

    endpoint: BaseChatModel | None
    offline: OfflineModel
    timeout_s: float
    trouble: Trouble | None = None

    @property
    def failed(self) -> bool:
        return self.trouble is not None

    async def ask(self, send: Send, *, withdrawn: bool, left_s: float, reset: Callable[[], Awaitable[None]]) -> Given:
        """`reset` is called before each further attempt: what was streamed of the last one is void."""
        if self.endpoint is not None and self.trouble is None:
            message = await self._endpoint(self.endpoint, send, max(left_s, LAST_ANSWER_S), reset)
            if message is not None:
                return Given(message, offline=False)
        model = self.offline.model_copy(update={"withdrawn": withdrawn, "note": self.trouble.why if self.trouble else ""})
        return Given(_only(await send(model)), offline=True)

    async def _endpoint(
        self, model: BaseChatModel, send: Send, left_s: float, reset: Callable[[], Awaitable[None]]
    ) -> AIMessage | None:
        # The client's time-out is between bytes; a model that writes steadily may take longer, but not for ever.
        wait_s = min(left_s, 3 * self.timeout_s)
        trouble = EMPTY
        for _ in range(ATTEMPTS):
            try:
                async with asyncio.timeout(wait_s):
                    message = _only(await send(model))
                trouble = _fault(message)
                if trouble is None:
                    return message
            except KNOWN as error:
                trouble = trouble_of(error, waited_s=min(wait_s, self.timeout_s))
                log.warning("the model endpoint failed", why=trouble.why, kind=type(error).__name__)
            except Exception as error:
                log.exception("the model endpoint failed in an unknown way")
                trouble = trouble_of(error, waited_s=min(wait_s, self.timeout_s))
            await reset()
            if not trouble.again:
                break
        self.trouble = trouble
        return None


def _only(messages: Sequence[object]) -> AIMessage:
    """Raises ValueError when there is no message of a model."""
    for message in messages:
        if isinstance(message, AIMessage):
            return message
    raise ValueError("the model gave no message")


def _fault(message: AIMessage) -> Trouble | None:
    if message.tool_calls or str(message.text).strip():
        return None
    return MALFORMED if message.invalid_tool_calls else EMPTY
