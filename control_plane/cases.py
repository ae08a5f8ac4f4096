"""Cases as rows: the truth about them, who may see which, and what the index must still learn.

ChromaDB only holds copies to search. Whoever changes a case raises its version here; each index follows by itself, and
takes out what was forgotten.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal, TypeAlias, cast

from sqlalchemy import ColumnElement, and_, or_, select, tuple_, update

from control_plane.audit import SYSTEM, Entry, record
from control_plane.clock import Clock, utc_now
from control_plane.database import Database, Session
from control_plane.errors import Forbidden, Invalid, NotFound
from control_plane.principals import Principal
from control_plane.tables.base import DEFAULT_TENANT
from control_plane.tables.cases import CaseRow
from control_plane.weights import locked
from knowledge.cases.case import Case, Outcome, tidy
from protocol.approval import Role, role_at_least
from protocol.base import Value
from protocol.text import one_line

Key: TypeAlias = tuple[str, str]
"""Tenant and id."""
Origin: TypeAlias = Literal["action", "import", "seed", "adopted"]

MOST_AT_ONCE = 1000
OF_APPROVAL = "approval."
"""What the ids of healed incidents begin with."""


class StoredCase(Value):
    case: Case
    origin: Origin
    version: int
    approval: str | None = None
    created_at: datetime
    updated_at: datetime
    indexed: bool
    """Is it searched as it stands here?"""


class Debt(Value):
    """What the index lacks of one case. `case` None: it was forgotten and must go."""

    tenant: str
    id: str
    version: int
    case: Case | None


class Comparison(Value):
    adopted: int
    """Cases of approvals of which there was no row: an older version had none."""
    right: dict[str, int]
    """Rows that the index follows, with their version. It lacks the others, holds them in another form, or should have
    forgotten them."""
    rows: int
    strangers: tuple[str, ...]
    """In the index without a row, and not ours: nobody has written them here."""


class Cases:
    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._db = database
        self._clock = clock

    async def get(self, case: str, principal: Principal) -> StoredCase:
        """Raises NotFound, also for what the principal may not see."""
        async with self._db.read() as session:
            row = await session.get(CaseRow, (principal.tenant, case))
        if row is None or row.forgotten_at is not None or not may_see(row, principal):
            raise _not_found(case)
        return _stored(row)

    async def list(
        self,
        principal: Principal,
        *,
        cluster: str | None = None,
        code: str | None = None,
        outcome: str | None = None,
        origin: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> tuple[tuple[StoredCase, ...], str | None]:
        """Newest first, only what the principal may see, with the next cursor. Raises Invalid for a cursor that is not one."""
        wanted = [CaseRow.tenant_id == principal.tenant, CaseRow.forgotten_at.is_(None), _visible(principal)]
        for column, value in (
            (CaseRow.cluster, cluster), (CaseRow.code, code), (CaseRow.outcome, outcome), (CaseRow.origin, origin),
        ):  # fmt: skip
            if value is not None:
                wanted.append(column == value)
        wanted += _older_than(before)
        limit = max(1, min(limit, MOST_AT_ONCE))
        query = select(CaseRow).where(*wanted).order_by(CaseRow.created_at.desc(), CaseRow.id.desc()).limit(limit + 1)
        async with self._db.read() as session:
            rows = (await session.scalars(query)).all()
        more = f"{rows[limit - 1].created_at.isoformat()}~{rows[limit - 1].id}" if len(rows) > limit else None
        return tuple(_stored(row) for row in rows[:limit]), more

    async def bring_in(self, cases: Sequence[Case], principal: Principal, *, door: str = "") -> tuple[int, int]:
        """Import: (written, left out because somebody had them forgotten). A case of no cluster is for everybody: only an
        administrator over everything brings one in; another needs an admin of its namespace. All or none.
        Raises Forbidden, Invalid."""
        if not cases or len(cases) > MOST_AT_ONCE:
            raise Invalid(f"an import has 1 to {MOST_AT_ONCE:,} cases, this one has {len(cases):,}; send it in parts")
        for case in cases:
            if not _administers(principal, case.cluster, case.namespace):
                where = f"{case.cluster}/{case.namespace or '*'}" if case.cluster else "all clusters"
                raise Forbidden(f"case {case.id} is about {where}: only an admin there may import it")
        written = 0
        async with self._db.transaction() as session:
            await locked(session, principal.tenant)
            now = self._clock()
            for case in cases:
                known = await session.get(CaseRow, (principal.tenant, case.id))
                if known is not None and (
                    known.origin == "seed" or not _administers(principal, known.cluster, known.namespace)
                ):
                    raise Forbidden(f"there is a case {case.id} already that is not yours to replace; give it another id")
                row = await write(session, case, origin="import", tenant=principal.tenant, now=now, replace=True)
                written += row is not None
            self._audit(session, principal, "cases.imported", "cases", {"written": str(written)}, door=door)
        return written, len(cases) - written

    async def forget(self, case: str, principal: Principal, *, door: str = "") -> None:
        """Its words go at once; its id stays, so that no sweep brings it back. For admins of its namespace. Raises NotFound,
        Forbidden."""
        async with self._db.transaction() as session:
            row = await session.get(CaseRow, (principal.tenant, case))
            if row is None or row.forgotten_at is not None or not may_see(row, principal):
                raise _not_found(case)
            if not _administers(principal, row.cluster, row.namespace):
                raise Forbidden("only an admin over the case's namespace can have it forgotten; ask one")
            detail = {"code": row.code, "origin": row.origin}
            self._audit(
                session, principal, "case.forgotten", f"case:{row.id}", detail,
                door=door, cluster=row.cluster, namespace=row.namespace,
            )  # fmt: skip
            row.forgotten_at = row.updated_at = self._clock()
            row.case, row.title, row.version = "", "", row.version + 1

    async def current(self, ids: Iterable[str], *, tenant: str = DEFAULT_TENANT) -> dict[str, Case]:
        """The cases of these ids as they stand; forgotten and unknown ones are missing."""
        wanted = list(ids)
        if not wanted:
            return {}
        query = select(CaseRow).where(CaseRow.tenant_id == tenant, CaseRow.id.in_(wanted), CaseRow.forgotten_at.is_(None))
        async with self._db.read() as session:
            return {row.id: _case(row) for row in await session.scalars(query)}

    async def changed(self, since: datetime | None) -> tuple[dict[Key, int], datetime]:
        """(tenant, id) to version of all that was changed at or after `since`, also what was forgotten; and until when that is
        all."""
        now = self._clock()
        query = select(CaseRow.tenant_id, CaseRow.id, CaseRow.version)
        if since is not None:
            query = query.where(CaseRow.updated_at >= since)
        async with self._db.read() as session:
            return {(tenant, case): version for tenant, case, version in await session.execute(query)}, now

    async def debts(self, keys: Iterable[Key]) -> tuple[Debt, ...]:
        """How these cases stand, for an index to follow."""
        query = select(CaseRow).where(tuple_(CaseRow.tenant_id, CaseRow.id).in_(list(keys)))
        async with self._db.read() as session:
            return tuple(
                Debt(
                    tenant=row.tenant_id,
                    id=row.id,
                    version=row.version,
                    case=_case(row) if row.forgotten_at is None else None,
                )
                for row in await session.scalars(query)
            )

    async def paid(self, debts: Iterable[Debt]) -> None:
        """An index holds these versions now: people are told."""
        async with self._db.transaction() as session:
            for debt in debts:
                same = CaseRow.tenant_id == debt.tenant, CaseRow.id == debt.id, CaseRow.version == debt.version
                await session.execute(update(CaseRow).where(*same).values(indexed=debt.version))

    async def compare(self, indexed: Iterable[Case], *, tenant: str = DEFAULT_TENANT) -> Comparison:
        """All that an index holds of a tenant, against the rows. Adopts what older versions stored without one."""
        found = {case.id: case for case in indexed}
        now = self._clock()
        adopted = 0
        right: dict[str, int] = {}
        strangers: list[str] = []
        async with self._db.transaction() as session:
            await locked(session, tenant)
            rows = (await session.scalars(select(CaseRow).where(CaseRow.tenant_id == tenant))).all()
            known = {row.id for row in rows}
            for row in rows:
                copy = found.get(row.id)
                if copy is None if row.forgotten_at is not None else copy is not None and copy == _case(row):
                    right[row.id] = row.version
            for case in found.values():
                if case.id in known:
                    continue
                if case.id.startswith(OF_APPROVAL) and case.cluster:
                    await write(session, case, origin="adopted", tenant=tenant, now=now, replace=False)
                    adopted += 1
                else:
                    strangers.append(case.id)
        return Comparison(adopted=adopted, right=right, rows=len(rows), strangers=tuple(strangers))

    async def plant(self, seeds: Sequence[Case], version: int, *, tenant: str = DEFAULT_TENANT) -> int:
        """Give a tenant its seeds: into an empty one, and again when there are newer ones; with version 0 they are taken out.
        Gives how many rows changed. Seeds that somebody had forgotten stay so."""
        async with self._db.transaction() as session:
            head = await locked(session, tenant)
            if head.seeds == version:
                return 0
            own = select(CaseRow.id).where(CaseRow.tenant_id == tenant, CaseRow.origin != "seed").limit(1)
            if head.seeds == 0 and not await _was_planted(session, tenant) and await session.scalar(own) is not None:
                return 0
            head.seeds = version
            now, changed = self._clock(), 0
            wanted = {case.id for case in seeds} if version else set[str]()
            old = select(CaseRow).where(CaseRow.tenant_id == tenant, CaseRow.origin == "seed", CaseRow.case != "")
            for row in await session.scalars(old):
                if row.id not in wanted:
                    # Not forgotten by a person: a later version may bring it back.
                    row.case, row.version, row.updated_at = "", row.version + 1, now
                    row.forgotten_at, row.title = now, UPROOTED
                    changed += 1
            await session.flush()
            for case in seeds if version else ():
                row = await write(session, case, origin="seed", tenant=tenant, now=now, replace=True)
                changed += row is not None
            return changed

    def _audit(
        self, session: Session, by: Principal, action: str, subject: str, detail: dict[str, str], *,
        door: str, cluster: str | None = None, namespace: str | None = None,
    ) -> None:  # fmt: skip
        entry = Entry(
            by.account or SYSTEM, action, subject, self._clock(), actor_name=by.name, door=door, detail=detail,
            cluster=cluster[:32] if cluster else None, namespace=namespace or None, tenant=by.tenant,
        )  # fmt: skip
        record(session, entry)


UPROOTED = "seed taken out"
"""Title of a seed that a setting has taken out, and nobody has had forgotten."""


async def write(
    session: Session,
    case: Case,
    *,
    origin: Origin,
    tenant: str,
    now: datetime,
    replace: bool,
    approval: str | None = None,
) -> CaseRow | None:
    """In somebody's transaction: the row, cleaned, redacted and capped. None when it was forgotten."""
    stored = tidy(case)
    row = await session.get(CaseRow, (tenant, case.id))
    if row is not None and row.forgotten_at is not None and not (origin == "seed" and row.title == UPROOTED):
        return None
    if row is not None and not replace:
        return row
    if row is None:
        row = CaseRow(tenant_id=tenant, id=stored.id, version=0, indexed=0, created_at=now, approval=approval)
        session.add(row)
    row.cluster, row.namespace, row.code = stored.cluster, stored.namespace, stored.code
    row.title, row.outcome, row.origin = stored.title[:300], stored.outcome, origin
    row.case, row.version, row.updated_at, row.forgotten_at = stored.model_dump_json(), row.version + 1, now, None
    await session.flush()
    return row


