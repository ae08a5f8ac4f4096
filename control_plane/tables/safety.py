"""What holds changes back and what lets one through all the same: freeze windows, break-glass, and who was told of it."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.tables.base import Table


class FreezeRow(Table):
    """Never deleted: a window that is taken away early keeps who did it."""

    __tablename__ = "freeze_windows"
    __table_args__ = (Index("ix_freeze_windows_tenant_id_ended_at", "tenant_id", "ended_at"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    cluster: Mapped[str | None] = mapped_column(ForeignKey("clusters.id"))
    """None: of every cluster of the tenant."""
    window: Mapped[str] = mapped_column(Text)
    """protocol.freeze's Once or Weekly as JSON."""
    reason: Mapped[str] = mapped_column(String(500))
    created_by: Mapped[str] = mapped_column(String(64))
    created_by_name: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[str | None] = mapped_column(String(64))


class ClusterSafetyRow(Table):
    """What a cluster allows; without a row it is the default."""

    __tablename__ = "cluster_safety"

    cluster: Mapped[str] = mapped_column(ForeignKey("clusters.id"), primary_key=True)
    break_glass: Mapped[bool]
    changed_by: Mapped[str] = mapped_column(String(64))
    changed_at: Mapped[datetime]


class BreakGlassRow(Table):
    """One use. Counted against the limits by person and by cluster."""

    __tablename__ = "break_glass_uses"
    __table_args__ = (
        Index("ix_break_glass_uses_account_at", "account", "at"),
        Index("ix_break_glass_uses_cluster_at", "cluster", "at"),
    )

    approval: Mapped[str] = mapped_column(ForeignKey("approvals.id"), primary_key=True)
    cluster: Mapped[str] = mapped_column(String(32))
    account: Mapped[str] = mapped_column(String(64))
    account_name: Mapped[str] = mapped_column(String(200))
    reason: Mapped[str] = mapped_column(String(1000))
    at: Mapped[datetime]


class NotificationRow(Table):
    """What the people who could approve there have to know. Who they are is looked up when it is read."""

    __tablename__ = "notifications"
    __table_args__ = (Index("ix_notifications_tenant_id_at", "tenant_id", "at"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    cluster: Mapped[str] = mapped_column(String(32))
    cluster_name: Mapped[str] = mapped_column(String(200))
    namespace: Mapped[str] = mapped_column(String(63))
    approval: Mapped[str | None] = mapped_column(String(32))
    by: Mapped[str] = mapped_column(String(64))
    by_name: Mapped[str] = mapped_column(String(200))
    what: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(String(1000))
    at: Mapped[datetime]


class NotificationSeenRow(Table):
    __tablename__ = "notifications_seen"

    notification: Mapped[str] = mapped_column(ForeignKey("notifications.id"), primary_key=True)
    account: Mapped[str] = mapped_column(String(64), primary_key=True)
    at: Mapped[datetime]
