"""From a mention in Slack to what is seen in its thread, with a model that answers at once: one at a time, and 50 at once.

The product is a process of its own, on SQLite; Slack (which acknowledges and limits as the real one does) and the model are
in this one. First visible is the first message of the bot in the thread: a stream with its first task, or the answer where
Slack's 20 streams a minute are used up. Run: python -m tests.bench.bench_slack
"""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench.measure import percentile, report
from tests.fake_slack import FakeSlack, RealClock
from tests.fake_slack.records import Channel, Message, User
from tests.integration.scripted_model import Say, scripted_model
from tests.integration.slack_house import whole
from tests.product import Api, Process

CHAT = "hello my friend, tell me about the weather please"
ONE_BY_ONE = 30
AT_ONCE = 50
WARM_UP = 3
WITHIN_S = 120


async def main() -> None:
    raw: dict[str, Any] = {}
    rows: list[tuple[str, str, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        async with scripted_model(Say("It is fine.")) as model, FakeSlack(RealClock()) as slack:
            env = {
                "OPENAI_API_KEY": "sk-bench",
                "OPENAI_BASE_URL": model.url,
                "OPSTHREAD_SLACK_BOT_TOKEN": slack.bot_token,
                "OPSTHREAD_SLACK_APP_TOKEN": slack.app_token,
                "OPSTHREAD_SLACK_API_URL": f"{slack.url}/api/",
            }
            process = Process(["serve", "--port", "0", "--data-dir", f"{folder}/data"], Path(folder), env)
            await process.start()
            try:
                async with Api(process.url, process.token("admin")) as api:
                    await _measure(api, slack, rows, raw)
            finally:
                await process.stop()
    report("bench_slack", rows, raw)


async def _measure(api: Api, slack: FakeSlack, rows: list[tuple[str, str, str]], raw: dict[str, Any]) -> None:
    await slack.connected(2)
    dana = slack.add_user("dana")
    await _ready(api, dana)
    # A channel of its own for each: Slack takes one message a second in one.
    apart = [await _bound(api, slack, f"alone-{n}", dana) for n in range(WARM_UP + ONE_BY_ONE)]
    singles = [await _asked(slack, [channel], dana) for channel in apart][WARM_UP:]
    raw["one"] = [one for first, _ in singles for one in first]
    raw["one_whole"] = [one for _, wholes in singles for one in wholes]
    channels = [await _bound(api, slack, f"ops-{n}", dana) for n in range(AT_ONCE)]
    raw["many"], raw["many_whole"] = await _asked(slack, channels, dana)
    for what, name in (("one at a time", "one"), (f"{AT_ONCE} at once", "many")):
        for told, key in (("first visible", name), ("whole answer", f"{name}_whole")):
            figures = f"{percentile(raw[key], 0.5):.0f} / {percentile(raw[key], 0.99):.0f} ms"
            rows.append((f"mention to {told}, {what}, p50 / p99", figures, ""))


async def _asked(slack: FakeSlack, channels: list[Channel], who: User) -> tuple[list[float], list[float]]:
    """Milliseconds until the first message of ours, and until the answer is whole."""
    began = time.time()
    asked = await asyncio.gather(*(slack.mention(channel.id, who.id, CHAT) for channel in channels))
    wholes: dict[str, float] = {}

    def all_whole() -> bool | None:
        for one in asked:
            if one.channel not in wholes and any(whole(message) for message in _ours(slack, one)):
                wholes[one.channel] = (time.time() - began) * 1000
        return True if len(wholes) == len(asked) else None

    await slack.until(all_whole, "every question is answered", WITHIN_S)
    return [(float(_ours(slack, one)[0].ts) - float(one.ts)) * 1000 for one in asked], list(wholes.values())


def _ours(slack: FakeSlack, asked: Message) -> list[Message]:
    return [one for one in slack.thread(asked.channel, asked.ts) if one.bot_id]


async def _ready(api: Api, who: User) -> None:
    for path, body in (
        ("/api/v1/clusters", {"name": "bench"}),
        ("/api/v1/accounts", {"name": "dana", "email": who.email, "roles": [{"role": "operator"}]}),
    ):
        status, answer = await api.call("POST", path, body)
        assert status == 201, answer


async def _bound(api: Api, slack: FakeSlack, name: str, who: User) -> Channel:
    channel = slack.add_channel(name, who)
    path = f"/api/v1/slack/channels/{slack.team.id}/{channel.id}"
    status, answer = await api.call("PUT", path, {"reach": [{"cluster_id": "bench"}]})
    assert status in (200, 201), answer
    return channel


if __name__ == "__main__":
    asyncio.run(main())
