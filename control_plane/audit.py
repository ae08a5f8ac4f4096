"""The audit: append-only rows that commit with the change they speak of, chained by digest."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from sqlalchemy import select

from control_plane.database import Database, Session
from control_plane.errors import Forbidden
from control_plane.principals import Principal
from control_plane.tables.accounts import AccountRow
from control_plane.tables.audit import AuditEntryRow, AuditHeadRow
from control_plane.tables.base import DEFAULT_TENANT
from protocol.base import Value
from protocol.canonical import digest, sha256_hex
from protocol.text import one_line

SYSTEM = "system"
"""The actor of what nobody did: time, sweeps, the first start."""

_GENESIS = "0" * 64
_BATCH = 1000


class AuditRow(Value):
    seq: int
    at: datetime
    actor: str
    actor_name: str
    door: str
    action: str
    """approval.decided, account.created, command.denied, …"""
    subject: str
    """What it was done to: `approval:<id>`."""
    detail: dict[str, str] = {}
    digest: str
    previous: str


@dataclass(frozen=True)
class Entry:
    """What is to be remembered. `actor_name` is looked up from the accounts when it is empty."""

    actor: str
    action: str
    subject: str
    at: datetime
    actor_name: str = ""
    door: str = ""
    cluster: str | None = None
    namespace: str | None = None
    detail: dict[str, str] = field(default_factory=dict[str, str])
    tenant: str = DEFAULT_TENANT


def record(session: Session, entry: Entry) -> None:
    """Add a row to the transaction of the change that it speaks of. It is chained right before the commit, so that the
    head's lock is the last to be taken and is held shortly."""
    pending = cast(list[Entry], session.info.setdefault("audit", []))
    pending.append(entry)

    async def chain() -> None:
        for item in pending:
            await _chain(session, item)

    session.last_steps["audit"] = chain


class Audit:
    def __init__(self, database: Database) -> None:
        self._db = database

    async def list(self, principal: Principal, *, subject: str | None = None, limit: int = 100) -> tuple[AuditRow, ...]:
        """Newest first. Admins only. Raises Forbidden."""
        if not principal.admin:
            raise Forbidden("the audit is for admins over all clusters; ask one of them")
        query = select(AuditEntryRow).where(AuditEntryRow.tenant_id == principal.tenant)
        if subject is not None:
            query = query.where(AuditEntryRow.subject == one_line(subject, 200))
        async with self._db.read() as session:
            rows = await session.scalars(query.order_by(AuditEntryRow.seq.desc()).limit(limit))
            return tuple(_row(row) for row in rows)

    async def verify(self, tenant: str = DEFAULT_TENANT) -> int | None:
        """The seq of the first row whose chain does not hold (altered, missing or cut off at the end), or None."""
        previous, seq = _GENESIS, 0
        async with self._db.read() as session:
            head = await session.get(AuditHeadRow, tenant)
            while True:
                page = await session.scalars(
                    select(AuditEntryRow)
                    .where(AuditEntryRow.tenant_id == tenant, AuditEntryRow.seq > seq)
                    .order_by(AuditEntryRow.seq)
                    .limit(_BATCH)
                )
                rows = page.all()
                for row in rows:
                    if row.seq != seq + 1 or row.previous != previous or not _holds(row):
                        return seq + 1
                    previous, seq = row.digest, row.seq
                session.expunge_all()
                if not rows:
                    break
        stands = (head.seq, head.digest) if head is not None else (0, _GENESIS)
        return None if stands == (seq, previous) else seq + 1


async def _chain(session: Session, entry: Entry) -> None:
    head = await session.scalar(select(AuditHeadRow).where(AuditHeadRow.tenant_id == entry.tenant).with_for_update())
    if head is None:
        head = AuditHeadRow(tenant_id=entry.tenant, seq=0, digest=_GENESIS)
        session.add(head)
    row = AuditEntryRow(
        tenant_id=entry.tenant,
        seq=head.seq + 1,
        at=entry.at,
        cluster=entry.cluster,
        namespace=entry.namespace,
        actor=entry.actor,
        actor_name=entry.actor_name or await _name_of(session, entry.actor),
        door=entry.door,
        action=entry.action,
        subject=entry.subject,
        detail=json.dumps(
            {key: one_line(text, 1000) for key, text in entry.detail.items()}, ensure_ascii=False, sort_keys=True
        ),
        previous=head.digest,
    )
    row.payload_digest = _payload_digest(row)
    row.digest = _chained(row)
    head.seq, head.digest = row.seq, row.digest
    session.add(row)
    await session.flush()


async def _name_of(session: Session, actor: str) -> str:
    return await session.scalar(select(AccountRow.display_name).where(AccountRow.id == actor)) or actor


def _holds(row: AuditEntryRow) -> bool:
    return row.payload_digest == _payload_digest(row) and row.digest == _chained(row)


def _chained(row: AuditEntryRow) -> str:
    return sha256_hex(f"{row.previous}:{row.tenant_id}:{row.seq}:{row.payload_digest}".encode())


def _payload_digest(row: AuditEntryRow) -> str:
    return digest(
        {
            "at": row.at,
            "cluster": row.cluster,
            "namespace": row.namespace,
            "actor": row.actor,
            "actor_name": row.actor_name,
            "door": row.door,
            "action": row.action,
            "subject": row.subject,
            "detail": row.detail,
        }
    )


def _row(row: AuditEntryRow) -> AuditRow:
    return AuditRow(
        seq=row.seq,
        at=row.at,
        actor=row.actor,
        actor_name=row.actor_name,
        door=row.door,
        action=row.action,
        subject=row.subject,
        detail=json.loads(row.detail),
        digest=row.digest,
        previous=row.previous,
    )
