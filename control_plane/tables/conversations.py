"""Conversations, their turns and their log."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.tables.base import Table


class ConversationRow(Table):
    __tablename__ = "conversations"
    __table_args__ = (
        Index("ix_conversations_tenant_id_updated_at", "tenant_id", "updated_at", "id"),
        Index("ix_conversations_reach", "tenant_id", "cluster", "first_namespace", "updated_at"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    title: Mapped[str] = mapped_column(String(300), default="")
    cluster: Mapped[str] = mapped_column(String(32))
    scope: Mapped[str] = mapped_column(Text)
    """A ScopeLimit as JSON; fixed at the start."""
    first_namespace: Mapped[str] = mapped_column(String(63), default="-", server_default=text("'-'"))
    """Of the scope: see control_plane.reach."""
    created_by: Mapped[str] = mapped_column(String(64))
    created_by_name: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    last_seq: Mapped[int] = mapped_column(default=0)
    fence: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    """One more with each claim of a turn: who claimed before may append no more."""


class TurnRow(Table):
    __tablename__ = "turns"
    __table_args__ = (
        UniqueConstraint("conversation", "asked_by", "client_id"),
        # Whatever the code believes: no second turn of a conversation runs.
        Index(
            "uq_turns_running",
            "conversation",
            unique=True,
            sqlite_where=text("state = 'running'"),
            postgresql_where=text("state = 'running'"),
        ),
        Index("ix_turns_state", "state"),
        Index("ix_turns_conversation_number", "conversation", "number"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    conversation: Mapped[str] = mapped_column(ForeignKey("conversations.id"))
    cluster: Mapped[str] = mapped_column(String(32))
    number: Mapped[int]
    """seq of its user_message: the order of arrival."""
    state: Mapped[str] = mapped_column(String(16))
    asked_by: Mapped[str] = mapped_column(String(64))
    client_id: Mapped[str | None] = mapped_column(String(100))
    may_propose: Mapped[bool] = mapped_column(default=True)
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    cancelled_by_name: Mapped[str] = mapped_column(String(200), default="")
    language: Mapped[str] = mapped_column(String(8), default="en")
    attempt: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class LogEntryRow(Table):
    """Append-only. `seq` counts from 1 in its conversation, without gaps."""

    __tablename__ = "log_entries"
    __table_args__ = (Index("ix_log_entries_turn", "turn"),)

    conversation: Mapped[str] = mapped_column(ForeignKey("conversations.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    cluster: Mapped[str] = mapped_column(String(32))
    turn: Mapped[str | None] = mapped_column(String(32))
    at: Mapped[datetime]
    v: Mapped[int]
    kind: Mapped[str] = mapped_column(String(32))
    event: Mapped[str] = mapped_column(Text)
