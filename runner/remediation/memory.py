"""The runner's memory of grants: on disk before anything is sent, so that no grant runs twice, whatever dies in between."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, cast

import structlog

from protocol.commands import FORGOTTEN, RUNNING, ExecutionOutcome
from protocol.grant import Grant, GrantRefused
from runner.disk import open_file

log = structlog.get_logger("runner.execute")

_KEPT = timedelta(days=90)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS used_grant (
  nonce TEXT PRIMARY KEY,
  authority TEXT NOT NULL,
  purpose TEXT NOT NULL,
  plan_hash TEXT NOT NULL,
  boot TEXT NOT NULL,
  state TEXT NOT NULL,
  code TEXT NOT NULL DEFAULT '',
  message TEXT NOT NULL DEFAULT '',
  at TEXT NOT NULL,
  after_uid TEXT NOT NULL DEFAULT '',
  after_hash TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS by_authority ON used_grant (authority, purpose);
CREATE TABLE IF NOT EXISTS birth (one INTEGER PRIMARY KEY CHECK (one = 1), at TEXT NOT NULL);
"""

Ended = Literal["applied", "refused", "failed", "unknown"]

UNSENT = "unsent"
"""Code of a `refused` whose runner stopped while the grant waited or the object was being read."""
_CUT_OFF = {
    "taken": ("refused", UNSENT, "the runner stopped before it sent the change"),
    "started": ("unknown", "stopped", "the runner stopped between sending the change and learning what became of it"),
}
"""What a grant that has no end has come to when its process is gone: by how far it was."""


@dataclass(frozen=True, slots=True)
class AfterState:
    """What an applied action left behind: the undo checks that it is still so."""

    uid: str
    fields_hash: str


class GrantMemory:
    """SQLite with synchronous=FULL: a commit is on the disk when it returns. Used from the event loop: rows are tiny.

    A file that can't be read any more is put aside: what ran before is then forgotten, and said to be. No grant runs twice for
    that, because grants name the start of the process that may use them.
    """

    def __init__(self, path: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._db = open_file(path, _SCHEMA, "FULL")
        self._late: dict[tuple[str, str], ExecutionOutcome] = {}
        self._db.execute("DELETE FROM used_grant WHERE at < ?", ((now() - _KEPT).isoformat(),))
        self._db.execute("INSERT OR IGNORE INTO birth (one, at) VALUES (1, ?)", (now().isoformat(),))
        self._born = datetime.fromisoformat(self._db.execute("SELECT at FROM birth").fetchone()[0])
        for state, (outcome, code, words) in _CUT_OFF.items():
            self._db.execute(
                "UPDATE used_grant SET state = ?, code = ?, message = ? WHERE state = ?", (outcome, code, words, state)
            )

    def begin(self, grant: Grant, now: datetime) -> None:
        """Use the grant up. From here on nobody hears that it was never seen.

        Raises GrantRefused: `replay` for a nonce that was used, `ran_already` for a plan that ran, `disk` where it can't be
        written down, since then nothing may be sent.
        """
        try:
            self._begin(grant, now)
        except sqlite3.OperationalError as error:
            raise _no_disk(error) from error

    def _begin(self, grant: Grant, now: datetime) -> None:
        ran = self._db.execute(
            "SELECT state FROM used_grant WHERE authority = ? AND purpose = ? "
            "AND state IN ('taken', 'started', 'applied', 'unknown')",
            (grant.authority, grant.purpose),
        ).fetchone()
        try:
            self._db.execute(
                "INSERT INTO used_grant (nonce, authority, purpose, plan_hash, boot, state, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    grant.nonce,
                    grant.authority,
                    grant.purpose,
                    grant.plan_hash,
                    grant.runner_boot,
                    "refused" if ran else "taken",
                    now.isoformat(),
                ),
            )
        except sqlite3.IntegrityError:
            raise GrantRefused("replay", "the grant was used before; each works once") from None
        if ran:
            raise GrantRefused("ran_already", f"the {grant.purpose} of {grant.authority} ran before; its outcome is {ran[0]}")

    def sending(self, grant: Grant) -> None:
        """Right before the first call that writes. Raises GrantRefused `disk` when it can't be written down: then nothing may
        be sent."""
        try:
            self._db.execute("UPDATE used_grant SET state = 'started' WHERE nonce = ?", (grant.nonce,))
        except sqlite3.OperationalError as error:
            raise _no_disk(error) from error

    def cut_off(self, grant: Grant, now: datetime) -> None:
        """It is given up where it stands, because the process ends."""
        row = self._db.execute("SELECT state FROM used_grant WHERE nonce = ?", (grant.nonce,)).fetchone()
        if row is not None and row[0] in _CUT_OFF:
            outcome, code, words = _CUT_OFF[row[0]]
            self.end(grant, cast(Ended, outcome), now, code=code, message=words)

    def end(
        self, grant: Grant, outcome: Ended, now: datetime, *, code: str = "", message: str = "", after: AfterState | None = None
    ) -> None:
        """On the disk when it returns. Where that fails this process still knows it; a later one will say `unknown`."""
        uid, fields_hash = (after.uid, after.fields_hash) if after else ("", "")
        try:
            self._db.execute(
                "UPDATE used_grant SET state = ?, code = ?, message = ?, at = ?, after_uid = ?, after_hash = ? WHERE nonce = ?",
                (outcome, code, message, now.isoformat(), uid, fields_hash, grant.nonce),
            )
        except sqlite3.OperationalError as error:
            log.error("outcome_not_written", authority=grant.authority, outcome=outcome, error=str(error))
            self._late[grant.authority, grant.purpose] = ExecutionOutcome(outcome=outcome, code=code, message=message, at=now)

    def outcome(self, authority: str, purpose: str, since: datetime | None = None) -> ExecutionOutcome:
        """What became of the latest grant; one that ran counts before one that was refused. A memory that begins after `since`
        can't say `never_seen`: the disk of the runner that ran it may be gone."""
        if (authority, purpose) in self._late:
            return self._late[authority, purpose]
        row = self._db.execute(
            "SELECT state, code, message, at FROM used_grant WHERE authority = ? AND purpose = ? "
            "ORDER BY state = 'refused', at DESC LIMIT 1",
            (authority, purpose),
        ).fetchone()
        if row is None and since is not None and self._born > since:
            words = f"this runner's memory begins at {self._born:%H:%M:%S} UTC, later than the action; another may have run it"
            return ExecutionOutcome(outcome="unknown", code=FORGOTTEN, message=words)
        if row is None:
            return ExecutionOutcome(outcome="never_seen", message="no grant of this approval has reached the runner")
        state, code, message, at = row
        if state in _CUT_OFF:
            return ExecutionOutcome(
                outcome="unknown", code=RUNNING, message="it is being sent right now", at=datetime.fromisoformat(at)
            )
        return ExecutionOutcome(outcome=state, code=code, message=message, at=datetime.fromisoformat(at))

    def after_state(self, plan_hash: str) -> AfterState | None:
        """What the plan's action left behind, if it was applied here."""
        row = self._db.execute(
            "SELECT after_uid, after_hash FROM used_grant WHERE plan_hash = ? AND purpose = 'action' AND state = 'applied' "
            "ORDER BY at DESC LIMIT 1",
            (plan_hash,),
        ).fetchone()
        return AfterState(uid=row[0], fields_hash=row[1]) if row else None

    def close(self) -> None:
        self._db.close()


def _no_disk(error: sqlite3.OperationalError) -> GrantRefused:
    return GrantRefused("disk", f"the grant can't be written down, so nothing was sent ({error}): mend the runner's disk")
