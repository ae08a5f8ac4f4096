"""The table of commands: rows are written by one writer, many in a transaction; results are read by who may see them."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import cast

import structlog
from sqlalchemy import Table, bindparam, insert, inspect, select, update
from sqlalchemy.exc import SQLAlchemyError

from control_plane.database import Database, Session
from control_plane.errors import ServiceError
from control_plane.tables.commands import CommandEntryRow
from protocol import subjects
from protocol.commands import CommandResult, CommandStatus
from protocol.text import cap

LOG = structlog.get_logger("commands")
MOST_TEXT = 256 * 1024
MOST_DATA = 1024 * 1024
_AT_ONCE = 200
_FINISH_S = 10
_TOGETHER_S = 0.01

Change = Callable[[Session], Awaitable[None]]

# Made once: to build a statement anew takes as long as to run it.
_commands = cast(Table, CommandEntryRow.__table__)
_BEGAN = insert(_commands)
_ENDED = update(_commands).where(_commands.c.id == bindparam("this_command"), _commands.c.status.is_(None))


class CommandLog:
    """`submit` returns a future that is done when the change is committed. Changes keep their order."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: asyncio.Queue[tuple[Change, asyncio.Future[None]]] = asyncio.Queue()
        self._writer: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()

    async def start(self) -> None:
        self._writer = asyncio.create_task(self._write(), name="command log writer")

    async def stop(self) -> None:
        """Writes what waits, then ends. A database that does not answer is not waited for longer than some seconds."""
        self._hurry.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._waiting.join(), _FINISH_S)
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
            self._writer = None

    def submit(self, change: Change, *, hurry: bool = True) -> asyncio.Future[None]:
        """Without `hurry` it waits some milliseconds for company: a read's beginning and end are mostly one transaction."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.add_done_callback(_look_at)
        if self._writer is None:
            done.set_exception(RuntimeError("the command log is not started, or has been stopped"))
            return done
        self._waiting.put_nowait((change, done))
        if hurry:
            self._hurry.set()
        return done

    async def settle(self) -> None:
        """Return when everything submitted so far is written: a reader's way to see its own commands."""
        await self.submit(_nothing)

    async def _write(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), _TOGETHER_S)
            self._hurry.clear()
            while len(batch) < _AT_ONCE and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            try:
                await self._commit_all(batch)
            finally:
                for _ in batch:
                    self._waiting.task_done()

    async def _commit_all(self, batch: list[tuple[Change, asyncio.Future[None]]]) -> None:
        """Together; if that fails, one by one, so that a bad row harms only itself."""
        try:
            async with self._database.transaction() as session:
                for change, _ in batch:
                    await change(session)
        except ServiceError as error:  # no row's fault: the database is away
            for _, done in batch:
                _settle(done, error)
            return
        except (SQLAlchemyError, OSError, ValueError) as error:
            if len(batch) == 1:
                _settle(batch[0][1], error)
                return
            for item in batch:
                await self._commit_all([item])
            return
        for _, done in batch:
            _settle(done, None)


async def _nothing(_session: Session) -> None:
    """A place in the queue."""


def began(row: CommandEntryRow) -> Change:
    given = inspect(row).dict
    values = {column.key: given[column.key] for column in _commands.columns if column.key in given}

    async def change(session: Session) -> None:
        await session.execute(_BEGAN, values)

    return change


def ended(result: CommandResult, at: datetime) -> Change:
    """Only the first end of a command counts."""
    data = json.dumps(result.data, ensure_ascii=False) if result.data is not None else None
    kept = data is None or len(data) <= MOST_DATA
    cut = result.cut if kept else f"{result.cut}; its {len(data or '')} bytes of data were not kept".removeprefix("; ")

    values = {
        "status": str(result.status),
        "error": cap(result.error, 4000),
        "text": cap(result.text, MOST_TEXT),
        "data": data if kept else None,
        "cut": cap(cut, 500),
        "redacted": result.redacted,
        "finished_at": at,
        "duration_ms": result.duration_ms,
    }

    async def change(session: Session) -> None:
        await session.execute(_ENDED, {"this_command": result.id, **values})

    return change


async def end_forgotten(database: Database, before: datetime, at: datetime) -> None:
    """What was running when a control plane ended has no end: nobody waits for its answer any more."""
    async with database.transaction() as session:
        await session.execute(
            update(CommandEntryRow)
            .where(CommandEntryRow.status.is_(None), CommandEntryRow.created_at < before)
            .values(
                status=str(CommandStatus.LOST),
                error="The control plane was restarted in the middle of this command.",
                finished_at=at,
            )
        )


async def find(database: Database, command: str) -> CommandEntryRow | None:
    async with database.read() as session:
        return await session.get(CommandEntryRow, command)


async def newest(
    database: Database, clusters: list[str], *, before: datetime | None, limit: int, tenant: str
) -> list[CommandEntryRow]:
    """Newest first, without the texts' weight being a matter: callers page."""
    wanted = select(CommandEntryRow).where(CommandEntryRow.cluster.in_(clusters), CommandEntryRow.tenant_id == tenant)
    if before is not None:
        wanted = wanted.where(CommandEntryRow.created_at < before)
    async with database.read() as session:
        rows = await session.execute(wanted.order_by(CommandEntryRow.created_at.desc()).limit(limit))
        return list(rows.scalars())


def result_of(row: CommandEntryRow) -> CommandResult | None:
    """As stored, which may be shorter than what the asker got. None while it runs."""
    if row.status is None:
        return None
    return CommandResult(
        id=row.id,
        status=CommandStatus(row.status),
        text=row.text,
        error=row.error,
        data=json.loads(row.data) if row.data is not None else None,
        duration_ms=row.duration_ms or 0,
        cut=row.cut,
        redacted=row.redacted,
    )


def _settle(done: asyncio.Future[None], error: Exception | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)


def _look_at(done: asyncio.Future[None]) -> None:
    """A change that nobody waits for must not fail in silence."""
    if not done.cancelled() and done.exception() is not None:
        LOG.error("a command's row could not be written", error=str(done.exception()))


async def stop_executions(session: Session, cluster: str) -> None:
    """Inside the kill switch's transaction: once it is committed, the runners of executions that have no end yet are told to
    stop at their next step, whichever replica has sent them."""
    query = select(CommandEntryRow.id, CommandEntryRow.runner).where(
        CommandEntryRow.cluster == cluster, CommandEntryRow.kind == "execute", CommandEntryRow.finished_at.is_(None)
    )
    for command, runner in await session.execute(query):
        if runner is not None:
            session.wake(subjects.cancel(cluster, runner), command.encode())
