"""What is old is let go of, at night, by one replica at a time and in small bites: results of commands, durable work that has
ended, requests to models, what came from Slack and went there, alerts, and, where it is configured, whole conversations.
Approvals, decisions and the audit stay."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, cast

import structlog
from sqlalchemy import CursorResult, delete, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from control_plane.alerts.forgetting import forget_alerts, let_go_of
from control_plane.audit import SYSTEM, Entry, record
from control_plane.clock import Clock, utc_now
from control_plane.database import Database, Session
from control_plane.durable import Durable
from control_plane.errors import ServiceError
from control_plane.leases import Claimant, Lease, Leases
from control_plane.model_requests import ModelRequests, forget_of
from control_plane.settings import Settings
from control_plane.slack.inbox import forget_inbox
from control_plane.slack.outbox import forget_outbox
from control_plane.slack.people import forget_offers
from control_plane.slack.posts import forget_posts
from control_plane.slack.threads import forget_thread_of
from control_plane.tables.accounts import LinkRow, SessionRow, SignInFailureRow
from control_plane.tables.approvals import ApprovalRow
from control_plane.tables.commands import CommandEntryRow
from control_plane.tables.conversations import ConversationRow, LogEntryRow, TurnRow
from control_plane.tables.replicas import LeaseRow, RateCountRow
from control_plane.tables.safety import NotificationRow, NotificationSeenRow
from control_plane.turns import OPEN
from protocol.approval import TERMINAL, ApprovalState
from protocol.ids import new_id

log = structlog.get_logger("retention")

JOB = "job:retention"
NIGHT = range(1, 5)
"""Hours of UTC in which it begins."""
OVERDUE = timedelta(hours=36)
EVERY = timedelta(hours=20)
LOOK_S = 900.0
BITE = 500
CONVERSATIONS_A_BITE = 20
MOST_BITES = 400
"""Of a kind in one night: what is left has the next."""
PAUSE_S = 0.02
A_NIGHTS_WORTH = timedelta(days=7)
"""How much further than the last run one goes at most: a clock that jumps a year ahead must not take a year with it."""
_TOLD = "retention as of "
STALE = timedelta(days=30)


@dataclass(frozen=True)
class Removed:
    """How many rows of each kind went in one run."""

    commands: int = 0
    workflows: int = 0
    conversations: int = 0
    expired: int = 0
    slack: int = 0


class Retention:
    """`start` after the database; the durable executor may come later."""

    def __init__(self, database: Database, durable: Durable, settings: Settings, *, clock: Clock = utc_now) -> None:
        self._db = database
        self._durable = durable
        self._settings = settings
        self._clock = clock
        self._leases = Leases(database, clock=clock)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="retention")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def once_if_due(self) -> Removed | None:
        """None when it is not the time, or another replica does it or has done it."""
        held = next((lease for lease in await self._leases.look(JOB)), None)
        if held is not None and held.left > EVERY + timedelta(hours=1):
            log.warning("retention was noted by a clock that was ahead; it runs again", until=held.until.isoformat())
            await self._leases.release(Lease(held.name, held.holder, held.fence))
        elif not is_due(self._clock(), held.until - EVERY if held is not None else None):
            return None
        as_of = within_reach(self._clock(), _told(held.told) if held is not None else None)
        # A holder of its own each time: the lease is not only who does it, it is also that it was done.
        by = Claimant(new_id(), told=f"{_TOLD}{as_of.isoformat()}")
        lease = await self._leases.take(JOB, by, EVERY.total_seconds())
        if lease is None:
            return None
        try:
            return await self._all(lease, as_of)
        except BaseException:
            await self._leases.release(lease)
            raise

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.once_if_due()
            except (SQLAlchemyError, OSError, ServiceError) as error:
                log.warning("old rows could not be removed; it is tried again", why=str(error)[:300])

    async def _all(self, lease: Lease, now: datetime) -> Removed:
        settings = self._settings
        removed = Removed(
            commands=await self._commands(_before(now, settings.keep_commands_days)),
            workflows=await self._workflows(_before(now, settings.keep_workflows_days)),
            conversations=await self._conversations(_before(now, settings.keep_conversations_days)),
            expired=await self._expired(now),
            slack=await self._slack(now),
        )
        # Who asks a model tidies these too; where no model is asked any more, nobody else does.
        await ModelRequests(self._db, settings, clock=lambda: now).tidy()
        detail = {kind: str(count) for kind, count in asdict(removed).items()}
        async with self._db.transaction() as session:
            record(session, Entry(SYSTEM, "retention.ran", "retention", self._clock(), detail=detail))
        log.info("old rows were removed", fence=lease.fence, **detail)
        return removed

    async def _commands(self, before: datetime | None) -> int:
        if before is None:
            return 0
        old = select(CommandEntryRow.id).where(CommandEntryRow.created_at < before, CommandEntryRow.finished_at.is_not(None))

        async def bite() -> int:
            async with self._db.transaction() as session:
                return await _deleted(session, delete(CommandEntryRow).where(CommandEntryRow.id.in_(old.limit(BITE))))

        return await _in_bites(bite, BITE)

    async def _workflows(self, before: datetime | None) -> int:
        if before is None or not self._durable.launched:
            return 0
        return await _in_bites(lambda: self._durable.forget_ended(before, BITE), BITE)

    async def _conversations(self, before: datetime | None) -> int:
        """Nothing open in them, and not touched since. Newest turns and approvals count as a touch: each is in the log."""
        if before is None:
            return 0
        open_turn = select(TurnRow.id).where(TurnRow.conversation == ConversationRow.id, TurnRow.state.in_(OPEN))
        ended = [state.value for state in ApprovalState if state in TERMINAL]
        open_approval = select(ApprovalRow.id).where(
            ApprovalRow.conversation == ConversationRow.id, ApprovalRow.state.not_in(ended)
        )
        old = select(ConversationRow.id).where(
            ConversationRow.updated_at < before,
            ConversationRow.last_seq > 0,
            ~open_turn.exists(),
            ~open_approval.exists(),
        )

        async def bite() -> int:
            async with self._db.transaction() as session:
                found = (await session.scalars(old.order_by(ConversationRow.updated_at).limit(CONVERSATIONS_A_BITE))).all()
                for conversation in found:
                    await _remove(session, conversation, before)
                return len(found)

        return await _in_bites(bite, CONVERSATIONS_A_BITE)

    async def _slack(self, now: datetime) -> int:
        async def bite(forget: Callable[[Session, datetime, int], Awaitable[int]]) -> int:
            async with self._db.transaction() as session:
                return await forget(session, now, BITE)

        inbox = await _in_bites(lambda: bite(forget_inbox), BITE)
        inbox += await _in_bites(lambda: bite(forget_alerts), BITE)
        inbox += await _in_bites(lambda: bite(forget_posts), BITE)
        return inbox + await _in_bites(lambda: bite(forget_outbox), BITE)

    async def _expired(self, now: datetime) -> int:
        """What has ended by itself and says nothing to anybody any more."""
        old = NotificationRow.at < now - STALE
        gone = select(NotificationRow.id).where(old)
        async with self._db.transaction() as session:
            counts = [
                await _deleted(session, delete(NotificationSeenRow).where(NotificationSeenRow.notification.in_(gone))),
                await _deleted(session, delete(NotificationRow).where(old)),
                await _deleted(session, delete(SignInFailureRow).where(SignInFailureRow.at < now - STALE)),
                await _deleted(session, delete(SessionRow).where(SessionRow.expires_at < now - STALE)),
                await _deleted(session, delete(LinkRow).where(LinkRow.expires_at < now - STALE)),
                await forget_offers(session, now - STALE),
                await _deleted(session, delete(RateCountRow).where(RateCountRow.at < now - timedelta(days=1))),
                await _deleted(session, delete(LeaseRow).where(LeaseRow.until < now - STALE)),
            ]
        return sum(counts)


def is_due(now: datetime, last: datetime | None) -> bool:
    """At night; by day only when it did not come to it for long: a laptop sleeps at night, too. Pure."""
    return now.hour in NIGHT or last is None or now - last > OVERDUE


def within_reach(now: datetime, last: datetime | None) -> datetime:
    """The time that a run goes by. After a long pause it takes some nights to catch up. Pure."""
    return now if last is None else min(now, last + A_NIGHTS_WORTH)


def _told(text: str) -> datetime | None:
    """What the last run went by; None when it was an older version's."""
    try:
        return datetime.fromisoformat(text.removeprefix(_TOLD))
    except ValueError:
        return None


