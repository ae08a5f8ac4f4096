"""The moments of an action at which a process is killed: how each is reached for certain, and what people do afterwards."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.integration.held_api import Gate
from tests.integration.kill_house import KillHouse
from tests.integration.waiting import until

WORKFLOWS = "opsthread_durable.workflow_status"


@dataclass
class Scene:
    """One row being played."""

    house: KillHouse
    card: dict[str, Any]
    path: str
    gates: list[Gate] = field(default_factory=list[Gate])

    def hold(self, method: str, where: Literal["before", "after"] = "before", **more: Any) -> Gate:
        gate = self.house.api.hold(method, self.path, where, **more)
        self.gates.append(gate)
        return gate

    async def approve(self, who: str) -> tuple[int, Any]:
        async with self.house.as_person(who) as api:
            return await api.approve(self.card)

    async def approve_on_the_web(self, who: str) -> tuple[int, Any]:
        body = {"verdict": "approve", "plan_hash": self.card["plan_hash"]}
        return await self.house.on_the_web(who, f"/api/v1/approvals/{self.card['id']}/decide", body)

    async def approved(self) -> None:
        status, body = await self.approve("bob")
        assert (status, body["state"]) in ((200, "approved"), (200, "running")), body

    async def state(self) -> str:
        return str((await self.house.rows("SELECT state FROM approvals WHERE id = %s", self.card["id"]))[0][0])

    async def comes_to(self, *states: str) -> None:
        async def there() -> bool | None:
            return True if await self.state() in states else None

        await until(there, f"{self.path} is {' or '.join(states)}", 30)

    async def log(self) -> list[dict[str, Any]]:
        async with self.house.as_person("ann") as api:
            return await api.log(self.card["conversation"])


Play = Callable[[Scene], Awaitable[None]]


async def asked(_scene: Scene) -> None:
    """Nobody has said anything."""


async def one_of_two(scene: Scene) -> None:
    status, body = await scene.approve("bob")
    assert (status, body["state"], len(body["decisions"])) == (200, "pending", 1), body


async def approved_and_not_started(scene: Scene) -> None:
    """The decision is committed, the durable action is not begun."""
    await scene.house.lock(WORKFLOWS)
    await scene.approved()
    await scene.house.waits_at(WORKFLOWS)


async def before_the_grant(scene: Scene) -> None:
    """`running` is committed; the command, which is written down before it is sent, is not."""
    await scene.house.lock("commands")
    await scene.approved()
    await scene.comes_to("running")
    await scene.house.waits_at("commands")


async def on_its_way(scene: Scene) -> None:
    """The runner has used the grant up and calls the API server, which has not seen the call."""
    gate = scene.hold(_method(scene), "before")
    await scene.approved()
    await gate.reached()


async def done_without_an_answer(scene: Scene) -> None:
    """The API server has done it; the runner does not know."""
    gate = scene.hold(_method(scene), "after")
    await scene.approved()
    await gate.reached()


async def in_the_check(scene: Scene) -> None:
    gate = scene.hold("GET", changed_first=True, every=True)
    await scene.approved()
    await gate.reached()


async def undone_without_an_answer(scene: Scene) -> None:
    gate = scene.hold("PATCH", "after", changed_first=True)
    await scene.approved()
    await gate.reached()


async def before_the_call(scene: Scene) -> None:
    """The runner has taken the grant, and reads the object once more before it writes."""
    gate = scene.hold("GET")
    await scene.approved()
    await gate.reached()


async def behind_another(scene: Scene) -> None:
    """The runner has taken the grant, and is busy with another one."""
    await scene.approved()
    await until(lambda: scene.house.taken(scene.card["id"]) or None, "the runner has the grant")


async def not_read(scene: Scene) -> None:
    """The grant is sent, and the runner's process does not run: it never reads it."""
    scene.house.runner.stand_still()
    await scene.approved()
    sent = "SELECT 1 FROM commands WHERE approval = %s AND kind = 'execute' AND finished_at IS NULL"

    async def under_way() -> bool | None:
        return True if await scene.house.rows(sent, scene.card["id"]) else None

    await until(under_way, "the execution is sent")


def ended(**gate: Any) -> Play:
    """On its way to an end that is committed, after which the turn that concludes from it can't be written."""

    async def reach(scene: Scene) -> None:
        await scene.house.lock("turns")
        if gate:
            scene.hold(_method(scene), **gate)
        await scene.approved()

    return reach


async def rejected(scene: Scene) -> None:
    """With a reason, which the agent is owed a turn about."""
    await scene.house.lock("turns")
    body = {"verdict": "reject", "plan_hash": scene.card["plan_hash"], "reason": "not before the sale is over"}
    async with scene.house.as_person("bob") as bob:
        status, answer = await bob.call("POST", f"/api/v1/approvals/{scene.card['id']}/decide", body)
    assert (status, answer["state"]) == (200, "rejected"), answer


async def last_of_all(scene: Scene) -> None:
    query = "SELECT 1 FROM approvals WHERE state IN ('approved', 'running')"

    async def over() -> bool | None:
        return True if not await scene.house.rows(query) else None

    await until(over, "the actions before it have ended")
    await done_without_an_answer(scene)


async def nobody(_scene: Scene) -> None:
    """What people do once it is back: nothing."""


async def both_say_yes(scene: Scene) -> None:
    await one_of_two(scene)
    await the_second_says_yes(scene)


async def the_second_says_yes(scene: Scene) -> None:
    """The first word still counts, and counts once."""
    status, refused = await scene.approve("bob")
    assert (status, refused["code"]) == (403, "twice"), refused
    status, refused = await scene.approve("eve")
    assert (status, refused["code"]) == (403, "step_up"), refused
    status, body = await scene.approve_on_the_web("eve")
    assert status == 200, body


def _method(scene: Scene) -> str:
    return "PATCH" if "/deployments/" in scene.path else "POST"
