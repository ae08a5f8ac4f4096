"""Two replicas and one Slack: each receives, one works. What it was doing when it was killed is done by the other, once."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

import pytest
import pytest_asyncio

from control_plane.accounts import Accounts
from control_plane.database import Database
from control_plane.principals import ScopedRole
from control_plane.slack.channels import Channels, Reach
from protocol.approval import Role
from tests.fake_slack import FakeSlack, RealClock
from tests.fake_slack.records import Channel, Message, User
from tests.integration.postgres import Postgres
from tests.integration.replicas import Replicas, replicas
from tests.integration.scripted_model import Say, Silent
from tests.integration.slack_house import ADMIN, whole
from tests.integration.slack_races import approver, card_of
from tests.integration.waiting import until
from tests.product import Process

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

CHAT = "hello my friend, tell me about the weather please"
_LEADER = (
    "SELECT e.name FROM leases e JOIN leases j ON j.holder = e.holder "
    "WHERE j.name = 'job:slack' AND j.until > now() AND e.name LIKE 'executor:%%'"
)


@dataclass
class Here:
    two: Replicas
    slack: FakeSlack
    ops: Channel
    dana: User

    async def leader(self) -> Process:
        async def found() -> str | None:
            rows = await self.two.rows(_LEADER)
            return str(rows[0][0]) if rows else None

        return self.two.named((await until(found, "one of them works for Slack")).removeprefix("executor:"))

    def answers(self, asked: Message) -> list[Message]:
        return [one for one in self.slack.thread(self.ops.id, asked.ts) if one.bot_id]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> AsyncGenerator[Here]:
    async with FakeSlack(RealClock()) as slack:
        env = {
            "OPSTHREAD_SLACK_BOT_TOKEN": slack.bot_token,
            "OPSTHREAD_SLACK_APP_TOKEN": slack.app_token,
            "OPSTHREAD_SLACK_API_URL": f"{slack.url}/api/",
        }
        async with replicas(tmp_path_factory.mktemp("slack"), postgres, **env) as two:
            dana = slack.add_user("dana")
            ops = slack.add_channel("ops", dana)
            database = Database(two.env["OPSTHREAD_DATABASE_URL"])
            await database.start()
            roles = (ScopedRole(role=Role.OPERATOR),)
            await Accounts(database).create("dana", "Dana", roles, email=dana.email, by="system")
            await Channels(database).bind(ADMIN, team=slack.team.id, channel=ops.id, reach=[Reach(cluster=two.cluster)])
            await database.stop()
            await slack.connected(4)
            yield Here(two, slack, ops, dana)


async def test_killed_between_receipt_and_question_the_other_asks_it_once(here: Here) -> None:
    held = here.slack.faults.hold("users.info")
    here.two.model.replies[:] = [Say("It is fine.")]
    asked = await here.slack.mention(here.ops.id, here.dana.id, CHAT)
    await here.slack.until(lambda: held.met or None, "the leader asks who that is")
    leader = await here.leader()
    await _killed(here, leader, asked, held.release)
    assert all(one.acked for one in here.slack.deliveries)
    await leader.start()
    await here.slack.connected(4)


async def test_killed_while_the_answer_is_written_the_other_shows_it_once(here: Here) -> None:
    here.two.model.replies[:] = [Silent()]
    before = len(here.two.model.requests)
    asked = await here.slack.mention(here.ops.id, here.dana.id, "why does payments crash?")
    shown = await here.slack.until(lambda: next(iter(here.answers(asked)), None), "the stream")

    async def silent() -> bool | None:
        return True if len(here.two.model.requests) > before else None

    await until(silent, "the model was asked")
    here.two.model.replies[:] = [Say("It is fine.")]
    leader = await here.leader()
    await _killed(here, leader, asked, lambda: None)
    answers = here.answers(asked)
    assert answers[0].ts == shown.ts, "the stream that was left is the message that has the answer"
    assert shown.stream is not None
    await leader.start()
    await here.slack.connected(4)


async def test_killed_while_a_stream_is_opened_the_other_goes_on_with_its_message(here: Here) -> None:
    held = here.slack.faults.hold("chat.startStream", after=True)
    here.two.model.replies[:] = [Silent()]
    asked = await here.slack.mention(here.ops.id, here.dana.id, CHAT)
    await here.slack.until(lambda: here.answers(asked) or None, "Slack has opened it, and has told nobody")
    here.two.model.replies[:] = [Say("It is fine.")]
    leader = await here.leader()
    await _killed(here, leader, asked, held.release)
    assert len(here.answers(asked)) == 1, "not a stream that nobody ends beside another"
    await leader.start()
    await here.slack.connected(4)


async def _killed(here: Here, leader: Process, asked: Message, then: Callable[[], None]) -> None:
    await leader.kill()
    then()
    await here.slack.until(lambda: any(whole(one) for one in here.answers(asked)) or None, "the answer", 60)
    assert [whole(one) for one in here.answers(asked)].count(True) == 1
    turns = await here.two.rows(
        "SELECT count(*) FROM turns t JOIN slack_threads s USING (conversation) WHERE s.thread_ts = %s", asked.ts
    )
    assert turns == [(1,)]


async def test_two_approvers_race_while_the_leader_is_killed_and_one_decides(here: Here) -> None:
    slack = here.slack
    ann, abe = [await approver(here.two, slack, name) for name in ("ann", "abe")]
    slack.world.channel(here.ops.id).members |= {ann.id, abe.id}
    approval = await card_of(here.two, slack, here.ops, here.dana, "Deployment/shop/raced")
    card = await slack.until(lambda: _card(slack, here.ops, approval.id), "the card", 30)
    leader = await here.leader()
    held = slack.faults.hold("users.info")
    sent = [slack.interact(slack.click_payload(card, "approve", one.id)) for one in (ann, abe)]
    await slack.until(lambda: held.met or None, "the leader asks who pressed")
    await slack.until(lambda: all(one.acked for one in sent) or None, "both presses are kept")
    await leader.kill()
    held.release()
    told = [(one, "Already decided") for one in (ann, abe)]
    await slack.until(
        lambda: any(word in said.text for one, word in told for said in slack.ephemerals(one.id)) or None, "who lost", 60
    )
    rows = await here.two.rows("SELECT account FROM approval_decisions WHERE approval = %s", approval.id)
    assert len(rows) == 1
    losers = [one for one in (ann, abe) if slack.ephemerals(one.id)]
    assert len(losers) == 1, "only who lost is told something"
    await slack.until(lambda: "approve" not in str([e["action_id"] for e in card.elements()]) or None, "no button", 30)
    await leader.start()
    await slack.connected(4)


def _card(slack: FakeSlack, ops: Channel, approval: str) -> Message | None:
    found = [one for one in slack.world.messages.values() if one.channel == ops.id and one.bot_id]
    return next((one for one in found if any(approval in str(e.get("value")) for e in one.elements())), None)
