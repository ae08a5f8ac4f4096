"""Approvals: the record, the state machine by compare-and-set, the sweep. Two views show it; nobody else keeps it."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, or_, select

from control_plane import decisions, transitions
from control_plane.approval_records import Approval, decided, not_found, record_of, records_of, role_over
from control_plane.clock import Clock, utc_now
from control_plane.database import Database, Session
from control_plane.errors import Conflict, Forbidden
from control_plane.leases import Guard, unguarded
from control_plane.principals import Principal
from control_plane.proposals import open_approval, sound
from control_plane.reach import reaches
from control_plane.roles import principal_in
from control_plane.settings import Settings
from control_plane.showings import CardDoor, Showings
from control_plane.tables.approvals import ApprovalRow
from control_plane.tables.conversations import LogEntryRow, TurnRow
from control_plane.transitions import By
from control_plane.typed import typed
from protocol.approval import ApprovalState, Decision, Refusal, Role, Trigger, role_at_least
from protocol.ids import is_id
from protocol.remediation import Plan

__all__ = ["ENDED", "OWED_FOR", "Approval", "Approvals", "conclusion_of"]

ENDED = frozenset({ApprovalState.SUCCEEDED, ApprovalState.FAILED, ApprovalState.ROLLED_BACK, ApprovalState.UNKNOWN})
"""What an action ends in: its conversation is owed a conclusion, and a healed one a case."""
OWED_FOR = timedelta(hours=24)


def conclusion_of(approval: str) -> str:
    """The client id of the turn that concludes from an action: the same for every attempt to ask for it."""
    return f"conclude:{approval}"


class Approvals:
    def __init__(self, database: Database, settings: Settings, *, clock: Clock = utc_now, guard: Guard = unguarded) -> None:
        """`guard` refuses, inside the transaction of an action's move, a replica that others have taken over from."""
        self._db = database
        self._guard = guard
        self._settings = settings
        self._clock = clock
        self._showings = Showings(database, clock=clock)

    async def open(
        self,
        plan: Plan,
        *,
        requester: Principal,
        cluster: str,
        conversation: str | None,
        turn: str | None,
        why: str,
        case_code: str = "",
    ) -> Approval:
        """Store the frozen plan and append approval_requested, in one transaction; supersedes a pending one for the same
        object, of the same conversation or requester. The same plan hash pending in the same conversation gives the approval
        that is there. `cluster` is its id. Raises Forbidden (role, scope, policy), Conflict (kill switch; a change of the
        object under way; an open question of somebody else about it), TooMany (three open ones of this conversation's
        turns), Invalid (the plan does not hold together)."""
        plan = sound(plan, cluster)
        async with self._db.transaction() as session:
            row = await open_approval(
                session,
                plan,
                await principal_in(session, requester.account, now=self._clock()),
                conversation=conversation,
                turn=turn,
                why=why,
                case_code=case_code,
                settings=self._settings,
                now=self._clock(),
            )
            return await record_of(session, row, self._settings, self._clock())

    async def get(self, approval: str, principal: Principal | None = None) -> Approval:
        """Raises NotFound for what the principal may not see (the same as for what is not there)."""
        async with self._db.read() as session:
            row = await session.get(ApprovalRow, approval) if is_id(approval) else None
            if row is None or (principal is not None and role_over(row, principal) is None):
                raise not_found(approval)
            return await record_of(session, row, self._settings, self._clock())

    async def list(
        self,
        principal: Principal,
        *,
        states: tuple[ApprovalState, ...] | None = None,
        conversation: str | None = None,
        limit: int = 50,
    ) -> tuple[Approval, ...]:
        """Newest first; only what the principal may see."""
        if conversation is not None and not is_id(conversation):
            return ()
        query = select(ApprovalRow).where(ApprovalRow.tenant_id == principal.tenant)
        if states is not None:
            query = query.where(ApprovalRow.state.in_([state.value for state in states]))
        if conversation is not None:
            query = query.where(ApprovalRow.conversation == conversation)
        query = query.where(reaches(principal, ApprovalRow.cluster, ApprovalRow.namespace))
        query = query.order_by(ApprovalRow.created_at.desc(), ApprovalRow.id.desc())
        seen: list[ApprovalRow] = []
        async with self._db.read() as session:
            rows = await session.stream_scalars(query.execution_options(yield_per=200))
            async for row in rows:
                if role_over(row, principal) is not None:
                    seen.append(row)
                if len(seen) >= limit:
                    break
            await rows.close()
            return await records_of(session, seen, self._settings, self._clock())

    async def shown(self, cards: Iterable[Approval], principal: Principal, *, door: CardDoor, source: str = "") -> None:
        """These cards, each with its plan, are handed to this account by this door; `source` is where to (an address, a
        channel). The audit gets one row an approval, account and plan, ever; asking again costs nothing, or one read. What the
        principal may not see is not noted. Never raises for a database that is away: then the next showing is noted."""
        await self._showings.note(cards, principal, door=door, source=source)

    async def decide(self, approval: str, decision: Decision, principal: Principal) -> Approval:
        """One person's word, weighed with their role as it stands now. Raises Forbidden with protocol.approval.Refusal's
        code and words, Conflict "already decided by X at T", NotFound. Idempotent for the same person and verdict once
        decided by them.

        Who, when, and how fresh is taken from the principal, the clock and the session, never from `decision`."""
        now = self._clock()
        async with self._db.transaction() as session:
            if decision.break_glass and decision.verdict == "approve":
                await decisions.hold_cluster_of(session, approval)
            row = await transitions.locked(session, approval)
            found = await principal_in(session, principal.account, now=now, fresh=principal.fresh_sign_in)
            word = decision.model_copy(
                update={
                    "by": found.account,
                    "by_name": found.name,
                    "at": now,
                    "fresh_sign_in": found.fresh_sign_in and decision.door == "web",
                    "reason": typed(decision.reason, 1000),
                }
            )
            result = await decisions.decide(session, row, word, found, settings=self._settings, now=now)
            if isinstance(result, ApprovalRow):
                return await record_of(session, result, self._settings, now)
        # Raised out here, so that what was found on the way (its time is over) is committed.
        raise result

    def may_decide(self, approval: Approval, principal: Principal) -> str | None:
        """Why this person's approval would not count (words for the card), or None."""
        refusal = self.refusal(approval, principal)
        return refusal.message if refusal is not None else None

    def refusal(self, approval: Approval, principal: Principal, *, break_glass: bool = False) -> Refusal | None:
        """Why this person's approval would not count now, said on the web with all that a card can ask for (a reason, the
        tick for an owner). With `break_glass`: what besides a limit stands against breaking the glass."""
        return decisions.would_refuse(approval, principal, self._clock(), break_glass=break_glass)

    async def move(
        self, approval: str, trigger: Trigger, *, from_version: int | None = None, outcome: str = "", by: str = "system"
    ) -> Approval:
        """One row of the table by compare-and-set, with its audit row and its log event, in one transaction.
        Raises Conflict when somebody was faster, when it starts too late (code expired) or under a kill switch (code
        kill_switch), NotAllowed when the table has no row, LeaseLost when this replica no longer speaks for its actions."""
        async with self._db.transaction() as session:
            await self._guard(session)
            now = self._clock()
            if trigger is Trigger.START:
                row = await transitions.locked_to_start(session, approval, now)
            else:
                row = await transitions.locked(session, approval)
            if from_version is not None and row.version != from_version:
                raise Conflict(f"approval {approval} is {row.state} at version {row.version} now; look at it again")
            moved = await transitions.move(session, row, trigger, by=By(by), now=now, outcome=outcome)
            return await record_of(session, moved, self._settings, self._clock())

    async def withdraw(self, approval: str, principal: Principal, reason: str = "") -> Approval:
        """By who asked for it, or by an admin of its scope; before it runs. Raises NotFound, Forbidden, Conflict."""
        async with self._db.transaction() as session:
            row = await transitions.locked(session, approval)
            found = await principal_in(session, principal.account, now=self._clock())
            role = role_over(row, found)
            if role is None:
                raise not_found(approval)
            if found.account != row.requester and not role_at_least(role, Role.ADMIN):
                raise Forbidden(f"only {row.requester_name}, who asked for it, or an admin can withdraw this")
            if row.state not in (ApprovalState.PENDING, ApprovalState.APPROVED):
                raise decided(row)
            by = By(found.account, found.name)
            moved = await transitions.move(session, row, Trigger.WITHDRAW, by=by, now=self._clock(), outcome=reason)
            return await record_of(session, moved, self._settings, self._clock())

    async def startable(self) -> tuple[str, ...]:
        """Approved ones, for the sweep: each is started as durable action `action:<id>`."""
        return await self._in_state(ApprovalState.APPROVED, ApprovalRow.expires_at > self._clock())

    async def running(self) -> tuple[str, ...]:
        return await self._in_state(ApprovalState.RUNNING)

    async def unconcluded(self) -> tuple[str, ...]:
        """Ended in the last 24 hours, of a conversation, and something that follows is missing: the concluding turn, or the
        case of a healed one. A process may have ended in between, or the conversation's queue was full. What an agent proposed
        and a person rejected, with a reason, is owed a turn as well: the agent reads why."""
        since = self._clock() - OWED_FOR
        ended = and_(ApprovalRow.state.in_([state.value for state in ENDED]), ApprovalRow.finished_at > since)
        rejected = and_(
            ApprovalRow.state == ApprovalState.REJECTED.value,
            ApprovalRow.turn.is_not(None),
            ApprovalRow.outcome != transitions.WITHOUT_REASON,
            ApprovalRow.decided_at > since,
        )
        turn = select(TurnRow.id).where(
            TurnRow.conversation == ApprovalRow.conversation, TurnRow.client_id == conclusion_of("") + ApprovalRow.id
        )
        case = select(LogEntryRow.seq).where(
            LogEntryRow.conversation == ApprovalRow.conversation,
            LogEntryRow.kind == "case_stored",
            LogEntryRow.event.contains(ApprovalRow.id, autoescape=False),
        )
        query = select(ApprovalRow.id).where(
            or_(ended, rejected),
            ApprovalRow.conversation.is_not(None),
            or_(~turn.exists(), and_(ApprovalRow.state == ApprovalState.SUCCEEDED.value, ~case.exists())),
        )
        async with self._db.read() as session:
            return tuple(await session.scalars(query.order_by(ApprovalRow.decided_at, ApprovalRow.id)))

    async def expire_due(self, now: datetime) -> tuple[str, ...]:
        """Pending and approved ones whose time is over become expired."""
        open_states = (ApprovalState.PENDING.value, ApprovalState.APPROVED.value)
        due = select(ApprovalRow.id).where(ApprovalRow.state.in_(open_states), transitions.is_over(now))
        async with self._db.read() as session:
            ids = (await session.scalars(due.order_by(ApprovalRow.id))).all()
        expired: list[str] = []
        for approval in ids:
            async with self._db.transaction() as session:
                row = await transitions.locked(session, approval)
                if row.state in open_states:  # somebody may have been faster
                    await transitions.move(session, row, Trigger.TIME, by=By(), now=now)
                    expired.append(approval)
        return tuple(expired)

    async def cancel_open(self, session: Session, cluster: str, by: str, reason: str) -> None:
        """Inside the kill switch's transaction: pending and approved approvals of the cluster become cancelled."""
        await transitions.cancel_open(session, cluster, by=By(by), reason=reason, now=self._clock())

    async def _in_state(self, state: ApprovalState, *more: ColumnElement[bool]) -> tuple[str, ...]:
        query = select(ApprovalRow.id).where(ApprovalRow.state == state.value, *more)
        async with self._db.read() as session:
            return tuple(await session.scalars(query.order_by(ApprovalRow.created_at, ApprovalRow.id)))
