"""One person's flood is held back, and theirs alone: through the real client, against a fake Slack."""

from pathlib import Path

from pydantic import SecretStr

from bot.slack.clients import Clients
from bot.slack.work.flood import Flood
from bot.slack.work.telling import Telling
from control_plane.clock import utc_now
from control_plane.settings import Settings
from control_plane.slack.inbox import Received
from tests.fake_slack import FakeSlack, RealClock


async def test_who_sends_more_than_people_do_is_held_back_alone(tmp_path: Path) -> None:
    done: list[str] = []

    async def handler(item: Received) -> str:
        done.append(item.id)
        return "done"

    async with FakeSlack(RealClock()) as slack:
        dana, erin = slack.add_user("dana"), slack.add_user("erin")
        ops = slack.add_channel("ops", dana, erin)

        def sent(user: str, n: str) -> Received:
            payload = {"user": user, "channel": ops.id, "text": "why?", "ts": "1.000001", "thread_ts": ""}
            how = {"team": slack.team.id, "lane": "", "position": "", "attempts": 1, "received_at": utc_now()}
            return Received.model_validate({"id": n, "kind": "message", "payload": payload, **how})

        settings = Settings(
            data_dir=tmp_path, slack_bot_token=SecretStr(slack.bot_token), slack_api_url=f"{slack.url}/api/"
        )  # fmt: skip
        clients = Clients(settings)
        await clients.start()
        try:
            held = Flood(Telling(clients), most=3).held(handler)
            notes = [await held(sent(dana.id, str(n))) for n in range(6)]
            assert notes == ["done"] * 3 + ["too_many"] * 3
            assert await held(sent(erin.id, "other")) == "done", "others are heard"
        finally:
            await clients.close()
        assert done == ["0", "1", "2", "other"]
        told = [one.text for one in slack.ephemerals(dana.id)]
        assert len(told) == 1, told
        assert "Too many" in told[0]
