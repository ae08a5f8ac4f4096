"""A process with a durable function, for tests that kill it: `python -m tests.integration.durable_process DIR ID…`.

The function notes each call in DIR/calls, and waits in the step as long as DIR/hold is there.
"""

import asyncio
import sys
from pathlib import Path

from control_plane.durable import Durable
from control_plane.settings import Settings
from tests.integration.waiting import until

_LONG_S = 120
"""Longer than any test lets this process live."""


async def main(folder: Path, ids: list[str]) -> None:
    durable = Durable(Settings(data_dir=folder))

    async def step(argument: str) -> None:
        note(folder, f"call {argument}")
        await until(lambda: not (folder / "hold").exists(), "the end of the hold", _LONG_S)
        note(folder, f"done {argument}")

    durable.register("turn_v1", step)
    await durable.launch()
    for argument in ids:
        await durable.start("turn_v1", f"turn:{argument}", argument)
    note(folder, "launched")
    await until((folder / "leave").exists, "the word to leave", _LONG_S)
    await durable.close()
    note(folder, "closed")


def note(folder: Path, line: str) -> None:
    with (folder / "calls").open("a") as calls:
        calls.write(f"{line}\n")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2:]))
