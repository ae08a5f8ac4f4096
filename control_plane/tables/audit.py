"""The audit: rows chained by digest, and the head of each tenant's chain."""

from datetime import datetime

from sqlalchemy import Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.tables.base import Table


class AuditHeadRow(Table):
    """Locked while a row is added; it also shows when rows at the end were taken away."""

    __tablename__ = "audit_heads"

    tenant_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    seq: Mapped[int]
    digest: Mapped[str] = mapped_column(String(64))


class AuditEntryRow(Table):
    """`digest` is over `previous`, `seq` and `payload_digest`, so that retention may empty the payload and the chain holds."""

    __tablename__ = "audit_entries"
    __table_args__ = (Index("ix_audit_entries_subject", "tenant_id", "subject", "seq"),)

    tenant_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    cluster: Mapped[str | None] = mapped_column(String(32))
    namespace: Mapped[str | None] = mapped_column(String(63))
    actor: Mapped[str] = mapped_column(String(64))
    actor_name: Mapped[str] = mapped_column(String(200))
    door: Mapped[str] = mapped_column(String(16))
    action: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(200))
    detail: Mapped[str] = mapped_column(Text)
    payload_digest: Mapped[str] = mapped_column(String(64))
    previous: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64))


class AuditCheckpointRow(Table):
    """A head of the chain, signed: rows up to it need not be looked at again to know whether the chain goes on from it."""

    __tablename__ = "audit_checkpoints"

    tenant_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    digest: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]
    kid: Mapped[str] = mapped_column(String(16))
    signature: Mapped[str] = mapped_column(String(128))
