"""SIGKILL in every state of an approval, and between an API call and its result: of the real `opsthread serve`, of the real
runner, and of both at once.

A row is a moment. It says how the moment is reached for certain (a call or a write that is held until the process is dead), how
long nobody was there, and what must be true in the end: the state, the changes that the API server was asked for, the words on
the card. Rows that name the same kill are in the hands of the process at once, each in a conversation of its own.
"""

from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

import pytest
import pytest_asyncio

from tests.integration.kill_house import KillHouse, kill_house
from tests.integration.kill_moments import (
    Play,
    Scene,
    approved_and_not_started,
    asked,
    before_the_call,
    before_the_grant,
    behind_another,
    both_say_yes,
    done_without_an_answer,
    ended,
    in_the_check,
    last_of_all,
    nobody,
    not_read,
    on_its_way,
    one_of_two,
    rejected,
    the_second_says_yes,
    undone_without_an_answer,
)
from tests.integration.postgres import Postgres
from tests.integration.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

ACTION_ENDS = {"succeeded", "failed", "rolled_back", "unknown"}
OPEN = "state=pending&state=approved&state=running"
GRANT_OVER_S = 61
APPROVAL_OVER_S = 16 * 60


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
