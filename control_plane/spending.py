"""What models cost: budgets of clusters and people by day and month, reserved before each call and settled after it.

Counters are rows, so that replicas share them: one statement adds a reservation to all four counters of a call (cluster and
person, day and month) and gives what they hold then; where one is over its budget the transaction is rolled back. A call can
so be over by what its answer is longer than was reserved, never by another call that ran beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite

from control_plane.clock import Clock, utc_now
from control_plane.database import Database, Session
from control_plane.errors import Invalid
from control_plane.settings import Settings
from control_plane.tables.models import BudgetRow, ModelCallRow, SpendTotalRow
from protocol.base import Value
from protocol.ids import new_id
from protocol.text import one_line

Kind = Literal["cluster", "person"]
Period = Literal["day", "month"]
Unit = Literal["tokens", "money"]

EVERYBODY = "*"
STALE = timedelta(minutes=30)
"""A reservation this old belongs to a process that died: no call takes so long."""
_MICRO = 1_000_000


class Spender(Value):
    """For whom a model is asked."""

    tenant: str = "default"
    cluster: str
    account: str
    conversation: str
    turn: str


class Budget(Value):
    """A limit; None is no limit in that unit."""

    tokens: int | None = None
    money: float | None = None


class Exhausted(Value):
    kind: Kind
    period: Period
    unit: Unit
    limit: float
    used: float
    """Spent and reserved before the call that was refused."""


class OverBudget(Exception):
    """A call was not begun: its budget is used up."""

    def __init__(self, exhausted: Exhausted) -> None:
        super().__init__(f"the {exhausted.period}'s budget of the {exhausted.kind} is used up")
        self.exhausted = exhausted


@dataclass(frozen=True, slots=True)
class Sent:
    """A request that is about to be sent. `body` is what is kept of it, compressed; None keeps nothing."""

    model: str
    endpoint: str
    sha256: str
    size: int
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Used:
    """What became of a call."""

    outcome: str
    input_tokens: int = 0
    output_tokens: int = 0
    money: float = 0
    estimated: bool = False
    failed: bool = False


@dataclass(frozen=True, slots=True)
class _Counter:
    kind: Kind
    subject: str
    period: Period
    span: str


class Spending:
    """Raises ValueError at once for a time zone that is not known here."""

    def __init__(self, database: Database, settings: Settings, *, clock: Clock = utc_now) -> None:
        self._db = database
        self._settings = settings
        self._clock = clock
        self._zone = zone_of(settings.budget_timezone)

    def spans(self, at: datetime | None = None) -> tuple[str, str]:
        """Day and month of a moment in the configured zone: ("2026-11-20", "2026-11")."""
        here = (at or self._clock()).astimezone(self._zone)
        return f"{here:%Y-%m-%d}", f"{here:%Y-%m}"

    async def begin(self, who: Spender, sent: Sent, *, tokens: int, money: float) -> str:
        """Reserve `tokens` and `money` and remember the request. The call's id. Raises OverBudget, with nothing reserved."""
        try:
            return await self._begin(who, sent, tokens, micros_of(money))
        except OverBudget:
            if not await self.forget_stale():
                raise
        return await self._begin(who, sent, tokens, micros_of(money))

    async def end(self, call: str, used: Used) -> None:
        """Settle. A call that has ended stays as it is."""
        async with self._db.transaction() as session:
            await _settle(session, call, used, self._db.dialect)

    async def forget_stale(self) -> int:
        """Give back what died with its process. How many there were."""
        before = self._clock() - STALE
        query = select(ModelCallRow.id).where(ModelCallRow.state == "reserved", ModelCallRow.at < before).limit(500)
        async with self._db.read() as session:
            stale = (await session.scalars(query)).all()
        for call in stale:  # each by itself: together they would hold counters that others wait for crosswise
            await self.end(call, Used("nobody knows how it ended", failed=True))
        return len(stale)

    async def _begin(self, who: Spender, sent: Sent, tokens: int, micros: int) -> str:
        now, call = self._clock(), new_id()
        day, month = self.spans(now)
        counters = _counters(who.cluster, who.account, day, month)
        async with self._db.transaction() as session:
            limits = await self.limits(session, who.tenant, counters)
            totals = await _add(session, who.tenant, counters, self._db.dialect, reserved_tokens=tokens, reserved_micros=micros)
            for counter in counters:
                exhausted = _exhausted(counter, limits[counter], totals[counter], tokens, micros)
                if exhausted is not None:
                    raise OverBudget(exhausted)
            session.add(
                ModelCallRow(
                    id=call,
                    tenant_id=who.tenant,
                    cluster=who.cluster,
                    conversation=who.conversation,
                    turn=who.turn,
                    account=who.account,
                    model=one_line(sent.model, 200),
                    endpoint=one_line(sent.endpoint, 300),
                    at=now,
                    state="reserved",
                    day=day,
                    reserved_tokens=tokens,
                    reserved_micros=micros,
                    sha256=sent.sha256,
                    size=sent.size,
                    kept=len(sent.body or b""),
                    body=sent.body,
                )
            )
        return call

    async def limits(self, session: Session, tenant: str, counters: "Sequence[_Counter]") -> "dict[_Counter, Budget]":
        """An admin's for the subject, else an admin's for all of the kind, else the configured one."""
        subjects = {EVERYBODY, *(counter.subject for counter in counters)}
        rows = await session.scalars(select(BudgetRow).where(BudgetRow.tenant_id == tenant, BudgetRow.subject.in_(subjects)))
        told = {(row.kind, row.subject, row.period): budget_of(row) for row in rows}
        return {
            c: told.get((c.kind, c.subject, c.period))
            or told.get((c.kind, EVERYBODY, c.period))
            or configured(self._settings, c.kind, c.period)
            for c in counters
        }


