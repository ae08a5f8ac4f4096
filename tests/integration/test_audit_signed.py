"""The audit signed and taken elsewhere: what an export proves to who has only the file and a key, and what a look costs."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey
from sqlalchemy import delete, event, update

from control_plane.audit import Audit, Entry, record
from control_plane.audit_chain import chained, payload_digest, sign_head, verify_export
from control_plane.audit_signing import Signer
from control_plane.errors import Forbidden
from control_plane.principals import Principal
from control_plane.tables import AuditCheckpointRow, AuditEntryRow, AuditHeadRow
from protocol.approval import Role
from tests.integration.desk import Desk

Lines = list[dict[str, Any]]


class Signed:
    def __init__(self, desk: Desk, folder: Path, root: Principal) -> None:
        self.desk, self.root = desk, root
        self.signer = Signer(SigningKey(b"k" * 32), folder / "audit.head")
        self.audit = Audit(desk.database, self.signer, clock=desk.clock)

    @property
    def keys(self) -> dict[str, str]:
        return {self.signer.kid: self.signer.public}

    async def write(self, count: int) -> None:
        async with self.desk.database.transaction() as session:
            for n in range(count):
                entry = Entry("system", f"test.{n}", "test:1", self.desk.clock(), detail={"note": "as it was 文"})
                record(session, entry)

    async def export(self, after: int = 0) -> Lines:
        return [json.loads(line) async for line in self.audit.export(self.root, after=after)]


@pytest.fixture
async def signed(desk: Desk, tmp_path: Path) -> Signed:
    here = Signed(desk, tmp_path, await desk.person("root", Role.ADMIN))
    await here.write(5)
    assert await here.audit.sign() is not None
    await here.write(5)
    return here


def checked(lines: Lines, keys: dict[str, str] | None) -> str:
    return verify_export((json.dumps(line) for line in lines), keys).broken


async def test_an_export_proves_itself_to_who_has_the_key(signed: Signed) -> None:
    lines = await signed.export()
    report = verify_export((json.dumps(line) for line in lines), signed.keys)
    assert report.broken == ""
    assert (report.first, report.known_keys, report.signed_by) == (1, True, {signed.signer.kid})
    assert report.signed_up_to == report.last == lines[-1]["seq"], "the export itself is signed to its end"
    assert [line["type"] for line in lines].count("checkpoint") == 2
    later = await signed.export(after=3)
    assert verify_export((json.dumps(line) for line in later), signed.keys).first == 4
    unknown = verify_export((json.dumps(line) for line in lines), None)
    assert (unknown.broken, unknown.known_keys) == ("", False)


def rechained(lines: Lines, change: Callable[[dict[str, Any]], None]) -> Lines:
    """What somebody with the database and without the key can do: write all digests again."""
    previous = ""
    for line in lines:
        if line["type"] == "entry":
            if line["seq"] == 3:
                change(line)
            line["previous"] = previous or line["previous"]
            line["payload_digest"] = payload_digest({**line, "at": datetime.fromisoformat(line["at"])})
            line["digest"] = chained(line["previous"], line["tenant"], line["seq"], line["payload_digest"])
            previous = line["digest"]
        elif line["type"] == "head":
            line["digest"] = previous
    return lines


def altered(line: dict[str, Any]) -> None:
    line["actor_name"] = "Somebody Else"


def entries(lines: Lines, *seqs: int) -> Lines:
    return [line for line in lines if not (line["type"] == "entry" and line["seq"] in seqs)]


def resigned(lines: Lines) -> Lines:
    """With a key of one's own, under the name of ours."""
    forger = SigningKey(b"f" * 32)
    for line in rechained(lines, altered):
        if line["type"] == "checkpoint":
            head = next(one["digest"] for one in lines if one["type"] == "entry" and one["seq"] == line["seq"])
            line["digest"], line["signature"] = head, sign_head(forger, line["tenant"], line["seq"], head)
    return lines


def each(change: Callable[[dict[str, Any]], dict[str, Any]], **where: Any) -> Callable[[Lines], Lines]:
    """The lines that have these values, changed."""

    def attack(lines: Lines) -> Lines:
        return [line | change(line) if where.items() <= line.items() else line for line in lines]

    return attack


