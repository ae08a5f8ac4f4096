"""Models: what was spent, budgets, and the requests as they were sent."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.tables.base import Table


class BudgetRow(Table):
    """What an admin has set. `subject` is an id, or "*" for all that have none of their own."""

    __tablename__ = "budgets"

    tenant_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(8), primary_key=True)
    """cluster or person."""
    subject: Mapped[str] = mapped_column(String(64), primary_key=True)
    period: Mapped[str] = mapped_column(String(8), primary_key=True)
    """day or month."""
    tokens: Mapped[int | None] = mapped_column(BigInteger)
    micros: Mapped[int | None] = mapped_column(BigInteger)
    """Money in millionths."""
    set_by: Mapped[str] = mapped_column(String(64))
    set_at: Mapped[datetime]


class SpendTotalRow(Table):
    """A counter of one cluster or person in one day or month. Reserved before a call, settled after it."""

    __tablename__ = "spend_totals"

    tenant_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(8), primary_key=True)
    subject: Mapped[str] = mapped_column(String(64), primary_key=True)
    span: Mapped[str] = mapped_column(String(10), primary_key=True)
    """2026-11-20 or 2026-11, in the configured time zone."""
    calls: Mapped[int] = mapped_column(BigInteger, default=0)
    tokens: Mapped[int] = mapped_column(BigInteger, default=0)
    micros: Mapped[int] = mapped_column(BigInteger, default=0)
    reserved_tokens: Mapped[int] = mapped_column(BigInteger, default=0)
    reserved_micros: Mapped[int] = mapped_column(BigInteger, default=0)


class ModelCallRow(Table):
    """One request to a model: what it used up, and its exact bytes as long as they are kept."""

    __tablename__ = "model_calls"
    __table_args__ = (
        Index("ix_model_calls_turn", "turn"),
        Index("ix_model_calls_state_at", "state", "at"),
        Index("ix_model_calls_kept_at", "kept", "at"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    cluster: Mapped[str] = mapped_column(String(32))
    conversation: Mapped[str] = mapped_column(String(32))
    turn: Mapped[str] = mapped_column(String(32))
    account: Mapped[str] = mapped_column(String(64))
    model: Mapped[str] = mapped_column(String(200))
    endpoint: Mapped[str] = mapped_column(String(300))
    """Scheme, host and path; never a key."""
    at: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(16))
    """reserved, answered, failed."""
    outcome: Mapped[str] = mapped_column(String(300), default="")
    day: Mapped[str] = mapped_column(String(10))
    reserved_tokens: Mapped[int] = mapped_column(BigInteger)
    reserved_micros: Mapped[int] = mapped_column(BigInteger)
    input_tokens: Mapped[int] = mapped_column(BigInteger, default=0)
    output_tokens: Mapped[int] = mapped_column(BigInteger, default=0)
    micros: Mapped[int] = mapped_column(BigInteger, default=0)
    estimated: Mapped[bool] = mapped_column(default=False)
    sha256: Mapped[str] = mapped_column(String(64))
    """Of the request's bytes, also when they are no longer, or not, kept."""
    size: Mapped[int]
    kept: Mapped[int] = mapped_column(default=0)
    """Bytes that `body` takes, compressed; 0 when it is not kept."""
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    """The request as sent, zlib."""
