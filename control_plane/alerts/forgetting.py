"""Old alerts are let go of at night."""

from datetime import datetime, timedelta

from sqlalchemy import delete, select, update

from control_plane.database import Session
from control_plane.tables.alerts import AlertGroupRow, AlertRow

KEEP_RESOLVED = timedelta(days=90)


async def forget_alerts(session: Session, now: datetime, limit: int) -> int:
    """At most `limit` groups that were resolved long ago, with their alerts; their conversations stay. Returns how many
    went."""
    resolved = (AlertGroupRow.state == "resolved", AlertGroupRow.updated_at < now - KEEP_RESOLVED)
    old = (await session.scalars(select(AlertGroupRow.id).where(*resolved).limit(limit).with_for_update())).all()
    if old:
        await session.execute(delete(AlertRow).where(AlertRow.alert_group.in_(old)))
        await session.execute(delete(AlertGroupRow).where(AlertGroupRow.id.in_(old)))
    return len(old)


async def let_go_of(session: Session, conversation: str) -> None:
    """A conversation goes: groups that are over no longer name it. One that fires does, and keeps the conversation's row."""
    over = (AlertGroupRow.conversation == conversation, AlertGroupRow.state == "resolved")
    await session.execute(update(AlertGroupRow).where(*over).values(conversation=None))
