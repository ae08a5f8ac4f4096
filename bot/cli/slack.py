"""`opsthread slack manifest` and `opsthread slack check`."""

import asyncio
import json
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console

from bot.cli.client import ApiError, Client
from bot.cli.connection import Connection, find_connection
from bot.cli.doctor import as_json_values, of_view, show
from bot.cli.exits import Exit
from bot.cli.running import run_loop
from bot.doctor.place import read_settings
from bot.doctor.round import Checkup, checkup
from protocol.checkup import Health, skip, warn

_MOST_NAME = 35


def print_manifest(*, http: str, name: str) -> Exit:
    from bot.slack.manifest import as_yaml, manifest

    parts = urlsplit(http)
    if http and (parts.scheme != "https" or not parts.netloc or parts.query or parts.fragment):
        return _usage(f"--http {http!r} is no address that Slack can reach: it must be https://HOST, with a certificate")
    if not name.strip() or len(name) > _MOST_NAME:
        return _usage(f"--name must have 1 to {_MOST_NAME} characters: Slack takes no longer one")
    sys.stdout.write(as_yaml(manifest(http=http, name=name.strip())))
    return Exit.ANSWERED


def check(*, url: str | None, token: str | None, data_dir: Path | None, as_json: bool) -> Exit:
    connection = find_connection(url=url, token=token, data_dir=data_dir, administering=True)

    async def told() -> Exit:
        found = await examine(connection, data_dir=data_dir, remote=url is not None)
        if as_json:
            print(json.dumps(as_json_values(found), ensure_ascii=False, indent=2))
        else:
            show(found, Console(highlight=False), verbose=True)
        return Exit.ANSWERED if found.healthy else Exit.FAILED

    return run_loop(told)


async def examine(connection: Connection | None, *, data_dir: Path | None, remote: bool) -> Checkup:
    """By a running serve, which knows the channels; else by the settings that are found here."""
    alone = skip("slack", "serve", "none runs here, so channels and user groups were not looked at")
    if connection is not None:
        try:
            async with Client(connection) as client:
                return of_view(await client.post("/api/v1/doctor", {"only": "slack"}))
        except ApiError as error:
            mend = "OPSTHREAD_TOKEN=…   # a token of an administrator"
            alone = warn("slack", "serve", f"{connection.url} does not tell: {error}", mend)
            if remote:
                return checkup([alone], serving=False)
    from bot.slack.check import look_at_slack

    settings, rows = await asyncio.to_thread(read_settings, os.environ, Path.cwd(), {"data_dir": data_dir} if data_dir else {})
    bad = [row for row in rows if row.health is Health.FAIL]
    found = await look_at_slack(settings) if settings is not None else []
    return checkup([*bad, *found, alone], serving=False)


def _usage(words: str) -> Exit:
    Console(stderr=True).print(words, style="red", markup=False, soft_wrap=True)
    return Exit.USAGE
