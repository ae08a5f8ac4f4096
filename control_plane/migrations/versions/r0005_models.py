"""Budgets, costs and the requests that were sent to a model."""

revision = "r0005"
down_revision = "r0004"


def upgrade() -> None:
    pass
