"""The audit: append-only rows that commit with the change they speak of, chained by digest."""

from datetime import datetime

from control_plane.principals import Principal
from protocol.base import Value


class AuditRow(Value):
    seq: int
    at: datetime
    actor: str
    actor_name: str
    door: str
    action: str
    """approval.decided, account.created, command.denied, …"""
    subject: str
    """What it was done to: `approval:<id>`."""
    detail: dict[str, str] = {}
    digest: str
    previous: str


class Audit:
    async def list(self, principal: Principal, *, subject: str | None = None, limit: int = 100) -> tuple[AuditRow, ...]:
        """Admins only. Raises Forbidden."""
        ...

    async def verify(self) -> int | None:
        """The seq of the first row whose chain does not hold, or None."""
        ...
