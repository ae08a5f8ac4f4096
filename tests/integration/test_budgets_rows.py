"""The counters, budgets and kept requests as rows, on both databases and a clock that tests move."""

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text, update

from control_plane.database import Database
from control_plane.errors import Forbidden, Invalid
from control_plane.model_requests import ModelRequests, packed
from control_plane.principals import Principal
from control_plane.settings import Settings
from control_plane.spending import STALE, Budget, Ended, OverBudget, Sent, Spender, Spending, Used
from control_plane.tables import ModelCallRow, SpendTotalRow
from control_plane.usage import UsageBook
from protocol.approval import Role
from tests.integration.agent_house import agent_house
from tests.integration.postgres import Postgres
from tests.integration.waiting import until

NOW = datetime(2026, 11, 20, 22, 30, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path}/opsthread.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
async def database(url: str) -> AsyncGenerator[Database]:
    here = Database(url)
    await here.start()
    yield here
    await here.stop()


WHO = Spender(cluster="c1", account="a1", conversation="v1", turn="t1")
ROOT = Principal(account="root", name="Root", admin=True)


def sent(body: bytes = b"{}") -> Sent:
    return Sent("m", "http://m/v1", hashlib.sha256(body).hexdigest(), len(body), packed(body))


def at(moment: datetime) -> Callable[[], datetime]:
    return lambda: moment


async def test_replicas_that_race_for_the_last_tokens_do_not_go_over(database: Database) -> None:
    settings = Settings(cluster_tokens_per_day=1000)
    replicas = [Spending(database, settings, clock=at(NOW)) for _ in range(2)]

    async def one(n: int) -> bool:
        try:
            call = await replicas[n % 2].begin(WHO, sent(), tokens=100, money=0)
        except OverBudget:
            return False
        await replicas[n % 2].end(call, Used("an answer", 60, 40))
        return True

    assert sum(await asyncio.gather(*(one(n) for n in range(24)))) == 10
    (line, *_) = (await UsageBook(database, settings, replicas[0], clock=at(NOW)).read(ROOT)).lines
    assert (line.tokens, line.reserved_tokens, line.calls) == (1000, 0, 10)


async def test_settling_twice_counts_once_and_a_dead_reservation_is_given_back(database: Database) -> None:
    settings = Settings(person_tokens_per_day=100)
    spending = Spending(database, settings, clock=at(NOW))
    call = await spending.begin(WHO, sent(), tokens=90, money=0)
    with pytest.raises(OverBudget):
        await spending.begin(WHO, sent(), tokens=90, money=0)
    later = Spending(database, settings, clock=at(NOW + STALE + timedelta(seconds=1)))
    other = await later.begin(WHO, sent(), tokens=90, money=0)
    for _ in range(2):
        await later.end(other, Used("an answer", 5, 5))
    await later.end(call, Used("too late", 50, 40))
    line = next(
        found
        for found in (await UsageBook(database, settings, later, clock=at(NOW)).read(ROOT)).lines
        if found.kind == "person"
    )
    assert (line.tokens, line.reserved_tokens) == (10, 0)


async def test_a_call_is_settled_with_the_next_one_also_over_midnight_and_when_that_one_is_refused(database: Database) -> None:
    settings = Settings(person_tokens_per_day=100, budget_timezone="UTC")
    before, after = Spending(database, settings, clock=at(NOW)), Spending(database, settings, clock=at(NOW + timedelta(days=1)))
    first = await before.begin(WHO, sent(), tokens=90, money=0)
    second = await before.begin(WHO, sent(), tokens=90, money=0, after=Ended(first, Used("an answer", 5, 5)))
    tomorrow = await after.begin(WHO, sent(), tokens=20, money=0, after=Ended(second, Used("an answer", 30, 10)))
    with pytest.raises(OverBudget) as refused:
        await after.begin(WHO, sent(), tokens=95, money=0, after=Ended(tomorrow, Used("an answer", 10, 0)))
    assert refused.value.exhausted.used == 10, "what was reserved for the call before is given back first"
    with pytest.raises(OverBudget):
        await after.begin(WHO, sent(), tokens=95, money=0, after=Ended(tomorrow, Used("again", 10, 0)))
    async with database.read() as session:
        rows = (await session.scalars(select(SpendTotalRow).where(SpendTotalRow.kind == "person"))).all()
        states = (await session.scalars(select(ModelCallRow.state))).all()
    counted = {row.span: (row.calls, row.tokens, row.reserved_tokens) for row in rows}
    assert counted == {"2026-11-20": (2, 50, 0), "2026-11-21": (1, 10, 0), "2026-11": (3, 60, 0)}
    assert states == ["answered"] * 3


