"""The command line goes through the same doors as everybody: it shows no more than its token's account may see."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from bot.cli.exits import Exit
from tests.integration.doors import INSIDE, Scene, scene
from tests.integration.http_server import Person

AT_ONCE = 2


@pytest.fixture
async def here(tmp_path: Path) -> AsyncGenerator[Scene]:
    async with scene(tmp_path) as ready:
        yield ready


async def opsthread(person: Person, *words: str) -> tuple[int, str]:
    """Exit code, and all that was written."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot.cli", *words, "--url", person.url, "--token", person.token,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(90):
        out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def test_somebody_of_elsewhere_sees_nothing_from_a_terminal_either(here: Scene) -> None:
    things = await here.things({"conversation", "approval", "plan_hash", "case"})
    nina, approval = here.people["namespace"], things["approval"]
    lines: dict[tuple[str, ...], bool] = {
        ("approvals", "list"): True,
        ("approvals", "reject", approval): False,
        ("cases", "list"): True,
        ("cases", "show", things["case"]): False,
        ("ask", "what is wrong in aviary?", "--cluster", "practice", "-n", "aviary"): False,
    }
    room = asyncio.Semaphore(AT_ONCE)

    async def one(words: tuple[str, ...]) -> tuple[int, str]:
        async with room:
            return await opsthread(nina, *words)

    said = dict(zip(lines, await asyncio.gather(*map(one, lines)), strict=True))
    for words, answered in lines.items():
        code, text = said[words]
        assert (code == Exit.ANSWERED) is answered, (words, text)
        own = " ".join(words)
        assert not [name for name in INSIDE if name in text.replace(own, "") and name not in own], (words, text)
    assert (await here.here.plane.approvals.get(approval)).state == "pending"


async def test_somebody_of_here_sees_it(here: Scene) -> None:
    things = await here.things({"conversation", "approval", "plan_hash"})
    code, text = await opsthread(here.people["viewer"], "approvals", "show", things["approval"])
    assert code == Exit.ANSWERED, text
    assert "heron" in text
