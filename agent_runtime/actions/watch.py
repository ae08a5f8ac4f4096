"""Polls the check of a plan until the symptom is gone, it got worse, or its time is over."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from protocol.commands import REVERTED, CheckOutcome

CHECK_EVERY_S = 2.0
STABLE = 2
"""Looks in a row that must agree before it is called healed, or worse."""


@dataclass(frozen=True, slots=True)
class Watched:
    end: Literal["healthy", "worse", "reverted", "timeout", "unanswered"]
    message: str


async def watch(
    check: Callable[[], Awaitable[CheckOutcome | None]],
    *,
    timeout_s: float,
    progress: Callable[[str], Awaitable[None]],
    every_s: float = CHECK_EVERY_S,
) -> Watched:
    """`unanswered`: the last look got no answer or could not tell. None from `check` means no answer. What is healthy or worse
    for the first time when the time is over is looked at once more: after a crash there may be no time left at all."""
    deadline = time.monotonic() + timeout_s
    last_look = False
    last: CheckOutcome | None = None
    said, agreed = "", 0
    while True:
        seen = await check()
        outcome = seen.outcome if seen else "unknown"
        agreed = agreed + 1 if last is not None and last.outcome == outcome else 1
        last = seen or CheckOutcome(outcome="unknown", message="the runner does not answer")
        if last.message != said:
            said = last.message
            await progress(said)
        if last.outcome in ("healthy", "worse") and agreed >= STABLE:
            return Watched("reverted" if last.code == REVERTED else last.outcome, last.message)
        if time.monotonic() >= deadline:
            if last.outcome in ("healthy", "worse") and not last_look:
                last_look = True
                await asyncio.sleep(every_s)
                continue
            return Watched("unanswered" if last.outcome == "unknown" else "timeout", last.message)
        await asyncio.sleep(every_s)
