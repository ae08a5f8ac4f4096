"""A command of the command line that is a few calls to a running serve."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from rich.console import Console

from bot.cli.client import ApiError, Client
from bot.cli.connection import find_connection
from bot.cli.exits import Exit
from bot.cli.running import run_loop


def with_client(
    work: Callable[[Client], Awaitable[Exit | None]],
    *,
    url: str | None,
    token: str | None,
    data_dir: Path | None,
    administering: bool = False,
) -> Exit:
    """Do `work` with the serve that is named or runs here. What it refuses is said in one line."""

    async def main() -> Exit:
        console = Console(stderr=True)
        connection = find_connection(url=url, token=token, data_dir=data_dir, administering=administering)
        if connection is None:
            console.print(
                "No serve is running here. Start `opsthread serve`, or say --url and --token.",
                style="red",
                markup=False,
                soft_wrap=True,
            )
            return Exit.USAGE
        try:
            async with Client(connection) as client:
                done = await work(client)
        except ApiError as error:
            console.print(str(error), style="red", markup=False, soft_wrap=True)
            return Exit.USAGE if error.status in (404, 409, 422) else Exit.FAILED
        return Exit.ANSWERED if done is None else done

    return run_loop(main)