async def set_outcome(session: Session, case: str, outcome: Outcome, *, tenant: str, now: datetime) -> Case | None:
    """In somebody's transaction. None when there is no such case any more."""
    query = select(CaseRow).where(CaseRow.tenant_id == tenant, CaseRow.id == case).with_for_update()
    row = await session.scalar(query.execution_options(populate_existing=True))
    if row is None or row.forgotten_at is not None:
        return None
    changed = _case(row).model_copy(update={"outcome": outcome})
    row.case, row.outcome, row.version, row.updated_at = changed.model_dump_json(), outcome, row.version + 1, now
    return changed


def may_see(row: CaseRow, principal: Principal) -> bool:
    """A case of no cluster is for everybody of its tenant; one without a namespace for who sees the whole cluster."""
    return row.tenant_id == principal.tenant and (not row.cluster or principal.sees(row.cluster, row.namespace or None))


def _visible(principal: Principal) -> ColumnElement[bool]:
    """`may_see` in SQL."""
    parts: list[ColumnElement[bool]] = [CaseRow.cluster == ""]
    for grant in principal.roles:
        here = [] if "*" in grant.clusters else [CaseRow.cluster.in_(grant.clusters)]
        inside = [] if "*" in grant.namespaces else [CaseRow.namespace.in_([n for n in grant.namespaces if n])]
        parts.append(and_(CaseRow.cluster != "", *here, *inside))
    return or_(*parts)


