"""`opsthread doctor`: what is wrong with this installation, and the line that mends it. Exit 0 healthy, 1 not."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from bot.cli.client import ApiError, Client
from bot.cli.connection import Connection, find_connection
from bot.cli.exits import Exit
from bot.cli.running import run_loop
from bot.doctor.place import read_settings
from bot.doctor.round import Checkup, round_alone
from protocol.checkup import CheckRow, Health, fail, skip, warn
from protocol.text import one_line

_SIGNS = {Health.OK: ("✓", "green"), Health.WARN: ("!", "yellow"), Health.FAIL: ("✗", "red"), Health.SKIP: ("·", "dim")}


def run(*, as_json: bool, ask_model: bool, verbose: bool, url: str | None, token: str | None, data_dir: Path | None) -> Exit:
    connection = find_connection(url=url, token=token, data_dir=data_dir, administering=True)

    async def told() -> Exit:
        found = await examine(connection, data_dir=data_dir, ask_model=ask_model, remote=url is not None)
        if as_json:
            print(json.dumps(as_json_values(found), ensure_ascii=False, indent=2))
        else:
            show(found, Console(highlight=False), verbose=verbose)
        return Exit.ANSWERED if found.healthy else Exit.FAILED

    return run_loop(told)


async def examine(connection: Connection | None, *, data_dir: Path | None, ask_model: bool, remote: bool) -> Checkup:
    """By a running serve where there is one and we may; else what can be seen from here."""
    extra: list[CheckRow] = []
    answered = False
    if connection is not None:
        try:
            async with Client(connection) as client:
                return of_view(await client.post("/api/v1/doctor", {"model": ask_model}))
        except ApiError as error:
            extra.append(_refused(connection, error))
            answered = error.status != 0
            if remote:
                return await round_alone(None, extra, ask_model=False)
    else:
        extra.append(skip("server", "serve", "none runs here: its clusters and runners can't be asked"))
    said = {} if data_dir is None else {"data_dir": data_dir}
    settings, rows = await asyncio.to_thread(read_settings, os.environ, Path.cwd(), said)
    return await round_alone(settings, [*rows, *extra], ask_model=ask_model, serving=answered)


def _refused(connection: Connection, error: ApiError) -> CheckRow:
    if error.status in (401, 403):
        mend = "OPSTHREAD_TOKEN=…   # a token of an administrator"
        return warn("server", "serve", f"{connection.url} runs, and tells this only to administrators: {error}", mend)
    if error.status == 404:
        return warn("server", "serve", f"{connection.url} is older than this command and has no doctor", "Update it.")
    mend = "Look into its log (logs/serve.log in the data directory), or start it: opsthread serve"
    return fail("server", "serve", str(error), mend)


def show(found: Checkup, console: Console, *, verbose: bool) -> None:
    """What is not well first in each area; a line a row, and what to do below it."""
    for row in sorted(found.rows, key=lambda row: (row.cluster, _ORDER[row.health])):
        if row.health is Health.OK and not verbose and row.area == "rights":
            continue
        sign, style = _SIGNS[row.health]
        line = Text(f"{sign} ", style=style)
        line.append(
            one_line(f"{row.cluster + ': ' if row.cluster else ''}{row.area} · {row.name}"), style="bold" if row.mend else ""
        )
        line.append(f"  {one_line(row.found, 1000)}" if row.found else "", style="" if row.mend else "dim")
        console.print(line)
        if row.mend:
            console.print(Text(f"    → {one_line(row.mend, 1000)}", style="cyan"), soft_wrap=True)
    counts = found.counted()
    words = f"{counts['fail']} to mend, {counts['warn']} to look at, {counts['ok']} well"
    console.print(Text(f"\n{words}", style="bold green" if found.healthy else "bold red"))


_ORDER = {Health.FAIL: 0, Health.WARN: 1, Health.OK: 2, Health.SKIP: 3}


def as_json_values(found: Checkup) -> dict[str, Any]:
    return {
        "at": found.at.isoformat(),
        "serving": found.serving,
        "healthy": found.healthy,
        "counts": found.counted(),
        "rows": [row.model_dump(mode="json") for row in found.rows],
    }


def of_view(view: dict[str, Any]) -> Checkup:
    """What POST /api/v1/doctor answered."""
    return Checkup.model_validate({"at": view["at"], "serving": True, "rows": view["rows"]})
