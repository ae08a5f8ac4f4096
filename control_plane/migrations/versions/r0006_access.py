"""Where conversations and approvals are about, so that lists are filtered by a reader's scope in the database."""

import json

import sqlalchemy as sa
from alembic import op

revision = "r0006"
down_revision = "r0005"


def upgrade() -> None:
    # "-" is what a replica of the release before writes meanwhile: readers look at such a row's scope itself.
    op.add_column("conversations", sa.Column("first_namespace", sa.String(length=63), nullable=False, server_default="-"))
    connection = op.get_bind()
    rows = sa.table("conversations", sa.column("scope", sa.Text), sa.column("first_namespace", sa.String))
    for (scope,) in connection.execute(sa.select(rows.c.scope).distinct()).all():
        names: list[str] | None = json.loads(scope).get("namespaces")
        first = "" if names is None else min(names, default="-")
        connection.execute(sa.update(rows).where(rows.c.scope == scope).values(first_namespace=first))
    op.create_index(
        "ix_conversations_reach", "conversations", ["tenant_id", "cluster", "first_namespace", "updated_at"], unique=False
    )
    op.create_index("ix_approvals_reach", "approvals", ["tenant_id", "cluster", "namespace", "created_at"], unique=False)
