"""A group of alerts becomes a conversation: opened once, by the account that speaks for alerts, with one question in it; more
is asked only when it has grown worse.

Each of these is one transaction under the group's lock: conversation, question and claim are there together, or not at all.
"""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from control_plane import log, turns
from control_plane.alerts.records import groups_of
from control_plane.alerts.routes import Target
from control_plane.alerts.values import Group, rank
from control_plane.audit import SYSTEM, Entry, record
from control_plane.clock import Clock, utc_now
from control_plane.conversations import Conversations
from control_plane.database import Database, Session
from control_plane.errors import NotSignedIn
from control_plane.principals import Principal
from control_plane.roles import principal_in
from control_plane.sign_ins import ALERTS_ACCOUNT
from control_plane.tables.accounts import AccountRow, RoleRow
from control_plane.tables.alerts import AlertGroupRow
from control_plane.tables.base import DEFAULT_TENANT
from control_plane.tables.conversations import ConversationRow, TurnRow
from control_plane.wakeups import ALERTS, LISTS, RIGHTS
from protocol.approval import Role
from protocol.base import Value
from protocol.commands import ScopeLimit
from protocol.events import Language, UserMessage
from protocol.ids import new_id

SOURCE = "alerts"
"""Of the roles of the account that speaks for alerts."""
AGAIN_AFTER = timedelta(minutes=10)
"""A group that has grown gets one further question so often."""
REFIRES_AFTER = timedelta(hours=1)
"""One that fires again without anything new in it, so often."""
_ALL = 500

Growth = Literal["object", "severity", "again"]


class Opening(Value):
    title: str
    question: str


Compose = Callable[[Group, Target], Opening]
Further = Callable[[Group, Growth], str]


class Asked(Value):
    """What a question of ours was about, as its turn's client id says it."""

    severity: str
    objects: int
    fired: int
    at: datetime


