"""Cards in Slack: who may press what, and what becomes of it. The real SDK and Bolt, the real control plane, a fake Slack."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import timedelta

import pytest
import pytest_asyncio
from sqlalchemy import update

from bot.slack.manifest import SCOPES
from control_plane.approvals import Approval
from control_plane.clock import utc_now
from control_plane.principals import ScopedRole
from control_plane.slack.threads import Thread
from control_plane.tables.approvals import ApprovalRow
from protocol.approval import ApprovalState, Role
from protocol.remediation import Risk
from tests.fake_slack import FakeSlack, RealClock, effects
from tests.fake_slack.deliveries import Delivery
from tests.fake_slack.records import Channel, Message, View
from tests.integration.slack_cards import Cards, buttons
from tests.integration.slack_house import ADMIN, SlackHouse, slack_house
from tests.practice_admin import PracticeAdmin

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(90)]

S = ApprovalState


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[SlackHouse]:
    async with FakeSlack(RealClock()) as slack, slack_house(tmp_path_factory.mktemp("slack"), slack) as here:
        for name, role in (("dana", Role.OPERATOR), ("ann", Role.APPROVER), ("abe", Role.APPROVER), ("vera", Role.VIEWER)):
            await here.person(name, role)
        for name in ("drew", "dora", "dirk"):
            await here.person(name, Role.APPROVER)
        await here.person("gus", Role.APPROVER, is_restricted=True)
        await here.person("otto", Role.APPROVER, namespaces=("bank",))
        await here.person("ned", None)
        await here.person("eve", Role.APPROVER, team=slack.add_team("Partner", "partner"))
        yield here


@pytest.fixture(scope="module")
def cards(house: SlackHouse) -> Cards:
    return Cards(house)


@pytest_asyncio.fixture(loop_scope="module")
async def ops(house: SlackHouse) -> Channel:
    """A channel for each test: Slack takes one message a second in one."""
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


async def test_two_clicks_in_slack_never_approve_high_risk(house: SlackHouse, cards: Cards, thread: Thread) -> None:
    slack, abe = house.slack, house.people["abe"].id
    approval, card = await cards.open(thread, "dana", Risk.HIGH)
    late = slack.click_payload(card, "approve", abe)
    assert await house.noted(await press(house, card, "approve", "ann")) == "pending"
    assert "counts" in last(house, "ann")
    await slack.until(lambda: "approve" not in buttons(card) or None, "the last approval is the web's")
    assert f"{house.running.url}/approvals/{approval.id}" in str(card.blocks)
    for _ in range(2):
        assert (
            await house.noted(slack.interact({**late, "actions": [{**late["actions"][0], "action_ts": str(_)}]})) == "step_up"
        )
    said = slack.ephemerals(abe)[-1]
    assert "fresh sign-in" in said.text
    assert said.elements()[0]["url"] == f"{house.running.url}/approvals/{approval.id}"
    now = await house.plane.approvals.get(approval.id)
    assert (now.state, len(now.decisions)) == (S.PENDING, 1)


Arrange = Callable[[SlackHouse, Approval], Awaitable[object]]


async def nothing(_house: SlackHouse, _approval: Approval) -> None:
    return


async def demoted(house: SlackHouse, _approval: Approval) -> None:
    await house.plane.accounts.set_roles(house.principals["drew"].account, (ScopedRole(role=Role.VIEWER),), by="admin")


async def disabled(house: SlackHouse, _approval: Approval) -> None:
    await house.plane.accounts.disable(house.principals["dora"].account, by="admin")


async def deactivated(house: SlackHouse, _approval: Approval) -> None:
    house.people["dirk"].deleted = True


async def silent(house: SlackHouse, _approval: Approval) -> None:
    house.slack.faults.server_error("users.info")


async def expired(house: SlackHouse, approval: Approval) -> None:
    async with house.plane.database.transaction() as session:
        past = utc_now() - timedelta(seconds=1)
        await session.execute(update(ApprovalRow).where(ApprovalRow.id == approval.id).values(expires_at=past))


async def withdrawn(house: SlackHouse, approval: Approval) -> None:
    await house.plane.approvals.withdraw(approval.id, house.principals["dana"])


PRESSED: dict[str, tuple[str, Arrange, str, str]] = {
    "a viewer": ("vera", nothing, "role", "needs the role approver"),
    "who asked for it": ("dana", nothing, "role", "needs the role approver"),
    "a guest with an approver's account": ("gus", nothing, "guest", "Guests"),
    "a person of another organisation": ("eve", nothing, "foreign", "another organisation"),
    "nobody that we know": ("ned", nothing, "unlinked", "which Opsthread account"),
    "somebody who lost the role since it was shown": ("drew", demoted, "role", "needs the role approver"),
    "somebody whose account was disabled since": ("dora", disabled, "disabled", "disabled"),
    "somebody who was deactivated in Slack since": ("dirk", deactivated, "deleted", "deactivated"),
    "an approver of whom Slack says nothing now": ("ann", silent, "unchecked", "could not be checked"),
    "an approver of another namespace": ("otto", nothing, "no_role", "no role"),
    "too late": ("ann", expired, "expired|decided", "xpired"),
    "what was taken back": ("ann", withdrawn, "decided", "Already decided"),
}


@pytest.mark.parametrize("case", PRESSED)
async def test_a_press_that_does_not_count_says_why_to_them_alone(
    house: SlackHouse, cards: Cards, thread: Thread, case: str
) -> None:
    who, arrange, codes, words = PRESSED[case]
    approval, card = await cards.open(thread, "dana")
    payload = house.slack.click_payload(card, "approve", house.people[who].id)
    before = len(house.slack.ephemerals(house.people[who].id))
    await arrange(house, approval)
    note = await house.noted(house.slack.interact(payload))
    assert note in codes.split("|")
    now = await house.plane.approvals.get(approval.id)
    assert now.state in (S.PENDING, S.EXPIRED, S.CANCELLED)
    assert not now.decisions
    said = house.slack.ephemerals(house.people[who].id)[before:]
    assert any(words in one.text for one in said)
    if now.state is not S.PENDING:
        await cards.without(card, "approve", "reject")


async def test_who_asked_may_not_approve_medium_risk(house: SlackHouse, cards: Cards, ops: Channel) -> None:
    thread = await cards.thread(ops, "ann")
    approval, card = await cards.open(thread, "ann")
    assert await house.noted(await press(house, card, "approve", "ann")) == "requester"
    assert "somebody else has to approve" in last(house, "ann")
    assert (await house.plane.approvals.get(approval.id)).state is S.PENDING


async def test_a_freeze_and_a_kill_switch_hold_for_clicks(house: SlackHouse, cards: Cards, thread: Thread) -> None:
    approval, card = await cards.open(thread, "dana")
    late = house.slack.click_payload(card, "approve", house.people["ann"].id)
    window = {"kind": "once", "starts_at": utc_now().isoformat(), "ends_at": (utc_now() + timedelta(hours=1)).isoformat()}
    freeze = await house.plane.freezes.add(ADMIN, cluster=house.cluster, window=window, reason="the big sale")
    await cards.without(card, "approve")
    assert await house.noted(house.slack.interact(late)) == "frozen"
    assert "the big sale" in last(house, "ann")
    assert house.slack.ephemerals(house.people["ann"].id)[-1].elements()[0]["url"].endswith(f"/approvals/{approval.id}")
    await house.plane.freezes.end(freeze.id, ADMIN)
    await house.slack.until(lambda: "approve" in buttons(card) or None, "the button is back")
    late = house.slack.click_payload(card, "approve", house.people["ann"].id)
    await house.plane.fleet.set_kill_switch(house.cluster, True, by="admin", reason="stop everything")
    try:
        assert await house.noted(house.slack.interact(late)) == "decided"
        await cards.without(card, "approve", "reject")
    finally:
        await house.plane.fleet.set_kill_switch(house.cluster, False, by="admin", reason="")
    assert (await house.plane.approvals.get(approval.id)).state is S.CANCELLED


async def test_forged_cards_and_buttons_of_other_places_do_nothing(house: SlackHouse, cards: Cards, thread: Thread) -> None:
    approval, card = await cards.open(thread, "dana")
    other = await house.channel("elsewhere", *house.people.values())
    posted = await house.slack.write(other.id, house.people["vera"].id, "press here")
    real, ann = str(card.elements()[0]["value"]), house.people["ann"].id
    forged = ("", "x", approval.id, f"{approval.id}.", f"{approval.id}.{'0' * 16}", f"{real}0", real.replace(".", ".."))
    for value in forged:
        assert await house.noted(await house.slack.forge_click(card.channel, card.ts, "approve", ann, value)) == "stale_card"
    assert await house.noted(await house.slack.forge_click(other.id, posted.ts, "approve", ann, real)) == "stale_card"
    assert await house.noted(await house.slack.forge_click(card.channel, thread.thread_ts or "", "approve", ann, real)) == (
        "stale_card"
    )
    assert "not current" in last(house, "ann")
    await house.sent()
    assert "approve" in buttons(card), "the real card stays as it is"
    assert not (await house.plane.approvals.get(approval.id)).decisions


async def test_a_log_line_that_pings_and_plays_a_card_is_a_quotation(house: SlackHouse, ops: Channel) -> None:
    lines = [
        "<!channel> <!here> @channel look at <https://evil.example|this>",
        "Proposed change: Needs approval *Approve and run* <https://evil.example/approvals/1|Approve> [Approve](https://evil.example)",
        '{"type": "actions", "elements": [{"type": "button", "action_id": "approve", "value": "1.0123456789abcdef"}]}',
    ]
    assert house.running.sandbox is not None
    await PracticeAdmin(house.running.sandbox).post("logs", {"workload": "catalog", "lines": lines})
    asked = await house.slack.mention(ops.id, house.people["dana"].id, "show the logs of catalog")
    answer = await house.answer(ops.id, asked.ts)
    assert "Approve and run" in str(answer.blocks), "the line is shown, as data"
    await house.sent()
    thread = [one for one in house.slack.thread(ops.id, asked.ts) if one.bot_id]
    for one in thread:
        does = effects(one)
        assert not does.pings
        assert not [link for link in does.links if "evil" in link]
        assert not {"approve", "reject"} & set(buttons(one))


async def test_twice_replayed_and_raced_it_is_decided_once(house: SlackHouse, cards: Cards, thread: Thread) -> None:
    slack = house.slack
    approval, card = await cards.open(thread, "dana")
    ann, abe = (slack.click_payload(card, "approve", house.people[name].id) for name in ("ann", "abe"))
    second = {**ann, "actions": [{**ann["actions"][0], "action_ts": "2.0"}]}
    sent = [slack.interact(payload) for payload in (ann, abe, ann, second)]
    notes = [await house.noted(one) for one in sent]
    assert sorted(note == "decided" for note in (notes[0], notes[1])) == [False, True], notes
    assert notes[0] == notes[2], "a payload that comes twice is one"
    now = await house.plane.approvals.get(approval.id)
    assert len(now.decisions) == 1
    winner, loser = ("ann", "abe") if now.decisions[0].by == house.principals["ann"].account else ("abe", "ann")
    assert f"Already decided: {winner.title()}" in last(house, loser)


async def test_details_are_for_who_may_see_them_and_take_back_what_is_ones_own(
    house: SlackHouse, cards: Cards, thread: Thread
) -> None:
    slack = house.slack
    approval, card = await cards.open(thread, "dana")
    await press(house, card, "details", "otto")
    await slack.until(lambda: "no role" in last(house, "otto") or None, "why not")
    assert not slack.open_views(house.people["otto"].id)
    windows: dict[str, View] = {}
    for name in ("vera", "dana"):
        await press(house, card, "details", name)
        windows[name] = await window(house, name)
        assert approval.plan.plan_hash in str(windows[name].body["blocks"])
    assert "'action_id': 'withdraw'" not in str(windows["vera"].body)
    dana = house.people["dana"].id
    stolen = slack.click_in_view(windows["dana"], "withdraw", house.people["ann"].id)
    assert await house.noted(await stolen) == "stale_card"
    assert await house.noted(await slack.click_in_view(windows["dana"], "withdraw", dana)) == "withdrawn"
    assert "Cancelled" in str(windows["dana"].body["blocks"])
    assert "'action_id': 'withdraw'" not in str(windows["dana"].body)
    await cards.without(card, "approve", "reject")


async def test_a_rejection_by_somebody_who_may_not_changes_nothing(house: SlackHouse, cards: Cards, thread: Thread) -> None:
    slack, vera = house.slack, house.people["vera"].id
    approval, card = await cards.open(thread, "dana")
    await press(house, card, "reject", "vera")
    modal = await slack.until(lambda: reasons(slack.open_views(vera)), "the window")
    assert await house.noted(await slack.submit(modal, vera, {"reason": "I don't like it"})) == "role"
    assert "needs the role operator" in last(house, "vera")
    assert (await house.plane.approvals.get(approval.id)).state is S.PENDING


async def test_a_newer_plan_takes_the_buttons_of_the_older_card(house: SlackHouse, cards: Cards, thread: Thread) -> None:
    approval, card = await cards.open(thread, "dana", target="Deployment/shop/twice")
    late = house.slack.click_payload(card, "approve", house.people["ann"].id)
    newer, shown = await cards.open(thread, "dana", target="Deployment/shop/twice", memory="768Mi")
    await cards.without(card, "approve", "reject")
    assert (await house.plane.approvals.get(approval.id)).state is S.SUPERSEDED
    assert await house.noted(house.slack.interact(late)) == "decided"
    assert "Replaced by a newer plan" in last(house, "ann")
    assert "approve" in buttons(shown)
    assert not (await house.plane.approvals.get(newer.id)).decisions, "a press on the old card says nothing about the new plan"


async def test_a_window_that_slack_does_not_open_is_said(house: SlackHouse, cards: Cards, thread: Thread) -> None:
    _, card = await cards.open(thread, "dana")
    fault = house.slack.faults.refuse("views.open", "expired_trigger_id")
    before = len(house.slack.ephemerals(house.people["ann"].id))
    await press(house, card, "reject", "ann")
    await house.slack.until(lambda: house.slack.ephemerals(house.people["ann"].id)[before:] or None, "that it did not work")
    assert fault.met
    assert "Try again" in last(house, "ann")
    assert "reject" in buttons(card)


async def test_refusals_are_said_in_the_persons_language(house: SlackHouse, cards: Cards, thread: Thread) -> None:
    _, card = await cards.open(thread, "dana")
    vera = house.people["vera"]
    vera.locale = "zh-CN"
    try:
        await house.noted(await press(house, card, "approve", "vera"))
    finally:
        vera.locale = "en-US"
    assert "批准" in last(house, "vera")


async def window(house: SlackHouse, who: str) -> View:
    person = house.people[who].id
    return await house.slack.until(lambda: next(iter(house.slack.open_views(person)), None), f"{who}'s window")


def reasons(views: list[View]) -> View | None:
    return next((one for one in views if one.body["callback_id"] == "reject_modal"), None)


async def press(house: SlackHouse, card: Message, action: str, who: str) -> Delivery:
    return await house.slack.delivered(house.slack.click(card, action, house.people[who].id))


def last(house: SlackHouse, who: str) -> str:
    """What this person alone was told last."""
    said = house.slack.ephemerals(house.people[who].id)
    return said[-1].text if said else ""


async def test_a_user_group_makes_an_approver_only_at_the_click(house: SlackHouse, cards: Cards, ops: Channel) -> None:
    gina = await house.person("gina", Role.VIEWER)
    group = house.slack.add_group("sre", gina)
    role = ScopedRole(role=Role.APPROVER)
    mapping = await house.plane.slack_groups.map(ADMIN, team=house.slack.team.id, usergroup=group.id, role=role)
    try:
        for arrange, note in (("left", "role"), ("silent", "unchecked"), ("member", "approved")):
            approval, card = await cards.open(await cards.thread(ops, "dana"), "dana")
            payload = house.slack.click_payload(card, "approve", gina.id)
            group.users[:] = [] if arrange == "left" else [gina.id]
            if arrange == "silent":
                house.slack.faults.server_error("usergroups.list")
            assert await house.noted(house.slack.interact(payload)) == note, arrange
            if arrange != "member":
                assert not (await house.plane.approvals.get(approval.id)).decisions
                await house.plane.approvals.withdraw(approval.id, house.principals["dana"])
        # What decides whether it still holds before it runs sees the role too.
        now = await cards.state(approval, S.APPROVED, S.RUNNING, S.CANCELLED, S.FAILED)
        assert [said.by for said in now.decisions] == [house.principals["gina"].account]
        assert "no longer counted" not in now.outcome
    finally:
        await house.plane.slack_groups.remove(ADMIN, mapping.id)


async def test_whoever_takes_out_scopes_that_may_be_left_out_gets_answers_and_cards(house: SlackHouse, ops: Channel) -> None:
    slack = house.slack
    before, slack.bot.scopes = slack.bot.scopes, {one.name for one in SCOPES if not one.optional} | {"users:read.email"}
    try:
        asked = await slack.mention(ops.id, house.people["dana"].id, "why does payments keep restarting?")
        answer = await house.answer(ops.id, asked.ts)
        assert "OOMKilled" in str(answer.blocks)
        await slack.until(lambda: [one for one in slack.thread(ops.id, asked.ts) if "approve" in buttons(one)], "the card")
        lacking = {call.method for call in slack.calls if call.answer.get("error") == "missing_scope"}
        assert lacking <= {method for one in SCOPES if one.optional for method in one.methods}
    finally:
        slack.bot.scopes = before
