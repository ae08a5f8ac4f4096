"""The outbox in bad luck: refusals, answers that get lost, leaders that die before and after a call, in orders drawn by lot.

Whatever happens, each message is in Slack once, shows what was put last, and came in the order in which it was first put.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from control_plane.leases import Lease
from control_plane.slack.outbox import Outgoing
from protocol.canonical import sha256_hex
from tests.integration.slack_rows import Rows

CHANNELS = ("C1", "C2")
KEYS = tuple(f"{channel}:{n}" for channel in CHANNELS for n in range(4))


@dataclass
class Luck:
    """The same for the same seed."""

    seed: int
    drawn: int = 0

    def one(self, among: Sequence[Any]) -> Any:
        self.drawn += 1
        return among[int(sha256_hex(f"{self.seed}/{self.drawn}".encode())[:12], 16) % len(among)]


@dataclass
class World:
    """What Slack has: a message by its ts, with the nonce that it carries. Enough of Slack to see twice what was sent twice."""

    messages: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    """ts to (key, text), in the order of posting."""
    nonces: dict[str, str] = field(default_factory=dict[str, str])
    """Nonce to ts."""

    def show(self, one: Outgoing) -> str:
        """What the sender does: an update where it knows the message, or finds it by its nonce; else a post."""
        assert one.post is not None
        ts = one.post.ts or (self.nonces.get(one.post.id, "") if one.uncertain else "")
        ts = ts or f"{len(self.messages)}.000000"
        self.nonces[one.post.id] = ts
        self.messages[ts] = (one.key, one.content.text)
        return ts


@dataclass
class Story:
    slack: Rows
    world: World
    luck: Luck
    lease: Lease
    first: list[str] = field(default_factory=list[str])
    """Keys in the order in which they were put first."""
    last: dict[str, str] = field(default_factory=dict[str, str])

    async def step(self) -> None:
        if self.luck.one((True, False)):
            await self.put()
        else:
            await self.send(self.luck.one(("sent", "sent", "refused", "lost", "lost on the way", "died", "died after")))

    async def put(self, key: str = "") -> None:
        key, text = key or self.luck.one(KEYS), f"version {self.luck.drawn}"
        self.last[key] = text
        self.first += [key] if key not in self.first else []
        await self.slack.put(key, text, channel=key.partition(":")[0])

    async def send(self, fate: str) -> bool:
        """False when nothing was due."""
        due = await self.slack.outbox.due()
        if not due:
            return False
        taken = await self.slack.outbox.sending(self.luck.one(due).number, self.lease)
        assert taken is not None
        if self.luck.one((True, False, False)):
            await self.put(taken.key)  # newer content, while it is on its way
        await self.end(taken, fate)
        return True

    async def end(self, taken: Outgoing, fate: str) -> None:
        ts = self.world.show(taken) if fate in ("sent", "lost", "died after") else ""
        if fate == "sent":
            await self.slack.outbox.sent(taken.number, ts, taken.content.hash, self.lease)
        elif fate == "refused":
            await self.slack.outbox.again(taken.number, 0, fate, self.lease, uncertain=taken.uncertain)
        elif fate.startswith("lost"):
            await self.slack.outbox.again(taken.number, 0, fate, self.lease, uncertain=True)
        else:
            await self.next_leader()

    async def next_leader(self) -> None:
        self.lease = await self.slack.lead(f"replica {self.luck.drawn}")
        for left in await self.slack.outbox.uncertain():
            resumed = await self.slack.outbox.resume(left.number, self.lease)
            assert resumed is not None
            await self.end(resumed, self.luck.one(("sent", "lost", "lost on the way")))


async def test_each_message_is_there_once_as_it_was_put_last_and_in_order(slack: Rows) -> None:
    for seed in range(5):
        story = Story(slack, World(), Luck(seed), await slack.lead())
        for _ in range(30):
            await story.step()
        await story.next_leader()
        while await story.send("sent"):
            pass
        shown = list(story.world.messages.values())
        assert sorted(key for key, _ in shown) == sorted(story.first), f"seed {seed}: once each"
        assert dict(shown) == story.last, f"seed {seed}: what was put last"
        for channel in CHANNELS:
            posted = [key for key, _ in shown if key.startswith(channel)]
            assert posted == [key for key in story.first if key.startswith(channel)], f"seed {seed}: in order"
        await slack.empty()
