"""Durable functions: run once while they are active, taken up again after a crash or a stop, never lost."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from control_plane.durable import Durable, durable_url
from control_plane.errors import Unavailable
from control_plane.settings import Settings
from tests.integration.postgres import Postgres
from tests.integration.waiting import until


class Steps:
    """A durable function whose calls are counted and whose behaviour the test sets."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.behave: Callable[[str], Awaitable[object]] | None = None

    async def __call__(self, argument: str) -> None:
        self.calls.append(argument)
        if self.behave is not None:
            await self.behave(argument)


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    if request.param == "sqlite":
        return Settings(data_dir=tmp_path)
    server: Postgres = request.getfixturevalue("postgres")
    return Settings(data_dir=tmp_path, database_url=server.new_database())


@pytest.fixture
async def launched(settings: Settings) -> AsyncGenerator[tuple[Durable, Steps]]:
    durable, steps = Durable(settings), Steps()
    durable.register("turn_v1", steps)
    await durable.launch()
    yield durable, steps
    await durable.close()


async def ended(durable: Durable, workflow: str) -> None:
    async def look() -> bool:
        return not await durable.active(workflow)

    await until(look, f"{workflow} has ended")


async def test_a_function_runs_once_however_often_it_is_started(launched: tuple[Durable, Steps]) -> None:
    durable, steps = launched
    go = asyncio.Event()
    steps.behave = lambda _: go.wait()
    await asyncio.gather(*(durable.start("turn_v1", "turn:a", "a") for _ in range(5)))
    await until(lambda: steps.calls, "the call")
    assert await durable.active("turn:a")
    await durable.start("turn_v1", "turn:a", "a")
    go.set()
    await ended(durable, "turn:a")
    assert steps.calls == ["a"]
    assert not await durable.active("turn:unknown")


async def test_it_runs_on_our_loop_and_may_start_another(launched: tuple[Durable, Steps]) -> None:
    durable, steps = launched
    here = asyncio.get_running_loop()
    loops: list[bool] = []

    async def behave(argument: str) -> None:
        loops.append(asyncio.get_running_loop() is here)
        if argument == "a":
            await durable.start("turn_v1", "turn:b", "b")

    steps.behave = behave
    await durable.start("turn_v1", "turn:a", "a")
    await until(lambda: len(steps.calls) == 2, "both calls")
    assert loops == [True, True]
    assert sorted(steps.calls) == ["a", "b"]


async def test_an_ended_id_that_is_started_again_is_a_new_attempt(launched: tuple[Durable, Steps]) -> None:
    durable, steps = launched

    async def fail(_: str) -> None:
        raise RuntimeError("the model is down")

    steps.behave = fail
    await durable.start("turn_v1", "turn:a", "a")
    await ended(durable, "turn:a")
    go = asyncio.Event()
    steps.behave = lambda _: go.wait()
    await asyncio.gather(*(durable.start("turn_v1", "turn:a", "a") for _ in range(4)))
    go.set()
    await ended(durable, "turn:a")
    await durable.start("turn_v1", "turn:a", "a")
    await ended(durable, "turn:a")
    assert steps.calls == ["a", "a", "a"]


async def test_ids_that_begin_alike_are_not_mixed_up(launched: tuple[Durable, Steps]) -> None:
    durable, steps = launched
    for workflow in ("turn:ab", "turn:a:2x", "turn:a"):
        await durable.start("turn_v1", workflow, workflow)
    for workflow in ("turn:ab", "turn:a:2x", "turn:a"):
        await ended(durable, workflow)
    assert sorted(steps.calls) == ["turn:a", "turn:a:2x", "turn:ab"]


async def test_closing_cancels_what_runs_and_the_next_launch_takes_it_up(settings: Settings) -> None:
    durable, steps = Durable(settings), Steps()
    durable.register("turn_v1", steps)
    await durable.launch()
    cancelled = asyncio.Event()

    async def hang(_: str) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    steps.behave = hang
    await durable.start("turn_v1", "turn:a", "a")
    await until(lambda: steps.calls, "the call")
    await durable.close()
    assert cancelled.is_set()
    with pytest.raises(Unavailable):
        await durable.start("turn_v1", "turn:b", "b")

    again, more = Durable(settings), Steps()
    again.register("turn_v1", more)
    await again.launch()
    await until(lambda: more.calls, "the second call")
    await ended(again, "turn:a")
    await again.close()
    assert more.calls == ["a"]


