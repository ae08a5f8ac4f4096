"""The ledger of one turn: each call to a model is reserved before it is sent, kept as it is sent, and settled."""

import asyncio
import hashlib
import time

import structlog
from prometheus_client import Counter, Histogram

from agent_runtime.models.endpoint import Spec
from agent_runtime.models.wire import tokens_of
from control_plane.errors import ServiceError
from control_plane.model_requests import packed
from control_plane.services import ControlPlane
from control_plane.spending import Sent, Spender, Used

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
TIDY_EVERY_S = 600.0


class TurnLedger:
    """Raises OverBudget before anything is sent; a ledger that can't be settled is told to our log, not to the turn."""

    def __init__(self, plane: ControlPlane, spender: Spender, upkeep: "Upkeep") -> None:
        self._plane = plane
        self._spender = spender
        self._upkeep = upkeep
        self._settling: asyncio.Task[None] | None = None
        self._begun: dict[str, tuple[str, float]] = {}
        """By call: its model, and when it was sent."""

    async def begin(self, spec: Spec, url: str, body: bytes) -> str:
        await self.settled()
        tokens = tokens_of(len(body))
        sent = Sent(
            model=spec.name,
            endpoint=url,
            sha256=hashlib.sha256(body).hexdigest(),
            size=len(body),
            body=packed(body) if self._plane.model_requests.on else None,
        )
        money = spec.cost(tokens, ANSWER_TOKENS)
        call = await self._plane.spending.begin(self._spender, sent, tokens=tokens + ANSWER_TOKENS, money=money)
        self._begun[call] = spec.name, time.monotonic()
        return call

    async def end(self, call: str, used: Used) -> None:
        """Settles beside the turn; the next call waits for it, and so does the turn's end."""
        self._measure(call, used)
        await self.settled()
        self._settling = asyncio.create_task(self._end(call, used), name=f"settle {call}")

    async def settled(self) -> None:
        if self._settling is not None:
            await asyncio.wait({self._settling})

    def _measure(self, call: str, used: Used) -> None:
        model, began = self._begun.pop(call, ("", 0.0))
        if not model:
            return
        CALLS.labels(model, "failed" if used.failed else "answered").inc()
        TOKENS.labels(model, "input").inc(used.input_tokens)
        TOKENS.labels(model, "output").inc(used.output_tokens)
        MONEY.labels(model).inc(used.money)
        SECONDS.labels(model).observe(time.monotonic() - began)

    async def _end(self, call: str, used: Used) -> None:
        try:
            await self._plane.spending.end(call, used)
            await self._upkeep.now_and_then()
        except ServiceError as error:
            log.warning("a model call could not be settled; its reservation is given back later", call=call, why=error.message)


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