CHECKPOINT = {"type": "checkpoint"}
ATTACKS: list[tuple[str, Callable[[Lines], Lines], str]] = [
    ("a word altered", each(lambda _: {"actor_name": "x"}, type="entry", seq=3), "altered"),
    ("a time altered", each(lambda _: {"at": "2020-01-01T00:00:00+00:00"}, type="entry", seq=3), "altered"),
    ("a row left out", lambda ls: entries(ls, 4), "row 4 is missing"),
    ("the beginning left out", lambda ls: each(lambda _: {"seq": 1}, seq=2)(entries(ls, 1)), "first of a chain"),
    ("the end cut off", lambda ls: [*[x for x in ls if x["seq"] <= 8 and x["type"] != "head"], ls[-1]], "cut off"),
    ("no end line", lambda ls: ls[:-1], "no end"),
    ("something behind the end", lambda ls: [*ls, ls[0]], "follows the end"),
    ("all chained again", lambda ls: rechained(ls, altered), "rewritten"),
    ("signed by another key", resigned, "does not hold"),
    ("a signature of nonsense", each(lambda _: {"signature": "zz"}, **CHECKPOINT), "does not hold"),
    ("a key that is not ours", each(lambda _: {"kid": "other"}, **CHECKPOINT), "not one of yours"),
    ("another tenant's row", each(lambda _: {"tenant": "b"}, type="entry", seq=3), "another tenant"),
    ("not a row", lambda ls: [ls[0], {"type": "entry"}, *ls[1:]], "another tenant"),
]


@pytest.mark.parametrize(("attack", "says"), [(a, s) for _, a, s in ATTACKS], ids=[name for name, _, _ in ATTACKS])
async def test_an_export_that_was_tampered_with_says_where(signed: Signed, attack: Callable[[Lines], Lines], says: str) -> None:
    assert says in checked(attack(await signed.export()), signed.keys)


@pytest.mark.parametrize("line", ["", "null", "[]", "{", '"x"', '{"type": "entry", "seq": "1"}', "x" * 300_000])
def test_what_is_no_export_is_said_and_never_raised(line: str) -> None:
    assert verify_export([line], None).broken


async def test_a_look_costs_what_was_added_since(signed: Signed) -> None:
    await signed.audit.sign()
    await signed.write(3)
    fetched = 0

    def count(_target: Any, _context: Any) -> None:
        nonlocal fetched
        fetched += 1

    event.listen(AuditEntryRow, "load", count)
    try:
        seen = await signed.audit.check()
    finally:
        event.remove(AuditEntryRow, "load", count)
    assert (seen.first_broken, seen.up_to - seen.since) == (None, 3)
    assert fetched <= 5, "the signed row, the noted one and the three after it, not the whole chain"


async def test_what_lies_before_a_signed_head_is_found_by_the_whole_look_and_then_told_by_each(signed: Signed) -> None:
    async with signed.desk.database.transaction() as session:
        await session.execute(update(AuditEntryRow).where(AuditEntryRow.seq == 2).values(actor_name="forged"))
    assert (await signed.audit.check()).first_broken is None
    assert await signed.audit.verify() == 2
    assert (await signed.audit.check()).first_broken == 2


async def test_rows_and_signatures_taken_away_at_the_end_are_missed(signed: Signed) -> None:
    """The head, the rows and the signature of the last one, all of it: the note beside the data still knows."""
    last = await signed.audit.sign()
    assert last is not None
    async with signed.desk.database.transaction() as session:
        await session.execute(delete(AuditCheckpointRow).where(AuditCheckpointRow.seq == last))
        await session.execute(delete(AuditEntryRow).where(AuditEntryRow.seq > last - 3))
        row = await session.get(AuditEntryRow, ("default", last - 3))
        assert row is not None
        await session.execute(update(AuditHeadRow).values(seq=row.seq, digest=row.digest))
    assert (await signed.audit.check()).first_broken == last
    assert await signed.audit.verify() == last
    await signed.write(1)
    assert await signed.audit.sign() is None, "what does not hold is not signed"


async def test_a_signature_that_is_not_ours_is_found(signed: Signed) -> None:
    async with signed.desk.database.transaction() as session:
        await session.execute(update(AuditCheckpointRow).values(signature="00" * 64))
    assert (await signed.audit.check()).first_broken is not None
    assert await signed.audit.verify() is not None


async def test_two_replicas_sign_the_same_head_once(signed: Signed, tmp_path: Path) -> None:
    other = Audit(signed.desk.database, Signer(signed.signer.key, tmp_path / "other.head"), clock=signed.desk.clock)
    first, second = await signed.audit.sign(), await other.sign()
    assert first is not None
    assert second is None
    assert (await other.check()).first_broken is None


async def test_only_admins_take_it_with_them_and_that_is_in_it(signed: Signed) -> None:
    bob = await signed.desk.person("bob", Role.APPROVER)
    with pytest.raises(Forbidden):
        await anext(signed.audit.export(bob))
    assert "audit.exported" in [line.get("action") for line in await signed.export()]
