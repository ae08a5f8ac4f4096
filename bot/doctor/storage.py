"""The database: does it answer, is it of our version, do its clock and ours agree, is it whole?"""

import asyncio
import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from control_plane.migrations import revision_of, revisions
from control_plane.settings import Settings
from protocol.checkup import CheckRow, fail, ok, skip, warn
from protocol.text import one_line

_WITHIN_S = 8.0
_CHECKED_WHOLE = 256 << 20
_CLOCK_WARN_S, _CLOCK_FAIL_S = 2.0, 15.0
_OLDEST_POSTGRES = 140_000


async def look_at_database(settings: Settings) -> list[CheckRow]:
    """Changes nothing: a missing SQLite file is not made, an old revision is not migrated."""
    try:
        url = settings.database
        backend = make_url(url).get_backend_name()
    except (OSError, UnicodeDecodeError) as error:
        found = f"OPSTHREAD_DATABASE_URL_FILE: {one_line(str(error), 300)}"
        return [fail("database", "URL", found, "Name a file of text that can be read.")]
    except ArgumentError:
        return [fail("database", "URL", "it is no database URL", _URL)]
    if backend == "sqlite":
        return await asyncio.to_thread(_sqlite, Path(make_url(url).database or ""))
    if backend != "postgresql":
        return [fail("database", "URL", f"{one_line(backend, 40)} is neither sqlite nor postgresql", _URL)]
    try:
        async with asyncio.timeout(_WITHIN_S):
            return await _postgres(url)
    except TimeoutError:
        return [fail("database", "PostgreSQL", f"no answer within {_WITHIN_S:.0f} s", _REACH)]
    except (ImportError, ArgumentError) as error:
        return [fail("database", "URL", f"its driver is not installed: {one_line(str(error), 200)}", _URL)]
    except (SQLAlchemyError, OSError) as error:
        why = error.orig if isinstance(error, DBAPIError) else error
        return [fail("database", "PostgreSQL", one_line(str(why), 300), _REACH)]


_URL = "OPSTHREAD_DATABASE_URL=postgresql+psycopg://user@host/opsthread"
_REACH = "pg_isready -h HOST -p PORT   # is it up? Then: are name, password and database of the URL right?"


def _sqlite(path: Path) -> list[CheckRow]:
    try:
        if not path.exists():
            return [ok("database", "SQLite", f"{path} is not there yet; the first start makes it")]
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=2)
    except (OSError, sqlite3.Error) as error:
        return [fail("database", "SQLite", f"{path} can't be opened: {error}", f"ls -l {path}*")]
    try:
        rows = [_version("SQLite", _sqlite_revision(connection))]
        if path.stat().st_size > _CHECKED_WHOLE:
            return [*rows, skip("database", "integrity", f"{path.stat().st_size >> 20} MiB would take a while to read through")]
        verdict = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
        if verdict != "ok":
            return [*rows, _broken(path, verdict)]
        return [*rows, ok("database", "integrity", f"{path.stat().st_size >> 20} MiB, whole")]
    except sqlite3.DatabaseError as error:
        return [_broken(path, str(error))]
    finally:
        connection.close()


def _broken(path: Path, why: str) -> CheckRow:
    mend = f"Stop serve, keep a copy, and restore a backup; or: sqlite3 {path} .recover | sqlite3 {path.with_suffix('.new')}"
    return fail("database", "integrity", f"{path} is damaged: {one_line(why, 200)}", mend)


def _sqlite_revision(connection: sqlite3.Connection) -> str | None:
    there = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone() if there else None
    return str(row[0]) if row else None


async def _postgres(url: str) -> list[CheckRow]:
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            began = time.monotonic()
            facts: Any = (await connection.execute(text(_FACTS))).one()
            took = time.monotonic() - began
            revision = await connection.run_sync(revision_of)
    finally:
        await engine.dispose()
    version, at, used, most = int(facts[0]), facts[1], int(facts[2]), int(facts[3])
    rows = [_version("PostgreSQL", revision, f"{version // 10_000}, {took * 1000:.0f} ms")]
    if version < _OLDEST_POSTGRES:
        rows.append(fail("database", "server", f"PostgreSQL {version // 10_000} is too old", "Use PostgreSQL 14 or newer."))
    if used > most * 0.8:
        mend = f"ALTER SYSTEM SET max_connections = {most * 2};   -- and restart it, or put PgBouncer before it"
        rows.append(warn("database", "connections", f"{used} of {most} are in use", mend))
    return [*rows, _clock(at)]


_FACTS = (
    "SELECT current_setting('server_version_num'), clock_timestamp(), (SELECT count(*) FROM pg_stat_activity), "
    "current_setting('max_connections')"
)


def _version(server: str, revision: str | None, more: str = "") -> CheckRow:
    newest, detail = revisions()[-1], f" ({more})" if more else ""
    if revision is None:
        return ok("database", server, f"empty{detail}; the first start makes the tables")
    if revision not in revisions():
        found = f"at revision {revision}{detail}, of a newer version than this one (which ends at {newest})"
        return fail("database", server, found, "Start the newer version again, or restore the backup made before it.")
    if revision != newest:
        return ok("database", server, f"at revision {revision}{detail}; the next start takes it to {newest}")
    return ok("database", server, f"at revision {revision}{detail}")


def _clock(at: datetime) -> CheckRow:
    off = (at - datetime.now(UTC)).total_seconds()
    said, mend = f"the database's is {off:+.1f} s against ours", "timedatectl set-ntp true   # on both machines"
    if abs(off) >= _CLOCK_FAIL_S:
        return fail("clock", "database", said, mend)
    return warn("clock", "database", said, mend) if abs(off) >= _CLOCK_WARN_S else ok("clock", "database", said)
