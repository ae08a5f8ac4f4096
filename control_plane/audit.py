"""The audit: append-only rows that commit with the change they speak of, chained by digest; heads of the chain are signed.

A look at the audit checks the chain from the last signed head on, so that it costs what was added since; the whole chain is
checked now and then in the background, when asked, and by anybody who has an export.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

import structlog
from sqlalchemy import Select, select
from sqlalchemy.exc import IntegrityError

from control_plane.audit_chain import EXPORT_VERSION, GENESIS, chained, payload_digest
from control_plane.audit_signing import Signer
from control_plane.clock import Clock, utc_now
from control_plane.database import Database, Session
from control_plane.errors import Forbidden, ServiceError
from control_plane.principals import Principal
from control_plane.tables.accounts import AccountRow
from control_plane.tables.audit import AuditCheckpointRow, AuditEntryRow, AuditHeadRow
from control_plane.tables.base import DEFAULT_TENANT
from control_plane.typed import typed
from protocol.base import Value
from protocol.text import one_line

log = structlog.get_logger(__name__)

SYSTEM = "system"
"""The actor of what nobody did: time, sweeps, the first start."""
SIGN_EVERY_S = 15.0
WHOLE_EVERY = timedelta(hours=6)
PAUSE_S = 0.1
"""Between two thousands of the look at the whole chain that nobody asked for."""

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


class Checked(Value):
    """What is known of the chain. `first_broken` is the seq of the first row that does not hold."""

    first_broken: int | None
    since: int
    """Rows up to here were not looked at again: a signed head vouches for the chain from there."""
    up_to: int
    signed_up_to: int
    whole_checked_at: datetime | None = None


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
    """`start` signs new heads as they come. Without a signer nothing is signed, and every look is at the whole chain."""

    def __init__(self, database: Database, signer: Signer | None = None, *, clock: Clock = utc_now) -> None:
        self._db = database
        self._signer = signer
        self._clock = clock
        self._whole: tuple[datetime, int | None] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def signer(self) -> Signer | None:
        return self._signer

    async def start(self) -> None:
        if self._signer is not None:
            self._task = asyncio.create_task(self._keep_signing(), name="sign the audit")

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def list(self, principal: Principal, *, subject: str | None = None, limit: int = 100) -> tuple[AuditRow, ...]:
        """Newest first. Admins only. Raises Forbidden."""
        _require_admin(principal)
        query = select(AuditEntryRow).where(AuditEntryRow.tenant_id == principal.tenant)
        if subject is not None:
            query = query.where(AuditEntryRow.subject == one_line(subject, 200))
        async with self._db.read() as session:
            rows = await session.scalars(query.order_by(AuditEntryRow.seq.desc()).limit(limit))
            return tuple(_row(row) for row in rows)

    async def verify(self, tenant: str = DEFAULT_TENANT, *, pause_s: float = 0.0) -> int | None:
        """The whole chain, and every signature of ours: the seq of the first row that does not hold (altered, missing, cut off
        at the end, another one than was signed), or None. `pause_s` is left to others after every thousand rows."""
        async with self._db.read() as session:
            broken, _, _ = await _walk(session, tenant, 0, GENESIS, pause_s=pause_s)
            points = await session.scalars(self._points(tenant).order_by(AuditCheckpointRow.seq))
            for point in points.all() if broken is None else ():
                if not await self._stands(session, point):
                    broken = point.seq
                    break
            broken = broken if broken is not None else await self._unlike_noted(session, tenant)
        self._whole = (self._clock(), broken)
        return broken

    async def check(self, tenant: str = DEFAULT_TENANT) -> Checked:
        """What was added since the last signed head, and that the head still stands where it was signed."""
        async with self._db.read() as session:
            point = await self._last_point(session, tenant)
            if point is not None and not await self._stands(session, point):
                return Checked(first_broken=point.seq, since=0, up_to=point.seq, signed_up_to=0)
            gone = await self._unlike_noted(session, tenant)
            since, previous = (point.seq, point.digest) if point is not None else (0, GENESIS)
            broken, up_to, _ = await _walk(session, tenant, since, previous)
            broken = broken if broken is not None else gone
        whole_at, whole_broken = self._whole or (None, None)
        first_broken = broken if broken is not None else whole_broken
        return Checked(first_broken=first_broken, since=since, up_to=up_to, signed_up_to=since, whole_checked_at=whole_at)

    async def sign(self, tenant: str = DEFAULT_TENANT) -> int | None:
        """Sign the head, if rows were added since the last signed one and all of them hold. Returns its seq; None when nothing
        was signed: what does not hold never is."""
        if self._signer is None:
            return None
        async with self._db.read() as session:
            point = await self._last_point(session, tenant)
            if point is not None and not await self._stands(session, point):
                return None
            since, previous = (point.seq, point.digest) if point is not None else (0, GENESIS)
            broken, up_to, digest = await _walk(session, tenant, since, previous)
            broken = broken if broken is not None else await self._unlike_noted(session, tenant)
        if broken is not None or up_to <= since:
            return None
        row = AuditCheckpointRow(tenant_id=tenant, seq=up_to, digest=digest, at=self._clock(), kid=self._signer.kid)
        row.signature = self._signer.sign(tenant, up_to, digest)
        try:
            async with self._db.transaction() as session:
                session.add(row)
        except IntegrityError:
            return None  # another replica signed the same head
        self._signer.write_note(tenant, up_to, digest)
        return up_to

    async def export(self, principal: Principal, *, after: int = 0) -> AsyncIterator[str]:
        """JSON lines: each row after `after` as it is stored, the signed heads among them, and an end line. Admins only; that
        it was taken is in the audit itself. Raises Forbidden."""
        _require_admin(principal)
        tenant, seq, previous = principal.tenant, after, GENESIS
        async with self._db.transaction() as session:
            entry = Entry(principal.account, "audit.exported", "audit", self._clock(), detail={"after": str(after)})
            record(session, entry)
        await self.sign(tenant)
        keys = {self._signer.kid: self._signer.public} if self._signer is not None else {}
        async with self._db.read() as session:
            last = await session.scalar(select(AuditHeadRow.seq).where(AuditHeadRow.tenant_id == tenant)) or 0
        while seq < last:
            async with self._db.read() as session:
                rows = (await session.scalars(_page(tenant, seq).where(AuditEntryRow.seq <= last))).all()
                ends = rows[-1].seq if rows else last
                points = await session.scalars(
                    self._points(tenant).where(AuditCheckpointRow.seq > seq, AuditCheckpointRow.seq <= ends)
                )
                signed = {point.seq: point for point in points}
            for row in rows:
                previous = row.digest
                yield _line("entry", tenant, row.seq, _plain(row))
                if row.seq in signed:
                    yield _line("checkpoint", tenant, row.seq, _plain_point(signed[row.seq]))
            seq = ends
        yield _line("head", tenant, max(seq, after), {"digest": previous, "public_keys": keys})

    def _points(self, tenant: str) -> Select[AuditCheckpointRow]:
        """Heads that were signed by our key; what another key signed is for who has that one."""
        kid = self._signer.kid if self._signer is not None else ""
        return select(AuditCheckpointRow).where(AuditCheckpointRow.tenant_id == tenant, AuditCheckpointRow.kid == kid)

    async def _last_point(self, session: Session, tenant: str) -> AuditCheckpointRow | None:
        return await session.scalar(self._points(tenant).order_by(AuditCheckpointRow.seq.desc()).limit(1))

    async def _stands(self, session: Session, point: AuditCheckpointRow) -> bool:
        """Is the signature ours, and is the signed row still there and says what it said?"""
        if self._signer is None or not self._signer.signed(point.tenant_id, point.seq, point.digest, point.signature):
            return False
        row = await session.get(AuditEntryRow, (point.tenant_id, point.seq))
        return row is not None and row.digest == point.digest

    async def _unlike_noted(self, session: Session, tenant: str) -> int | None:
        """The head that is noted outside the database, when the row is another one or gone."""
        noted = self._signer.noted(tenant) if self._signer is not None else None
        if noted is None:
            return None
        row = await session.get(AuditEntryRow, (tenant, noted[0]))
        return None if row is not None and row.digest == noted[1] else noted[0]

    async def _keep_signing(self) -> None:
        whole_at: datetime | None = None
        while True:
            await asyncio.sleep(SIGN_EVERY_S)
            try:
                await self.sign()
                if whole_at is None or self._clock() - whole_at > WHOLE_EVERY:
                    whole_at = self._clock()
                    broken = await self.verify(pause_s=PAUSE_S)
                    if broken is not None:
                        log.error("the audit does not hold", first_broken=broken)
            except ServiceError as error:
                log.warning("the audit could not be signed now; it is tried again", why=error.message)
            except Exception:
                log.exception("the audit could not be signed; it is tried again")


def _require_admin(principal: Principal) -> None:
    if not principal.admin:
        raise Forbidden("the audit is for admins over all clusters; ask one of them")


def _page(tenant: str, seq: int) -> Select[AuditEntryRow]:
    return (
        select(AuditEntryRow)
        .where(AuditEntryRow.tenant_id == tenant, AuditEntryRow.seq > seq)
        .order_by(AuditEntryRow.seq)
        .limit(_BATCH)
    )


async def _walk(session: Session, tenant: str, seq: int, previous: str, *, pause_s: float = 0.0) -> tuple[int | None, int, str]:
    """From a row that is known to hold up to the head as it stands now: the first row that does not hold, the last that does,
    its digest. Rows that come meanwhile are another look's."""
    head = await session.get(AuditHeadRow, tenant)
    end, digest = (head.seq, head.digest) if head is not None else (0, GENESIS)
    while seq < end:
        rows = (await session.scalars(_page(tenant, seq).where(AuditEntryRow.seq <= end))).all()
        for row in rows:
            if row.seq != seq + 1 or row.previous != previous or not _holds(row):
                return seq + 1, seq, previous
            previous, seq = row.digest, row.seq
        session.expunge_all()
        if not rows:
            return seq + 1, seq, previous
        await asyncio.sleep(pause_s)
    return (None if (seq, previous) == (end, digest) else end + 1), seq, previous


