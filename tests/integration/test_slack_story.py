"""The main job in a thread of Slack: ask, watch, read why, approve by another person, healed, and kept as a case."""

import pytest

from protocol.approval import ApprovalState, Role
from protocol.events import ActionFinished, CaseStored, TurnFinished, UserMessage
from tests.fake_slack import FakeSlack, RealClock
from tests.fake_slack.records import Message
from tests.integration.slack_cards import Cards, buttons
from tests.integration.slack_house import SlackHouse, slack_house
from tests.integration.waiting import until

pytestmark = pytest.mark.timeout(120)


async def test_payments_is_healed_in_a_thread(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with FakeSlack(RealClock()) as slack, slack_house(tmp_path_factory.mktemp("story"), slack) as house:
        dana, ann = await house.person("dana", Role.APPROVER), await house.person("ann", Role.APPROVER)
        ops = await house.channel("ops", dana, ann)
        asked = await slack.mention(ops.id, dana.id, "why does payments keep restarting?")

        answer = await house.answer(ops.id, asked.ts)
        assert answer.stream is not None
        assert any("diagnose payments" in str(task) for task in answer.stream.tasks.values()), "a task for each look"
        assert "OOMKilled" in str(answer.blocks)

        card = await slack.until(lambda: card_in(slack.thread(ops.id, asked.ts)), "the card")
        assert card.stream is None, "buttons are never in a stream"
        assert "memory" in str(card.blocks)
        approval = await house.plane.approvals.get(str(card.elements()[0]["value"]).partition(".")[0])
        assert approval.requester == house.principals["dana"].account

        await slack.delivered(slack.click(card, "approve", dana.id))
        told = await slack.until(lambda: slack.ephemerals(dana.id)[-1:] or None, "why her own approval does not count")
        assert "somebody else has to approve" in told[0].text
        await slack.delivered(slack.click(card, "approve", ann.id))

        healed = await Cards(house).state(approval, ApprovalState.SUCCEEDED)
        await slack.until(lambda: "Healed" in str(card.blocks) or None, "the card says how it ended")
        assert not {"approve", "reject"} & set(buttons(card))
        assert "Ann" in str(card.blocks)
        conclusion = await until(lambda: concluded(house, healed.conversation or ""), "what it concludes", 60)
        assert conclusion.ts > card.ts
        assert "payments" in str(conclusion.blocks)
        log = await house.plane.conversations.log(healed.conversation or "")
        events = [entry.event for entry in log]
        assert [one.state for one in events if isinstance(one, ActionFinished)] == ["succeeded"]

        async def case() -> CaseStored | None:
            kept = await house.plane.conversations.log(healed.conversation or "")
            return next((entry.event for entry in kept if isinstance(entry.event, CaseStored)), None)

        assert await until(case, "the case")
        assert [one.door for one in events if isinstance(one, UserMessage)] == ["slack", "action"]
        await house.sent()
        thread = slack.thread(ops.id, asked.ts)
        assert [one.ts for one in thread] == sorted(one.ts for one in thread)
        assert len([one for one in thread if buttons(one)[-1:] == ["open_web"] and "details" in buttons(one)]) == 1
        refused = [call for call in slack.calls if not call.answer.get("ok")]
        assert not refused, [(call.method, call.answer) for call in refused]


async def concluded(house: SlackHouse, conversation: str) -> Message | None:
    """The message of the turn that says what became of the fix."""
    log = await house.plane.conversations.log(conversation)
    turn = next((e.turn for e in log if isinstance(e.event, UserMessage) and e.event.door == "action"), None)
    if not any(e.turn == turn and isinstance(e.event, TurnFinished) for e in log if turn):
        return None
    post = await house.plane.slack_posts.get(house.slack.team.id, f"answer:{turn}")
    return house.slack.message(post.channel, post.ts) if post is not None and post.ts and not post.streaming else None


def card_in(thread: list[Message]) -> Message | None:
    return next((one for one in thread if "approve" in buttons(one)), None)
