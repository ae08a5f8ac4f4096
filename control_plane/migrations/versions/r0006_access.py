"""Links, alerts' and other doors' scopes."""

revision = "r0006"
down_revision = "r0005"


def upgrade() -> None:
    pass
