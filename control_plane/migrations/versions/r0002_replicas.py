"""Who runs what among several replicas: leases with fences, limits that all replicas count together."""

import sqlalchemy as sa
from alembic import op

revision = "r0002"
down_revision = "r0001"

_OPEN = sa.text("finished_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("holder", sa.String(length=32), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("home", sa.String(length=32), nullable=False),
        sa.Column("told", sa.String(length=300), nullable=False),
        sa.Column("kid", sa.String(length=32), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "rate_counts",
        sa.Column("key", sa.String(length=120), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("key", "at", name=op.f("pk_rate_counts")),
    )
    op.create_index("ix_rate_counts_at", "rate_counts", ["at"])
    op.create_table(
        "open_streams",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("holder", sa.String(length=32), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_open_streams")),
    )
    op.create_index("ix_open_streams_account", "open_streams", ["account"])
    # A replica of the release before this one inserts conversations without it.
    op.add_column("conversations", sa.Column("fence", sa.Integer(), nullable=False, server_default=sa.text("0")))
    op.create_index("ix_commands_open", "commands", ["kind"], sqlite_where=_OPEN, postgresql_where=_OPEN)