def configured(settings: Settings, kind: Kind, period: Period) -> Budget:
    """The budget of the settings, which has 0 for none."""
    tokens, money = {
        ("cluster", "day"): (settings.cluster_tokens_per_day, settings.cluster_money_per_day),
        ("cluster", "month"): (settings.cluster_tokens_per_month, settings.cluster_money_per_month),
        ("person", "day"): (settings.person_tokens_per_day, settings.person_money_per_day),
        ("person", "month"): (settings.person_tokens_per_month, settings.person_money_per_month),
    }[kind, period]
    return Budget(tokens=tokens or None, money=money or None)


def budget_of(row: BudgetRow) -> Budget:
    return Budget(tokens=row.tokens, money=None if row.micros is None else row.micros / _MICRO)


def micros_of(money: float) -> int:
    return round(money * _MICRO)


def zone_of(name: str) -> tzinfo:
    """Raises Invalid for a zone that this machine does not know."""
    if name.upper() == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise Invalid(
            f"{one_line(name, 60)!r} is no time zone that this machine knows; say one such as Europe/Berlin"
        ) from error


def _counters(cluster: str, account: str, day: str, month: str) -> tuple[_Counter, ...]:
    """Always in this order, so that two replicas never wait for each other's rows crosswise."""
    return (
        _Counter("cluster", cluster, "day", day),
        _Counter("cluster", cluster, "month", month),
        _Counter("person", account, "day", day),
        _Counter("person", account, "month", month),
    )


def _exhausted(counter: _Counter, limit: Budget, total: SpendTotalRow, tokens: int, micros: int) -> Exhausted | None:
    held = total.tokens + total.reserved_tokens
    if limit.tokens is not None and held > limit.tokens:
        return Exhausted(kind=counter.kind, period=counter.period, unit="tokens", limit=limit.tokens, used=held - tokens)
    held = total.micros + total.reserved_micros
    if limit.money is not None and micros and held > micros_of(limit.money):
        used = (held - micros) / _MICRO
        return Exhausted(kind=counter.kind, period=counter.period, unit="money", limit=limit.money, used=used)
    return None


async def _add(
    session: Session, tenant: str, counters: Sequence[_Counter], dialect: str, **more: int
) -> dict[_Counter, SpendTotalRow]:
    """Add to all counters in one statement; what they hold then. Their rows stay locked until the commit."""
    zero = {"calls": 0, "tokens": 0, "micros": 0, "reserved_tokens": 0, "reserved_micros": 0}
    rows = [{"tenant_id": tenant, "kind": c.kind, "subject": c.subject, "span": c.span, **zero, **more} for c in counters]
    table = SpendTotalRow.__table__.c
    insert = (sqlite if dialect == "sqlite" else postgresql).insert(SpendTotalRow)
    adding = insert.on_conflict_do_update(
        index_elements=[table.tenant_id, table.kind, table.subject, table.span],
        set_={name: table[name] + insert.excluded[name] for name in more},
    )
    # The rows as parameters, not in the statement: that would be compiled anew for each call.
    found = await session.scalars(adding.returning(SpendTotalRow), rows, execution_options={"populate_existing": True})
    by_key = {(row.kind, row.span): row for row in found}
    return {counter: by_key[counter.kind, counter.span] for counter in counters}


async def _settle(session: Session, call: str, used: Used, dialect: str) -> None:
    ended = await session.scalar(
        update(ModelCallRow)
        .where(ModelCallRow.id == call, ModelCallRow.state == "reserved")
        .values(
            state="failed" if used.failed else "answered",
            outcome=one_line(used.outcome, 300),
            input_tokens=used.input_tokens,
            output_tokens=used.output_tokens,
            micros=micros_of(used.money),
            estimated=used.estimated,
        )
        .returning(ModelCallRow)
        .execution_options(synchronize_session=False)
    )
    if ended is None:
        return
    await _add(
        session,
        ended.tenant_id,
        _counters(ended.cluster, ended.account, ended.day, ended.day[:7]),
        dialect,
        calls=1,
        tokens=used.input_tokens + used.output_tokens,
        micros=micros_of(used.money),
        reserved_tokens=-ended.reserved_tokens,
        reserved_micros=-ended.reserved_micros,
    )
