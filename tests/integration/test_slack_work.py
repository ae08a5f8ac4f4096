"""Who works for Slack, and how the inbox is worked through: over the real tables, of each kind."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from sqlalchemy import select
from structlog.testing import capture_logs

from bot.slack.web_api import SlackUnsure
from bot.slack.work.inbox import LANES, LANES_OF_A_TEAM, REST_S, Worker
from bot.slack.work.lead import Lead, Term
from control_plane.leases import Claimant, Lease
from control_plane.slack.inbox import MOST_ATTEMPTS, Received
from control_plane.tables import SlackInboxRow
from control_plane.tables.replicas import LeaseRow
from tests.integration.slack_rows import TEAM, Rows, incoming
from tests.integration.waiting import until

TTL_S = 0.6


@asynccontextmanager
async def working(slack: Rows, handle: Callable[[Received], Awaitable[str]], told: list[str]) -> AsyncGenerator[None]:
    async def give_up(item: Received, why: str) -> None:
        told.append(why)

    term = Term(await slack.lead(), asyncio.get_running_loop().time() + 3600)
    worker = Worker(slack.inbox, term, {"mention": handle, "action": handle}, give_up, pauses_s=(0,))
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def ended(slack: Rows) -> None:
    async def nothing_waits() -> bool | None:
        return None if any(row.state == "waiting" for row in await slack.all(SlackInboxRow)) else True

    await until(nothing_waits, "everything is handled")


async def test_lanes_go_beside_each_other_and_each_in_its_order(slack: Rows) -> None:
    order: list[str] = []
    gate = asyncio.Event()

    async def handle(item: Received) -> str:
        if item.payload["text"] == "slow":
            await gate.wait()
        order.append(str(item.payload["text"]))
        return ""

    await slack.inbox.keep(incoming("1", lane="a", position="1.000001", text="slow"))
    await slack.inbox.keep(incoming("3", lane="a", position="3.000001", text="last"))
    async with working(slack, handle, []):
        await slack.inbox.keep(incoming("4", lane="b", position="4.000001", text="other"))
        await until(lambda: order == ["other"] or None, "the other lane does not wait")
        await slack.inbox.keep(incoming("2", lane="a", position="2.000001", text="late, but said before"))
        gate.set()
        await ended(slack)
    assert order == ["other", "slow", "late, but said before", "last"]


async def test_what_fails_is_tried_again_told_of_and_left_and_its_lane_goes_on(slack: Rows) -> None:
    tried: list[str] = []
    told: list[str] = []

    async def handle(item: Received) -> str:
        tried.append(str(item.payload["text"]))
        if item.payload["text"] == "broken":
            raise ValueError("no")
        return "fine"

    await slack.inbox.keep(incoming("1", position="1.000001", text="broken"))
    await slack.inbox.keep(incoming("2", position="2.000001", text="whole"))
    async with working(slack, handle, told):
        await ended(slack)
    assert tried == ["broken"] * MOST_ATTEMPTS + ["whole"]
    assert told == ["ValueError: no"]
    rows = {row.state: row.note for row in await slack.all(SlackInboxRow)}
    assert rows == {"failed": "ValueError: no", "done": "fine"}


async def test_what_comes_while_slack_is_away_is_handled_when_it_is_back(slack: Rows) -> None:
    tried: list[str] = []
    told: list[str] = []

    async def handle(item: Received) -> str:
        tried.append(item.note)
        if len(tried) < 3 * MOST_ATTEMPTS:
            raise SlackUnsure("users.info", "http_503")
        return "fine"

    await slack.inbox.keep(incoming("1", text="patient"))
    async with working(slack, handle, told):
        await ended(slack)
    assert [row.state for row in await slack.all(SlackInboxRow)] == ["done"]
    assert told == []
    tried.clear()
    slack.desk.clock.move(hours=1)
    await slack.inbox.keep(incoming("2", text="too late"))
    slack.desk.clock.move(hours=1)
    async with working(slack, handle, told):
        await ended(slack)
    assert len(tried) == MOST_ATTEMPTS
    assert len(told) == 1


async def test_a_workspace_that_hangs_leaves_lanes_to_the_others(slack: Rows) -> None:
    gate, handled = asyncio.Event(), list[str]()

    async def handle(item: Received) -> str:
        handled.append(item.team)
        if item.team == TEAM:
            await gate.wait()
        return ""

    for n in range(LANES + 5):
        await slack.inbox.keep(incoming(str(n), lane=str(n)))
    await slack.inbox.keep(incoming("other").model_copy(update={"team": "T2"}))
    async with working(slack, handle, []):
        await until(lambda: "T2" in handled or None, "the other workspace is heard")
        assert handled.count(TEAM) == LANES_OF_A_TEAM
        gate.set()
        await ended(slack)
    assert len(handled) == LANES + 6


async def test_a_press_is_not_kept_for_later(slack: Rows) -> None:
    tried: list[str] = []

    async def handle(item: Received) -> str:
        tried.append(item.id)
        raise SlackUnsure("users.info", "http_503")

    await slack.inbox.keep(incoming("1", text="approve").model_copy(update={"kind": "action"}))
    async with working(slack, handle, []):
        await ended(slack)
    assert len(tried) == MOST_ATTEMPTS


async def test_a_lane_that_can_not_be_begun_is_not_looked_at_all_the_time(slack: Rows) -> None:
    async def handle(item: Received) -> str:
        return ""

    with capture_logs() as logs:
        async with working(slack, handle, []):
            await slack.lead("another")
            await slack.inbox.keep(incoming("1", text="hello"))
            began = asyncio.get_running_loop().time()
            left = "slack.item_left"
            await until(lambda: [one["event"] for one in logs].count(left) > 1 or None, "it is looked at again")
            assert asyncio.get_running_loop().time() - began > REST_S / 2


async def test_an_item_that_ended_the_process_each_time_is_not_begun_again(slack: Rows) -> None:
    handled: list[str] = []
    told: list[str] = []

    async def handle(item: Received) -> str:
        handled.append(item.id)
        return ""

    item = incoming("1", text="deadly")
    await slack.inbox.keep(item)
    for _ in range(MOST_ATTEMPTS):
        assert await slack.inbox.begin(item.id, await slack.lead()) is not None
    async with working(slack, handle, told):
        await ended(slack)
    assert handled == []
    assert len(told) == 1


@asynccontextmanager
async def leading(slack: Rows, who: str, ends: list[float]) -> AsyncGenerator[list[Term]]:
    """A replica that leads whenever it can; `ends` are the times at which its work had ended."""
    terms: list[Term] = []

    @asynccontextmanager
    async def work(term: Term) -> AsyncGenerator[None]:
        terms.append(term)
        try:
            yield
        finally:
            ends.append(asyncio.get_running_loop().time())

    async def take() -> Lease | None:
        return await slack.leases.take("job:slack", Claimant(who), TTL_S)

    lead = asyncio.create_task(Lead(take, slack.leases, TTL_S, work).run())
    try:
        yield terms
    finally:
        lead.cancel()
        await asyncio.gather(lead, return_exceptions=True)


async def test_one_leads_and_gives_the_lead_back_when_it_stops(slack: Rows) -> None:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(leading(slack, "a", []))
        await until(lambda: first or None, "the first leads")
        async with leading(slack, "b", []) as later:
            assert await slack.leases.take("job:slack", Claimant("c"), TTL_S) is None
            assert not later
            await stack.aclose()
            await until(lambda: later or None, "the other leads when the first has stopped")


async def test_it_stops_when_another_has_the_lease(slack: Rows) -> None:
    ends: list[float] = []
    async with leading(slack, "a", ends) as terms:
        await until(lambda: terms or None, "it leads")
        await slack.leases.release(terms[0].lease)
        assert await slack.leases.take("job:slack", Claimant("b"), 3600) is not None
        await until(lambda: ends or None, "it stops")
        assert len(terms) == 1


async def test_it_stops_before_another_can_have_the_lease_when_the_database_does_not_answer(slack: Rows) -> None:
    ends: list[float] = []
    async with leading(slack, "a", ends) as terms:
        await until(lambda: terms or None, "it leads")
        async with slack.desk.database.transaction() as session:
            await session.execute(select(LeaseRow).where(LeaseRow.name == "job:slack").with_for_update())
            held = asyncio.get_running_loop().time()
            await until(lambda: ends or None, "it stops")
        assert ends[0] < held + TTL_S
