"""What people must know although they did not ask: a broken glass, above all. Who reads a row is looked up at reading."""

import builtins
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from control_plane.clock import Clock, utc_now
from control_plane.database import Database, Session
from control_plane.errors import NotFound
from control_plane.principals import Principal
from control_plane.reach import reaches
from control_plane.tables.approvals import ApprovalRow
from control_plane.tables.safety import NotificationRow, NotificationSeenRow
from control_plane.transitions import By
from control_plane.typed import typed
from control_plane.wakeups import LISTS
from protocol.approval import Role, role_at_least
from protocol.base import Value
from protocol.ids import is_id, new_id
from protocol.text import one_line

SHOWN_FOR = timedelta(days=7)


class Notification(Value):
    id: str
    kind: str
    """break_glass."""
    cluster: str
    cluster_name: str
    namespace: str
    approval: str | None
    by_name: str
    what: str
    """The change in kubectl's words."""
    reason: str
    at: datetime


def tell_of_broken_glass(session: Session, row: ApprovalRow, by: By, reason: str, now: datetime) -> None:
    """In the transaction of the decision: it is told exactly when it counted."""
    session.add(
        NotificationRow(
            id=new_id(),
            tenant_id=row.tenant_id,
            kind="break_glass",
            cluster=row.cluster,
            cluster_name=row.cluster_name,
            namespace=row.namespace,
            approval=row.id,
            by=by.account,
            by_name=by.name,
            what=row.command_line,
            reason=typed(reason, 1000),
            at=now,
        )
    )
    session.wake(LISTS)


class Notifications:
    """For who could have approved: the role approver or more over the namespace, and not the person that it tells of."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._db = database
        self._clock = clock

    async def unseen(self, principal: Principal, limit: int = 20) -> tuple[Notification, ...]:
        """Newest first, of the last seven days."""
        seen = select(NotificationSeenRow.notification).where(NotificationSeenRow.account == principal.account)
        query = (
            select(NotificationRow)
            .where(NotificationRow.tenant_id == principal.tenant, NotificationRow.at > self._clock() - SHOWN_FOR)
            .where(NotificationRow.by != principal.account, NotificationRow.id.not_in(seen))
            .order_by(NotificationRow.at.desc(), NotificationRow.id)
        )
        approves = tuple(grant for grant in principal.roles if role_at_least(grant.role, Role.APPROVER))
        if not approves:
            return ()
        there = principal.model_copy(update={"roles": approves})
        query = query.where(reaches(there, NotificationRow.cluster, NotificationRow.namespace))
        found: builtins.list[Notification] = []
        async with self._db.read() as session:
            for row in await session.scalars(query.limit(200)):
                if _is_for(principal, row):
                    found.append(_notification(row))
                if len(found) >= limit:
                    break
        return tuple(found)

    async def seen(self, notification: str, principal: Principal) -> None:
        """By this person; others still see it. Twice is once. Raises NotFound."""
        async with self._db.transaction() as session:
            row = await session.get(NotificationRow, notification) if is_id(notification) else None
            if row is None or row.tenant_id != principal.tenant or not _is_for(principal, row):
                raise NotFound(f"there is no notification {one_line(notification, 40)!r}")
            insert = postgresql.insert if self._db.dialect == "postgresql" else sqlite.insert
            by = {"tenant_id": row.tenant_id, "notification": row.id, "account": principal.account, "at": self._clock()}
            await session.execute(insert(NotificationSeenRow).values(by).on_conflict_do_nothing())
            session.wake(LISTS)


def _is_for(principal: Principal, row: NotificationRow) -> bool:
    role = principal.role_in(row.cluster, row.namespace or None)
    return role is not None and role_at_least(role, Role.APPROVER)


def _notification(row: NotificationRow) -> Notification:
    return Notification(
        id=row.id,
        kind=row.kind,
        cluster=row.cluster,
        cluster_name=row.cluster_name,
        namespace=row.namespace,
        approval=row.approval,
        by_name=row.by_name,
        what=row.what,
        reason=row.reason,
        at=row.at,
    )
