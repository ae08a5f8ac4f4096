"""The sender over a Slack that fails as it likes, under leaders that are cut off in the middle of it: each message is there
once, as it was put last. What goes wrong is drawn by lot."""

import pytest

from tests.fake_slack import FakeSlack
from tests.fake_slack.chance import Chance
from tests.integration.slack_rows import Rows
from tests.integration.test_slack_sender import ended, put, sending

ROUNDS, PUTS = 6, 4
METHODS = ("chat.postMessage", "chat.postMessage", "chat.update", "conversations.history")


def harm(there: FakeSlack, chance: Chance) -> None:
    method, faults = chance.choice(METHODS), there.faults
    chance.choice(
        (
            lambda: faults.server_error(method),
            lambda: faults.server_error(method, after=True),
            lambda: faults.cut(method),
            lambda: faults.lost_answer(method),
            lambda: faults.rate_limited(method, 0),
        )
    )()


async def some_of_it_is_sent(there: FakeSlack, chance: Chance) -> None:
    called = len(there.calls)
    await there.until(lambda: len(there.calls) - called >= chance.number() % 6 or None, "some of it is sent")


@pytest.mark.parametrize("seed", range(1))
async def test_each_message_is_there_once_as_it_was_put_last(slack: Rows, seed: int) -> None:
    chance, last = Chance(seed), dict[str, str]()
    async with FakeSlack() as there:
        channels = [there.add_channel(name) for name in ("ops", "dev")]
        for turn in range(ROUNDS):
            async with sending(slack, there):
                for n in range(PUTS):
                    channel = chance.choice(channels)
                    key = f"{chance.choice(('answer', 'alert'))}:{channel.name}{chance.number() % 3}"
                    last[key] = f"{key}, {turn}/{n}"
                    await put(slack, there, channel.id, key, last[key])
                    harm(there, chance)
                await some_of_it_is_sent(there, chance)
                # Here the leader is cut off, whatever it was doing.
        there.faults.clear()
        async with sending(slack, there):
            await ended(slack)
        shown = sorted(message.text for channel in channels for message in there.world.in_channel(channel.id))
        assert shown == sorted(last.values())
