"""What is learnt: cases, the soaks of their fixes, people's feedback on answers, and the weights that follow from both."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.tables.base import Table


class CaseRow(Table):
    """The truth about a case; ChromaDB holds copies of it to search. A forgotten one leaves its id, so that nothing brings it
    back."""

    __tablename__ = "cases"
    __table_args__ = (
        Index("ix_cases_tenant_id_created_at", "tenant_id", "created_at", "id"),
        Index("ix_cases_approval", "approval"),
    )

    tenant_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    id: Mapped[str] = mapped_column(String(100), primary_key=True)
    cluster: Mapped[str] = mapped_column(String(100))
    namespace: Mapped[str] = mapped_column(String(63))
    code: Mapped[str] = mapped_column(String(100))
    title: Mapped[str] = mapped_column(String(300))
    outcome: Mapped[str] = mapped_column(String(16))
    origin: Mapped[str] = mapped_column(String(16))
    case: Mapped[str] = mapped_column(Text)
    """A Case as JSON; "" when it was forgotten."""
    version: Mapped[int] = mapped_column(default=1)
    indexed: Mapped[int] = mapped_column(default=0)
    """The version that the index holds; 0 when it holds none."""
    approval: Mapped[str | None] = mapped_column(String(32))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    forgotten_at: Mapped[datetime | None]


class SoakRow(Table):
    """A verified fix on probation. Claimed by one replica at a time: compare-and-set on `version`, for the time of a lease."""

    __tablename__ = "soaks"
    __table_args__ = (Index("ix_soaks_state_due_at", "state", "due_at"),)

    approval: Mapped[str] = mapped_column(ForeignKey("approvals.id"), primary_key=True)
    case: Mapped[str] = mapped_column(String(100))
    cluster: Mapped[str] = mapped_column(String(32))
    namespace: Mapped[str] = mapped_column(String(63))
    conversation: Mapped[str | None] = mapped_column(String(32))
    turn: Mapped[str | None] = mapped_column(String(32))
    object: Mapped[str] = mapped_column(String(400))
    """Kind/namespace/name of what is looked at."""
    code: Mapped[str] = mapped_column(String(100))
    mark: Mapped[str] = mapped_column(String(400), default="")
    """What told the object and its revision apart from others when the soak began; "" until it was read."""
    state: Mapped[str] = mapped_column(String(16))
    step: Mapped[int] = mapped_column(default=0)
    fixed_at: Mapped[datetime]
    due_at: Mapped[datetime]
    lease_until: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    """Looks at this step that could not tell."""
    version: Mapped[int] = mapped_column(default=1)
    message: Mapped[str] = mapped_column(Text, default="")
    ended_at: Mapped[datetime | None]


class FeedbackRow(Table):
    """One person's word about one answer; said again, it replaces what was said before."""

    __tablename__ = "feedback"
    __table_args__ = (UniqueConstraint("turn", "account"), Index("ix_feedback_conversation", "conversation"))

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    conversation: Mapped[str] = mapped_column(ForeignKey("conversations.id"))
    turn: Mapped[str] = mapped_column(String(32))
    cluster: Mapped[str] = mapped_column(String(32))
    account: Mapped[str] = mapped_column(String(64))
    account_name: Mapped[str] = mapped_column(String(200))
    role: Mapped[str] = mapped_column(String(16))
    verdict: Mapped[str] = mapped_column(String(16))
    code: Mapped[str] = mapped_column(String(100), default="")
    """What the answer had said, by its code."""
    actual: Mapped[str] = mapped_column(String(100), default="")
    note: Mapped[str] = mapped_column(Text, default="")
    counted: Mapped[bool] = mapped_column(default=False)
    said: Mapped[int] = mapped_column(default=1)
    """How often."""
    door: Mapped[str] = mapped_column(String(16), default="")
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class LearningHeadRow(Table):
    """Locked while weights change; also which seeds a tenant was given."""

    __tablename__ = "learning_heads"

    tenant_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    weights_version: Mapped[int] = mapped_column(default=0)
    seeds: Mapped[int] = mapped_column(default=0)


class WeightVoteRow(Table):
    """What speaks for or against a cause or a remedy. `source` makes it one: `feedback:<turn>:<account>`, `soak:<approval>`."""

    __tablename__ = "weight_votes"

    tenant_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    source: Mapped[str] = mapped_column(String(120), primary_key=True)
    value: Mapped[int]
    by: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]


class WeightChangeRow(Table):
    """The history: one version is one change of one or more weights."""

    __tablename__ = "weight_changes"

    tenant_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    before: Mapped[float]
    after: Mapped[float]
    why: Mapped[str] = mapped_column(String(120))
    by: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]
