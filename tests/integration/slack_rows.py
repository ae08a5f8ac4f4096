"""What the control plane keeps of Slack, over a real database of each kind, which the tests share and empty.

async def test_something(slack: Rows) -> None:
    lease = await slack.lead()
    await slack.put("answer:1", "hello")
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey
from sqlalchemy import delete, exists, literal, select, union_all

from control_plane.leases import Claimant, Lease, Leases
from control_plane.slack.channels import Channels
from control_plane.slack.inbox import Inbox, Incoming
from control_plane.slack.installations import Workspaces
from control_plane.slack.outbox import Content, Outbox, Outgoing
from control_plane.slack.posts import Posts
from control_plane.slack.secrets import TokenBox
from control_plane.slack.threads import Threads
from control_plane.tables import Table
from tests.integration.desk import Desk, desk_over
from tests.integration.postgres import Postgres

TEAM, CHANNEL = "T0001", "C0001"
GRANT_KEY = SigningKey(bytes(range(32)))


@dataclass
class Rows:
    desk: Desk
    inbox: Inbox
    outbox: Outbox
    posts: Posts
    threads: Threads
    channels: Channels
    workspaces: Workspaces
    leases: Leases

    async def lead(self, replica: str = "a") -> Lease:
        """This replica works for Slack from now on, whoever did before."""
        for held in await self.leases.look("job:slack"):
            await self.leases.release(Lease(held.name, held.holder, held.fence))
        lease = await self.leases.take("job:slack", Claimant(replica), 3600)
        assert lease is not None
        return lease

    async def put(self, key: str, text: str = "hello", *, channel: str = CHANNEL, **more: Any) -> None:
        thread, not_before = more.pop("thread", None), more.pop("not_before", None)
        content = Content(text=text, **more)
        await self.outbox.put_now(team=TEAM, channel=channel, thread=thread, key=key, content=content, not_before=not_before)

    async def due(self) -> list[tuple[str, str]]:
        return [(one.key, one.content.text) for one in await self.outbox.due()]

    async def take(self, lease: Lease) -> Outgoing:
        """What the sender does first with the first that is due."""
        taken = await self.outbox.sending((await self.outbox.due())[0].number, lease)
        assert taken is not None
        return taken

    async def empty(self) -> None:
        """As at the beginning."""
        async with self.desk.database.transaction() as session:
            tables = list(reversed(Table.metadata.sorted_tables))
            used = union_all(*(select(literal(table.name)).where(exists(select(1).select_from(table))) for table in tables))
            names = set(await session.scalars(used))
            for table in tables:
                if table.name in names:
                    await session.execute(delete(table))

    async def all(self, table: type[Table]) -> list[Any]:
        async with self.desk.database.read() as session:
            return list(await session.scalars(select(table)))


def incoming(dedupe: str, *, lane: str = "C0001:1.000001", position: str = "1.000001", **payload: Any) -> Incoming:
    return Incoming(team=TEAM, kind="mention", lane=lane, position=position, payload=payload, dedupe=dedupe)


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def slack_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('slack')}/opsthread.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
async def slack(slack_url: str, tmp_path: Path) -> AsyncGenerator[Rows]:
    async with desk_over(slack_url, tmp_path) as desk:
        here = rows_of(desk)
        try:
            yield here
        finally:
            await here.empty()


def rows_of(desk: Desk) -> Rows:
    return Rows(
        desk=desk,
        inbox=Inbox(desk.database, desk.wakeups, clock=desk.clock),
        outbox=Outbox(desk.database, desk.wakeups, clock=desk.clock),
        posts=Posts(desk.database, clock=desk.clock),
        threads=Threads(desk.database, desk.conversations, clock=desk.clock),
        channels=Channels(desk.database, clock=desk.clock),
        workspaces=Workspaces(desk.database, TokenBox(GRANT_KEY), clock=desk.clock),
        leases=Leases(desk.database, clock=desk.clock),
    )
