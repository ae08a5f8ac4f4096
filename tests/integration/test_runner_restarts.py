"""A runner that ends in the middle of a change, or starts again after it: written once, and told what became of it."""

import contextlib
import sqlite3
from pathlib import Path

from protocol.commands import CommandRequest, Execute, GrantStatus
from protocol.grant import SignedGrant
from protocol.ids import new_id
from protocol.objects import ObjectRef
from protocol.remediation import Plan, ScaleWorkload
from tests.integration.runner_rig import Stand, empty_stand, runner_process, running_runner, until

SCALE_CATALOG = ScaleWorkload(target=ObjectRef.parse("Deployment/shop/catalog"), replicas=3)
"""No autoscaler sets it again, as one does with web."""
SCALE_WEB = ScaleWorkload(target=ObjectRef.parse("Deployment/shop/web"), replicas=3)


async def test_a_grant_works_once_even_after_a_restart(tmp_path: Path) -> None:
    async with empty_stand(tmp_path) as here:
        async with running_runner(here.plane, here.values):
            plan = await here.plane.plan(SCALE_WEB)
            grant = here.plane.grant(plan)
            assert (await here.plane.execute(plan, grant)).execution().outcome == "applied"
            assert (await here.plane.execute(plan, grant)).execution().code == "replay"
        async with running_runner(here.plane, here.values):
            assert (await here.plane.execute(plan, grant)).execution().code == "other_boot"
            again = here.plane.grant(plan, authority=grant.grant.authority)
            assert (await here.plane.execute(plan, again)).execution().code == "ran_already"
            status = await here.plane.ask(GrantStatus(authority=grant.grant.authority))
            assert status.execution().outcome == "applied"
            never = await here.plane.ask(GrantStatus(authority="approval:" + "z" * 16))
            assert never.execution().outcome == "never_seen"


async def test_a_runner_killed_in_the_middle_of_a_write_says_unknown(tmp_path: Path) -> None:
    async with empty_stand(tmp_path) as here:
        async with runner_process(here.plane, here.values) as process:
            plan = await here.plane.plan(SCALE_WEB)
            grant = here.plane.grant(plan)
            # The read before the write passes, the write itself hangs.
            await here.cluster.fault("deployments/web", delay=0)
            await here.cluster.fault("deployments/web", delay=20)
            await here.plane.start(_request(plan, grant))
            await _until_started(here)
            process.kill()
            await process.wait()
        async with running_runner(here.plane, here.values):
            status = await here.plane.ask(GrantStatus(authority=grant.grant.authority))
            assert status.execution().outcome == "unknown"
            refused = await here.plane.execute(plan, here.plane.grant(plan, authority=grant.grant.authority))
            assert refused.execution().code == "ran_already"


async def test_a_runner_killed_between_its_write_and_its_answer_tells_the_next_start(tmp_path: Path) -> None:
    """The journal is on the disk before the answer leaves: the true outcome, and no second write."""
    async with empty_stand(tmp_path) as here:
        async with runner_process(here.plane, here.values) as process:
            plan = await here.plane.plan(SCALE_CATALOG)
            grant = here.plane.grant(plan)
            await here.cluster.fault("deployments/catalog", delay=0)
            await here.cluster.fault("deployments/catalog", delay=1)
            await here.plane.start(_request(plan, grant))
            await _until_started(here)
            await here.bus.stop()  # the answer has nowhere to go
            await until(lambda: _states(here) == {"applied"}, "it is written down")
            process.kill()
            await process.wait()
        await here.bus.start()
        async with running_runner(here.plane, here.values):
            status = await here.plane.ask(GrantStatus(authority=grant.grant.authority))
            assert status.execution().outcome == "applied"
            assert await here.replicas("catalog") == "3"
            again = await here.plane.execute(plan, here.plane.grant(plan, authority=grant.grant.authority))
            assert again.execution().code == "ran_already"


def _request(plan: Plan, grant: SignedGrant) -> CommandRequest:
    return CommandRequest(id=new_id(), command=Execute(body=plan.body, grant=grant), deadline_s=60)


async def _until_started(here: Stand) -> None:
    """The runner has written down that it is about to write."""
    await until(lambda: "started" in _states(here), "the grant is marked as started")


def _states(here: Stand) -> set[str]:
    """Of all grants in the runner's memory."""
    path = here.values["data_dir"] / "grants.db"
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return {str(row[0]) for row in database.execute("SELECT state FROM used_grant")}
