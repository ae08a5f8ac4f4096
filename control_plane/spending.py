"""What models cost: budgets of clusters and people by day and month, reserved before each call and settled after it.

Counters are rows, so that replicas share them: one statement adds a reservation to all four counters of a call (cluster and
person, day and month) and gives what they hold then; where one is over its budget the transaction is rolled back. A call can
so be over by what its answer is longer than was reserved, never by another call that ran beside it. The call before it can be
settled in the same transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import select

from control_plane import spend_rows
from control_plane.clock import Clock, utc_now
from control_plane.database import Database, Session
from control_plane.errors import Invalid
from control_plane.settings import Settings
from control_plane.spend_rows import Change, Changes, Counter, Held, Kind, Period
from control_plane.tables.models import BudgetRow, ModelCallRow
from protocol.base import Value
from protocol.ids import new_id
from protocol.text import one_line

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
class Ended:
    """A call that is over and not settled yet."""

    call: str
    used: Used


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

    async def begin(self, who: Spender, sent: Sent, *, tokens: int, money: float, after: Ended | None = None) -> str:
        """Reserve `tokens` and `money` and remember the request. The call's id. Raises OverBudget, with nothing reserved.

        The call `after` which this one comes is settled, also when this one is over its budget."""
        try:
            return await self._begin(who, sent, tokens, micros_of(money), after)
        except OverBudget:
            if after is not None:
                await self.end(after.call, after.used)
            if not await self.forget_stale():
                raise
        return await self._begin(who, sent, tokens, micros_of(money), None)

    async def end(self, call: str, used: Used) -> None:
        """Settle. A call that has ended stays as it is."""
        async with self._db.transaction() as session:
            changes = await _settled(session, Ended(call, used))
            if changes:
                await spend_rows.add(session, self._db.dialect, changes)

    async def forget_stale(self) -> int:
        """Give back what died with its process. How many there were."""
        before = self._clock() - STALE
        query = select(ModelCallRow.id).where(ModelCallRow.state == "reserved", ModelCallRow.at < before).limit(500)
        async with self._db.read() as session:
            stale = (await session.scalars(query)).all()
        for call in stale:  # each by itself: together they would hold counters that others wait for crosswise
            await self.end(call, Used("nobody knows how it ended", failed=True))
        return len(stale)

    async def _begin(self, who: Spender, sent: Sent, tokens: int, micros: int, after: Ended | None) -> str:
        now, call = self._clock(), new_id()
        day, month = self.spans(now)
        counters = _counters(who.tenant, who.cluster, who.account, day, month)
        async with self._db.transaction() as session:
            changes = await _settled(session, after) if after is not None else {}
            spend_rows.plus(changes, counters, Change(reserved_tokens=tokens, reserved_micros=micros))
            limits = await self._limits(session, who, counters)
            held = await spend_rows.add(session, self._db.dialect, changes)
            for counter in counters:
                exhausted = _exhausted(counter, limits[counter], held[counter], tokens, micros)
                if exhausted is not None:
                    raise OverBudget(exhausted)
            await spend_rows.remember(
                session,
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
        return call

    async def _limits(self, session: Session, who: Spender, counters: Sequence[Counter]) -> dict[Counter, Budget]:
        """An admin's for the subject, else an admin's for all of the kind, else the configured one."""
        rows = await spend_rows.budgets(session, who.tenant, everybody=EVERYBODY, cluster=who.cluster, account=who.account)
        told = {key: Budget(tokens=tokens, money=_money_of(micros)) for key, (tokens, micros) in rows.items()}
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
    return Budget(tokens=row.tokens, money=_money_of(row.micros))


def _money_of(micros: int | None) -> float | None:
    return None if micros is None else micros / _MICRO


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


def _counters(tenant: str, cluster: str, account: str, day: str, month: str) -> tuple[Counter, ...]:
    return (
        Counter(tenant, "cluster", cluster, day),
        Counter(tenant, "cluster", cluster, month),
        Counter(tenant, "person", account, day),
        Counter(tenant, "person", account, month),
    )


def _exhausted(counter: Counter, limit: Budget, total: Held, tokens: int, micros: int) -> Exhausted | None:
    if limit.tokens is not None and total.tokens > limit.tokens:
        used = total.tokens - tokens
        return Exhausted(kind=counter.kind, period=counter.period, unit="tokens", limit=limit.tokens, used=used)
    if limit.money is not None and micros and total.micros > micros_of(limit.money):
        used = (total.micros - micros) / _MICRO
        return Exhausted(kind=counter.kind, period=counter.period, unit="money", limit=limit.money, used=used)
    return None


async def _settled(session: Session, ended: Ended) -> Changes:
    """Write down how the call ended. What that changes in the counters; nothing when it was settled before."""
    used = ended.used
    reserved = await spend_rows.settle(
        session,
        ended.call,
        state="failed" if used.failed else "answered",
        outcome=one_line(used.outcome, 300),
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        micros=micros_of(used.money),
        estimated=used.estimated,
    )
    changes: Changes = {}
    if reserved is not None:
        spend_rows.plus(
            changes,
            _counters(reserved.tenant, reserved.cluster, reserved.account, reserved.day, reserved.day[:7]),
            Change(
                calls=1,
                tokens=used.input_tokens + used.output_tokens,
                micros=micros_of(used.money),
                reserved_tokens=-reserved.tokens,
                reserved_micros=-reserved.micros,
            ),
        )
    return changes
