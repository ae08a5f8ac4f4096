"""A process that dies at any point of an action: before and after each thing that it does outside itself. The next process
takes it up from the tables alone. Whatever the point: the cluster is written to once at most, and what nobody can tell is
`unknown`.
"""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.actions.step import ActionStep
from control_plane.approvals import Approval
from control_plane.assembly import control_plane
from control_plane.clock import utc_now
from control_plane.principals import Principal
from control_plane.services import ControlPlane
from control_plane.settings import Settings
from protocol.approval import ApprovalState, Role, Trigger
from protocol.bus import RunnerMode
from protocol.grant import GRANT_SECONDS
from protocol.objects import ObjectRef
from protocol.remediation import SetResources
from tests.integration.agent_house import ClusterScript, House, agent_house
from tests.integration.fake_runner import FakeRunner
from tests.integration.fuses import Fuse, Killed, fused

S = ApprovalState
MOST_POINTS = 60


@pytest.fixture
async def house(tmp_path: Path) -> AsyncGenerator[House]:
    async with agent_house(tmp_path) as here:
        yield here


@dataclass
class Crew:
    ann: Principal
    bob: Principal
    asked: int = 0

    async def approved(self, house: House) -> Approval:
        """A new one, about an object of its own, in a conversation of its own."""
        self.asked += 1
        target = ObjectRef.parse(f"Deployment/shop/web{self.asked}")
        action = SetResources(target=target, container="app", limits={"memory": "512Mi"})
        approval = await house.plane.approvals.open(
            house.script.plan(action),
            requester=self.ann,
            cluster=house.cluster.id,
            conversation=(await house.conversation(self.ann)).id,
            turn=None,
            why="too little memory",
        )
        return await house.approve(approval, self.bob)


@pytest.fixture
async def crew(house: House) -> Crew:
    return Crew(await house.person("ann", Role.OPERATOR), await house.person("bob", Role.APPROVER))


def step(house: House, plane: ControlPlane | None = None, now: Callable[[], datetime] = utc_now) -> ActionStep:
    return replace(house.actions(now=now), plane=plane or house.plane)


async def killed_at(house: House, approval: Approval, moments: int) -> Fuse:
    fuse = Fuse(moments)
    try:
        await step(house, fused(house.plane, fuse)).run(approval.id)
    except Killed:
        assert fuse.dead
    return fuse


def much_later() -> datetime:
    """When the grant of the first sending can't be used any more."""
    return utc_now() + timedelta(seconds=GRANT_SECONDS + 1)


@pytest.mark.parametrize(
    ("script", "ends", "writes"),
    [
        # Sent once, or never when it died before; and what never arrived is failed, not done again.
        ({"checks": ["healthy"]}, {S.SUCCEEDED, S.FAILED}, {(), ("action",)}),
        ({"checks": ["worse"]}, {S.ROLLED_BACK, S.FAILED}, {(), ("action",), ("action", "undo")}),
        ({"executed": "unknown"}, {S.UNKNOWN, S.FAILED}, {(), ("action",)}),
    ],
    ids=["healed", "undone", "nobody can tell"],
)
async def test_killed_at_every_moment_it_is_written_once_at_most(
    house: House, crew: Crew, script: dict[str, Any], ends: set[ApprovalState], writes: set[tuple[str, ...]]
) -> None:
    seen: dict[str, ApprovalState] = {}
    for moments in range(MOST_POINTS):
        for name, value in script.items():
            setattr(house.script, name, value)
        house.script.executions = []
        approval = await crew.approved(house)
        fuse = await killed_at(house, approval, moments)
        if not fuse.dead:
            break
        left_in = (await house.plane.approvals.get(approval.id)).state
        for _ in range(2):  # the next process, and one more look of its sweep
            await step(house, now=much_later).run(approval.id)
        ended = await house.plane.approvals.get(approval.id)
        seen[f"{moments} {fuse.burnt}"] = ended.state
        if left_in is S.APPROVED:
            assert ended.state not in (S.PENDING, S.APPROVED), (fuse.burnt, ended.outcome)
        assert ended.state in ends, (fuse.burnt, left_in, ended.state, ended.outcome)
        assert tuple(house.script.executions) in writes, (fuse.burnt, house.script.executions)
        if not house.script.executions:
            assert ended.state is S.FAILED, (fuse.burnt, ended.outcome)
            assert "nothing was changed" in ended.outcome
    else:
        pytest.fail(f"there were more than {MOST_POINTS} moments")
    assert {"before commands.execute", "after commands.execute"} <= set(fuse.seen)
    assert {f"{when} approvals.move" for when in ("before", "after")} <= set(fuse.seen)
    assert len(seen) >= 8