class AlertThreads:
    def __init__(self, database: Database, conversations: Conversations, *, clock: Clock = utc_now) -> None:
        self._db = database
        self._conversations = conversations
        self._clock = clock

    async def waiting(self, limit: int = 50) -> tuple[Group, ...]:
        """Groups that fire, are not silenced, and whose thread nobody has decided about; oldest first."""
        query = select(AlertGroupRow).where(*_LOUD, AlertGroupRow.conversation.is_(None), AlertGroupRow.in_digest.is_(False))
        async with self._db.read() as session:
            rows = (await session.scalars(query.order_by(AlertGroupRow.opened_at, AlertGroupRow.id).limit(limit))).all()
            return await groups_of(session, rows)

    async def speaker(self, cluster: str) -> Principal:
        """The account that asks for alerts: an operator of the clusters whose alerts came, so that a fix can be proposed.
        Nobody signs in as it, and it decides nothing. Raises NotSignedIn when an admin has disabled it: then no thread is
        opened."""
        now = self._clock()
        for last in (False, True):
            try:
                async with self._db.transaction() as session:
                    account = await _account(session, now)
                    await _operates(session, account, cluster, now)
                    await session.flush()
                    return await principal_in(session, account.id, now=now)
            except IntegrityError:  # another replica has just made it
                if last:
                    raise
        raise NotSignedIn("the account that speaks for alerts could not be made")

    async def open(self, group: str, target: Target, speaker: Principal, compose: Compose) -> str | None:
        """The new conversation. None when another was faster, or there were too many in this hour: then the group is in the
        digest. Raises NotFound, Forbidden (cluster), TooMany."""
        found = await self._get(group)
        if found is None:
            return None
        opening = compose(found, target)
        row = await self._conversations.prepared(
            speaker, cluster=found.cluster, namespaces=target.namespaces, title=opening.title
        )
        now = self._clock()
        async with self._db.transaction() as session:
            # One opening at a time, whatever the replica: the limit of an hour is counted here.
            await session.get(AccountRow, speaker.account, with_for_update=True)
            mine = select(AlertGroupRow).where(AlertGroupRow.id == group, *_LOUD, AlertGroupRow.conversation.is_(None))
            claimed = await session.scalar(mine.where(AlertGroupRow.in_digest.is_(False)).with_for_update())
            if claimed is None or not _shows(target.namespaces, claimed.namespace):
                return None  # or it has become about more since its target was chosen: the next look chooses again
            route = "" if target.fell else target.route
            wanted = claimed.route is not None  # somebody has asked for this thread
            if not wanted and await _opened(session, claimed, route, now) >= target.threads_per_hour:
                claimed.in_digest, claimed.route = True, route
                _moved(session, claimed, now)
                return None
            now_told = (await groups_of(session, [claimed], shown=_ALL))[0]
            session.add(row)
            await session.flush()
            claimed.conversation, claimed.route, claimed.in_digest = row.id, route, False
            _moved(session, claimed, now)
            question = compose(now_told, target).question
            await _ask(session, row, speaker, question, now_told, target.language, now)
            detail = {"title": claimed.title, "route": route or "web", "conversation": row.id} | (
                {"web_only": target.fell} if target.fell else {}
            )
            entry = Entry(
                speaker.account, "alert.thread_opened", f"alert:{group}", now, door="alert", cluster=claimed.cluster,
                namespace=claimed.namespace or None, detail=detail, tenant=claimed.tenant_id,
            )  # fmt: skip
            record(session, entry)
            session.wake(LISTS)
            return row.id

    async def grown(self) -> tuple[tuple[Group, Growth], ...]:
        """Groups with a thread that are worse than what was asked about, and may be asked about again now."""
        now = self._clock()
        last = (
            select(func.max(TurnRow.created_at))
            .where(TurnRow.conversation == AlertGroupRow.conversation, TurnRow.client_id.startswith(_MARK, autoescape=True))
            .scalar_subquery()
        )
        query = select(AlertGroupRow).where(*_LOUD, AlertGroupRow.updated_at > last, last < now - AGAIN_AFTER)
        async with self._db.read() as session:
            rows = (await session.scalars(query.order_by(AlertGroupRow.updated_at, AlertGroupRow.id).limit(_ALL))).all()
            grown: list[tuple[Group, Growth]] = []
            for group in await groups_of(session, rows, shown=_ALL):
                asked = await _last(session, group.conversation or "")
                if asked is not None and (why := growth(asked, group, now)) is not None:
                    grown.append((group, why))
            return tuple(grown)

    async def ask_again(
        self, group: str, speaker: Principal, further: Further, *, language: Language = "en", covered: bool = True
    ) -> str | None:
        """The turn of the further question; None when it is not, or no longer, its time. `covered` False: the channel of its
        thread no longer reaches what it shows, so nothing more is asked there. Raises NotFound, TooMany."""
        now = self._clock()
        async with self._db.transaction() as session:
            mine = select(AlertGroupRow).where(AlertGroupRow.id == group, *_LOUD)
            row = await session.scalar(mine.with_for_update())
            if row is None or row.conversation is None or not covered:
                return None
            told = (await groups_of(session, [row], shown=_ALL))[0]
            asked = await _last(session, row.conversation)
            why = growth(asked, told, now) if asked is not None else None
            if why is None:
                return None
            conversation = await log.lock(session, row.conversation)
            if not _shows(ScopeLimit.model_validate_json(conversation.scope).namespaces, row.namespace):
                return None  # it is about more than this thread's readers may see
            return await _ask(session, conversation, speaker, further(told, why), told, language, now)

    async def _get(self, group: str) -> Group | None:
        async with self._db.read() as session:
            row = await session.get(AlertGroupRow, group)
            return (await groups_of(session, [row]))[0] if row is not None else None


def growth(asked: Asked, group: Group, now: datetime) -> Growth | None:
    """Why a further question is due; None when none is. Pure."""
    if now - asked.at < AGAIN_AFTER:
        return None
    if rank(group.severity) > rank(asked.severity):
        return "severity"
    if _subjects(group) > asked.objects:
        return "object"
    return "again" if _fired(group) > asked.fired and now - asked.at >= REFIRES_AFTER else None


