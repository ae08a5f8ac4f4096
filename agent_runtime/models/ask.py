"""One answer of a model: the configured one's if it can be had, else the fallback's, else the rules', and why.

A model that has failed is left alone for the rest of the turn; what tools have brought stays, because the transcript is the
turn's and not the model's. Over turns a circuit breaker remembers.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import structlog
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage

from agent_runtime.models.answer import about, broken_call
from agent_runtime.models.breaker import Breaker
from agent_runtime.models.endpoint import WHOLE_ANSWER, Endpoint
from agent_runtime.models.offline import OfflineModel
from agent_runtime.models.phrases import phrase
from agent_runtime.models.trouble import EMPTY, KNOWN, MALFORMED, ONLY_THOUGHT, Trouble, trouble_of
from knowledge.wording import translate

log = structlog.get_logger(__name__)

ATTEMPTS = 2
"""For an answer that was cut or malformed."""
WAITS = 2
"""How often a limit or an overload is waited for."""
BROKEN_CALLS = 3
"""So many messages of a turn may hold tool calls that are no JSON; the model is told of each."""
LAST_ANSWER_S = 30.0
"""What the last call, without tools, gets at least when the seconds of the turn are used up."""
FIRST_WAIT_S = 0.5
SAY_FROM_S = 1.0
"""A shorter wait is not worth a word."""

Send = Callable[[BaseChatModel, int], Awaitable[Sequence[object]]]
"""Sends the transcript to a model, compacted to so many tokens, and gives its messages."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that may be asked. One a process, so that its breaker is shared by all turns."""

    model: Endpoint
    breaker: Breaker = field(default_factory=Breaker)

    @property
    def name(self) -> str:
        return self.model.spec.name


@dataclass(frozen=True, slots=True)
class Given:
    message: AIMessage
    offline: bool
    model: str = ""
    """Who answered; "" for the rules."""


@dataclass(slots=True)
class Models:
    """The models of one turn."""

    chain: tuple[Candidate, ...]
    offline: OfflineModel
    wait_s: float = 30.0
    """The longest wait that an endpoint may ask for."""
    timeout_s: float = 60.0
    say: Callable[[str], None] = lambda _: None
    """Tells people what is going on while they wait."""
    troubles: dict[int, Trouble] = field(default_factory=dict[int, Trouble])
    """Why each model that failed in this turn did, by its place in the chain: two may have the same name."""
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    """Waits; may raise when nobody waits for the answer any more."""
    jitter: Callable[[], float] = random.random
    _broken: int = 0

    @property
    def failed(self) -> bool:
        """Is none left but the rules, though there was one?"""
        return bool(self.chain) and len(self.troubles) == len(self.chain)

    @property
    def why(self) -> str:
        """Why not the configured one; "" while it answers."""
        first = next(iter(self.troubles.values()), None)
        return first.why if first is not None else ""

    async def ask(self, send: Send, *, withdrawn: bool, left_s: float, reset: Callable[[], Awaitable[None]]) -> Given:
        """`reset` is called before each further attempt: what was streamed of the last one is void."""
        end = time.monotonic() + max(left_s, LAST_ANSWER_S)
        for place, candidate in enumerate(self.chain):
            if place in self.troubles:
                continue
            message = await self._candidate(place, candidate, send, end, reset)
            if message is not None:
                return Given(message, offline=False, model=candidate.name)
        whys = dict.fromkeys(trouble.why for trouble in self.troubles.values()) or dict.fromkeys([self.offline.note])
        note = "; ".join(translate(why, self.offline.language) for why in whys)
        model = self.offline.model_copy(update={"withdrawn": withdrawn, "note": note})
        return Given(_only(await send(model, 0)), offline=True)

    async def _candidate(
        self, place: int, candidate: Candidate, send: Send, end: float, reset: Callable[[], Awaitable[None]]
    ) -> AIMessage | None:
        closed_s = candidate.breaker.closed_for_s()
        if closed_s > 0:
            words = f"{candidate.breaker.why}; it is not asked again for {closed_s:.0f} s"
            self.troubles[place] = Trouble(words)
            return None
        message, trouble = await self._attempts(candidate, send, end, reset)
        if trouble is None:
            candidate.breaker.succeeded()
            return message
        if trouble.down:
            candidate.breaker.failed(trouble.why, for_s=trouble.wait_s or 0)
        self.troubles[place] = trouble
        return None

    async def _attempts(
        self, candidate: Candidate, send: Send, end: float, reset: Callable[[], Awaitable[None]]
    ) -> tuple[AIMessage | None, Trouble | None]:
        attempts, waits, tokens = 0, 0, candidate.model.spec.context_tokens
        compacted = False
        while True:
            message, trouble = await self._once(candidate, send, tokens, end)
            if trouble is None:
                return message, None
            await reset()
            if trouble.too_long and not compacted:
                compacted, tokens = True, tokens // 4
                self.say(phrase("compacted", self.offline.language))
            elif trouble.again and attempts + 1 < ATTEMPTS:
                attempts += 1
            elif trouble.wait_s is not None and waits < WAITS and await self._wait(trouble, waits, end):
                waits += 1
            else:
                return None, self._too_long_a_wait(trouble)

    def _too_long_a_wait(self, trouble: Trouble) -> Trouble:
        if (trouble.wait_s or 0) <= self.wait_s:
            return trouble
        return replace(trouble, why=f"{trouble.why}; it asks to wait {trouble.wait_s:.0f} s")

    async def _once(self, candidate: Candidate, send: Send, tokens: int, end: float) -> tuple[AIMessage | None, Trouble | None]:
        # The client's time-out is between bytes; a model that writes steadily may take longer, but not for ever. What one
        # model has used up of the turn's time must not leave the next one without any.
        wait_s = min(max(end - time.monotonic(), LAST_ANSWER_S), WHOLE_ANSWER * self.timeout_s)
        try:
            async with asyncio.timeout(wait_s):
                message = _only(await send(candidate.model, tokens))
            return message, self._fault(message)
        except KNOWN as error:
            trouble = trouble_of(error, waited_s=min(wait_s, self.timeout_s), now=datetime.now(UTC))
            log.warning("the model failed", model=candidate.name, why=trouble.why, kind=type(error).__name__)
        except Exception as error:
            log.exception("the model failed in an unknown way", model=candidate.name)
            trouble = trouble_of(error, waited_s=min(wait_s, self.timeout_s))
        return None, trouble

    async def _wait(self, trouble: Trouble, waits: int, end: float) -> bool:
        """False when the endpoint asks for more than we or the turn have."""
        asked = trouble.wait_s or FIRST_WAIT_S * 2**waits * (1 + self.jitter() / 4)
        if asked > self.wait_s or time.monotonic() + asked >= end:
            return False
        if asked >= SAY_FROM_S:
            why = translate(trouble.why, self.offline.language)
            self.say(phrase("wait", self.offline.language, seconds=f"{asked:.0f}", why=why))
        await self.pause(asked)
        return True

    def _fault(self, message: AIMessage) -> Trouble | None:
        if any(broken_call(call["args"]) for call in message.tool_calls):
            self._broken += 1
            return MALFORMED if self._broken > BROKEN_CALLS else None
        if message.tool_calls or str(message.text).strip() or about(message).get("wants_tools"):
            return None
        return ONLY_THOUGHT if about(message).get("cut") else EMPTY


def _only(messages: Sequence[object]) -> AIMessage:
    """Raises ValueError when there is no message of a model."""
    for message in messages:
        if isinstance(message, AIMessage):
            return message
    raise ValueError("the model gave no message")
