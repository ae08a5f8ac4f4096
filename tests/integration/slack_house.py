"""The whole product in this process, with the practice cluster, over the fake Slack: what Slack's tests are told in.

async with slack_house(folder) as house:
    asked = await house.slack.mention(house.ops.id, house.dana.id, "why does payments crash?")
    await house.answer(house.ops.id, asked.ts)
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import select

from bot.cli.compose import Composition, Product, product, wait_for_cluster
from bot.cli.own_runner import OwnRunner
from bot.cli.practice import Practice
from bot.slack.front.trim import trimmed
from bot.slack.manifest import EVENTS, SCOPE_NAMES
from control_plane.principals import Principal, ScopedRole
from control_plane.services import ControlPlane
from control_plane.settings import Settings
from control_plane.slack.channels import Reach
from control_plane.slack.inbox import Incoming
from control_plane.tables.slack import SlackInboxRow, SlackOutboxRow
from protocol.approval import Role
from tests.fake_slack import FakeSlack
from tests.fake_slack.deliveries import Delivery
from tests.fake_slack.records import Channel, Message, User
from tests.integration.waiting import until

ADMIN = Principal(account="admin", name="Admin", roles=(ScopedRole(role=Role.ADMIN),), admin=True)


@dataclass
class SlackHouse:
    slack: FakeSlack
    running: Product
    cluster: str
    people: dict[str, User] = field(default_factory=dict[str, User])
    principals: dict[str, Principal] = field(default_factory=dict[str, Principal])

    @property
    def plane(self) -> ControlPlane:
        return self.running.plane

    async def person(self, name: str, role: Role | None, namespaces: tuple[str, ...] = ("*",), **more: Any) -> User:
        """In Slack, and with a role an account of the same address."""
        user = self.slack.add_user(name, **more)
        self.people[name] = user
        if role is not None:
            roles = (ScopedRole(role=role, namespaces=namespaces),)
            account = await self.plane.accounts.create(user.email, name.title(), roles, email=user.email, by="system")
            self.principals[name] = await self.plane.accounts.principal(account.id)
        return user

    async def channel(self, name: str, *members: User, namespaces: tuple[str, ...] | None = None, **more: Any) -> Channel:
        """A channel with the bot in it, bound to the practice cluster, or to another."""
        made = self.slack.add_channel(name, *members)
        await self.bind(made, namespaces, **more)
        return made

    async def bind(
        self, channel: Channel, namespaces: tuple[str, ...] | None = None, *, cluster: str = "", **more: Any
    ) -> None:
        reach = [Reach(cluster=cluster or self.cluster, namespaces=namespaces)]
        where: dict[str, Any] = {"team": self.slack.team.id, "channel": channel.id, "name": channel.name}
        await self.plane.slack_channels.bind(ADMIN, **where, reach=reach, **more)

    async def answer(self, channel: str, ts: str, n: int = 1, timeout_s: float = 30) -> Message:
        """The n-th whole answer in a thread: it says what it cost."""
        return await self.slack.until(
            lambda: next(iter(self.answers(channel, ts)[n - 1 :]), None), f"answer {n} in the thread", timeout_s
        )

    def answers(self, channel: str, ts: str) -> list[Message]:
        return [one for one in self.slack.thread(channel, ts)[1:] if whole(one)]

    async def handled(self, message: Message) -> str:
        """The note of its row in the inbox, once that is done; "not kept" for one that has none."""
        told = "it is delivered"
        await self.slack.until(lambda: all(one.over for one in self.deliveries(message)) or None, told)
        return await self._note("message", f"message/{message.channel}/{message.ts}")

    async def noted(self, delivery: Delivery) -> str:
        """As `handled`, of a press, a window or a command."""
        await self.slack.until(lambda: delivery.over or None, "it is delivered")
        kept = trimmed(delivery.payload, self.slack.bot.user_id)
        assert kept is not None
        return await self._note(kept.kind, kept.dedupe)

    async def _note(self, kind: str, dedupe: str) -> str:
        item = Incoming(team=self.slack.team.id, kind=kind, lane="", position="", payload={}, dedupe=dedupe)

        async def done() -> str | None:
            async with self.plane.database.read() as session:
                row = await session.get(SlackInboxRow, item.id)
            return "not kept" if row is None else (row.note or row.state) if row.state != "waiting" else None

        return await until(done, f"{kind} {dedupe} is handled")

    async def sent(self) -> None:
        """Nothing waits to be sent."""
        open_rows = select(SlackOutboxRow.number).where(SlackOutboxRow.state.in_(("waiting", "sending")))

        async def empty() -> bool | None:
            async with self.plane.database.read() as session:
                return None if await session.scalar(open_rows.limit(1)) is not None else True

        await until(empty, "the outbox is empty")

    def deliveries(self, message: Message) -> list[Delivery]:
        """Of the events that told of a message."""
        return [one for one in self.slack.deliveries if one.id in message.deliveries]


def whole(message: Message) -> bool:
    """Has the feedback buttons: the last part of an answer that has ended."""
    return any(element.get("action_id") == "feedback_up" for element in message.elements())


@asynccontextmanager
async def slack_house(folder: Path, slack: FakeSlack, **settings: Any) -> AsyncGenerator[SlackHouse]:
    slack.bot.scopes, slack.app.events = set(SCOPE_NAMES), set(EVENTS)  # no more than the manifest asks for
    chosen = Settings(
        data_dir=folder / "data",
        port=0,
        slack_bot_token=SecretStr(slack.bot_token),
        slack_app_token=SecretStr(slack.app_token),
        slack_api_url=f"{slack.url}/api/",
        **settings,
    )
    practice, runner = Practice(chosen.data_dir), OwnRunner(chosen.data_dir)
    try:
        await practice.spawn()
        await runner.spawn()
        async with product(chosen, Composition(practice=practice, runner=runner)) as running:
            assert await wait_for_cluster(running)
            assert running.cluster is not None
            await slack.connected()
            yield SlackHouse(slack, running, running.cluster)
    finally:
        await runner.stop()
        await practice.stop()