_MARK = "alert:"
_LOUD = (
    AlertGroupRow.state == "firing",
    AlertGroupRow.silenced_until.is_(None),
    AlertGroupRow.silenced_until_resolved.is_(False),
)


def _shows(namespaces: tuple[str, ...] | None, namespace: str) -> bool:
    """May a thread of these namespaces tell of alerts of this one? "" is several, or none."""
    return namespaces is None or namespace in namespaces


def _subjects(group: Group) -> int:
    return len({alert.object or alert.name for alert in group.alerts})


def _fired(group: Group) -> int:
    return sum(alert.fired for alert in group.alerts)


def _client_id(group: Group) -> str:
    return f"{_MARK}{group.severity}:{_subjects(group)}:{_fired(group)}"


async def _last(session: Session, conversation: str) -> Asked | None:
    query = select(TurnRow.client_id, TurnRow.created_at).where(
        TurnRow.conversation == conversation, TurnRow.client_id.startswith(_MARK, autoescape=True)
    )
    found = (await session.execute(query.order_by(TurnRow.number.desc()).limit(1))).one_or_none()
    if found is None:
        return None
    client_id, at = found
    severity, objects, fired = (client_id or "").removeprefix(_MARK).split(":")
    return Asked(severity=severity, objects=int(objects), fired=int(fired), at=at)


async def _ask(
    session: Session,
    conversation: ConversationRow,
    speaker: Principal,
    question: str,
    group: Group,
    language: Language,
    now: datetime,
) -> str:
    asked = turns.question(question)
    message = UserMessage(
        text=asked.text, by=speaker.account, by_name=speaker.name, door="alert", language=language, redacted=asked.count
    )
    client_id = _client_id(group)
    turn = await turns.queue(session, conversation, speaker, message, client_id=client_id, may_propose=True, now=now)
    return turn.id


async def _opened(session: Session, group: AlertGroupRow, route: str, now: datetime) -> int:
    """Threads of this route in the last hour; of the web alone, those of this cluster."""
    query = (
        select(func.count())
        .select_from(AlertGroupRow)
        .join(ConversationRow, ConversationRow.id == AlertGroupRow.conversation)
        .where(AlertGroupRow.route == route, ConversationRow.created_at > now - timedelta(hours=1))
    )
    if not route:
        query = query.where(AlertGroupRow.cluster == group.cluster)
    return await session.scalar(query) or 0


async def _account(session: Session, now: datetime) -> AccountRow:
    """Locked, made on demand."""
    named = select(AccountRow).where(AccountRow.tenant_id == DEFAULT_TENANT, AccountRow.name == ALERTS_ACCOUNT)
    row = await session.scalar(named.with_for_update())
    if row is None:
        row = AccountRow(
            id=new_id(),
            tenant_id=DEFAULT_TENANT,
            name=ALERTS_ACCOUNT,
            display_name="Alerts",
            disabled=False,
            password_hash=None,
            created_at=now,
        )
        session.add(row)
        await session.flush()
        record(session, Entry(SYSTEM, "account.created", f"account:{row.id}", now, detail={"name": row.name, "for": "alerts"}))
    return row


async def _operates(session: Session, account: AccountRow, cluster: str, now: datetime) -> None:
    held = select(RoleRow).where(RoleRow.account == account.id, RoleRow.source == SOURCE)
    if any(cluster in json.loads(role.clusters) for role in await session.scalars(held)):
        return
    session.add(
        RoleRow(
            id=new_id(),
            tenant_id=account.tenant_id,
            account=account.id,
            role=Role.OPERATOR.value,
            clusters=json.dumps([cluster]),
            namespaces=json.dumps(["*"]),
            source=SOURCE,
        )
    )
    detail = {"role": Role.OPERATOR.value, "source": SOURCE}
    record(session, Entry(SYSTEM, "account.roles_set", f"account:{account.id}", now, cluster=cluster, detail=detail))
    session.wake(RIGHTS, account.id.encode())


def _moved(session: Session, row: AlertGroupRow, now: datetime) -> None:
    row.revision += 1
    row.updated_at = now
    session.wake(ALERTS)
    session.wake(LISTS)
