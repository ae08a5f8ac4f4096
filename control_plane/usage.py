"""Usage and budgets as people read and set them. Admins see what they administer, everybody sees their own."""

from datetime import datetime

from sqlalchemy import ColumnElement, delete, func, select

from control_plane.audit import Entry, record
from control_plane.clock import Clock, utc_now
from control_plane.database import Database, Session
from control_plane.errors import Forbidden, Invalid
from control_plane.principals import Principal
from control_plane.settings import Settings
from control_plane.spending import EVERYBODY, Budget, Kind, Period, Spending, budget_of, configured, micros_of
from control_plane.tables.accounts import AccountRow
from control_plane.tables.fleet import ClusterRow
from control_plane.tables.models import BudgetRow, ModelCallRow, SpendTotalRow
from protocol.approval import Role
from protocol.base import Value
from protocol.text import one_line

_MICRO = 1_000_000
PERIODS: tuple[Period, ...] = ("day", "month")
KINDS: tuple[Kind, ...] = ("cluster", "person")


Budgets = dict[tuple[Kind, str, Period], Budget]


class UsageLine(Value):
    """One cluster or person in one day or month."""

    kind: Kind
    subject: str
    name: str
    period: Period
    span: str
    calls: int
    tokens: int
    money: float
    reserved_tokens: int
    budget: Budget


class ModelLine(Value):
    """One model in the month."""

    model: str
    calls: int
    failed: int
    input_tokens: int
    output_tokens: int
    money: float


class BudgetLine(Value):
    kind: Kind
    subject: str
    """An id, or "*" for all that have none of their own."""
    name: str
    period: Period
    budget: Budget
    set_by: str
    """Empty for the configured ones."""
    set_at: datetime | None = None


class Usage(Value):
    day: str
    month: str
    timezone: str
    currency: str
    lines: tuple[UsageLine, ...]
    models: tuple[ModelLine, ...]
    """For admins over everything; empty for others."""
    budgets: tuple[BudgetLine, ...]


class UsageBook:
    def __init__(self, database: Database, settings: Settings, spending: Spending, *, clock: Clock = utc_now) -> None:
        self._db = database
        self._settings = settings
        self._spending = spending
        self._clock = clock

    async def read(self, principal: Principal) -> Usage:
        """Today and this month, as far as the principal may see it."""
        day, month = self._spending.spans()
        async with self._db.read() as session:
            names = await _names(session, principal.tenant)
            rows = await session.scalars(
                select(BudgetRow)
                .where(BudgetRow.tenant_id == principal.tenant)
                .order_by(BudgetRow.kind, BudgetRow.subject, BudgetRow.period)
            )
            own = [_budget_line(row, names) for row in rows if sees(principal, _kind(row.kind), row.subject)]
            totals = await session.scalars(
                select(SpendTotalRow)
                .where(SpendTotalRow.tenant_id == principal.tenant, SpendTotalRow.span.in_((day, month)))
                .order_by(SpendTotalRow.kind, SpendTotalRow.subject, SpendTotalRow.span.desc())
            )
            seen = [row for row in totals if sees(principal, _kind(row.kind), row.subject)]
            models = await _by_model(session, principal.tenant, month) if principal.admin else ()
        every: Budgets = {(line.kind, line.subject, line.period): line.budget for line in own}
        lines = tuple(self._line(row, every, names) for row in seen)
        return Usage(
            day=day,
            month=month,
            timezone=self._settings.budget_timezone,
            currency=self._settings.currency,
            lines=lines,
            models=models,
            budgets=(*own, *self._configured({(line.kind, line.subject, line.period) for line in own})),
        )

    async def set_budget(
        self, principal: Principal, *, kind: Kind, subject: str, period: Period, budget: Budget | None, door: str
    ) -> None:
        """None takes it back to the configured one. Raises Forbidden, Invalid."""
        if not administers(principal, kind, subject):
            raise Forbidden("budgets are set by admins of what they are about; ask one of them")
        if budget is not None and ((budget.tokens or 0) < 0 or (budget.money or 0) < 0):
            raise Invalid("a budget can't be below zero; 0 lets no model be asked at all")
        now, key = self._clock(), (principal.tenant, kind, subject, period)
        async with self._db.transaction() as session:
            if subject != EVERYBODY and subject not in await _names(session, principal.tenant):
                raise Invalid(f"there is no {kind} {one_line(subject, 60)!r}; name one that is there, or * for all")
            row = await session.get(BudgetRow, dict(zip(("tenant_id", "kind", "subject", "period"), key, strict=True)))
            if row is not None and budget is None:
                await session.execute(delete(BudgetRow).where(*_same(key)))
            elif budget is not None:
                row = row or BudgetRow(tenant_id=principal.tenant, kind=kind, subject=subject, period=period)
                row.tokens, row.set_by, row.set_at = budget.tokens, principal.account, now
                row.micros = None if budget.money is None else micros_of(budget.money)
                session.add(row)
            detail = {"period": period, "tokens": "configured", "money": "configured"}
            if budget is not None:
                detail |= {"tokens": _limit(budget.tokens), "money": _limit(budget.money)}
            record(
                session,
                Entry(
                    actor=principal.account,
                    actor_name=principal.name,
                    door=door,
                    action="budget.set",
                    subject=f"{kind}:{subject}",
                    at=now,
                    cluster=subject if kind == "cluster" and subject != EVERYBODY else None,
                    detail=detail,
                    tenant=principal.tenant,
                ),
            )

    def _line(self, row: SpendTotalRow, every: "Budgets", names: dict[str, str]) -> UsageLine:
        kind, period = _kind(row.kind), _period_of(row.span)
        budget = (
            every.get((kind, row.subject, period))
            or every.get((kind, EVERYBODY, period))
            or configured(self._settings, kind, period)
        )
        return UsageLine(
            kind=kind,
            subject=row.subject,
            name=names.get(row.subject, row.subject),
            period=period,
            span=row.span,
            calls=row.calls,
            tokens=row.tokens,
            money=row.micros / _MICRO,
            reserved_tokens=row.reserved_tokens,
            budget=budget,
        )

    def _configured(self, told: set[tuple[Kind, str, Period]]) -> tuple[BudgetLine, ...]:
        """What the settings say for everybody, where no admin has said otherwise."""
        found: list[BudgetLine] = []
        for kind in KINDS:
            for period in PERIODS:
                budget = configured(self._settings, kind, period)
                if (kind, EVERYBODY, period) not in told and budget != Budget():
                    found.append(
                        BudgetLine(kind=kind, subject=EVERYBODY, name=EVERYBODY, period=period, budget=budget, set_by="")
                    )
        return tuple(found)


