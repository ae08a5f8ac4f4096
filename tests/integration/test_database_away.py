"""PostgreSQL is away for a moment: what writes in the background fails in words, and goes on when it is back."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import psycopg
import pytest
import structlog.testing
from sqlalchemy import text
from sqlalchemy.engine import make_url

from control_plane.command_log import CommandLog
from control_plane.database import Database, Session
from control_plane.errors import Unavailable
from tests.integration.plane import Plane, plane
from tests.integration.postgres import Postgres
from tests.integration.waiting import until


@contextmanager
def away(server: Postgres, url: str) -> Generator[None]:
    """Nobody is let in, and who is in is cut."""
    name = make_url(url).database
    with psycopg.connect(f"host={server.socket_dir} user=postgres dbname=postgres", autocommit=True) as admin:
        admin.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false'.encode())
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        try:
            yield
        finally:
            admin.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true'.encode())


async def last_heard(here: Plane) -> datetime:
    runner = (await here.fleet.get("shop")).runner
    assert runner is not None
    assert runner.last_heartbeat is not None
    return runner.last_heartbeat


async def nothing(session: Session) -> None:
    await session.execute(text("SELECT 1"))


async def test_the_log_of_commands_says_that_it_could_not_write_and_writes_again(postgres: Postgres) -> None:
    url = postgres.new_database()
    database = Database(url)
    await database.start()
    log = CommandLog(database)
    await log.start()
    try:
        async with asyncio.timeout(20):
            await log.submit(nothing)
            with away(postgres, url):
                for change in [log.submit(nothing) for _ in range(3)]:
                    with pytest.raises(Unavailable):
                        await change
            await log.submit(nothing)
    finally:
        await log.stop()
        await database.stop()


async def test_heartbeats_are_kept_until_they_can_be_written(postgres: Postgres, tmp_path: Path) -> None:
    url = postgres.new_database()
    async with plane(tmp_path, database_url=url) as here:
        heard = await last_heard(here)
        with structlog.testing.capture_logs() as logs, away(postgres, url):
            await here.runner.heartbeat()
            await until(lambda: any("heartbeats could not" in line["event"] for line in logs), "it was tried")

        async def later() -> bool:
            return await last_heard(here) > heard

        await until(later, "the heartbeat is written", 20)
