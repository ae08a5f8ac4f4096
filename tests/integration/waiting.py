"""Waiting for a condition, with a deadline."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

Found = TypeVar("Found")


async def until(look: Callable[[], Found | Awaitable[Found]], what: str, timeout_s: float = 15) -> Found:
    """Ask `look` until it gives something true; AssertionError naming `what` when the time is over."""
    end = time.monotonic() + timeout_s
    while True:
        answer = look()
        found = await cast(Awaitable[Found], answer) if inspect.isawaitable(answer) else cast(Found, answer)
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {timeout_s:g} s")
        await asyncio.sleep(0.01)
