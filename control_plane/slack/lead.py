"""One replica at a time works for Slack. What it writes is fenced: once another has taken over, it writes nothing more."""

from control_plane.database import Session
from control_plane.leases import Lease, still_held
from control_plane.replica import LeaseLost

JOB = "slack"
"""The name of the lease: `plane.replica.job(JOB, ttl_s)`."""


async def require_lead(session: Session, lease: Lease) -> None:
    """Inside the transaction of what only the leader may write. Raises LeaseLost."""
    if not await still_held(session, lease):
        raise LeaseLost("another replica works for Slack now; it goes on with what was begun here")
