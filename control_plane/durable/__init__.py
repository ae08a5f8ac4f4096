"""The only place that imports DBOS: durable turns and actions, their recovery, JSON arguments only.

`Durable` is the whole surface: register functions by versioned name before launch, start them by id, wait for them.
While a started id is active, starting it again attaches to what is there.
"""

import asyncio
import concurrent.futures
import contextvars
import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING

import structlog
from sqlalchemy.engine import make_url

from control_plane.errors import Unavailable
from control_plane.executors import executor_id
from control_plane.settings import Settings

if TYPE_CHECKING:
    from control_plane.durable.engine import Engine

Step = Callable[[str], Awaitable[None]]
"""A durable function takes one id and reads everything else from the tables; it is at-least-once and must be idempotent."""

_LAUNCH_TIMEOUT_S = 60
_HELD_BACK_S = 10
_log = structlog.get_logger(__name__)


class Interrupted(BaseException):
    """The process is stopping. Not an Exception, so that the engine leaves the work as pending instead of failed."""


class Durable:
    """One a process. Functions run as tasks of the event loop that called `launch`."""

    def __init__(self, settings: Settings) -> None:
        self._url = durable_url(settings)
        self._settings = settings
        self._steps: dict[str, Step] = {}
        self._engine: Engine | None = None
        self._launching: asyncio.Task[Engine] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._launched = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._closing = False
        self._held_back = False

    def register(self, name: str, step: Step) -> None:
        """Before launch. `name` carries its version: `turn_v1`, `action_v1`. The function is ONE step: after a crash it is
        called again with the same id. `close` cancels it: it then leaves the tables as they are, and is called again at the
        next launch. An exception that it raises ends this attempt."""
        if self._launching is not None:
            raise RuntimeError(f"{name} must be registered before the durable executor is launched")
        if re.fullmatch(r"[a-z_]+_v[1-9][0-9]*", name) is None:
            raise ValueError(f"{name!r} does not carry its version, as turn_v1 does")
        self._steps[name] = step

    async def launch(self) -> None:
        """Start the executor; workflows of this executor id that a crash interrupted are recovered. Takes a second or two,
        most of it in a thread; `start` waits for it."""
        self._loop = asyncio.get_running_loop()
        self._launching = asyncio.create_task(asyncio.to_thread(self._launch), name="launch the durable executor")
        # Shielded: a thread can't be cancelled, and `close` must find what it has made.
        self._engine = await asyncio.shield(self._launching)
        self._launched.set()

    async def start(self, name: str, workflow_id: str, argument: str) -> None:
        """Idempotent by workflow_id while that is active: it attaches. When the id is known and has ended (done, failed, or
        given up), the caller has seen in the tables that there is work left: a new attempt is started, as `<id>:2`, `:3` and
        so on. Two callers at once start the same attempt. Raises Unavailable when the executor is not launched in time."""
        if name not in self._steps:
            raise ValueError(f"{name!r} is not registered; there are {', '.join(sorted(self._steps))}")
        engine = await self._ready()
        if self._held_back:
            raise Unavailable("this replica does not hold its lease, so it begins nothing; another one will")
        await asyncio.to_thread(engine.start, name, workflow_id, argument)

    async def active(self, workflow_id: str) -> bool:
        """Is it known, in any attempt, and not ended?"""
        engine = await self._ready()
        return await asyncio.to_thread(engine.active, workflow_id)

    @property
    def launched(self) -> bool:
        return self._engine is not None

    def hold(self) -> None:
        """Cancel what runs and begin nothing, until `go_on`: another replica may take it up now."""
        self._held_back = True
        for task in self._running:
            task.cancel()

    async def go_on(self) -> None:
        """What was cancelled stays interrupted until it is recovered."""
        if self._running:
            await asyncio.wait(self._running, timeout=_HELD_BACK_S)
        self._held_back = False

    async def executors_at_work(self) -> frozenset[str]:
        """The executors that work is filed under which has not ended."""
        engine = await self._ready()
        return await asyncio.to_thread(engine.executors_at_work)

    async def recover(self, executor: str) -> int:
        """Queue again what is filed under an executor that runs nothing any more; some replica, perhaps this one, takes it up
        within seconds. Only for who holds that executor's lease. Returns how much it was."""
        engine = await self._ready()
        return await asyncio.to_thread(engine.recover, executor)

    async def forget_ended(self, before: datetime, limit: int) -> int:
        """Delete the oldest workflows that ended before that, `limit` at most. Returns how many."""
        engine = await self._ready()
        return await asyncio.to_thread(engine.forget_ended, before, limit)

    async def close(self, timeout_s: float = 10) -> None:
        """Cancel what runs, so that the next launch takes it up again, and stop. Waits at most `timeout_s` for it."""
        self._closing = True
        for task in self._running:
            task.cancel()
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=timeout_s)
            for task in late:
                _log.warning("a durable function did not stop in time", task=task.get_name())
        launching, self._launching, self._engine = self._launching, None, None
        if launching is not None:
            await asyncio.wait({launching}, timeout=timeout_s)
            if launching.done() and launching.exception() is None:
                await asyncio.to_thread(launching.result().close)

    async def _ready(self) -> "Engine":
        try:
            async with asyncio.timeout(_LAUNCH_TIMEOUT_S):
                await self._launched.wait()
        except TimeoutError:
            raise Unavailable("the durable executor is not up; see the log for why, and start again") from None
        if self._engine is None:
            raise Unavailable("the durable executor has stopped; start again")
        return self._engine

    def _launch(self) -> "Engine":
        # DBOS takes over a second to import: nobody who only serves should wait for it.
        from control_plane.durable.engine import Engine

        return Engine(self._url, executor_id(self._settings), {name: self._blocking(name) for name in self._steps})

    def _blocking(self, name: str) -> Callable[[str], None]:
        """The step as the engine's threads call it: it runs on our loop, and outside the engine's context, so that what it
        starts is no child of it."""

        def call(argument: str) -> None:
            if self._loop is None or self._closing or self._held_back:
                raise Interrupted
            step = self._run(name, argument)
            future = contextvars.Context().run(asyncio.run_coroutine_threadsafe, step, self._loop)
            try:
                future.result()
            except concurrent.futures.CancelledError:
                if self._closing or self._held_back:
                    raise Interrupted from None
                raise RuntimeError(f"{name} of {argument} was cancelled") from None

        return call

    async def _run(self, name: str, argument: str) -> None:
        task = asyncio.current_task()
        if task is None or self._closing or self._held_back:
            raise asyncio.CancelledError
        task.set_name(f"{name} {argument}")
        self._running.add(task)
        try:
            await self._steps[name](argument)
        finally:
            self._running.discard(task)


def durable_url(settings: Settings) -> str:
    """A SQLite file of its own beside the tables, or the same PostgreSQL (a schema of its own)."""
    url = make_url(settings.database)
    if url.get_backend_name() == "sqlite":
        return f"sqlite:///{settings.data_dir.absolute()}/durable.db"
    return url.set(drivername="postgresql").render_as_string(hide_password=False)
