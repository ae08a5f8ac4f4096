"""Who runs what among several replicas."""

revision = "r0002"
down_revision = "r0001"


def upgrade() -> None:
    pass