def _administers(principal: Principal, cluster: str, namespace: str) -> bool:
    if principal.admin:
        return True
    role = principal.role_in(cluster, namespace or None) if cluster else None
    return role is not None and role_at_least(role, Role.ADMIN)


async def _was_planted(session: Session, tenant: str) -> bool:
    query = select(CaseRow.id).where(CaseRow.tenant_id == tenant, CaseRow.origin == "seed").limit(1)
    return await session.scalar(query) is not None


def _older_than(cursor: str | None) -> list[ColumnElement[bool]]:
    if cursor is None:
        return []
    at, _, case = cursor.partition("~")
    try:
        created_at = datetime.fromisoformat(at)
        if created_at.tzinfo is None or not case:
            raise ValueError("not ours")
    except ValueError:
        raise Invalid(f"{one_line(cursor, 60)!r} is not a cursor of this list; begin without one") from None
    return [or_(CaseRow.created_at < created_at, and_(CaseRow.created_at == created_at, CaseRow.id < case))]


def _case(row: CaseRow) -> Case:
    return Case.model_validate_json(row.case)


def _stored(row: CaseRow) -> StoredCase:
    return StoredCase(
        case=_case(row),
        origin=cast(Origin, row.origin),
        version=row.version,
        approval=row.approval,
        created_at=row.created_at,
        updated_at=row.updated_at,
        indexed=row.indexed == row.version,
    )


def _not_found(case: str) -> NotFound:
    return NotFound(f"there is no case {one_line(case, 60)!r}, or it is not yours to see")
