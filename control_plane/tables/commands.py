"""Commands with their results: what was asked of a cluster, by whom, and what came back."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.tables.base import Table

_OPEN = text("finished_at IS NULL")


class CommandEntryRow(Table):
    """`status` is NULL while it runs. `scope` is the JSON of the ScopeLimit that it was judged and answered with."""

    __tablename__ = "commands"
    __table_args__ = (
        Index("ix_commands_cluster_created_at", "cluster", "created_at"),
        Index("ix_commands_tenant_id_created_at", "tenant_id", "created_at"),
        # What has no end yet: few among many.
        Index("ix_commands_open", "kind", sqlite_where=_OPEN, postgresql_where=_OPEN),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    cluster: Mapped[str] = mapped_column(ForeignKey("clusters.id"))
    runner: Mapped[str | None] = mapped_column(String(32))
    kind: Mapped[str] = mapped_column(String(32))
    title: Mapped[str] = mapped_column(String(500))
    request: Mapped[str] = mapped_column(Text)
    """The command's JSON; of an execute only the plan hash, the purpose and the nonce."""
    scope: Mapped[str] = mapped_column(Text)
    issued_by: Mapped[str] = mapped_column(String(64))
    conversation: Mapped[str | None] = mapped_column(String(32), index=True)
    turn: Mapped[str | None] = mapped_column(String(32))
    approval: Mapped[str | None] = mapped_column(String(32), index=True)
    status: Mapped[str | None] = mapped_column(String(16))
    error: Mapped[str] = mapped_column(Text, default="")
    text: Mapped[str] = mapped_column(Text, default="")
    data: Mapped[str | None] = mapped_column(Text)
    cut: Mapped[str] = mapped_column(String(500), default="")
    redacted: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    duration_ms: Mapped[float | None]
