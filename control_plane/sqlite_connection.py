"""SQLite's connection for the async engine: a statement is one trip to its thread, and BEGIN goes with what follows it.

aiosqlite alone makes four trips for a statement (cursor, execute, fetch, close), and BEGIN is one of its own. A trip costs as
much as a small statement does.
"""

import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from typing import Any, cast

import aiosqlite
from aiosqlite.context import contextmanager

ROWS_AT_ONCE = 1_000
"""Of a longer result the rest is fetched as it is asked for: what streams it never holds all of it."""


class Connection(aiosqlite.Connection):
    """Await it to open it. Transactions are said, never guessed: options hold isolation_level=None."""

    def __init__(self, path: str, **options: Any) -> None:
        super().__init__(partial(sqlite3.connect, path, **options, isolation_level=None), ROWS_AT_ONCE)
        self._thread.daemon = True
        self._begin = ""

    def begin_with(self, statement: str) -> None:
        """The next statement opens a transaction, with this one; without a next one there is none."""
        self._begin = statement

    async def run(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """In the connection's thread, in its transaction. Raises sqlite3's errors, those of the transaction's beginning too."""
        begin, self._begin = self._begin, ""
        await cast(Any, self)._execute(_begun, self._conn, begin, work)

    @contextmanager
    async def cursor(self) -> aiosqlite.Cursor:
        return Cursor(self)

    async def commit(self) -> None:
        if not self._unbegun():
            await super().commit()

    async def rollback(self) -> None:
        if not self._unbegun():
            await super().rollback()

    def _unbegun(self) -> bool:
        begin, self._begin = self._begin, ""
        return bool(begin)


class Cursor(aiosqlite.Cursor):
    """One statement and its result. Its first rows come with it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: deque[Any] = deque()
        self._more = False

    async def execute(self, sql: str, parameters: Iterable[Any] | None = None) -> aiosqlite.Cursor:
        given = cast(Any, () if parameters is None else parameters)
        await self._connection.run(lambda raw: self._start(raw.execute(sql, given)))
        return self

    async def executemany(self, sql: str, parameters: Iterable[Iterable[Any]]) -> aiosqlite.Cursor:
        await self._connection.run(lambda raw: self._start(raw.executemany(sql, cast(Any, parameters))))
        return self

    async def fetchone(self) -> Any:
        if not self._rows and self._more:
            await self._connection.run(self._fetch)
        return self._rows.popleft() if self._rows else None

    async def fetchmany(self, size: int | None = None) -> Iterable[Any]:
        found: list[Any] = []
        while len(found) < (size or self.arraysize) and (row := await self.fetchone()) is not None:
            found.append(row)
        return found

    async def fetchall(self) -> Iterable[Any]:
        while self._more:
            await self._connection.run(self._fetch)
        rows, self._rows = self._rows, deque()
        return rows

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._each()

    async def close(self) -> None:
        self._rows.clear()
        if self._more:
            self._more = False
            await self._connection.run(lambda _: self._cursor.close())

    def _start(self, cursor: sqlite3.Cursor) -> None:
        self._cursor = cursor
        if cursor.description:
            self._fetch()

    def _fetch(self, _: sqlite3.Connection | None = None) -> None:
        rows = self._cursor.fetchmany(ROWS_AT_ONCE)
        self._rows.extend(rows)
        self._more = len(rows) == ROWS_AT_ONCE

    async def _each(self) -> AsyncIterator[Any]:
        while (row := await self.fetchone()) is not None:
            yield row


def _begun(raw: sqlite3.Connection, begin: str, work: Callable[[sqlite3.Connection], None]) -> None:
    if begin:
        raw.execute(begin)
    work(raw)
