"""What the watch saw and the control plane has not acknowledged yet: on disk, bounded, in order, sent again until it is.

A batch's number counts from 1 in each boot of the process; batches of an earlier boot keep theirs, so that the ingest's
uniqueness by (runner, boot, seq) holds whatever happens. Full means the oldest go, and how many is said.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import structlog

from protocol.bus import WatchBatch
from protocol.diagnosis import Change, Finding
from runner.disk import open_file
from runner.line import CONNECTION_ERRORS

log = structlog.get_logger("runner.spool")

MAX_ROWS = 5000
MAX_BYTES = 64 * 1024 * 1024
MAX_BATCH_BYTES = 512 * 1024
"""A batch that NATS would refuse for its size (1 MiB with the envelope) would stand in the way of all others for ever."""
_BATCH = 100
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS batch (id INTEGER PRIMARY KEY, boot TEXT NOT NULL, seq INTEGER NOT NULL, body BLOB NOT NULL)"
)

Store = Callable[[str, bytes, str], Awaitable[None]]
"""(kind of subject, payload, message id); returns when it is acknowledged and raises when it is not."""


class Spool:
    """Not thread-safe: used from the event loop only; a row is a few KiB, so the writes are short."""

    def __init__(
        self,
        path: Path,
        *,
        cluster: str,
        runner: str,
        boot: str,
        max_rows: int = MAX_ROWS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._db = open_file(path, _SCHEMA, "NORMAL")
        self._cluster, self._runner, self._boot = cluster, runner, boot
        self._max_rows, self._max_bytes = max_rows, max_bytes
        self._seq = 0
        self._waiting = asyncio.Event()
        self.dropped = 0
        self._depth, self._bytes = self._counted()
        if self._depth:
            self._waiting.set()

    @property
    def depth(self) -> int:
        return self._depth

    @property
    def bytes(self) -> int:
        return self._bytes

    def put(self, *, findings: Sequence[Finding] = (), closed: Sequence[str] = (), changes: Sequence[Change] = ()) -> None:
        """Keep a batch until it is acknowledged. Long ones become several.

        What a full disk does not take is dropped and counted: the watch goes on.
        """
        for at in range(0, max(len(findings), len(closed), len(changes)), _BATCH):
            part = slice(at, at + _BATCH)
            self._keep(tuple(findings[part]), tuple(closed[part]), tuple(changes[part]))
        self._waiting.set()

    async def run(self, store: Store, *, retry_s: Sequence[float] = (0.5, 1, 2, 5, 15)) -> None:
        """Send in order, for ever; a batch leaves the disk when it is acknowledged."""
        failures = 0
        while not _told_to_end():
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
            self._remove(number)
        raise asyncio.CancelledError

    def close(self) -> None:
        self._db.close()

    def _keep(self, findings: tuple[Finding, ...], closed: tuple[str, ...], changes: tuple[Change, ...]) -> None:
        batch = WatchBatch(
            cluster=self._cluster,
            runner=self._runner,
            boot=self._boot,
            seq=self._seq + 1,
            findings=findings,
            closed=closed,
            changes=changes,
        )
        body = batch.model_dump_json()
        size = len(body.encode())
        longest = max(len(findings), len(closed), len(changes))
        if size > MAX_BATCH_BYTES and longest > 1:
            half = longest // 2
            self._keep(findings[:half], closed[:half], changes[:half])
            self._keep(findings[half:], closed[half:], changes[half:])
            return
        if size > MAX_BATCH_BYTES:
            self._drop(1, "a single item is too large to send")
            return
        try:
            self._db.execute("INSERT INTO batch (boot, seq, body) VALUES (?, ?, ?)", (self._boot, self._seq + 1, body))
        except sqlite3.OperationalError as error:
            self._drop(1, str(error))
            return
        self._seq += 1
        self._depth += 1
        self._bytes += size
        self._trim()

    def _trim(self) -> None:
        while self._depth > 1 and (self._depth > self._max_rows or self._bytes > self._max_bytes):
            number = self._db.execute("SELECT min(id) FROM batch").fetchone()[0]
            before = self._depth
            self._remove(number)
            if self._depth == before:
                return
            self._drop(1, "the spool is full")

    def _remove(self, number: int) -> None:
        """A row that can't be removed now is sent once more later: the ingest knows it by its number."""
        try:
            size: Any = self._db.execute("SELECT length(CAST(body AS BLOB)) FROM batch WHERE id = ?", (number,)).fetchone()
            self._db.execute("DELETE FROM batch WHERE id = ?", (number,))
        except sqlite3.OperationalError as error:
            log.warning("batch_not_removed", error=str(error))
            return
        if size is not None:
            self._depth -= 1
            self._bytes -= int(size[0])

    def _drop(self, count: int, why: str) -> None:
        self.dropped += count
        if self.dropped == count or self.dropped % 100 == 0:
            log.warning("batches_dropped", why=why, dropped=self.dropped)

    def _counted(self) -> tuple[int, int]:
        found = self._db.execute("SELECT count(*), coalesce(sum(length(CAST(body AS BLOB))), 0) FROM batch").fetchone()
        return int(found[0]), int(found[1])


def _subject_of(body: str) -> str:
    return "changes" if WatchBatch.model_validate_json(body).changes else "findings"


def _told_to_end() -> bool:
    """Python 3.11's `wait_for`, in which the bus' client waits for an acknowledgement, loses a cancellation that comes in the
    same moment as that: the task then knows of it, and nobody raises it."""
    me = asyncio.current_task()
    return me is not None and me.cancelling() > 0