async def _remove(session: Session, conversation: str, before: datetime) -> None:
    """Its log and its turns. The row itself goes, too, unless something else still names it; then it is left empty."""
    locked = select(ConversationRow).where(ConversationRow.id == conversation, ConversationRow.updated_at < before)
    if await session.scalar(locked.with_for_update()) is None:
        return  # somebody has written in it just now
    await session.execute(delete(LogEntryRow).where(LogEntryRow.conversation == conversation))
    await session.execute(delete(TurnRow).where(TurnRow.conversation == conversation))
    await session.execute(forget_of(conversation))
    await forget_thread_of(session, conversation)
    await let_go_of(session, conversation)
    try:
        async with session.begin_nested():
            mine = ApprovalRow.conversation == conversation
            await session.execute(update(ApprovalRow).where(mine).values(conversation=None))
            await session.execute(delete(ConversationRow).where(ConversationRow.id == conversation))
    except IntegrityError:
        await session.execute(update(ConversationRow).where(ConversationRow.id == conversation).values(title="", last_seq=0))


def _before(now: datetime, days: int) -> datetime | None:
    return now - timedelta(days=days) if days else None


async def _in_bites(bite: Callable[[], Awaitable[int]], size: int) -> int:
    total = 0
    for _ in range(MOST_BITES):
        count = await bite()
        total += count
        if count < size:
            break
        await asyncio.sleep(PAUSE_S)
    return total


async def _deleted(session: Session, statement: Any) -> int:
    return cast(CursorResult[Any], await session.execute(statement)).rowcount
