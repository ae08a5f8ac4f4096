"""`opsthread audit …`: read it, take it with you, and check it where no server is."""

import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, cast

from rich.console import Console
from rich.table import Table

from bot.cli.calling import with_client
from bot.cli.client import Client
from bot.cli.exits import Exit
from control_plane.audit_chain import Report, kid_of, verify_export
from protocol.text import one_line

Where = dict[str, Any]


def list_audit(*, subject: str | None, limit: int, as_json: bool, where: Where) -> Exit:
    async def work(client: Client) -> None:
        query = f"&subject={subject}" if subject else ""
        body = await client.get(f"/api/v1/audit?limit={limit}{query}")
        if as_json:
            print(json.dumps(body, ensure_ascii=False, indent=2))
            return
        table = Table("row", "when", "who", "by", "what", "to", "more")
        for row in cast(list[dict[str, Any]], body["audit"]):
            more = "; ".join(f"{key}: {value}" for key, value in cast(dict[str, str], row["detail"]).items())
            cells = (row["seq"], row["at"], row["actor_name"], row["door"], row["action"], row["subject"], more)
            table.add_row(*(one_line(str(cell), 160) for cell in cells))
        Console().print(table)
        if not body["intact"]:
            Console(stderr=True).print(f"The chain does not hold from row {body['first_broken']} on.", style="bold red")

    return with_client(work, **where)


def export_audit(target: str, *, after: int, where: Where) -> Exit:
    async def work(client: Client) -> None:
        count = 0
        with _writing(target) as file:
            async for line in client.lines(f"/api/v1/audit/export?after={after}"):
                file.write(line + "\n")
                count += 1
        Console(stderr=True).print(
            f"{count} lines. Check them with: opsthread audit verify {target}", style="dim", markup=False
        )

    return with_client(work, **where)


def verify_audit(source: Path | None, *, keys: tuple[str, ...], where: Where) -> Exit:
    if source is None:
        return with_client(_verify_there, **where)
    console = Console(soft_wrap=True)
    try:
        trusted = {kid_of(key): key.strip().lower() for key in keys}
        with source.open(encoding="utf-8", errors="replace") as file:
            report = verify_export(file, trusted)
    except (OSError, ValueError) as error:
        Console(stderr=True).print(f"{source} or a key can't be read: {error}", style="red", markup=False, soft_wrap=True)
        return Exit.USAGE
    return _tell(console, report)


def print_key(*, where: Where) -> Exit:
    async def work(client: Client) -> None:
        body = await client.get("/api/v1/audit/key")
        for key in cast(dict[str, str], body["public_keys"]).values():
            print(key)

    return with_client(work, **where)


@contextmanager
def _writing(target: str) -> Generator[TextIO]:
    if target == "-":
        yield sys.stdout
        return
    with Path(target).open("w", encoding="utf-8") as file:
        yield file


async def _verify_there(client: Client) -> Exit:
    body = await client.get("/api/v1/audit/verify")
    if body["intact"]:
        Console().print("The whole chain and its signatures hold.", style="green")
        return Exit.ANSWERED
    Console(stderr=True).print(f"The chain does not hold from row {body['first_broken']} on.", style="bold red")
    return Exit.FAILED


def _tell(console: Console, report: Report) -> Exit:
    if report.broken:
        Console(stderr=True).print(f"It does not hold: {report.broken}.", style="bold red", markup=False, soft_wrap=True)
        return Exit.FAILED
    signed = f"signed up to row {report.signed_up_to}" if report.signed_up_to else "not signed"
    console.print(f"Rows {report.first} to {report.last} hold, {signed}.", style="green", markup=False)
    if not report.known_keys:
        words = "The key is the file's own: it proves that the file is whole, not whose it is. Say --key for that."
        console.print(words, style="yellow", markup=False)
    return Exit.ANSWERED
