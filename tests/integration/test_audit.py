"""The audit: a chain that shows what was altered, left out or cut off, and that only admins read."""

import asyncio

import pytest
from sqlalchemy import delete, select, update

from control_plane.audit import Entry, record
from control_plane.errors import Forbidden
from control_plane.tables import AuditEntryRow
from protocol.approval import Role
from tests.integration.desk import Desk


async def write(desk: Desk, action: str, **detail: str) -> None:
    async with desk.database.transaction() as session:
        record(session, Entry(actor="system", action=action, subject="test:1", at=desk.clock(), detail=detail))


async def test_rows_follow_each_other_without_gaps_under_many_writers(any_desk: Desk) -> None:
    await asyncio.gather(*(write(any_desk, f"test.{n}") for n in range(30)))
    async with any_desk.database.read() as session:
        seqs = (await session.scalars(select(AuditEntryRow.seq).order_by(AuditEntryRow.seq))).all()
    assert list(seqs) == list(range(1, len(seqs) + 1))
    assert len(seqs) == 31  # and the cluster's
    assert await any_desk.audit.verify() is None


async def test_a_row_commits_with_its_change_or_not_at_all(desk: Desk) -> None:
    before = await desk.audit.verify()

    async def fail() -> None:
        async with desk.database.transaction() as session:
            record(session, Entry(actor="system", action="test.lost", subject="test:1", at=desk.clock()))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    root = await desk.person("root", Role.ADMIN)
    assert "test.lost" not in [row.action for row in await desk.audit.list(root)]
    assert before is None
    assert await desk.audit.verify() is None


@pytest.mark.parametrize(
    "column",
    ["actor", "actor_name", "action", "subject", "detail", "cluster", "door", "at", "payload_digest", "digest", "previous"],
)
async def test_an_altered_row_is_found(desk: Desk, column: str) -> None:
    for n in range(5):
        await write(desk, f"test.{n}", note="as it was")
    forged = desk.clock.move(days=-1) if column == "at" else "{}" if column == "detail" else "f" * 16
    async with desk.database.transaction() as session:
        await session.execute(update(AuditEntryRow).where(AuditEntryRow.seq == 3).values({column: forged}))
    assert await desk.audit.verify() == 3


@pytest.mark.parametrize(("seq", "found"), [(1, 1), (3, 3), (6, 6)])
async def test_a_missing_row_is_found_even_at_the_end(desk: Desk, seq: int, found: int) -> None:
    for n in range(5):
        await write(desk, f"test.{n}")
    async with desk.database.transaction() as session:
        await session.execute(delete(AuditEntryRow).where(AuditEntryRow.seq == seq))
    assert await desk.audit.verify() == found


async def test_the_chain_is_whole_over_more_rows_than_a_batch(desk: Desk) -> None:
    for _ in range(3):
        async with desk.database.transaction() as session:
            for n in range(400):
                record(session, Entry(actor="system", action=f"test.{n}", subject="test:1", at=desk.clock()))
    assert await desk.audit.verify() is None
    async with desk.database.transaction() as session:
        await session.execute(update(AuditEntryRow).where(AuditEntryRow.seq == 1100).values(action="forged"))
    assert await desk.audit.verify() == 1100


async def test_only_admins_over_everything_read_it(desk: Desk) -> None:
    await write(desk, "test.one")
    for name, role, namespaces in (("approver", Role.APPROVER, ("*",)), ("local", Role.ADMIN, ("shop",))):
        with pytest.raises(Forbidden):
            await desk.audit.list(await desk.person(name, role, namespaces=namespaces))
    root = await desk.person("root", Role.ADMIN)
    newest = (await desk.audit.list(root, subject="test:1"))[0]
    assert (newest.action, newest.actor, newest.detail) == ("test.one", "system", {})
    assert len(await desk.audit.list(root, limit=2)) == 2


async def test_detail_is_one_line_and_harmless(desk: Desk) -> None:
    await write(desk, "test.one", reason="a\nb\x00\x1b[31m\u202ec" + "x" * 5000)
    (row,) = await desk.audit.list(await desk.person("root", Role.ADMIN), subject="test:1")
    assert row.detail["reason"].startswith("a bcxxx")
    assert len(row.detail["reason"]) == 1000
    assert await desk.audit.verify() is None
