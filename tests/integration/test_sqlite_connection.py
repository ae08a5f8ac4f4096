"""SQLite's connection: long results are streamed, a transaction begins with its first statement, failures leave it usable."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from control_plane.database import Database
from control_plane.sqlite_connection import ROWS_AT_ONCE

COUNT = 2 * ROWS_AT_ONCE + 1
NUMBERS = text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :most) SELECT i FROM n")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncGenerator[Database]:
    here = Database(f"sqlite+aiosqlite:///{tmp_path}/here.db")
    await here.start()
    yield here
    await here.stop()


@pytest.mark.parametrize("most", [1, ROWS_AT_ONCE - 1, ROWS_AT_ONCE, ROWS_AT_ONCE + 1, COUNT])
async def test_a_result_of_any_length_is_whole_read_at_once_or_streamed(database: Database, most: int) -> None:
    expected = list(range(1, most + 1))
    async with database.read() as session:
        assert list(await session.scalars(NUMBERS, {"most": most})) == expected
        streamed = await session.stream_scalars(NUMBERS, {"most": most}, execution_options={"yield_per": 300})
        assert [row async for row in streamed] == expected


async def test_a_stream_that_is_left_half_read_is_closed_and_its_connection_serves_the_next(database: Database) -> None:
    async with database.read() as session:
        streamed = await session.stream_scalars(NUMBERS, {"most": COUNT}, execution_options={"yield_per": 10})
        assert await anext(aiter(streamed)) == 1
        await streamed.close()
        assert await session.scalar(text("SELECT 7")) == 7


async def test_what_is_written_before_a_failing_statement_is_rolled_back_and_the_next_transaction_holds(
    database: Database,
) -> None:
    async with database.transaction() as session:
        await session.execute(text("CREATE TABLE kept (i INTEGER)"))

    async def fails() -> None:
        async with database.transaction() as session:
            await session.execute(text("INSERT INTO kept VALUES (1)"))
            await session.execute(text("INSERT INTO nowhere VALUES (1)"))

    with pytest.raises(OperationalError):
        await fails()
    async with database.transaction() as session:
        await session.execute(text("INSERT INTO kept VALUES (:i)"), [{"i": 2}, {"i": 3}])
    async with database.read() as session:
        assert list(await session.scalars(text("SELECT i FROM kept ORDER BY i"))) == [2, 3]


async def test_a_transaction_that_says_nothing_changes_nothing_and_one_that_is_given_up_lets_go(database: Database) -> None:
    async with database.transaction():
        pass
    begun = asyncio.Event()

    async def waits() -> None:
        async with database.transaction() as session:
            await session.execute(text("CREATE TABLE given_up (i INTEGER)"))
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(waits())
    await asyncio.wait_for(begun.wait(), 10)
    task.cancel()
    await asyncio.wait({task}, timeout=10)
    async with database.transaction() as session:
        assert await session.scalar(text("SELECT count(*) FROM sqlite_master WHERE name = 'given_up'")) == 0
