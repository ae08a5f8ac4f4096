"""Break-glass: one approver alone, with a reason, when there is nobody else and no time.

It takes the place of the quorum and passes a freeze window. It passes nothing else: not the kill switch, not a role or a scope,
not the runner's own mode, not the plan's hash. It can be switched off for a cluster. Each use is counted, audited by a row of
its own, shown on the card for ever, and told to everybody who could have approved.
"""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select

from control_plane import notifications
from control_plane.audit import Entry, record
from control_plane.clock import Clock, utc_now
from control_plane.database import Database, Session
from control_plane.errors import Forbidden, NotFound
from control_plane.principals import Principal
from control_plane.tables.accounts import AccountRow
from control_plane.tables.approvals import ApprovalRow
from control_plane.tables.fleet import ClusterRow
from control_plane.tables.safety import BreakGlassRow, ClusterSafetyRow
from control_plane.transitions import By
from control_plane.typed import typed
from control_plane.wakeups import LISTS
from protocol.approval import Decision, Refusal, Role
from protocol.base import Utc, Value
from protocol.text import one_line

GOOD_FOR = timedelta(minutes=5)
"""The action must have begun by then."""
A_PERSON = (2, timedelta(hours=1))
A_CLUSTER = (6, timedelta(hours=24))
"""How many uses, in how long. Who needs more needs a second person."""


class BreakGlass(Value):
    """Who broke it for an approval."""

    by: str
    by_name: str
    reason: str
    at: Utc


async def allowed_in(session: Session, clusters: set[str]) -> dict[str, bool]:
    """Whether it may be used at all, by cluster id. It may, where nobody has switched it off."""
    rows = await session.scalars(select(ClusterSafetyRow).where(ClusterSafetyRow.cluster.in_(clusters))) if clusters else ()
    return dict.fromkeys(clusters, True) | {row.cluster: row.break_glass for row in rows}


async def why_not(session: Session, row: ApprovalRow, word: Decision, now: datetime) -> Refusal | None:
    """What forbids it besides the role, the reason and the fresh sign-in, which `weigh` looks at. The caller holds the
    cluster's lock, so that two at once don't both find room under its limit."""
    if not (await allowed_in(session, {row.cluster}))[row.cluster]:
        return _refused(f"Breaking the glass is switched off for cluster {row.cluster_name}. Somebody else has to approve.")
    # The person is held, too: two at once may be in two clusters.
    await session.scalar(select(AccountRow.id).where(AccountRow.id == word.by).with_for_update(key_share=True))
    mine = await _uses(session, BreakGlassRow.account == word.by, A_PERSON, now)
    if mine >= A_PERSON[0]:
        return _refused(
            f"You have broken the glass {mine} times within an hour, which is the most. Somebody else has to approve."
        )
    all_here = await _uses(session, BreakGlassRow.cluster == row.cluster, A_CLUSTER, now)
    if all_here >= A_CLUSTER[0]:
        return _refused(
            f"The glass was broken {all_here} times within a day in cluster {row.cluster_name}, which is the most. Somebody "
            "else has to approve."
        )
    return None


def note(session: Session, row: ApprovalRow, word: Decision, now: datetime, *, instead_of: str) -> BreakGlass:
    """Count it, audit it by a row of its own, tell the others: all in the decision's transaction."""
    used = BreakGlass(by=word.by, by_name=word.by_name, reason=typed(word.reason, 1000), at=now)
    session.add(
        BreakGlassRow(
            tenant_id=row.tenant_id,
            approval=row.id,
            cluster=row.cluster,
            account=word.by,
            account_name=word.by_name,
            reason=used.reason,
            at=now,
        )
    )
    by = By(word.by, word.by_name, word.door)
    record(
        session,
        Entry(
            actor=by.account,
            actor_name=by.name,
            door=by.door,
            action="approval.BREAK_GLASS",
            subject=f"approval:{row.id}",
            at=now,
            cluster=row.cluster,
            namespace=row.namespace,
            detail={
                "reason": used.reason,
                "change": row.command_line,
                "plan_hash": row.plan_hash,
                "requester": row.requester_name,
                "instead_of": instead_of,
            },
        ),
    )
    notifications.tell_of_broken_glass(session, row, by, used.reason, now)
    return used


class BreakGlassSwitch:
    """Whether a cluster allows it: for admins of the whole cluster."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._db = database
        self._clock = clock

    async def allowed(self, clusters: set[str]) -> dict[str, bool]:
        async with self._db.read() as session:
            return await allowed_in(session, clusters)

    async def set(self, cluster: str, allowed: bool, principal: Principal) -> None:
        """Raises NotFound, Forbidden."""
        now = self._clock()
        async with self._db.transaction() as session:
            row = await session.get(ClusterRow, cluster, with_for_update=True)
            if row is None or row.tenant_id != principal.tenant or not principal.sees_some_of(cluster):
                raise NotFound(f"there is no cluster {one_line(cluster, 40)!r}")
            if principal.role_in(cluster, None) is not Role.ADMIN:
                raise Forbidden(f"this needs the role admin over the whole cluster {row.name}")
            safety = await session.get(ClusterSafetyRow, cluster)
            if safety is None:
                safety = ClusterSafetyRow(tenant_id=row.tenant_id, cluster=cluster)
                session.add(safety)
            safety.break_glass, safety.changed_by, safety.changed_at = allowed, principal.account, now
            action = f"cluster.break_glass_{'on' if allowed else 'off'}"
            record(session, Entry(principal.account, action, f"cluster:{cluster}", now, cluster=cluster))
            session.wake(LISTS)


async def _uses(session: Session, whose: ColumnElement[bool], limit: tuple[int, timedelta], now: datetime) -> int:
    return await session.scalar(select(func.count()).where(whose, BreakGlassRow.at > now - limit[1])) or 0


def _refused(message: str) -> Refusal:
    return Refusal(code="break_glass", message=message)
