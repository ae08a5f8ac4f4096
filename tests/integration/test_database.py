"""The database: what a transaction promises, migrations, and both dialects."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, select, text
from sqlalchemy.exc import IntegrityError, StatementError

from control_plane.database import Database
from control_plane.errors import Conflict, Unavailable
from control_plane.migrations import revisions
from control_plane.tables import AccountRow, RoleRow, Table
from control_plane.wakeups import LocalWakeups
from tests.integration.postgres import Postgres
from tests.integration.waiting import until

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path}/opsthread.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
async def database(url: str) -> AsyncGenerator[Database]:
    here = Database(url, LocalWakeups())
    await here.start()
    yield here
    await here.stop()


def account(name: str) -> AccountRow:
    return AccountRow(id=name, name=name, display_name=name, disabled=False, created_at=NOW)


async def names(database: Database) -> list[str]:
    async with database.read() as session:
        return list(await session.scalars(select(AccountRow.name).order_by(AccountRow.name)))


async def test_the_migrations_make_the_tables_that_the_classes_describe(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return list(compare_metadata(context, Table.metadata))

    async with database.read() as session:
        assert await (await session.connection()).run_sync(differences) == []


def test_every_table_says_whose_it_is() -> None:
    without = [name for name, table in Table.metadata.tables.items() if "tenant_id" not in table.columns]
    assert without == []


async def test_opening_again_keeps_what_is_there(url: str) -> None:
    for name in ("ann", "bob"):
        database = Database(url)
        await database.start()
        async with database.transaction() as session:
            session.add(account(name))
        await database.stop()
    database = Database(url)
    await database.start()
    assert await names(database) == ["ann", "bob"]
    await database.stop()


async def test_two_that_open_at_the_same_time_migrate_once(postgres: Postgres) -> None:
    url = postgres.new_database()
    databases = [Database(url) for _ in range(3)]
    await asyncio.gather(*(database.start() for database in databases))
    assert await names(databases[0]) == []
    await asyncio.gather(*(database.stop() for database in databases))


async def test_a_database_of_a_newer_version_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "opsthread.db"
    with sqlite3.connect(file) as raw:
        raw.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        raw.execute("INSERT INTO alembic_version VALUES ('r9999')")
    database = Database(f"sqlite+aiosqlite:///{file}")
    with pytest.raises(Conflict, match="r9999, which this version does not know"):
        await database.start()
    await database.stop()


async def test_a_server_that_is_down_is_named_without_its_password() -> None:
    database = Database("postgresql+psycopg://me:hunter2@127.0.0.1:1/opsthread")
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1/opsthread") as refused:
        await database.start()
    assert "hunter2" not in refused.value.message
    await database.stop()


def test_revisions_follow_each_other() -> None:
    known = revisions()
    assert known == [f"r{number:04}" for number in range(1, len(known) + 1)]


async def test_an_exception_takes_everything_back_and_wakes_nobody(url: str) -> None:
    wakeups = LocalWakeups()
    database = Database(url, wakeups)
    await database.start()
    heard = asyncio.ensure_future(anext(wakeups.subscribe("here")))

    async def write(name: str, *, fail: bool) -> None:
        async with database.transaction() as session:
            session.add(account(name))
            session.wake("here", name.encode())
            if fail:
                raise RuntimeError

    with pytest.raises(RuntimeError):
        await write("ann", fail=True)
    await write("bob", fail=False)
    assert await asyncio.wait_for(heard, 5) == b"bob"
    assert await names(database) == ["bob"]
    await database.stop()


async def test_a_broken_bus_does_not_turn_a_commit_into_an_error(url: str) -> None:
    class Broken(LocalWakeups):
        async def publish(self, subject: str, data: bytes) -> None:
            raise ConnectionError("bus down")

    database = Database(url, Broken())
    await database.start()
    async with database.transaction() as session:
        session.add(account("ann"))
        session.wake("here", b"x")
    assert await names(database) == ["ann"]
    await database.stop()


async def test_a_reader_sees_nothing_of_an_open_transaction(database: Database) -> None:
    async with database.transaction() as session:
        session.add(account("ann"))
        await session.flush()
        assert await names(database) == []
    assert await names(database) == ["ann"]


async def test_writers_wait_for_each_other_instead_of_failing(database: Database) -> None:
    async def count_up() -> None:
        async with database.transaction() as session:
            row = await session.scalar(select(AccountRow).where(AccountRow.id == "ann").with_for_update())
            assert row is not None
            row.display_name = str(int(row.display_name) + 1)

    async with database.transaction() as session:
        counter = account("ann")
        counter.display_name = "0"
        session.add(counter)
    await asyncio.gather(*(count_up() for _ in range(40)))
    async with database.read() as session:
        assert await session.scalar(select(AccountRow.display_name)) == "40"


async def test_a_writer_in_another_process_is_waited_for(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/opsthread.db")
    await database.start()
    other = sqlite3.connect(tmp_path / "opsthread.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    async def write() -> None:
        async with database.transaction() as session:
            session.add(account("ann"))

    writing = asyncio.create_task(write())
    await until(lambda: not writing.done(), "the writer waits")
    other.execute("COMMIT")
    other.close()
    await writing
    assert await names(database) == ["ann"]
    await database.stop()


async def test_a_cancelled_transaction_leaves_nothing_and_blocks_nobody(database: Database) -> None:
    inside = asyncio.Event()

    async def hang() -> None:
        async with database.transaction() as session:
            session.add(account("ann"))
            await session.flush()
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hang())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(5), database.transaction() as session:
        session.add(account("bob"))
    assert await names(database) == ["bob"]


async def test_foreign_keys_hold(database: Database) -> None:
    with pytest.raises(IntegrityError):
        async with database.transaction() as session:
            session.add(RoleRow(id="r", account="nobody", role="viewer", clusters="[]", namespaces="[]"))


async def test_times_come_back_in_utc_to_the_microsecond(database: Database) -> None:
    east = timezone(timedelta(hours=9))
    async with database.transaction() as session:
        row = account("ann")
        row.created_at = NOW.astimezone(east)
        session.add(row)
    async with database.read() as session:
        found = await session.scalar(select(AccountRow.created_at).where(AccountRow.created_at == NOW.astimezone(east)))
    assert found == NOW
    assert found is not None
    assert found.tzinfo is UTC


async def test_a_time_without_a_zone_is_refused(database: Database) -> None:
    row = account("ann")
    row.created_at = NOW.replace(tzinfo=None)
    async with database.read() as session:
        session.add(row)
        with pytest.raises(StatementError, match="without a zone"):
            await session.flush()


async def test_sqlite_is_set_up_for_one_writer_and_many_readers(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/opsthread.db")
    await database.start()
    async with database.read() as session:
        found = {name: await session.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous", "foreign_keys")}
    await database.stop()
    assert found == {"journal_mode": "wal", "synchronous": 1, "foreign_keys": 1}


async def test_a_connection_that_is_cut_is_unavailable_and_the_next_is_new(postgres: Postgres) -> None:
    database = Database(postgres.new_database())
    await database.start()

    async def cut_in_the_middle() -> None:
        async with database.transaction() as session:
            session.add(account("ann"))
            await session.flush()
            async with database.read() as other:
                await other.execute(
                    text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
                )
            await session.execute(text("SELECT 1"))

    with pytest.raises(Unavailable, match="does not answer"):
        await cut_in_the_middle()
    async with database.transaction() as session:
        session.add(account("bob"))
    assert await names(database) == ["bob"]
    await database.stop()


async def test_too_many_at_once_are_told_to_come_again(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = database.__dict__["_engine"]
    monkeypatch.setattr(engine.pool, "_timeout", 0.05)
    async with AsyncExitStack() as stack:
        for _ in range(20):
            session = await stack.enter_async_context(database.read())
            await session.execute(text("SELECT 1"))
        with pytest.raises(Unavailable, match="too busy"):
            await names(database)
    assert await names(database) == []
