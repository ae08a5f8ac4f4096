"""Clusters, the runners in them, and the single-use tokens that enrol them."""

from datetime import datetime

from sqlalchemy import ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.tables.base import Table


class ClusterRow(Table):
    __tablename__ = "clusters"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    environment: Mapped[str] = mapped_column(String(100), default="")
    labels: Mapped[str] = mapped_column(Text, default="{}")
    kill_switch: Mapped[bool] = mapped_column(default=False)
    kill_switch_by: Mapped[str | None] = mapped_column(String(64))
    kill_switch_reason: Mapped[str | None] = mapped_column(String(500))
    active_runner: Mapped[str | None] = mapped_column(String(32))
    """The one runner that this cluster's commands go to; no foreign key, because the two tables would name each other."""
    summary: Mapped[str] = mapped_column(Text, default="{}")
    created_by: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]


class RunnerRow(Table):
    """`boot` and what follows are from the last hello that was accepted, `last_heartbeat` counts only that boot's."""

    __tablename__ = "runners"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    cluster: Mapped[str] = mapped_column(ForeignKey("clusters.id"), index=True)
    public_key: Mapped[str] = mapped_column(String(64), unique=True)
    boot: Mapped[str] = mapped_column(String(64), default="")
    version: Mapped[str] = mapped_column(String(64), default="")
    mode: Mapped[str] = mapped_column(Text, default="{}")
    kubernetes_version: Mapped[str] = mapped_column(String(64), default="")
    started_at: Mapped[datetime | None]
    clock_offset_s: Mapped[float] = mapped_column(default=0.0)
    last_heartbeat: Mapped[datetime | None]
    last_proof_at: Mapped[datetime | None]
    """issued_at of the last connect proof that was taken; an earlier or equal one is a replay."""
    revoked_at: Mapped[datetime | None]
    revoked_by: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime]


class EnrolmentTokenRow(Table):
    """Used up by compare-and-set on `used_at`."""

    __tablename__ = "enrolment_tokens"

    token_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    cluster: Mapped[str] = mapped_column(ForeignKey("clusters.id"), index=True)
    created_by: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    used_by: Mapped[str | None] = mapped_column(String(32))
    """The runner that it made."""