async def test_killed_in_the_middle_of_the_undo_with_the_runner_gone_nobody_can_tell(house: House, crew: Crew) -> None:
    house.script.checks = ["worse"]
    approval = await crew.approved(house)
    fuse = Fuse(10_000)
    plane = fused(house.plane, fuse)

    async def die_at_the_undo() -> None:
        original = fuse.moment

        def moment(name: str) -> None:
            original(name)
            if name == "before commands.execute" and fuse.seen.count(name) == 2:
                fuse.left = 0

        fuse.moment = moment
        await step(house, plane).run(approval.id)

    with pytest.raises(Killed):
        await die_at_the_undo()
    assert house.script.executions == ["action", "undo"]
    await house.runner.leave()
    await step(house, now=much_later).run(approval.id)
    ended = await house.plane.approvals.get(approval.id)
    assert ended.state is S.UNKNOWN
    assert house.script.executions == ["action", "undo"]


async def test_two_processes_at_the_same_approval_write_once(house: House, crew: Crew) -> None:
    for _ in range(3):
        house.script.executions = []
        approval = await crew.approved(house)
        await asyncio.gather(*(step(house).run(approval.id) for _ in range(4)))
        ended = await house.plane.approvals.get(approval.id)
        assert (ended.state, house.script.executions) == (S.SUCCEEDED, ["action"])


@pytest.mark.parametrize("state", [S.PENDING, S.REJECTED, S.EXPIRED, S.CANCELLED, S.SUPERSEDED])
async def test_a_process_that_starts_does_nothing_with_what_was_not_approved(
    house: House, crew: Crew, state: ApprovalState
) -> None:
    triggers = {S.REJECTED: Trigger.REJECTION, S.EXPIRED: Trigger.TIME, S.CANCELLED: Trigger.WITHDRAW}
    action = SetResources(target=ObjectRef.parse("Deployment/shop/web"), container="app", limits={"memory": "512Mi"})
    approval = await house.plane.approvals.open(
        house.script.plan(action), requester=crew.ann, cluster=house.cluster.id, conversation=None, turn=None, why="x"
    )
    if state is not S.PENDING:
        await house.plane.approvals.move(approval.id, triggers.get(state, Trigger.NEWER_PLAN))
    await step(house).run(approval.id)
    assert (await house.plane.approvals.get(approval.id)).state is state
    assert house.script.executions == []


@pytest.mark.parametrize(
    ("moment", "count", "checks", "writes", "state"),
    [
        ("before commands.execute", 1, "healthy", [], S.FAILED),
        ("after commands.execute", 1, "healthy", ["action"], S.SUCCEEDED),
        ("after commands.execute", 2, "worse", ["action", "undo"], S.ROLLED_BACK),
    ],
    ids=["before it is sent", "between the write and its result", "after the undo"],
)
async def test_a_real_process_is_killed_and_the_next_one_finds_out(
    tmp_path: Path, moment: str, count: int, checks: Any, writes: list[str], state: ApprovalState
) -> None:
    """SIGKILL, on the same data directory: what was committed is all that the next process has."""
    line = [sys.executable, "-m", "tests.integration.killed_action", str(tmp_path), moment, str(count), checks]
    child = await asyncio.create_subprocess_exec(*line, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL)
    async with asyncio.timeout(60):
        assert await child.wait() == -signal.SIGKILL
    facts = json.loads((tmp_path / "facts.json").read_text())
    written = (tmp_path / "written").read_text().split()
    assert written == writes
    async with control_plane(Settings(data_dir=tmp_path / "data")) as plane:
        before = await plane.approvals.get(facts["approval"])
        assert before.state is S.RUNNING
        script = ClusterScript(cluster=facts["cluster"], checks=[checks], executions=list(written))
        runner = FakeRunner(
            plane.bus.url, seed=bytes.fromhex(facts["seed"]), mode=RunnerMode(writes=True), answer=script.answer
        )
        runner.cluster, runner.runner = facts["cluster"], facts["runner"]
        try:
            assert (await runner.connect()).accepted
            step = ActionStep(plane, now=much_later, answer_wait_s=0.2, ask_every_s=0.01, check_every_s=0.01)
            await step.run(before.id)
        finally:
            await runner.close()
        assert (await plane.approvals.get(before.id)).state is state
        assert script.executions == writes, "nothing was sent again"
