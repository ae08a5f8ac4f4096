"""The rows of soaks on both databases: claimed by one replica, begun once, ended once."""

import asyncio
from pathlib import Path

from sqlalchemy import text

from control_plane import cases, weights
from control_plane.soaks import NewSoak, Soaks
from knowledge.cases import Case
from protocol.approval import Role
from protocol.events import CaseEnded, CaseStored
from tests.integration.desk import Desk, desk_over
from tests.integration.postgres import Postgres
from tests.integration.waiting import until


async def begun(desk: Desk) -> tuple[Soaks, NewSoak]:
    ann = await desk.person("ann", Role.OPERATOR)
    conversation = await desk.conversation(ann)
    approval = await desk.propose(ann, conversation=conversation)
    case = Case(
        id=f"approval.{approval.id}",
        title="payments is killed",
        cluster=desk.cluster.id,
        namespace="shop",
        code="memory-limit-too-low",
        tags=("remedy:set_resources",),
    )
    new = NewSoak(
        approval=approval.id,
        case=case,
        conversation=conversation.id,
        turn=None,
        object="Deployment/shop/payments",
        fixed_at=desk.clock(),
    )
    soaks = Soaks(desk.database, desk.settings, clock=desk.clock)
    await asyncio.gather(*(soaks.begin(new) for _ in range(4)))
    return soaks, new


async def test_it_begins_once_and_one_replica_claims_it(any_desk: Desk) -> None:
    soaks, new = await begun(any_desk)
    log = await any_desk.conversations.log(new.conversation)
    assert len([e for e in log if isinstance(e.event, CaseStored)]) == 1
    any_desk.clock.move(minutes=31)
    replicas = [Soaks(any_desk.database, any_desk.settings, clock=any_desk.clock) for _ in range(6)]
    claims = await asyncio.gather(*(replica.claim_due() for replica in replicas))
    assert sorted(len(claim) for claim in claims) == [0, 0, 0, 0, 0, 1]
    assert await soaks.claim_due() == ()


async def test_it_ends_once_whoever_says_so(any_desk: Desk) -> None:
    soaks, new = await begun(any_desk)
    any_desk.clock.move(minutes=31)
    (claimed,) = await soaks.claim_due()
    replicas = [Soaks(any_desk.database, any_desk.settings, clock=any_desk.clock) for _ in range(4)]
    ends = await asyncio.gather(*(replica.end(claimed, "relapsed", "it is back") for replica in replicas))
    assert sorted(ends) == [False, False, False, True]
    log = await any_desk.conversations.log(new.conversation)
    assert [e.event.end for e in log if isinstance(e.event, CaseEnded)] == ["relapsed"]
    assert len(await soaks.unanswered()) == 1
    assert await any_desk.audit.verify() is None


async def test_an_end_and_an_import_of_the_same_case_wait_for_nobody_crosswise(postgres: Postgres, tmp_path: Path) -> None:
    """An import holds what learning is held by, and then writes the case: so does the end of a soak."""
    async with desk_over(postgres.new_database(), tmp_path) as desk:
        soaks, new = await begun(desk)
        desk.clock.move(minutes=31)
        (claimed,) = await soaks.claim_due()

        async def waits() -> bool:
            async with desk.database.read() as session:
                return bool(await session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))

        async with desk.database.transaction() as session:
            await weights.locked(session, "default")
            ending = asyncio.create_task(soaks.end(claimed, "held", "well"))
            await until(waits, "the end of the soak waits for learning")
            now = desk.clock()
            await cases.write(session, new.case, origin="import", tenant="default", now=now, replace=True)
        assert await ending
