"""Soaks, feedback and weights."""

revision = "r0004"
down_revision = "r0003"


def upgrade() -> None:
    pass
