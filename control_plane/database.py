"""The database session: one door. SQLite in WAL mode, or PostgreSQL.

`async with db.transaction() as s` for everything that writes, `async with db.read() as s` for what only reads.
Never open one inside the other: on SQLite a writer waits for the writer before it. Functions that take part in
somebody's transaction take the `Session`.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from typing import Any, cast

import structlog
from sqlalchemy import Connection, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from control_plane import sqlite_connection
from control_plane.errors import Unavailable
from control_plane.wakeups import Wakeups

log = structlog.get_logger(__name__)

_BUSY_TIMEOUT_MS = 10_000
_POOL_SIZE = 10
_WAKE_TIMEOUT_S = 2.0
_RESET = None
"""Each session ends its transaction itself; the pool's own rollback after that would be one more round trip."""


class Session(AsyncSession):
    """A SQLAlchemy session that also knows what is to happen at its commit."""

    def __init__(self, bind: AsyncEngine) -> None:
        super().__init__(bind, expire_on_commit=False, autoflush=False)
        self.last_steps: dict[str, Callable[[], Awaitable[None]]] = {}
        """By name, run once right before the commit, inside the transaction: for what must be locked last."""
        self.wakes: dict[tuple[str, bytes], None] = {}
        """Published after the commit, in order, each once; never when the transaction is rolled back."""

    def wake(self, subject: str, data: bytes = b"") -> None:
        self.wakes[subject, data] = None


class Database:
    """`url` is SQLAlchemy's: `sqlite+aiosqlite:///path` or `postgresql+psycopg://…`."""

    def __init__(self, url: str, wakeups: Wakeups | None = None) -> None:
        self.url = url
        self.dialect = make_url(url).get_backend_name()
        self._wakeups = wakeups
        self._engine: AsyncEngine | None = None
        self._writer: AsyncEngine | None = None
        # SQLite has one writer. Waiting here is fair and costs nothing; its busy handler sleeps and is not fair.
        self._write_lock = asyncio.Lock() if self.dialect == "sqlite" else nullcontext()

    async def start(self) -> None:
        """Open, and migrate to head (Alembic). Raises Unavailable when the server does not answer, Conflict when the
        database was written by a newer version."""
        from control_plane.migrations import migrate

        self._engine = _open(self.url, self.dialect)
        self._writer = self._engine.execution_options(opsthread_writer=True)
        await migrate(self._engine)

    async def stop(self) -> None:
        engine, self._engine, self._writer = self._engine, None, None
        if engine is not None:
            await engine.dispose()

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Session]:
        """Commits at the end, rolls back when an exception leaves the block; wake-ups go out after the commit.

        Raises Unavailable when the database does not answer or has no connection free; then nothing was changed, unless the
        connection was lost in the commit itself."""
        if self._writer is None:
            raise RuntimeError("the database is not started")
        with _unavailable_in_words():
            async with self._write_lock, Session(self._writer) as session, session.begin():
                yield session
                await session.flush()
                for step in list(session.last_steps.values()):
                    await step()
        await self._publish(session)

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[Session]:
        """One consistent look. What is changed here is lost. Raises Unavailable."""
        if self._engine is None:
            raise RuntimeError("the database is not started")
        with _unavailable_in_words():
            async with Session(self._engine) as session:
                yield session

    async def _publish(self, session: Session) -> None:
        if self._wakeups is None:
            return
        for subject, data in session.wakes:
            try:
                async with asyncio.timeout(_WAKE_TIMEOUT_S):
                    await self._wakeups.publish(subject, data)
            except Exception:
                # The change is committed. Its readers poll, so a broken bus must not turn it into an error.
                log.warning("wake-up lost", subject=subject, exc_info=True)
                return


@contextmanager
def _unavailable_in_words() -> Generator[None]:
    try:
        yield
    except PoolTimeout as error:
        raise Unavailable("the database is too busy to answer; try again in a moment") from error
    except DBAPIError as error:
        if words := _words_of(error):
            raise Unavailable(words) from error
        if error.connection_invalidated or (isinstance(error, OperationalError) and error.statement is None):
            raise Unavailable("the database does not answer; check that its server runs, and try again") from error
        raise


_LOCKED = "another program holds the database; let go of it (a backup, a database shell), and try again"
_FULL = "the database can't be written to: its disk is full or fails; free some space, and try again"
_WORDS = {
    "SQLITE_BUSY": _LOCKED,
    "SQLITE_LOCKED": _LOCKED,
    "SQLITE_FULL": _FULL,
    "SQLITE_IOERR": _FULL,
    "SQLITE_READONLY": _FULL,
    "SQLITE_CANTOPEN": _FULL,
    "53100": _FULL,  # PostgreSQL's disk_full
    "55P03": _LOCKED,  # and lock_not_available
}


def _words_of(error: DBAPIError) -> str | None:
    """What is wrong around the database, by its own code; None when the statement itself is. A code may be a kind of another,
    as SQLITE_IOERR_WRITE is of SQLITE_IOERR."""
    cause: BaseException | None = error.orig
    while cause is not None:
        code = str(getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None) or "")
        found = next((words for name, words in _WORDS.items() if code == name or code.startswith(f"{name}_")), None)
        if found is not None:
            return found
        cause = cause.__cause__ or cause.__context__
    return None


def _open(url: str, dialect: str) -> AsyncEngine:
    if dialect != "sqlite":
        return create_async_engine(
            url,
            pool_size=_POOL_SIZE,
            max_overflow=_POOL_SIZE,
            pool_pre_ping=True,
            pool_timeout=10,
            pool_reset_on_return=_RESET,
            hide_parameters=True,
        )
    engine = create_async_engine(
        url,
        pool_size=_POOL_SIZE,
        max_overflow=_POOL_SIZE,
        pool_reset_on_return=_RESET,
        # What people wrote, and hashes of what they must not lose, stand in no log and no answer.
        hide_parameters=True,
        connect_args={"async_creator_fn": sqlite_connection.Connection},
    )
    event.listen(engine.sync_engine, "connect", _set_up_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: Any, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        f"busy_timeout={_BUSY_TIMEOUT_MS}",
        "foreign_keys=ON",
        "temp_store=MEMORY",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """A writer takes the write lock at once: a read that turns into a write later can't be retried by SQLite."""
    writer = connection.get_execution_options().get("opsthread_writer", False)
    driver = cast(sqlite_connection.Connection, connection.connection.driver_connection)
    driver.begin_with("BEGIN IMMEDIATE" if writer else "BEGIN")
