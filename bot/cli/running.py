"""Runs a composed product until it is told to stop, and turns what can go wrong at a start into words and an exit code."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from bot.cli.children import ChildFailed
from bot.cli.exits import Exit
from bot.cli.listening import PortInUse
from control_plane.errors import ServiceError

Result = TypeVar("Result")


def run_loop(main: Coroutine[Any, Any, Exit]) -> Exit:
    """Run on uvloop where it is installed. Start-up failures print one line and exit 1."""
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(main)
    except (ServiceError, ChildFailed, PortInUse) as error:
        Console(stderr=True).print(f"Opsthread can't start: {error}", style="red", markup=False, highlight=False)
        return Exit.FAILED
    except KeyboardInterrupt:
        return Exit.ANSWERED


def stop_signal() -> asyncio.Event:
    """Set by SIGINT or SIGTERM, from now on. A second one ends the process at once; its children die with it."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def again() -> None:
        os._exit(130)

    def first() -> None:
        stop.set()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, again)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, first)
    return stop


async def unless_stopped(work: Awaitable[Result], stop: asyncio.Event) -> Result | None:
    """The result of `work`; None when the signal came first, and `work` has been cancelled and has ended."""
    task = asyncio.ensure_future(work)
    stopper = asyncio.create_task(stop.wait(), name="stop-signal")
    try:
        done, _ = await asyncio.wait({task, stopper}, return_when=asyncio.FIRST_COMPLETED)
        if task in done:
            return task.result()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return None
    finally:
        stopper.cancel()


def write_ready(path: Path | None, content: dict[str, Any]) -> None:
    """The ready file, mode 0600: it holds sign-in links."""
    if path is None:
        return
    fresh = path.with_suffix(".new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w") as file:
        json.dump(content, file)
    fresh.replace(path)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    if sys.platform != "win32":
        import uvloop

        return uvloop.new_event_loop
    return asyncio.new_event_loop
