"""Approvals, the decisions about them, and who was shown them."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.tables.base import Table


class ApprovalRow(Table):
    __tablename__ = "approvals"
    __table_args__ = (
        Index("ix_approvals_state_expires_at", "state", "expires_at"),
        Index("ix_approvals_tenant_id_created_at", "tenant_id", "created_at", "id"),
        Index("ix_approvals_conversation", "conversation"),
        Index("ix_approvals_reach", "tenant_id", "cluster", "namespace", "created_at"),
        # One open question an object: a newer plan supersedes the one before.
        Index(
            "uq_approvals_pending_object",
            "cluster",
            "target",
            unique=True,
            sqlite_where=text("state = 'pending'"),
            postgresql_where=text("state = 'pending'"),
        ),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    cluster: Mapped[str] = mapped_column(String(32))
    cluster_name: Mapped[str] = mapped_column(String(200))
    namespace: Mapped[str] = mapped_column(String(63))
    """"" for cluster-scoped targets."""
    target: Mapped[str] = mapped_column(String(400))
    """Kind/namespace/name of the plan's object."""
    conversation: Mapped[str | None] = mapped_column(ForeignKey("conversations.id"))
    turn: Mapped[str | None] = mapped_column(String(32))
    plan: Mapped[str] = mapped_column(Text)
    plan_hash: Mapped[str] = mapped_column(String(64))
    command_line: Mapped[str] = mapped_column(Text)
    undo_line: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16))
    version: Mapped[int] = mapped_column(default=1)
    quorum: Mapped[str] = mapped_column(Text)
    four_eyes: Mapped[bool]
    requester: Mapped[str] = mapped_column(String(64))
    requester_name: Mapped[str] = mapped_column(String(200))
    why: Mapped[str] = mapped_column(Text)
    case_code: Mapped[str] = mapped_column(String(100), default="")
    expires_at: Mapped[datetime]
    created_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    decided_by_name: Mapped[str] = mapped_column(String(200), default="")
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    outcome: Mapped[str] = mapped_column(Text, default="")
    break_glass: Mapped[str | None] = mapped_column(Text)
    """Who broke the glass for it, when and why, as JSON."""


class DecisionRow(Table):
    __tablename__ = "approval_decisions"
    __table_args__ = (UniqueConstraint("approval", "account", "verdict"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    approval: Mapped[str] = mapped_column(ForeignKey("approvals.id"), index=True)
    cluster: Mapped[str] = mapped_column(String(32))
    account: Mapped[str] = mapped_column(String(64))
    verdict: Mapped[str] = mapped_column(String(16))
    at: Mapped[datetime]
    decision: Mapped[str] = mapped_column(Text)


class ShowingRow(Table):
    """Who was shown which plan: the audit's row about it is written with this one, so there is one of each.

    No foreign key: who looks at a card must not wait for who holds its approval to decide."""

    __tablename__ = "approval_showings"

    approval: Mapped[str] = mapped_column(String(32), primary_key=True)
    account: Mapped[str] = mapped_column(String(64), primary_key=True)
    plan_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    at: Mapped[datetime]
