"""How much waits, since when, and what has failed: for who looks whether Slack is well."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import InstrumentedAttribute

from control_plane.database import Session
from protocol.base import Value

FAILED_IN = timedelta(hours=24)


class Backlog(Value):
    waiting: int
    """What is due or on its way; not what is scheduled for later."""
    oldest: datetime | None
    """Since when the first of these is there."""
    failed: int
    """For good, in the last 24 hours."""


async def backlog(
    session: Session,
    *,
    waits: ColumnElement[bool],
    since: InstrumentedAttribute[datetime],
    state: InstrumentedAttribute[str],
    ended: InstrumentedAttribute[datetime | None],
    now: datetime,
) -> Backlog:
    waiting = (await session.execute(select(func.count(), func.min(since)).where(waits))).one()
    failed = await session.scalar(select(func.count()).where(and_(state == "failed", ended > now - FAILED_IN)))
    return Backlog(waiting=waiting[0], oldest=waiting[1], failed=failed or 0)
