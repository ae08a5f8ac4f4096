"""What the runner keeps on its disk: the grants that it used and the batches that wait. Over restarts, torn, and full."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from protocol.bus import WatchBatch
from protocol.commands import RUNNING
from protocol.diagnosis import Change
from protocol.grant import Grant, GrantRefused
from protocol.objects import ObjectRef
from runner.remediation.memory import UNSENT, AfterState, GrantMemory
from runner.spool import Spool

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
WEB = ObjectRef.parse("Deployment/shop/web")


def grant(nonce: str = "n" * 16, authority: str = "approval:" + "a" * 16, purpose: str = "action") -> Grant:
    return Grant(
        cluster="c" * 16,
        runner_boot="b" * 16,
        plan_hash="h",
        purpose=purpose,
        authority=authority,
        kid="k",
        nonce=nonce,
        issued_at=NOW,
        expires_at=NOW + timedelta(seconds=60),
    )


def test_a_grant_is_used_up_for_good(tmp_path: Path) -> None:
    memory = GrantMemory(tmp_path / "grants.db")
    memory.begin(grant(), NOW)
    memory.end(grant(), "applied", NOW, after=AfterState("u", "f"))
    with pytest.raises(GrantRefused) as replay:
        memory.begin(grant(), NOW)
    assert replay.value.code == "replay"
    with pytest.raises(GrantRefused) as again:
        memory.begin(grant(nonce="m" * 16), NOW)
    assert again.value.code == "ran_already"
    assert memory.outcome("approval:" + "a" * 16, "action").outcome == "applied"
    assert memory.outcome("approval:" + "a" * 16, "undo").outcome == "never_seen"
    assert memory.after_state("h") == AfterState("u", "f")
    memory.begin(grant(nonce="o" * 16, purpose="undo"), NOW)


def test_what_was_refused_may_be_tried_again(tmp_path: Path) -> None:
    memory = GrantMemory(tmp_path / "grants.db")
    memory.begin(grant(), NOW)
    memory.end(grant(), "refused", NOW, code="object_changed")
    memory.begin(grant(nonce="m" * 16), NOW)


def test_sent_without_an_end_is_unknown_after_a_restart(tmp_path: Path) -> None:
    memory = GrantMemory(tmp_path / "grants.db")
    memory.begin(grant(), NOW)
    memory.sending(grant())
    memory.close()
    outcome = GrantMemory(tmp_path / "grants.db").outcome("approval:" + "a" * 16, "action")
    assert outcome.outcome == "unknown"
    assert "stopped" in outcome.message


def test_taken_and_not_sent_is_refused_after_a_restart(tmp_path: Path) -> None:
    """The object was being read, or another execution was in front: nothing was changed, and that is known."""
    memory = GrantMemory(tmp_path / "grants.db")
    memory.begin(grant(), NOW)
    before = memory.outcome("approval:" + "a" * 16, "action")
    assert (before.outcome, before.code) == ("unknown", RUNNING), "not never seen: it may still be sent"
    with pytest.raises(GrantRefused) as again:
        memory.begin(grant(nonce="m" * 16), NOW)
    assert again.value.code == "ran_already"
    memory.close()
    outcome = GrantMemory(tmp_path / "grants.db").outcome("approval:" + "a" * 16, "action")
    assert (outcome.outcome, outcome.code) == ("refused", UNSENT)


@pytest.mark.parametrize(("sent", "outcome"), [(False, "refused"), (True, "unknown")])
def test_given_up_by_a_runner_that_ends(tmp_path: Path, sent: bool, outcome: str) -> None:
    memory = GrantMemory(tmp_path / "grants.db")
    memory.begin(grant(), NOW)
    if sent:
        memory.sending(grant())
    memory.cut_off(grant(), NOW)
    assert memory.outcome("approval:" + "a" * 16, "action").outcome == outcome
    memory.end(grant(), "applied", NOW)
    memory.cut_off(grant(), NOW)
    assert memory.outcome("approval:" + "a" * 16, "action").outcome == "applied", "what has an end keeps it"


def test_a_memory_that_was_lost_does_not_say_that_nothing_ran(tmp_path: Path) -> None:
    """A pod on another node comes without the disk: what an earlier one ran is not in it."""
    fresh = GrantMemory(tmp_path / "grants.db", now=lambda: NOW)
    authority = "approval:" + "a" * 16
    before, after = NOW - timedelta(seconds=1), NOW + timedelta(seconds=1)
    assert fresh.outcome(authority, "action", before).code == "forgotten"
    assert fresh.outcome(authority, "action", before).outcome == "unknown"
    assert fresh.outcome(authority, "action", after).outcome == "never_seen"
    fresh.close()
    again = GrantMemory(tmp_path / "grants.db", now=lambda: NOW + timedelta(days=1))
    assert again.outcome(authority, "action", after).outcome == "never_seen", "it keeps the day of its birth"


def change(n: int) -> Change:
    return Change(object=WEB, path=f"spec.{n}", before="1", after="2", at=NOW)


def spool(path: Path, boot: str = "b" * 16, max_rows: int = 5000) -> Spool:
    return Spool(path, cluster="c" * 16, runner="r" * 16, boot=boot, max_rows=max_rows)


async def test_the_spool_sends_in_order_again_until_acknowledged_and_over_restarts(tmp_path: Path) -> None:
    first = spool(tmp_path / "spool.db")
    first.put(changes=[change(1)])
    first.put(changes=[change(2)])
    first.close()
    second = spool(tmp_path / "spool.db", boot="d" * 16)
    second.put(changes=[change(3)])
    sent: list[str] = []
    tries = 0
    done = asyncio.Event()

    async def store(_: str, __: bytes, message_id: str) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise TimeoutError("no acknowledgement")
        sent.append(message_id)
        if len(sent) == 3:
            done.set()

    task = asyncio.create_task(second.run(store, retry_s=(0.001,)))
    await asyncio.wait_for(done.wait(), 5)
    task.cancel()
    boots = [message_id.split(".")[1:] for message_id in sent]
    assert boots == [["b" * 16, "1"], ["b" * 16, "2"], ["d" * 16, "1"]]


def test_a_full_spool_drops_the_oldest_and_counts(tmp_path: Path) -> None:
    full = spool(tmp_path / "spool.db", max_rows=3)
    for n in range(5):
        full.put(changes=[change(n)])
    assert full.depth == 3
    assert full.dropped == 2


def test_the_spool_is_bounded_in_bytes_too(tmp_path: Path) -> None:
    full = Spool(tmp_path / "spool.db", cluster="c" * 16, runner="r" * 16, boot="b" * 16, max_bytes=5_000)
    for n in range(50):
        full.put(changes=[change(n)])
    assert full.bytes <= 5_000
    assert full.depth + full.dropped == 50
    full.close()
    again = spool(tmp_path / "spool.db")
    assert (again.depth, again.bytes) == (full.depth, full.bytes)


async def test_the_spool_ends_when_it_is_told_to_in_the_moment_of_an_acknowledgement(tmp_path: Path) -> None:
    """`wait_for` of Python 3.11 then loses the cancellation, and a runner that stops would wait for the spool for ever."""
    one = spool(tmp_path / "spool.db")
    one.put(changes=[change(1)])
    asked = asyncio.Event()
    acknowledged: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def store(_: str, __: bytes, ___: str) -> None:
        asked.set()
        await asyncio.wait_for(acknowledged, 10)

    task = asyncio.create_task(one.run(store))
    await asyncio.wait_for(asked.wait(), 5)
    await asyncio.sleep(0)
    acknowledged.set_result(None)
    task.cancel()
    await asyncio.wait({task}, timeout=5)
    assert task.cancelled()
    assert one.depth == 0, "what was acknowledged is off the disk"
    one.close()


async def test_no_batch_is_too_large_to_be_sent(tmp_path: Path) -> None:
    """One that NATS refuses would stand in the way of all others."""
    big = spool(tmp_path / "spool.db")
    wide = [change(n).model_copy(update={"before": "語" * 20_000}) for n in range(40)]
    monster = change(99).model_copy(update={"before": "x" * 600_000})
    big.put(changes=[*wide, monster])
    assert big.dropped == 1
    sizes: list[int] = []
    got: list[str] = []
    done = asyncio.Event()

    async def store(_: str, payload: bytes, __: str) -> None:
        sizes.append(len(payload))
        got.extend(one.path for one in WatchBatch.model_validate_json(payload).changes)
        if len(got) == 40:
            done.set()

    task = asyncio.create_task(big.run(store))
    await asyncio.wait_for(done.wait(), 5)
    await asyncio.sleep(0)
    task.cancel()
    assert max(sizes) < 1024 * 1024
    assert got == [f"spec.{n}" for n in range(40)]
    assert big.bytes == 0


def test_a_torn_spool_is_put_aside(tmp_path: Path) -> None:
    spool(tmp_path / "spool.db").put(changes=[change(1)])
    tear(tmp_path / "spool.db")
    again = spool(tmp_path / "spool.db")
    again.put(changes=[change(2)])
    assert again.depth == 1
    assert list(tmp_path.glob("spool.db.torn-*"))


def tear(path: Path) -> None:
    """What a power cut on a disk that lies leaves: pages of nothing, and no log that could mend them."""
    path.with_name(f"{path.name}-wal").unlink(missing_ok=True)
    path.write_bytes(b"SQLite format 3\x00" + b"\xa5" * 9000)


def test_a_torn_memory_forgets_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "grants.db"
    first = GrantMemory(path, now=lambda: NOW)
    first.begin(grant(), NOW)
    first.end(grant(), "applied", NOW)
    first.close()
    tear(path)
    again = GrantMemory(path, now=lambda: NOW + timedelta(minutes=1))
    told = again.outcome("approval:" + "a" * 16, "action", NOW)
    assert (told.outcome, told.code) == ("unknown", "forgotten")
    assert [kept.read_bytes()[:6] for kept in tmp_path.glob("grants.db.torn-*")] == [b"SQLite"]
    again.begin(grant(nonce="m" * 16), NOW)


def test_a_half_written_row_is_not_a_row(tmp_path: Path) -> None:
    """The log's tail is cut off: what was not committed whole is gone, what was before is there."""
    path = tmp_path / "grants.db"
    memory = GrantMemory(path, now=lambda: NOW)
    memory.begin(grant(), NOW)
    memory.begin(grant(nonce="m" * 16, authority="approval:" + "b" * 16), NOW)
    log = path.with_name("grants.db-wal")
    torn = tmp_path / "copy"
    torn.mkdir()
    (torn / "grants.db").write_bytes(path.read_bytes())
    (torn / "grants.db-wal").write_bytes(log.read_bytes()[:-700])
    after = GrantMemory(torn / "grants.db", now=lambda: NOW)
    assert after.outcome("approval:" + "a" * 16, "action").outcome == "refused"
    assert after.outcome("approval:" + "b" * 16, "action").outcome == "never_seen"


