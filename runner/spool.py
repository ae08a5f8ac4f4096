"""What the watch saw and the control plane has not acknowledged yet: on disk, bounded, in order, sent again until it is.

A batch's number counts from 1 in each boot of the process; batches of an earlier boot keep theirs, so that the ingest's
uniqueness by (runner, boot, seq) holds whatever happens. Full means the oldest go, and how many is said.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import structlog

from protocol.bus import WatchBatch
from protocol.diagnosis import Change, Finding
from runner.link import CONNECTION_ERRORS

log = structlog.get_logger("runner.spool")

MAX_ROWS = 5000
_BATCH = 100
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS batch (id INTEGER PRIMARY KEY, boot TEXT NOT NULL, seq INTEGER NOT NULL, body BLOB NOT NULL)"
)

Store = Callable[[str, bytes, str], Awaitable[None]]
"""(kind of subject, payload, message id); returns when it is acknowledged and raises when it is not."""


class Spool:
    """Not thread-safe: used from the event loop only; a row is a few KiB, so the writes are short."""

    def __init__(self, path: Path, *, cluster: str, runner: str, boot: str, max_rows: int = MAX_ROWS) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(_SCHEMA)
        self._cluster, self._runner, self._boot = cluster, runner, boot
        self._max_rows = max_rows
        self._seq = 0
        self._waiting = asyncio.Event()
        self.dropped = 0
        if self.depth:
            self._waiting.set()

    @property
    def depth(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM batch").fetchone()[0])

    def put(self, *, findings: Sequence[Finding] = (), closed: Sequence[str] = (), changes: Sequence[Change] = ()) -> None:
        """Keep a batch until it is acknowledged. Long ones become several."""
        for at in range(0, max(len(findings), len(closed), len(changes)), _BATCH):
            self._seq += 1
            batch = WatchBatch(
                cluster=self._cluster,
                runner=self._runner,
                boot=self._boot,
                seq=self._seq,
                findings=tuple(findings[at : at + _BATCH]),
                closed=tuple(closed[at : at + _BATCH]),
                changes=tuple(changes[at : at + _BATCH]),
            )
            self._db.execute(
                "INSERT INTO batch (boot, seq, body) VALUES (?, ?, ?)", (self._boot, self._seq, batch.model_dump_json())
            )
        self._trim()
        self._waiting.set()

    async def run(self, store: Store, *, retry_s: Sequence[float] = (0.5, 1, 2, 5, 15)) -> None:
        """Send in order, for ever; a batch leaves the disk when it is acknowledged."""
        failures = 0
        while True:
            row = self._db.execute("SELECT id, boot, seq, body FROM batch ORDER BY id LIMIT 1").fetchone()
            if row is None:
                self._waiting.clear()
                await self._waiting.wait()
                continue
            number, boot, seq, body = row
            try:
                await store(_subject_of(body), body.encode(), f"{self._runner}.{boot}.{seq}")
            except CONNECTION_ERRORS as error:
                wait = retry_s[min(failures, len(retry_s) - 1)]
                failures += 1
                log.debug("batch_kept", error=repr(error), again_in_s=wait, depth=self.depth)
                await asyncio.sleep(wait)
                continue
            failures = 0
            self._db.execute("DELETE FROM batch WHERE id = ?", (number,))

    def close(self) -> None:
        self._db.close()

    def _trim(self) -> None:
        extra = self.depth - self._max_rows
        if extra > 0:
            self._db.execute("DELETE FROM batch WHERE id IN (SELECT id FROM batch ORDER BY id LIMIT ?)", (extra,))
            self.dropped += extra
            log.warning("spool_full", dropped=self.dropped)


def _subject_of(body: str) -> str:
    return "changes" if WatchBatch.model_validate_json(body).changes else "findings"
