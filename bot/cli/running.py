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
_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_loop(main: Callable[[], Coroutine[Any, Any, Exit]]) -> Exit:
    """Run on uvloop where it is installed. Start-up failures print one line and exit 1."""
    from sqlalchemy.exc import OperationalError

    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(main())
    except (ServiceError, ChildFailed, PortInUse) as error:
        words = str(error)
    except OperationalError as error:
        words = f"The database can't be used: {error.orig}. Is the disk full, or the data directory read-only?"
    except OSError as error:
        if error.filename is None:
            raise
        words = f"{error.filename}: {error.strerror}. Choose a directory that can be written: --data-dir DIR."
    except (KeyboardInterrupt, asyncio.CancelledError):
        return Exit.FAILED
    Console(stderr=True).print(f"Opsthread can't start: {words}", style="red", markup=False, highlight=False, soft_wrap=True)
    return Exit.FAILED


class StopSignal:
    """SIGINT, SIGTERM or SIGHUP (the terminal was closed). While starting, the first one cancels the start; once `serving` was
    called it sets the event. A second one ends the process at once; its children die with it."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._main = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        for number in _STOPS:
            self._loop.add_signal_handler(number, self._first)

    def serving(self) -> None:
        """The start is over; from now on somebody waits for the event."""
        self._main = None

    async def wait(self) -> None:
        await self._event.wait()

    def _first(self) -> None:
        self._event.set()
        for number in _STOPS:
            self._loop.add_signal_handler(number, os._exit, 130)
        if self._main is not None:
            self._main.cancel()


async def unless_stopped(work: Awaitable[Result], stop: StopSignal) -> Result | None:
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
