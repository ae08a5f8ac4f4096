"""Weights of causes and remedies: a fold over votes, with a version and a history; an admin may reset it.

Votes come from two places only: outcomes that a soak has seen, and the feedback of approvers.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import cast

from sqlalchemy import delete, select

from control_plane.audit import Entry, record
from control_plane.clock import Clock, utc_now
from control_plane.database import Database, Session
from control_plane.errors import Forbidden
from control_plane.principals import Principal
from control_plane.tables.base import DEFAULT_TENANT
from control_plane.tables.cases import LearningHeadRow, WeightChangeRow, WeightVoteRow
from knowledge.weights import Kind, Vote, of_kind, weigh
from protocol.base import Value


class Weight(Value):
    kind: Kind
    key: str
    """A catalogue code, or `code/remediation`."""
    weight: float
    votes_for: int
    votes_against: int


class WeightChange(Value):
    version: int
    kind: Kind
    key: str
    before: float
    after: float
    why: str
    """`feedback:<turn>:<account>`, `soak:<approval>` or `reset`."""
    by: str
    at: datetime


class Weights:
    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._db = database
        self._clock = clock

    async def causes(self, tenant: str = DEFAULT_TENANT) -> dict[str, float]:
        """Catalogue code to weight; absent means 1. What `Diagnose.weights` takes."""
        return of_kind(await self._now(tenant), "cause")

    async def remedies(self, tenant: str = DEFAULT_TENANT) -> dict[str, float]:
        """`code/remediation` to weight; absent means 1."""
        return of_kind(await self._now(tenant), "remedy")

    async def show(self, tenant: str = DEFAULT_TENANT) -> tuple[int, tuple[Weight, ...]]:
        """The version, and every key that has votes: the heaviest first."""
        async with self._db.read() as session:
            head = await session.get(LearningHeadRow, tenant)
            votes = await _votes(session, tenant)
        weights = weigh(votes)
        tally: dict[tuple[Kind, str], list[int]] = {}
        for vote in votes:
            tally.setdefault((vote.kind, vote.key), []).append(vote.value)
        shown = [
            Weight(
                kind=kind,
                key=key,
                weight=weights.get((kind, key), 1.0),
                votes_for=sum(value > 0 for value in values),
                votes_against=sum(value < 0 for value in values),
            )
            for (kind, key), values in tally.items()
        ]
        return (head.weights_version if head else 0), tuple(sorted(shown, key=lambda w: (-w.weight, w.kind, w.key)))

    async def history(self, tenant: str = DEFAULT_TENANT, *, limit: int = 100) -> tuple[WeightChange, ...]:
        """Newest first."""
        query = select(WeightChangeRow).where(WeightChangeRow.tenant_id == tenant)
        async with self._db.read() as session:
            rows = await session.scalars(query.order_by(WeightChangeRow.version.desc(), WeightChangeRow.key).limit(limit))
            return tuple(_change(row) for row in rows)

    async def reset(self, principal: Principal, *, door: str = "") -> int:
        """All votes go, all weights are 1 again; the history stays. Gives the version. Raises Forbidden."""
        if not principal.admin:
            raise Forbidden("weights are reset by an administrator; ask one")
        async with self._db.transaction() as session:
            now = self._clock()
            head = await locked(session, principal.tenant)
            before = weigh(await _votes(session, principal.tenant))
            await session.execute(delete(WeightVoteRow).where(WeightVoteRow.tenant_id == principal.tenant))
            _write(session, head, before, {}, "reset", principal.account, now)
            detail = {"weights": str(len(before)), "version": str(head.weights_version)}
            record(
                session,
                Entry(
                    principal.account, "weights.reset", "weights", now, actor_name=principal.name, door=door, detail=detail,
                    tenant=principal.tenant,
                ),
            )  # fmt: skip
            return head.weights_version

    async def _now(self, tenant: str) -> dict[tuple[Kind, str], float]:
        async with self._db.read() as session:
            return weigh(await _votes(session, tenant))


async def vote(session: Session, source: str, votes: Sequence[Vote], *, by: str, tenant: str, now: datetime) -> None:
    """What `source` says, instead of what it said before, in somebody's transaction. Writes a version when a weight moves."""
    head = await locked(session, tenant)
    before = weigh(await _votes(session, tenant))
    await session.execute(delete(WeightVoteRow).where(WeightVoteRow.tenant_id == tenant, WeightVoteRow.source == source))
    for one in votes:
        session.add(
            WeightVoteRow(
                tenant_id=tenant, kind=one.kind, key=one.key, source=source, value=one.value, by=one.by, at=now
            )
        )  # fmt: skip
    await session.flush()
    _write(session, head, before, weigh(await _votes(session, tenant)), source, by, now)


async def locked(session: Session, tenant: str) -> LearningHeadRow:
    """Whoever changes weights or seeds of a tenant holds this row."""
    query = select(LearningHeadRow).where(LearningHeadRow.tenant_id == tenant).with_for_update()
    head = await session.scalar(query.execution_options(populate_existing=True))
    if head is None:
        await _insert_head(session, tenant)
        head = await session.scalar(query.execution_options(populate_existing=True))
    if head is None:
        raise LookupError(f"the learning head of tenant {tenant} could not be made")
    return head


async def _insert_head(session: Session, tenant: str) -> None:
    """Two replicas may be the first at once: the second's is none."""
    values = {"tenant_id": tenant, "weights_version": 0, "seeds": 0}
    if session.get_bind().dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert
    else:
        from sqlalchemy.dialects.sqlite import insert
    await session.execute(insert(LearningHeadRow).values(**values).on_conflict_do_nothing())


def _write(
    session: Session,
    head: LearningHeadRow,
    before: dict[tuple[Kind, str], float],
    after: dict[tuple[Kind, str], float],
    why: str,
    by: str,
    now: datetime,
) -> None:
    moved = [key for key in sorted({*before, *after}) if before.get(key, 1.0) != after.get(key, 1.0)]
    if not moved:
        return
    head.weights_version += 1
    for kind, key in moved:
        session.add(
            WeightChangeRow(
                tenant_id=head.tenant_id,
                version=head.weights_version,
                kind=kind,
                key=key,
                before=before.get((kind, key), 1.0),
                after=after.get((kind, key), 1.0),
                why=why,
                by=by,
                at=now,
            )
        )


async def _votes(session: Session, tenant: str) -> list[Vote]:
    rows: Iterable[WeightVoteRow] = await session.scalars(select(WeightVoteRow).where(WeightVoteRow.tenant_id == tenant))
    return [Vote(cast(Kind, row.kind), row.key, row.value, row.by) for row in rows]


def _change(row: WeightChangeRow) -> WeightChange:
    return WeightChange(
        version=row.version,
        kind=cast(Kind, row.kind),
        key=row.key,
        before=row.before,
        after=row.after,
        why=row.why,
        by=row.by,
        at=row.at,
    )