async def test_another_executor_leaves_our_work_alone(settings: Settings) -> None:
    durable, steps = Durable(settings), Steps()
    durable.register("turn_v1", steps)
    await durable.launch()
    steps.behave = lambda _: asyncio.Event().wait()
    await durable.start("turn_v1", "turn:a", "a")
    await until(lambda: steps.calls, "the call")
    await durable.close()
    other, theirs = Durable(settings.model_copy(update={"executor_id": "opsthread-1"})), Steps()
    other.register("turn_v1", theirs)
    await other.launch()
    await other.start("turn_v1", "turn:b", "b")
    await ended(other, "turn:b")
    assert await other.active("turn:a")
    await other.close()
    assert theirs.calls == ["b"]


async def test_starting_waits_for_the_launch(settings: Settings) -> None:
    durable, steps = Durable(settings), Steps()
    durable.register("turn_v1", steps)
    early = asyncio.create_task(durable.start("turn_v1", "turn:a", "a"))
    await durable.launch()
    await early
    await ended(durable, "turn:a")
    await durable.close()
    assert steps.calls == ["a"]


async def test_names_carry_a_version_and_must_be_known(tmp_path: Path) -> None:
    durable = Durable(Settings(data_dir=tmp_path))
    with pytest.raises(ValueError, match="turn_v1"):
        durable.register("turn", Steps())
    with pytest.raises(ValueError, match="not registered"):
        await durable.start("turn_v9", "turn:a", "a")
    await durable.close()


def test_the_store_is_a_file_of_its_own_or_the_same_postgresql(tmp_path: Path) -> None:
    assert durable_url(Settings(data_dir=tmp_path)) == f"sqlite:///{tmp_path}/durable.db"
    shared = Settings(data_dir=tmp_path, database_url="postgresql+psycopg://me:secret@db:5432/ops")
    assert durable_url(shared) == "postgresql://me:secret@db:5432/ops"


@contextmanager
def process(folder: Path, *ids: str) -> Generator[subprocess.Popen[bytes]]:
    child = subprocess.Popen([sys.executable, "-m", "tests.integration.durable_process", str(folder), *ids])
    try:
        yield child
    finally:
        child.kill()
        child.wait(timeout=10)


def noted(folder: Path) -> list[str]:
    calls = folder / "calls"
    return calls.read_text().splitlines() if calls.exists() else []


async def test_killed_in_the_step_it_is_called_again_and_only_it(tmp_path: Path) -> None:
    (tmp_path / "hold").touch()
    with process(tmp_path, "a", "b") as child:
        await until(lambda: {"call a", "call b"} <= set(noted(tmp_path)), "both are in the step", 30)
        child.kill()
        await asyncio.to_thread(child.wait, 10)
    assert not any(line.startswith("done") for line in noted(tmp_path))
    (tmp_path / "hold").unlink()
    with process(tmp_path) as child:
        await until(lambda: {"done a", "done b"} <= set(noted(tmp_path)), "both are done", 30)
        (tmp_path / "leave").touch()
        await until(lambda: "closed" in noted(tmp_path), "the orderly end", 30)
        await asyncio.to_thread(child.wait, 10)
    (tmp_path / "leave").unlink()
    with process(tmp_path):
        await until(lambda: noted(tmp_path).count("launched") == 3, "the third start", 30)
        (tmp_path / "leave").touch()
        await until(lambda: noted(tmp_path).count("closed") == 2, "its orderly end", 30)
    lines = noted(tmp_path)
    assert [lines.count(f"{what} {which}") for which in ("a", "b") for what in ("call", "done")] == [2, 1, 2, 1]


async def test_closing_in_the_middle_of_the_launch_leaves_nothing_behind(settings: Settings) -> None:
    durable = Durable(settings)
    durable.register("turn_v1", Steps())
    launch = asyncio.create_task(durable.launch())
    await asyncio.sleep(0)
    launch.cancel()
    await asyncio.gather(launch, return_exceptions=True)
    await durable.close()
    again, steps = Durable(settings), Steps()
    again.register("turn_v1", steps)
    await again.launch()
    await again.start("turn_v1", "turn:a", "a")
    await ended(again, "turn:a")
    await again.close()
    assert steps.calls == ["a"]
