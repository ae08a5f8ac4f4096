"""A question in Slack, from the mention to the answer in its thread: the real SDK and Bolt, the real agent, a fake Slack."""

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from protocol.approval import Role
from tests.fake_slack import FakeSlack
from tests.integration.slack_house import SlackHouse, slack_house, whole

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[SlackHouse]:
    async with FakeSlack() as slack, slack_house(tmp_path_factory.mktemp("slack"), slack) as here:
        yield here


async def test_a_mention_is_answered_in_its_thread(house: SlackHouse) -> None:
    dana = await house.person("dana", Role.OPERATOR)
    ops = await house.channel("ops", dana)
    asked = await house.slack.mention(ops.id, dana.id, "why does payments crash?")
    answer = await house.answer(ops.id, asked.ts)
    thread = house.slack.thread(ops.id, asked.ts)
    assert [whole(one) for one in thread[1:]].count(True) == 1
    assert "memory" in str(answer.blocks)
    assert answer.stream is not None, "it was streamed"
    assert answer.stream.tasks, "with a task for each look"
    assert answer.stream.recipient_user_id == dana.id
    assert answer.metadata["event_type"] == "opsthread_post"
    delivery = house.slack.deliveries[0]
    assert delivery.acked
    found = await house.plane.slack_threads.find(house.slack.team.id, ops.id, asked.ts)
    assert found is not None
    log = await house.plane.conversations.log(found.conversation)
    assert log[0].event.type == "user_message"
    assert log[0].event.text == "why does payments crash?"
