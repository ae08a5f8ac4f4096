"""Cards in Slack: who may press what, and what becomes of it. The real SDK and Bolt, the real control plane, a fake Slack."""

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from control_plane.slack.threads import Thread
from protocol.approval import ApprovalState, Role
from protocol.remediation import Risk
from tests.fake_slack import FakeSlack, RealClock
from tests.fake_slack.deliveries import Delivery
from tests.fake_slack.records import Channel, Message
from tests.integration.slack_cards import Cards, buttons
from tests.integration.slack_house import ADMIN, SlackHouse, slack_house

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(90)]

S = ApprovalState


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[SlackHouse]:
    async with FakeSlack(RealClock()) as slack, slack_house(tmp_path_factory.mktemp("slack"), slack) as here:
        for name, role in (("dana", Role.OPERATOR), ("ann", Role.APPROVER), ("abe", Role.APPROVER), ("vera", Role.VIEWER)):
            await here.person(name, role)
        yield here


@pytest.fixture(scope="module")
def cards(house: SlackHouse) -> Cards:
    return Cards(house)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ops(house: SlackHouse) -> Channel:
    return await house.channel("ops", *house.people.values())


@pytest_asyncio.fixture(loop_scope="module")
async def thread(house: SlackHouse, cards: Cards, ops: Channel) -> Thread:
    house.slack.faults.clear()
    return await cards.thread(ops, "dana")


async def test_a_card_is_approved_by_another_person(house: SlackHouse, cards: Cards, thread: Thread) -> None:
    approval, card = await cards.open(thread, "dana")
    assert buttons(card)[:3] == ["approve", "reject", "details"]
    await press(house, card, "approve", "ann")
    now = await cards.state(approval, S.APPROVED, S.RUNNING, S.CANCELLED, S.FAILED)
    (said,) = now.decisions
    assert (said.by, said.verdict, said.door) == (house.principals["ann"].account, "approve", "slack")
    assert said.source == f"{card.team_id}/{card.channel}/{card.ts}"
    await cards.without(card, "approve", "reject")
    rows = await house.plane.audit.list(ADMIN, subject=f"approval:{approval.id}")
    told = [(row.action, row.door, row.actor) for row in rows]
    assert ("approval.shown", "slack", house.principals["ann"].account) in told


async def test_a_rejection_asks_why_and_tells_the_agent(house: SlackHouse, cards: Cards, thread: Thread) -> None:
    approval, card = await cards.open(thread, "dana")
    ann = house.people["ann"].id
    await press(house, card, "reject", "ann")
    modal = await house.slack.until(lambda: next(iter(house.slack.open_views(ann)), None), "the window")
    assert modal.body["private_metadata"].partition(".")[0] == approval.id
    await house.slack.delivered(house.slack.submit(modal, ann, {"reason": "the traffic is about to fall"}))
    now = await cards.state(approval, S.REJECTED)
    assert now.outcome == "the traffic is about to fall"
    await cards.without(card, "approve", "reject")
    assert "the traffic is about to fall" in str(card.blocks)


async def press(house: SlackHouse, card: Message, action: str, who: str) -> Delivery:
    return await house.slack.delivered(house.slack.click(card, action, house.people[who].id))


async def test_two_clicks_in_slack_never_approve_high_risk(house: SlackHouse, cards: Cards, thread: Thread) -> None:
    approval, card = await cards.open(thread, "dana", Risk.HIGH)
    await press(house, card, "approve", "ann")
    await house.slack.until(lambda: "approve" not in buttons(card) or None, "the last approval is the web's")
    payload_of_before = house.slack.ephemerals(house.people["ann"].id)[-1]
    assert "counts" in payload_of_before.text
    assert (await house.plane.approvals.get(approval.id)).state is S.PENDING
