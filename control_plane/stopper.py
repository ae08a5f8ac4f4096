"""Makes a kill switch certain. Its cancel is one message, which a bus may lose; here it is said again until the row of each
execution has an end, by every replica, whichever had sent it."""

import asyncio
from datetime import timedelta

import structlog
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from control_plane import command_log
from control_plane.bus import Bus
from control_plane.clock import Clock, utc_now
from control_plane.database import Database
from control_plane.errors import Unavailable
from control_plane.tables.commands import CommandEntryRow
from control_plane.tables.fleet import ClusterRow
from protocol import subjects

LOG = structlog.get_logger("commands")
LOOK_S = 1.0
FORGOTTEN_EVERY_S = 60.0


class Stopper:
    """`longest_s`: no command runs longer; what has no end after that has lost who waited for it."""

    def __init__(self, database: Database, bus: Bus, *, longest_s: float, clock: Clock = utc_now) -> None:
        self._database = database
        self._bus = bus
        self._longest = timedelta(seconds=longest_s)
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self.end_forgotten()
        self._task = asyncio.create_task(self._run(), name="kill switch repeater")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def end_forgotten(self) -> None:
        now = self._clock()
        await command_log.end_forgotten(self._database, now - self._longest, now)

    async def say_again(self) -> int:
        """Tell the runners once more to stop what is under way in clusters whose kill switch is on. Returns how many."""
        query = (
            select(CommandEntryRow.id, CommandEntryRow.cluster, CommandEntryRow.runner)
            .join(ClusterRow, ClusterRow.id == CommandEntryRow.cluster)
            .where(
                CommandEntryRow.kind == "execute",
                CommandEntryRow.finished_at.is_(None),
                CommandEntryRow.runner.is_not(None),
                CommandEntryRow.created_at > self._clock() - self._longest,
                ClusterRow.kill_switch,
            )
        )
        async with self._database.read() as session:
            under_way = (await session.execute(query)).all()
        for command, cluster, runner in under_way:
            if runner is not None:
                await self._bus.send(subjects.cancel(cluster, runner), command.encode())
        return len(under_way)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        forgotten_at = loop.time() + FORGOTTEN_EVERY_S
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.say_again()
                if loop.time() >= forgotten_at:
                    forgotten_at = loop.time() + FORGOTTEN_EVERY_S
                    await self.end_forgotten()
            except (SQLAlchemyError, OSError, Unavailable) as error:
                LOG.warning("what a kill switch has to stop could not be read; it is tried again", why=str(error)[:300])
