"""SIGKILL in every state of an approval, and between an API call and its result: of the real `opsthread serve`, of the real
runner, and of both at once.

A row is a moment. It says how the moment is reached for certain (a call or a write that is held until the process is dead), how
long nobody was there, and what must be true in the end: the state, the changes that the API server was asked for, the words on
the card. Rows that name the same kill are in the hands of the process at once, each in a conversation of its own.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Literal

import pytest
import pytest_asyncio

from tests.integration.held_api import Gate
from tests.integration.kill_house import KillHouse, kill_house
from tests.integration.postgres import Postgres
from tests.integration.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

ACTION_ENDS = {"succeeded", "failed", "rolled_back", "unknown"}
OPEN = "state=pending&state=approved&state=running"
WORKFLOWS = "opsthread_durable.workflow_status"
GRANT_OVER_S = 61
APPROVAL_OVER_S = 16 * 60


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


@dataclass(frozen=True)
class Row:
    kill: str
    """`who: which`: rows of one kill stand next to each other."""
    moment: str
    make: Literal["config map", "protected config map", "bad image", "the agent's own"]
    reach: Play
    left_in: str
    state: str
    calls: str
    """Methods of the changes that the API server was asked for, in order."""
    says: str = ""
    """On the card and in the log."""
    then: Play = nobody
    down_s: int = 0
    """So long there is no process."""


ROWS = (
    Row("serve: one", "pending, nobody has decided", "protected config map", asked, "pending", "succeeded", "POST",
        then=both_say_yes),
    Row("serve: one", "pending, one of two has decided", "protected config map", one_of_two, "pending", "succeeded", "POST",
        then=the_second_says_yes),
    Row("serve: one", "pending, and its time is over before anybody is back", "config map", asked, "pending", "expired", "",
        "nobody decided in time", down_s=APPROVAL_OVER_S),
    Row("serve: one", "running, the grant is used and the call is on its way", "config map", on_its_way, "running",
        "succeeded", "POST"),
    Row("serve: one", "running, the runner has the grant and is busy with another", "config map", behind_another, "running",
        "succeeded", "POST"),
    Row("serve: one", "running, before the grant is sent", "config map", before_the_grant, "running", "failed", "",
        "never reached the runner; nothing was changed", down_s=GRANT_OVER_S),
    Row("serve: one", "approved, before the action starts", "config map", approved_and_not_started, "approved", "succeeded",
        "POST"),
    Row("serve: one", "approved, and its time is over before anybody is back", "config map", approved_and_not_started,
        "approved", "expired", "", "did not begin in time", down_s=APPROVAL_OVER_S),
    Row("serve: two", "running, in the check", "config map", in_the_check, "running", "succeeded", "POST"),
    Row("serve: two", "running, in the check of what gets worse", "bad image", in_the_check, "running", "rolled_back",
        "PATCH PATCH", ". The change was undone."),
    Row("serve: two", "running, the undo is done and the runner waits for its answer", "bad image", undone_without_an_answer,
        "running", "rolled_back", "PATCH PATCH", ". The change was undone."),
    Row("serve: three", "rolled back, before the conclusion", "bad image", ended(), "rolled_back", "rolled_back",
        "PATCH PATCH", ". The change was undone."),
    Row("serve: three", "rejected with a reason, before the turn that reads it", "the agent's own", rejected, "rejected",
        "rejected", "", "not before the sale is over"),
    Row("serve: three", "succeeded, before the conclusion", "config map", ended(), "succeeded", "succeeded", "POST"),
    Row("serve: three", "failed, before the conclusion", "config map", ended(refuse=403), "failed", "failed", "",
        "It failed"),
    Row("serve: three", "unknown, before the conclusion", "config map", ended(where="after", cut=True), "unknown",
        "unknown", "POST", "is not known"),
    Row("serve: three", "running, the API server has done it and the runner waits for its answer", "config map",
        last_of_all, "running", "succeeded", "POST"),
    Row("runner: one", "the check is under way", "config map", in_the_check, "running", "succeeded", "POST"),
    Row("runner: one", "between the API call and its result", "config map", done_without_an_answer, "running", "unknown",
        "POST", "is not known"),
    Row("runner: two", "the call has not arrived", "config map", on_its_way, "running", "unknown", "", "is not known"),
    Row("runner: two", "the grant is taken and another one is in front", "config map", behind_another, "running", "failed", "",
        "changed nothing: the runner stopped before it sent the change"),
    Row("runner: three", "the object is read before the call", "config map", before_the_call, "running", "failed", "",
        "changed nothing: the runner stopped before it sent the change"),
    Row("runner: four", "between the undo's API call and its result", "bad image", undone_without_an_answer, "running",
        "unknown", "PATCH PATCH", "Whether the undo ran is not known"),
    Row("runner: four", "the grant is sent and not read", "config map", not_read, "running", "failed", "",
        "never reached the runner; nothing was changed"),
    Row("both: one", "between the API call and its result", "config map", done_without_an_answer, "running", "unknown", "POST",
        "is not known"),
    Row("both: one", "the grant is taken and another one is in front", "config map", behind_another, "running", "failed", "",
        "changed nothing: the runner stopped before it sent the change"),
)  # fmt: skip
KILLS = [(kill, tuple(rows)) for kill, rows in groupby(ROWS, lambda row: row.kill)]
IMAGES = iter(("cart", "catalog", "orders", "search", "worker", "checkout"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> AsyncGenerator[KillHouse]:
    async with kill_house(tmp_path_factory.mktemp("killed"), postgres) as here:
        yield here


@pytest.mark.parametrize(("kill", "rows"), KILLS, ids=[kill for kill, _ in KILLS])
async def test_killed_in_every_state_it_ends_in_the_truth_and_nothing_runs_twice(
    house: KillHouse, kill: str, rows: tuple[Row, ...]
) -> None:
    scenes = [(row, await propose(house, row, f"{kill}-{number}")) for number, row in enumerate(rows)]
    for row, scene in scenes:
        await row.reach(scene)
    for row, scene in scenes:
        await scene.comes_to(row.left_in)
    who = kill.partition(":")[0]
    boot = await house.boot()
    if who in ("serve", "both"):
        await house.kill_serve()
    if who in ("runner", "both"):
        await house.runner.kill()
    for row, scene in scenes:
        assert await scene.state() == row.left_in, row.moment
        if row.down_s:
            await house.was_away(scene.card["id"], row.down_s)
    if who in ("serve", "both"):
        await house.serve.start()
    house.api.open_all()
    if who in ("runner", "both"):
        await house.runner.start()
        await house.runner_is_warm(after=boot)
    for row, scene in scenes:
        await row.then(scene)
    for row, scene in scenes:
        await it_is_true(row, scene)
    await nothing_waits(house)


async def propose(house: KillHouse, row: Row, name: str) -> Scene:
    """A change of an object of its own, asked for by an operator, in a conversation of its own."""
    if row.make == "the agent's own":
        return await asked_the_agent(house)
    action, path = changes(row, name.replace(": ", "-"))
    async with house.as_person("ann") as api:
        status, made = await api.call("POST", "/api/v1/conversations", {"cluster": house.cluster})
        assert status == 201, made
        wanted = {"cluster_id": house.cluster, "action": action, "conversation": made["conversation"]["id"]}
        status, card = await api.call("POST", "/api/v1/proposals", wanted)
    assert status == 201, card
    assert card["risk"] == {"config map": "low", "protected config map": "high", "bad image": "medium"}[row.make]
    return Scene(house, card, path)


async def asked_the_agent(house: KillHouse) -> Scene:
    async with house.as_person("ann") as api:
        wanted = {"cluster": house.cluster, "text": "why does payments keep restarting?"}
        status, made = await api.call("POST", "/api/v1/conversations", wanted)
        assert status == 201, made
        conversation = str(made["conversation"]["id"])
        await api.event(conversation, "turn_finished")
        proposed = await api.event(conversation, "approval_requested", 0)
        return Scene(house, await api.get(f"/api/v1/approvals/{proposed['event']['approval']}"), "/deployments/payments")


def changes(row: Row, name: str) -> tuple[dict[str, Any], str]:
    """The typed action, and the path of its object."""
    if row.make == "bad image":
        name = next(IMAGES)
        target = {"kind": "Deployment", "namespace": "shop", "name": name}
        image = f"registry.shop.example/{name}:never-built"
        return {"type": "set_image", "target": target, "container": name, "image": image}, f"/deployments/{name}"
    namespace = "kube-system" if row.make == "protected config map" else "shop"
    target = {"kind": "ConfigMap", "namespace": namespace, "name": name}
    return {"type": "create_configmap", "target": target, "data": {"key": "value"}}, f"/configmaps/{name}"


async def it_is_true(row: Row, scene: Scene) -> None:
    async with scene.house.as_person("bob") as bob:
        card = await bob.ended(scene.card["id"], 30)
        assert card["state"] == row.state, (row.moment, card["outcome"])
        assert [call.split()[0] for call in scene.house.api.changes_of(scene.path)] == row.calls.split(), row.moment
        assert row.says in card["outcome"], (row.moment, card["outcome"])
        assert not any(card["you"][door] for door in ("may_approve", "may_reject", "may_withdraw", "may_break_glass"))
        assert bool(card["look_at"]) == (row.state == "unknown"), row.moment
    async with scene.house.as_person("eve") as eve:
        late = {"verdict": "reject", "plan_hash": card["plan_hash"]}
        status, answer = await eve.call("POST", f"/api/v1/approvals/{card['id']}/decide", late)
        assert status == 409, (row.moment, answer)
    entries = await whole_log(row, scene)
    count = kinds(entries)
    once, turns = (1 if row.state in ACTION_ENDS else 0), turns_of(row)
    assert (count["action_started"], count["action_finished"]) == (once, once), row.moment
    assert (count["user_message"], count["turn_started"], count["turn_finished"]) == (turns, turns, turns), row.moment
    finished = [entry["event"] for entry in entries if entry["event"]["type"] == "action_finished"]
    assert all((event["state"], event["message"]) == (card["state"], card["outcome"]) for event in finished), row.moment
    assert count["case_stored"] == (1 if row.state == "succeeded" else 0), row.moment


async def whole_log(row: Row, scene: Scene) -> list[dict[str, Any]]:
    """Once all turns that there must be have ended."""

    async def there() -> list[dict[str, Any]] | None:
        entries = await scene.log()
        return entries if kinds(entries)["turn_finished"] >= turns_of(row) else None

    entries = await until(there, f"the turns of {row.moment}", 30) if turns_of(row) else await scene.log()
    assert [entry["seq"] for entry in entries] == list(range(1, len(entries) + 1)), "no gap, no repeat"
    return entries


def kinds(entries: list[dict[str, Any]]) -> Counter[str]:
    return Counter(str(entry["event"]["type"]) for entry in entries)


def turns_of(row: Row) -> int:
    """One that concludes from what the action came to or reads why it was rejected, and the one that proposed it."""
    agents = row.make == "the agent's own"
    return (row.state in ACTION_ENDS or (agents and row.state == "rejected")) + agents


async def nothing_waits(house: KillHouse) -> None:
    """For ever: no approval, no durable work, and the audit is one chain with each step of each approval once."""
    async with house.as_admin() as admin:
        open_ones = await admin.get(f"/api/v1/approvals?{OPEN}")
        assert open_ones["approvals"] == []
        assert (await admin.get("/api/v1/audit/verify"))["intact"]
    twice = (
        "SELECT subject, action, count(*) FROM audit_entries WHERE action IN ('approval.started', 'approval.finished') "
        "GROUP BY subject, action HAVING count(*) > 1"
    )
    assert await house.rows(twice) == []
    at_work = "SELECT workflow_uuid, status FROM opsthread_durable.workflow_status WHERE status IN ('PENDING', 'ENQUEUED')"

    async def done() -> bool | None:
        return True if not await house.rows(at_work) else None

    await until(done, "all durable work has ended")


def _method(scene: Scene) -> str:
    return "PATCH" if "/deployments/" in scene.path else "POST"
