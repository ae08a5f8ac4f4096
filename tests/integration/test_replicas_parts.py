"""What several replicas rest on, each part by itself: leases and fences, shared limits, a kill switch that is repeated."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from control_plane.database import Database
from control_plane.durable import Durable
from control_plane.errors import Conflict, Superseded, TooMany
from control_plane.executors import executor_id, home_id
from control_plane.leases import Claimant, Leases
from control_plane.limits import GONE_AFTER, Limits
from control_plane.replica import EXECUTOR, LeaseLost, Replica
from control_plane.settings import Settings
from control_plane.stopper import Stopper
from control_plane.tables import LeaseRow
from protocol.approval import Role
from protocol.events import ModelMessage, TurnFinished
from protocol.ids import new_id
from tests.integration.desk import Desk
from tests.integration.fake_runner import Job
from tests.integration.plane import plane
from tests.integration.postgres import Postgres
from tests.integration.test_commands_execute import a_restart, allow_writes
from tests.integration.waiting import until

ONE, TWO = Claimant("one", told="process 1"), Claimant("two", told="process 2")


async def test_of_many_that_want_a_lease_one_gets_it(any_desk: Desk) -> None:
    leases = Leases(any_desk.database, clock=any_desk.clock)
    taken = await asyncio.gather(*(leases.take("job:x", Claimant(f"p{n}"), 600) for n in range(8)))
    assert sum(lease is not None for lease in taken) == 1


async def test_a_lease_that_ended_is_taken_with_a_higher_fence_and_the_old_one_is_worth_nothing(any_desk: Desk) -> None:
    leases = Leases(any_desk.database, clock=any_desk.clock)
    old = await leases.take("job:x", ONE, 0)
    new = await leases.take("job:x", TWO, 600)
    assert old is not None
    assert new is not None
    assert (old.fence, new.fence) == (1, 2)
    assert await leases.renew(old, 600) is False
    await leases.release(old)
    assert await leases.take("job:x", ONE, 600) is None, "releasing what one does not have releases nothing"
    assert await leases.renew(new, 600) is True
    await leases.release(new)
    again = await leases.take("job:x", ONE, 600)
    assert again is not None
    assert again.fence == 3


async def test_the_same_data_directory_need_not_wait(any_desk: Desk) -> None:
    leases = Leases(any_desk.database, clock=any_desk.clock)
    assert await leases.take("executor:a", Claimant("before", home="h"), 600) is not None
    assert await leases.take("executor:a", Claimant("stranger", home="g"), 600) is None
    assert await leases.take("executor:a", Claimant("stranger"), 600) is None
    assert await leases.take("executor:a", Claimant("after", home="h"), 600) is not None


@pytest.mark.parametrize(
    ("host", "env", "name"),
    [
        ("opsthread-2", {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "opsthread-2"),
        ("opsthread-7d9f8-x2x1z", {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, ""),  # a Deployment's pod: the name is not kept
        ("build-7", {}, ""),  # no pod
    ],
)
def test_a_replica_has_a_name_that_stays(tmp_path: Path, host: str, env: dict[str, str], name: str) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    first = executor_id(settings, env, host)
    assert first == executor_id(settings, env, host)
    assert first == name if name else first.startswith("opsthread-")
    assert executor_id(Settings(data_dir=tmp_path / "other"), env, host) != first or name
    assert executor_id(Settings(data_dir=tmp_path, executor_id="mine"), env, host) == "mine"


@asynccontextmanager
async def replica(
    folder: Path, ttl_s: float, kid: str = "", **settings: Any
) -> AsyncGenerator[tuple[Replica, Durable, list[str], Database]]:
    """One with a durable function that notes its calls and goes on for ever the first time."""
    chosen = Settings(data_dir=folder, lease_seconds=ttl_s, **settings)
    calls: list[str] = []

    async def step(argument: str) -> None:
        calls.append(argument)
        if len(calls) == 1:
            await asyncio.Event().wait()

    home_id(folder)  # makes it
    database, durable = Database(chosen.database), Durable(chosen)
    durable.register("turn_v1", step)
    await database.start()
    try:
        here = Replica(database, durable, chosen, kid=kid)
        await here.start()
        try:
            await durable.launch()
            yield here, durable, calls, database
        finally:
            await durable.close()
            await here.stop()
    finally:
        await database.stop()


async def test_a_job_that_was_held_before_a_kill_is_had_again_at_once_and_by_nobody_else(
    any_desk: Desk, tmp_path: Path
) -> None:
    def settings(name: str, folder: str) -> Settings:
        return Settings(data_dir=tmp_path / folder, database_url=any_desk.database.url, executor_id=name)

    async def started(chosen: Settings) -> Replica:
        chosen.data_dir.mkdir(exist_ok=True)
        replica = Replica(any_desk.database, Durable(chosen), chosen, clock=any_desk.clock)
        await replica.start()
        return replica

    killed = await started(settings("a", "home-a"))
    other = await started(settings("b", "home-b"))
    try:
        before = await killed.job("work", 600)
        again = await started(settings("a", "home-a"))
        try:
            assert await other.job("work", 600) is None
            after = await again.job("work", 600)
            assert before is not None
            assert after is not None
            assert after.fence > before.fence
            assert not await Leases(any_desk.database, clock=any_desk.clock).renew(before, 600), "the one before is out"
        finally:
            await again.stop()
    finally:
        await other.stop()
        await killed.stop()


async def test_who_loses_the_lease_stops_and_takes_up_its_work_when_it_has_it_again(postgres: Postgres, tmp_path: Path) -> None:
    url = postgres.new_database()
    async with replica(tmp_path / "a", 1.5, database_url=url) as (here, durable, calls, database):
        await durable.start("turn_v1", "turn:x", "x")
        await until(lambda: calls, "it runs")
        async with database.transaction() as session:
            await here.guard(session)
        # As another replica takes it that believes this one dead: its lease has ended, and nobody answered.
        name = f"{EXECUTOR}{here.id}"
        async with database.transaction() as session:
            row = await session.get_one(LeaseRow, name)
            row.until = row.until - timedelta(hours=1)
        thief = await here.leases.take(name, TWO, 0)
        assert thief is not None
        with pytest.raises(LeaseLost):
            async with database.transaction() as session:
                await here.guard(session)
        await until(lambda: len(calls) == 2, "it was stopped, and taken up again under the new lease", 20)
        async with database.transaction() as session:
            await here.guard(session)


async def test_a_claim_after_it_ends_what_an_older_one_may_write(any_desk: Desk) -> None:
    ann = await any_desk.person("ann", Role.OPERATOR)
    conversation = await any_desk.conversation(ann)
    turn = await any_desk.conversations.ask(conversation.id, ann, "what is wrong?", door="web", language="en")
    old = await any_desk.conversations.claim_turn(turn.id)
    assert old is not None
    told = [ModelMessage(text=str(n)) for n in range(3)]
    assert await any_desk.conversations.append_all(old, told) is False

    async def write() -> int:
        written = 0
        while True:
            try:
                await any_desk.conversations.append_all(old, [ModelMessage(text="late")])
            except Superseded:
                return written
            written += 1

    writing = [asyncio.create_task(write()) for _ in range(4)]
    new = await any_desk.conversations.claim_turn(turn.id)
    assert new is not None
    seen = await any_desk.conversations.turn_log(turn.id)
    written = sum(await asyncio.wait_for(asyncio.gather(*writing), 20))
    assert await any_desk.conversations.turn_log(turn.id) == seen, "nothing came after the claim"
    assert len(seen) == 1 + 3 + written
    ended = TurnFinished(took_ms=1, model_calls=1, tool_calls=0)
    with pytest.raises(Superseded):
        await any_desk.conversations.end_turn(turn.id, "finished", ended, claim=old)
    await any_desk.conversations.end_turn(turn.id, "finished", ended, claim=new)
    entries = await any_desk.conversations.log(conversation.id)
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))


async def test_all_replicas_count_together(any_desk: Desk) -> None:
    replicas = [Limits(any_desk.database, holder=lambda n=n: f"p{n}", clock=any_desk.clock) for n in range(2)]

    async def take(n: int) -> bool:
        try:
            await replicas[n % 2].take("door:here", limit=10, window_s=60)
        except TooMany:
            return False
        return True

    assert sum(await asyncio.gather(*(take(n) for n in range(30)))) == 10
    await replicas[0].take("door:elsewhere", limit=10, window_s=60)
    any_desk.clock.move(seconds=60)
    assert not await take(0), "the window before still counts whole"
    any_desk.clock.move(seconds=30)
    assert [await take(n) for n in range(6)] == [True] * 5 + [False], "of the window before, half is over"
    any_desk.clock.move(seconds=300)
    assert await take(1)


async def test_live_pages_are_counted_on_all_and_those_of_the_dead_are_not(any_desk: Desk) -> None:
    one, two = (Limits(any_desk.database, holder=lambda n=n: f"p{n}", clock=any_desk.clock) for n in range(2))
    first = await one.open_stream("ann", most=2)
    await two.open_stream("ann", most=2)
    for limits in (one, two):
        with pytest.raises(TooMany, match="2 live pages open"):
            await limits.open_stream("ann", most=2)
    await one.open_stream("bob", most=2)
    await two.close_stream(first)
    await one.open_stream("ann", most=2)
    any_desk.clock.move(seconds=GONE_AFTER.total_seconds() - 1)
    await one.still_open()
    any_desk.clock.move(seconds=2)
    await two.open_stream("ann", most=2)  # the one of the second process was not seen for too long
    with pytest.raises(TooMany):
        await two.open_stream("ann", most=2)
    any_desk.clock.move(days=-1)
    await two.still_open()
    await two.open_stream("bob", most=1)  # the one of the first process was seen tomorrow, and by no process of today


async def test_a_kill_switch_is_said_again_until_each_execution_has_an_end(tmp_path: Path) -> None:
    async with plane(tmp_path) as here:
        holding: list[Job] = []

        async def hold(job: Job) -> None:
            await job.accept()
            holding.append(job)

        await allow_writes(here)
        here.runner.answer = hold
        execute = a_restart(here.runner.boot, here.cluster.id)
        running = asyncio.create_task(here.commands.execute(here.cluster.id, execute, approval=new_id(), deadline_s=30))
        await until(lambda: holding, "the execution is under way")
        command = holding[0].request.id
        assert command not in here.runner.cancelled
        # This fleet was not told to stop anything: it is as if its one message were lost.
        await here.fleet.set_kill_switch("shop", True, by="admin", reason="drill")
        await until(lambda: here.runner.cancelled.count(command) >= 2, "it is said, and said again", 10)
        await holding[0].finish("stopped")
        await running
        stopper = Stopper(here.database, here.bus, longest_s=900)

        async def silent() -> bool:
            return await stopper.say_again() == 0

        await until(silent, "there is nothing left to stop")


async def test_two_of_one_name_are_told_apart_in_words(postgres: Postgres, tmp_path: Path) -> None:
    mine = {"executor_id": "same", "database_url": postgres.new_database()}
    async with replica(tmp_path / "a", 1.5, **mine):
        with pytest.raises(Conflict, match="executor id same is in use by process"):
            async with replica(tmp_path / "b", 1.5, **mine):
                pass


async def test_one_that_signs_with_another_key_is_refused(postgres: Postgres, tmp_path: Path) -> None:
    url = postgres.new_database()
    async with replica(tmp_path / "a", 300, kid="k1", database_url=url, executor_id="a"):
        with pytest.raises(Conflict, match=r"replica a .* signs grants with another key: .* OPSTHREAD_GRANT_KEY_FILE"):
            async with replica(tmp_path / "b", 300, kid="k2", database_url=url, executor_id="b"):
                pass
        async with replica(tmp_path / "c", 300, kid="k1", database_url=url, executor_id="c"):
            pass