async def test_replicas_that_settle_over_midnight_and_begin_anew_never_wait_for_each_other_crosswise(
    postgres: Postgres,
) -> None:
    here = Database(postgres.new_database())
    await here.start()
    yesterday, today = (Spending(here, Settings(), clock=at(NOW + timedelta(days=day))) for day in (0, 1))
    try:
        old = [await yesterday.begin(WHO, sent(), tokens=1, money=0) for _ in range(20)]
        settling = [today.begin(WHO, sent(), tokens=1, money=0, after=Ended(call, Used("an answer", 1, 0))) for call in old]
        others = [spending.begin(WHO, sent(), tokens=1, money=0) for spending in (yesterday, today) for _ in range(10)]
        async with asyncio.timeout(20):
            assert len(set(await asyncio.gather(*settling, *others))) == 40
    finally:
        await here.stop()


async def test_days_and_months_are_those_of_the_time_zone(database: Database) -> None:
    settings = Settings(budget_timezone="Asia/Tokyo", person_tokens_per_day=100)
    assert Spending(database, settings, clock=at(NOW)).spans() == ("2026-11-21", "2026-11")
    today = Spending(database, settings, clock=at(NOW))
    await today.end(await today.begin(WHO, sent(), tokens=90, money=0), Used("an answer", 50, 40))
    with pytest.raises(OverBudget):
        await Spending(database, settings, clock=at(NOW + timedelta(hours=16))).begin(WHO, sent(), tokens=90, money=0)
    await Spending(database, settings, clock=at(NOW + timedelta(hours=17))).begin(WHO, sent(), tokens=90, money=0)
    with pytest.raises(Invalid):
        Spending(database, Settings(budget_timezone="Mars/Olympus"))


async def test_an_admin_s_budget_wins_over_the_configured_one_and_is_audited(tmp_path: Path) -> None:
    async with agent_house(tmp_path, cluster_tokens_per_day=10) as house:
        admin, ann = await house.person("root", Role.ADMIN), await house.person("ann", Role.OPERATOR)
        plane, cluster = house.plane, house.cluster.id
        who = Spender(cluster=cluster, account=ann.account, conversation="v", turn="t")
        with pytest.raises(OverBudget):
            await plane.spending.begin(who, sent(), tokens=50, money=0)
        how: dict[str, Any] = {"kind": "cluster", "subject": cluster, "period": "day", "door": "rest"}
        with pytest.raises(Forbidden):
            await plane.usage.set_budget(ann, **how, budget=Budget(tokens=60))
        await plane.usage.set_budget(admin, **how, budget=Budget(tokens=60))
        await plane.spending.begin(who, sent(), tokens=50, money=0)
        assert [row.detail["tokens"] for row in await plane.audit.list(admin) if row.action == "budget.set"] == ["60"]
        own = (await plane.usage.read(ann)).lines
        assert {line.kind for line in own} == {"person"}, "a person sees what is their own"
        await plane.usage.set_budget(admin, **how, budget=None)
        with pytest.raises(OverBudget):
            await plane.spending.begin(who, sent(), tokens=1, money=0)


async def test_old_bytes_go_and_so_do_the_oldest_when_there_are_too_many(database: Database) -> None:
    settings = Settings(model_requests_days=7, model_requests_mb=1)
    days: list[datetime] = [NOW - timedelta(days=8), NOW - timedelta(days=2), NOW - timedelta(days=1)]
    for moment in days:
        spending = Spending(database, settings, clock=at(moment))
        noise = "".join(hashlib.sha256(f"{moment}{n}".encode()).hexdigest() for n in range(19_000)).encode()
        call = await spending.begin(WHO, sent(json.dumps(noise.decode()).encode()), tokens=1, money=0)
        await spending.end(call, Used("an answer"))
    await ModelRequests(database, settings, clock=at(NOW)).tidy()
    async with database.read() as session:
        kept = (await session.scalars(select(ModelCallRow.kept).order_by(ModelCallRow.at))).all()
    assert [size > 0 for size in kept] == [False, False, True]


async def test_giving_back_what_died_waits_for_nobody_crosswise(postgres: Postgres) -> None:
    """A call of another cluster holds its cluster's counters, and then wants the person's: in the order of every call."""
    here = Database(postgres.new_database())
    await here.start()
    try:
        for n, cluster in enumerate(("c1", "c2")):
            begun = Spending(here, Settings(), clock=at(NOW + timedelta(seconds=n)))
            await begun.begin(WHO.model_copy(update={"cluster": cluster}), sent(), tokens=1, money=0)
        later = Spending(here, Settings(), clock=at(NOW + STALE + timedelta(seconds=9)))

        async def waits() -> bool:
            async with here.read() as session:
                return bool(await session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))

        async with here.transaction() as session:
            mine = update(SpendTotalRow).values(calls=SpendTotalRow.calls + 1)
            await session.execute(mine.where(SpendTotalRow.subject == "c2"))
            giving_back = asyncio.create_task(later.forget_stale())
            await until(waits, "it waits for the counters of the second cluster")
            await session.execute(mine.where(SpendTotalRow.subject == "a1"))
        assert await giving_back == 2
    finally:
        await here.stop()
