"""The ledger of one turn: each call to a model is reserved before it is sent, kept as it is sent, and settled.

A call is settled with the reservation of the next one, when that follows at once; else beside the turn, while tools run.
"""

import asyncio
import contextlib
import hashlib
import time

import structlog
from prometheus_client import Counter, Histogram

from agent_runtime.models.endpoint import Spec
from agent_runtime.models.wire import tokens_of
from control_plane.errors import ServiceError
from control_plane.model_requests import packed
from control_plane.services import ControlPlane
from control_plane.spending import Ended, OverBudget, Sent, Spender, Used

log = structlog.get_logger(__name__)

CALLS = Counter("opsthread_model_calls", "Calls to models and how they ended", ["model", "state"])
TOKENS = Counter("opsthread_model_tokens", "Tokens of models", ["model", "direction"])
MONEY = Counter("opsthread_model_money", "What models cost, by the configured prices", ["model"])
SECONDS = Histogram(
    "opsthread_model_seconds",
    "Seconds from a request to the end of its answer",
    ["model"],
    buckets=(0.5, 1, 2, 5, 10, 20, 40, 80, 160),
)

ANSWER_TOKENS = 1_000
"""Reserved for an answer besides the request's own; most are shorter."""
TOGETHER_S = 0.02
"""So long a call that has ended waits for the next one."""
TIDY_EVERY_S = 600.0


class TurnLedger:
    """Raises OverBudget before anything is sent; a ledger that can't be settled is told to our log, not to the turn."""

    def __init__(self, plane: ControlPlane, spender: Spender, upkeep: "Upkeep") -> None:
        self._plane = plane
        self._spender = spender
        self._upkeep = upkeep
        self._ended: Ended | None = None
        """Not settled yet."""
        self._settling: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self._begun: dict[str, tuple[str, float]] = {}
        """By call: its model, and when it was sent."""

    async def begin(self, spec: Spec, url: str, body: bytes) -> str:
        ended = await self._taken()
        tokens = tokens_of(len(body))
        sent = Sent(
            model=spec.name,
            endpoint=url,
            sha256=hashlib.sha256(body).hexdigest(),
            size=len(body),
            body=packed(body) if self._plane.model_requests.on else None,
        )
        money = spec.cost(tokens, ANSWER_TOKENS)
        try:
            call = await self._plane.spending.begin(
                self._spender, sent, tokens=tokens + ANSWER_TOKENS, money=money, after=ended
            )
        except OverBudget:
            raise
        except BaseException:
            self._ended = ended  # it may be settled, or not: to settle it once more changes nothing
            raise
        self._begun[call] = spec.name, time.monotonic()
        return call

    async def end(self, call: str, used: Used) -> None:
        """Settles with the next call, or beside the turn; the turn's end waits for it."""
        self._measure(call, used)
        await self.settled()
        self._ended = Ended(call, used)
        self._hurry.clear()
        self._settling = asyncio.create_task(self._settle(), name=f"settle {call}")

    async def settled(self) -> None:
        self._hurry.set()
        if self._settling is not None:
            await asyncio.wait({self._settling})
        await self._settle_now()

    async def _taken(self) -> Ended | None:
        """The last call, if it is still to be settled: whoever asks sees to it. One that is being settled is waited for."""
        ended, self._ended = self._ended, None
        self._hurry.set()
        if self._settling is not None:
            await asyncio.wait({self._settling})
        return ended

    async def _settle(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), TOGETHER_S)
        await self._settle_now()

    def _measure(self, call: str, used: Used) -> None:
        model, began = self._begun.pop(call, ("", 0.0))
        if not model:
            return
        CALLS.labels(model, "failed" if used.failed else "answered").inc()
        TOKENS.labels(model, "input").inc(used.input_tokens)
        TOKENS.labels(model, "output").inc(used.output_tokens)
        MONEY.labels(model).inc(used.money)
        SECONDS.labels(model).observe(time.monotonic() - began)

    async def _settle_now(self) -> None:
        ended, self._ended = self._ended, None
        if ended is None:
            return
        try:
            await self._plane.spending.end(ended.call, ended.used)
            await self._upkeep.now_and_then()
        except ServiceError as error:
            why = error.message
            log.warning("a model call could not be settled; its reservation is given back later", call=ended.call, why=why)


class Upkeep:
    """Old bytes and dead reservations, seen to every ten minutes by whoever has just asked a model. One a process."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._next = time.monotonic()

    async def now_and_then(self) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + TIDY_EVERY_S
        await self._plane.spending.forget_stale()
        await self._plane.model_requests.tidy()