def sees(principal: Principal, kind: Kind, subject: str) -> bool:
    """Their own, what they administer, and what counts for everybody."""
    return subject == EVERYBODY or (kind == "person" and subject == principal.account) or administers(principal, kind, subject)


def administers(principal: Principal, kind: Kind, subject: str) -> bool:
    """Persons, and what is for all, are of admins over everything; a cluster is of its own admins too."""
    if principal.admin:
        return True
    return kind == "cluster" and subject != EVERYBODY and principal.role_in(subject, None) is Role.ADMIN


async def _by_model(session: Session, tenant: str, month: str) -> tuple[ModelLine, ...]:
    failed = func.count().filter(ModelCallRow.state == "failed")
    query = (
        select(
            ModelCallRow.model,
            func.count(),
            failed,
            func.sum(ModelCallRow.input_tokens),
            func.sum(ModelCallRow.output_tokens),
            func.sum(ModelCallRow.micros),
        )
        .where(ModelCallRow.tenant_id == tenant, ModelCallRow.day >= f"{month}-01", ModelCallRow.day <= f"{month}-31")
        .group_by(ModelCallRow.model)
        .order_by(ModelCallRow.model)
    )
    return tuple(
        ModelLine(
            model=model,
            calls=int(calls),
            failed=int(bad or 0),
            input_tokens=int(inputs or 0),
            output_tokens=int(outputs or 0),
            money=float(micros or 0) / _MICRO,
        )
        for model, calls, bad, inputs, outputs, micros in (await session.execute(query)).all()
    )


async def _names(session: Session, tenant: str) -> dict[str, str]:
    """Of clusters and accounts, by id."""
    clusters = await session.execute(select(ClusterRow.id, ClusterRow.name).where(ClusterRow.tenant_id == tenant))
    people = await session.execute(select(AccountRow.id, AccountRow.name).where(AccountRow.tenant_id == tenant))
    return {row[0]: row[1] for row in (*clusters.all(), *people.all())}


def _budget_line(row: BudgetRow, names: dict[str, str]) -> BudgetLine:
    return BudgetLine(
        kind=_kind(row.kind),
        subject=row.subject,
        name=names.get(row.subject, row.subject),
        period="day" if row.period == "day" else "month",
        budget=budget_of(row),
        set_by=row.set_by,
        set_at=row.set_at,
    )


def _same(key: tuple[str, str, str, str]) -> tuple[ColumnElement[bool], ...]:
    tenant, kind, subject, period = key
    return (
        BudgetRow.tenant_id == tenant,
        BudgetRow.kind == kind,
        BudgetRow.subject == subject,
        BudgetRow.period == period,
    )


def _kind(text: str) -> Kind:
    return "cluster" if text == "cluster" else "person"


def _period_of(span: str) -> Period:
    return "day" if len(span) == len("2026-11-20") else "month"


def _limit(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"
