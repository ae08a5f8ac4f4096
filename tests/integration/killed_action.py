"""A process of its own that approves a change, runs it, and is killed at a moment of it. `folder moment count checks`.

`facts.json` says what the next process needs to know, `written` what reached the cluster, in order.
"""

import asyncio
import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from protocol.approval import Role
from protocol.commands import Execute
from protocol.objects import ObjectRef
from protocol.remediation import SetResources
from tests.integration.agent_house import agent_house
from tests.integration.fake_runner import Job
from tests.integration.fuses import Fuse, fused


class Gun(Fuse):
    """Kills the process itself, without any of its code running after."""

    def __init__(self, name: str, count: int) -> None:
        super().__init__(left=1_000_000)
        self._name, self._count = name, count

    def moment(self, name: str) -> None:
        super().moment(name)
        if name == self._name and self.seen.count(name) == self._count:
            os.kill(os.getpid(), signal.SIGKILL)


async def main(folder: Path, moment: str, count: int, checks: str) -> None:
    written = folder / "written"
    written.write_text("")

    def note(job: Job) -> None:
        command = job.request.command
        if isinstance(command, Execute):
            with written.open("a") as file:
                file.write(f"{command.grant.grant.purpose}\n")
                file.flush()
                os.fsync(file.fileno())

    async with agent_house(folder) as house:
        house.script.checks, house.script.before = [cast(Any, checks)], note
        ann, bob = await house.person("ann", Role.OPERATOR), await house.person("bob", Role.APPROVER)
        target = ObjectRef.parse("Deployment/shop/payments")
        action = SetResources(target=target, container="app", limits={"memory": "512Mi"})
        approval = await house.plane.approvals.open(
            house.script.plan(action), requester=ann, cluster=house.cluster.id, conversation=None, turn=None, why="too little"
        )
        await house.approve(approval, bob)
        facts = {
            "approval": approval.id,
            "cluster": house.cluster.id,
            "runner": house.runner.runner,
            "seed": house.runner.seed.hex(),
        }
        (folder / "facts.json").write_text(json.dumps(facts))
        await replace(house.actions(), plane=fused(house.plane, Gun(moment, count))).run(approval.id)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]))
