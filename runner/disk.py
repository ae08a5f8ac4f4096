"""A small SQLite file of the runner's own. One that can't be read any more is put aside: not overwritten, not in the way."""

import contextlib
import sqlite3
import time
from pathlib import Path
from typing import Literal

import structlog

log = structlog.get_logger("runner.disk")

_BUSY_S = 0.5
"""Nobody else writes to it; whoever does is not waited for in the event loop."""


def open_file(path: Path, schema: str, synchronous: Literal["FULL", "NORMAL"]) -> sqlite3.Connection:
    """Open or make it, in WAL mode. A torn file (a power cut, a disk that lies) becomes `<name>.torn-<time>`, a new one begins.

    Raises sqlite3.OperationalError for a disk that is full or not ours.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _opened(path, schema, synchronous)
    except sqlite3.OperationalError:
        # Full, read-only or locked: the file may be whole.
        raise
    except sqlite3.DatabaseError as error:
        aside = _put_aside(path)
        log.error("torn_file", file=str(path), error=str(error), kept_as=str(aside))
        return _opened(path, schema, synchronous)


def _opened(path: Path, schema: str, synchronous: str) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_S)
    try:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute(f"PRAGMA synchronous={synchronous}")
        found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(str(found))
        database.executescript(schema)
    except BaseException:
        database.close()
        raise
    return database


def _put_aside(path: Path) -> Path:
    """The log of a torn file goes with it: it belongs to its pages."""
    aside = path.with_name(f"{path.name}.torn-{int(time.time())}")
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(f"{path.name}{suffix}").replace(aside.with_name(f"{aside.name}{suffix}"))
    return aside