async def _chain(session: Session, entry: Entry) -> None:
    head = await session.scalar(select(AuditHeadRow).where(AuditHeadRow.tenant_id == entry.tenant).with_for_update())
    if head is None:
        head = AuditHeadRow(tenant_id=entry.tenant, seq=0, digest=GENESIS)
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
        detail=json.dumps({key: typed(text, 1000) for key, text in entry.detail.items()}, ensure_ascii=False, sort_keys=True),
        previous=head.digest,
    )
    row.payload_digest = payload_digest(_payload(row))
    row.digest = chained(row.previous, row.tenant_id, row.seq, row.payload_digest)
    head.seq, head.digest = row.seq, row.digest
    session.add(row)
    await session.flush()


async def _name_of(session: Session, actor: str) -> str:
    return await session.scalar(select(AccountRow.display_name).where(AccountRow.id == actor)) or actor


def _holds(row: AuditEntryRow) -> bool:
    if row.payload_digest != payload_digest(_payload(row)):
        return False
    return row.digest == chained(row.previous, row.tenant_id, row.seq, row.payload_digest)


def _payload(row: AuditEntryRow) -> dict[str, Any]:
    return {
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


def _plain(row: AuditEntryRow) -> dict[str, Any]:
    """As it is stored, so that anybody can digest it again."""
    stored = {**_payload(row), "at": row.at.isoformat()}
    return {**stored, "payload_digest": row.payload_digest, "previous": row.previous, "digest": row.digest}


def _plain_point(point: AuditCheckpointRow) -> dict[str, Any]:
    return {"digest": point.digest, "at": point.at.isoformat(), "kid": point.kid, "signature": point.signature}


def _line(kind: str, tenant: str, seq: int, fields: dict[str, Any]) -> str:
    return json.dumps({"v": EXPORT_VERSION, "type": kind, "tenant": tenant, "seq": seq, **fields}, ensure_ascii=False) + "\n"


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
