"""The rows of spending, inside a transaction: calls, counters, budgets. Each statement is made once: to build one anew takes as
long as to run it."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, NamedTuple, cast

from sqlalchemy import Table, bindparam, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from control_plane.database import Session
from control_plane.tables.models import BudgetRow, ModelCallRow, SpendTotalRow

Kind = Literal["cluster", "person"]
Period = Literal["day", "month"]


@dataclass(frozen=True, slots=True)
class Counter:
    """Of one cluster or person in one day (2026-11-20) or month (2026-11)."""

    tenant: str
    kind: Kind
    subject: str
    span: str

    @property
    def period(self) -> Period:
        return "day" if len(self.span) > len("2026-11") else "month"


@dataclass(frozen=True, slots=True)
class Change:
    """What is added to a counter."""

    calls: int = 0
    tokens: int = 0
    micros: int = 0
    reserved_tokens: int = 0
    reserved_micros: int = 0

    def __add__(self, other: "Change") -> "Change":
        return Change(*(getattr(self, name) + getattr(other, name) for name in _COUNTED))


_COUNTED = tuple(field.name for field in fields(Change))

Changes = dict[Counter, Change]


class Held(NamedTuple):
    """What a counter holds, spent and reserved."""

    tokens: int
    micros: int


class Reserved(NamedTuple):
    """What a call had reserved, and where."""

    tenant: str
    cluster: str
    account: str
    day: str
    tokens: int
    micros: int


Asked = tuple[Kind, str, Period]
"""The kind and the subject of a budget, and its period."""


class Limit(NamedTuple):
    tokens: int | None
    micros: int | None


def plus(changes: Changes, counters: Iterable[Counter], change: Change) -> None:
    for counter in counters:
        changes[counter] = changes[counter] + change if counter in changes else change


async def add(session: Session, dialect: str, changes: Changes) -> dict[Counter, Held]:
    """In one statement; what the counters hold then. Their rows stay locked until the commit, and are locked in one order by
    everybody, so that two replicas never wait for each other's crosswise."""
    rows = [
        {"tenant_id": counter.tenant, "kind": counter.kind, "subject": counter.subject, "span": counter.span, **asdict(change)}
        for counter, change in sorted(changes.items(), key=_order)
    ]
    found: list[Any] = list((await session.execute(_ADD[dialect], rows)).all())
    return {Counter(*row[:4]): Held(*row[4:]) for row in found}


def _order(item: tuple[Counter, Change]) -> tuple[str, ...]:
    counter = item[0]
    return counter.tenant, counter.kind, counter.subject, counter.period, counter.span


async def remember(session: Session, **call: Any) -> None:
    await session.execute(_REMEMBER, call)


async def settle(session: Session, call: str, **became: Any) -> Reserved | None:
    """None for a call that is settled, or not there."""
    row: Any = (await session.execute(_SETTLE, {"this_call": call, **became})).one_or_none()
    return Reserved(*row) if row is not None else None


async def budgets(session: Session, tenant: str, *, everybody: str, cluster: str, account: str) -> dict[Asked, Limit]:
    """What an admin has set for these three."""
    told = {"of_tenant": tenant, "everybody": everybody, "this_cluster": cluster, "this_account": account}
    rows: list[Any] = list((await session.execute(_BUDGETS, told)).all())
    return {(kind, subject, period): Limit(tokens, micros) for kind, subject, period, tokens, micros in rows}


_calls = cast(Table, ModelCallRow.__table__)
_totals = cast(Table, SpendTotalRow.__table__)
_budgets = cast(Table, BudgetRow.__table__)

_REMEMBER = insert(_calls)
_SETTLE = (
    update(_calls)
    .where(_calls.c.id == bindparam("this_call"), _calls.c.state == "reserved")
    .returning(
        _calls.c.tenant_id,
        _calls.c.cluster,
        _calls.c.account,
        _calls.c.day,
        _calls.c.reserved_tokens,
        _calls.c.reserved_micros,
    )
)
_BUDGETS = select(_budgets.c.kind, _budgets.c.subject, _budgets.c.period, _budgets.c.tokens, _budgets.c.micros).where(
    _budgets.c.tenant_id == bindparam("of_tenant"),
    _budgets.c.subject.in_([bindparam("everybody"), bindparam("this_cluster"), bindparam("this_account")]),
)


def _add(adding: sqlite.Insert | postgresql.Insert) -> sqlite.Insert | postgresql.Insert:
    return adding.on_conflict_do_update(
        index_elements=[_totals.c.tenant_id, _totals.c.kind, _totals.c.subject, _totals.c.span],
        set_={name: _totals.c[name] + adding.excluded[name] for name in _COUNTED},
    )


_TOLD = (
    *(_totals.c[name] for name in ("tenant_id", "kind", "subject", "span")),
    (_totals.c.tokens + _totals.c.reserved_tokens).label("all_tokens"),
    (_totals.c.micros + _totals.c.reserved_micros).label("all_micros"),
)
_ADD = {
    "sqlite": _add(sqlite.insert(_totals)).returning(*_TOLD),
    "postgresql": _add(postgresql.insert(_totals)).returning(*_TOLD),
}
