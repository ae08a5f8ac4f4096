"""Freeze windows, break-glass and what approvals keep besides."""

revision = "r0003"
down_revision = "r0002"


def upgrade() -> None:
    pass
