"""Cards in Slack over a restart of the product: what waits goes on, what expired meanwhile is not brought back."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from control_plane.approvals import Approval
from control_plane.clock import utc_now
from control_plane.tables.approvals import ApprovalRow
from protocol.approval import ApprovalState, Role
from tests.fake_slack import FakeSlack, RealClock
from tests.integration.slack_cards import Cards, buttons
from tests.integration.slack_house import SlackHouse, slack_house

pytestmark = pytest.mark.timeout(90)

S = ApprovalState


async def test_a_restart_brings_no_expired_card_back_and_loses_no_waiting_one(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("restart")
    async with FakeSlack(RealClock()) as slack:
        async with slack_house(folder, slack) as before:
            await before.person("dana", Role.OPERATOR)
            ann = await before.person("ann", Role.APPROVER)
            cards = Cards(before)
            places = [await before.channel(f"ops-{n}", *before.people.values()) for n in range(2)]
            opened = [await cards.open(await cards.thread(place, "dana"), "dana") for place in places]
            (old, old_card), (waiting, card) = opened
            late, good = (slack.click_payload(one, "approve", ann.id) for one in (old_card, card))
            await before.sent()
        await over(before, old)
        async with slack_house(folder, slack) as after:
            after.people, after.principals = before.people, before.principals
            assert await after.noted(slack.interact(late)) in ("expired", "decided")
            await slack.until(lambda: not {"approve", "reject"} & set(buttons(old_card)) or None, "no buttons on the old card")
            assert await after.noted(slack.interact(good)) == "approved"
            now = await Cards(after).state(waiting, S.APPROVED, S.RUNNING, S.CANCELLED, S.FAILED)
            assert [said.by for said in now.decisions] == [after.principals["ann"].account]
            await slack.until(lambda: not {"approve", "reject"} & set(buttons(card)) or None, "no buttons on the decided card")
            assert (await after.plane.approvals.get(old.id)).state is S.EXPIRED
            ours = [one for one in slack.world.messages.values() if one.bot_id and not one.deleted]
            assert len([one for one in ours if "details" in buttons(one)]) == 2, "the same messages, not new ones"


async def over(before: SlackHouse, approval: Approval) -> None:
    """Its time ends while nothing runs."""
    database = before.plane.database
    await database.start()
    try:
        async with database.transaction() as session:
            past = utc_now() - timedelta(seconds=1)
            await session.execute(update(ApprovalRow).where(ApprovalRow.id == approval.id).values(expires_at=past))
    finally:
        await database.stop()
