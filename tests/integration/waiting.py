"""Waiting for a condition, with a deadline."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

Found = TypeVar("Found")


@overload
async def until(look: Callable[[], Awaitable[Found | None]], what: str, timeout_s: float = 30) -> Found: ...
@overload
async def until(look: Callable[[], Found | None], what: str, timeout_s: float = 30) -> Found: ...
async def until(look: Callable[[], Any], what: str, timeout_s: float = 30) -> Any:
    """Ask `look` until it gives something true; AssertionError naming `what` when the time is over."""
    end, pause = time.monotonic() + timeout_s, 0.01
    while True:
        answer = look()
        found = await answer if inspect.isawaitable(answer) else answer
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {timeout_s:g} s")
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 0.1)