def test_a_full_disk_sends_nothing_and_forgets_nothing(tmp_path: Path) -> None:
    path = tmp_path / "grants.db"
    memory = GrantMemory(path, now=lambda: NOW)
    memory.begin(grant(), NOW)
    memory.begin(grant(nonce="k" * 16, authority="approval:" + "c" * 16), NOW)
    memory.sending(grant())
    with holding_the_disk(path):
        with pytest.raises(GrantRefused) as unsent:
            memory.sending(grant(nonce="k" * 16, authority="approval:" + "c" * 16))
        assert unsent.value.code == "disk"
        with pytest.raises(GrantRefused) as refused:
            memory.begin(grant(nonce="m" * 16, authority="approval:" + "b" * 16), NOW)
        assert refused.value.code == "disk"
        memory.end(grant(), "applied", NOW, message="done")
        assert memory.outcome("approval:" + "a" * 16, "action").outcome == "applied"
    memory.close()
    # What could not be written down is unknown to the next start, not undone and not run again.
    assert GrantMemory(path, now=lambda: NOW).outcome("approval:" + "a" * 16, "action").outcome == "unknown"


@contextlib.contextmanager
def holding_the_disk(path: Path) -> Generator[None]:
    """Nobody else can write to the file: to a writer the same as a disk that takes nothing."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.rollback()
        other.close()


def test_old_grants_are_forgotten_in_the_end(tmp_path: Path) -> None:
    memory = GrantMemory(tmp_path / "grants.db", now=lambda: NOW)
    memory.begin(grant(), NOW)
    memory.end(grant(), "applied", NOW)
    memory.close()
    later = GrantMemory(tmp_path / "grants.db", now=lambda: NOW + timedelta(days=89))
    assert later.outcome("approval:" + "a" * 16, "action").outcome == "applied"
    later.close()
    last = GrantMemory(tmp_path / "grants.db", now=lambda: NOW + timedelta(days=91))
    assert last.outcome("approval:" + "a" * 16, "action").outcome == "never_seen"
