"""`opsthread approvals …`: the card in the terminal, and one's word about it."""

import json
import sys
from typing import Any, cast

from rich.console import Console
from rich.table import Table

from bot.cli.approval_card import card_of
from bot.cli.calling import with_client
from bot.cli.client import ApiError, Client
from bot.cli.exits import Exit
from protocol.text import clean, one_line

Where = dict[str, Any]
"""url, token and data_dir, as `with_client` takes them."""
View = dict[str, Any]


def list_approvals(*, states: tuple[str, ...], limit: int, as_json: bool, where: Where) -> Exit:
    async def work(client: Client) -> None:
        query = "".join(f"&state={state}" for state in states)
        found = cast(list[View], (await client.get(f"/api/v1/approvals?limit={limit}{query}"))["approvals"])
        if as_json:
            print(json.dumps(found, ensure_ascii=False, indent=2))
            return
        table = Table("id", "state", "risk", "change", "cluster", "asked for by")
        for view in found:
            cells = (
                view["id"],
                view["state"],
                view["risk"],
                view["command_line"],
                view["cluster_name"],
                view["requester_name"],
            )
            table.add_row(*(one_line(str(cell), 120) for cell in cells))
        Console().print(table)
        for note in cast(list[View], (await client.get("/api/v1/notifications"))["notifications"]):
            told = (
                f"{note['by_name']} broke the glass in {note['cluster_name']} at {note['at']}: {note['what']}. {note['reason']}"
            )
            Console(highlight=False).print(one_line(told, 600), style="bold red", markup=False, soft_wrap=True)

    return with_client(work, **where)


def show_approval(approval: str, *, as_json: bool, where: Where) -> Exit:
    async def work(client: Client) -> None:
        view = await client.get(f"/api/v1/approvals/{approval}")
        if as_json:
            print(json.dumps(view, ensure_ascii=False, indent=2))
        else:
            Console().print(card_of(view))

    return with_client(work, **where)


def decide(approval: str, said: dict[str, Any], *, ask: bool, where: Where) -> Exit:
    """About exactly the plan that is shown here: its hash goes along. Exit 5 where the word does not count."""

    async def work(client: Client) -> Exit:
        console = Console(highlight=False)
        view = await client.get(f"/api/v1/approvals/{approval}")
        if ask and not _agreed(console, view):
            console.print("Nothing was decided.", style="dim")
            return Exit.ANSWERED
        try:
            after = await client.post(f"/api/v1/approvals/{approval}/decide", {"plan_hash": view["plan_hash"], **said})
        except ApiError as error:
            if error.status != 403:
                raise
            Console(stderr=True).print(clean(str(error)), style="red", markup=False, soft_wrap=True)
            for hint in _hints(client, view, error.code):
                Console(stderr=True).print(hint, style="dim", markup=False, soft_wrap=True)
            return Exit.NOT_ALLOWED
        missing = f"; still missing: {after['missing']}" if after["missing"] else ""
        console.print(f"It is {after['state']} now{missing}.", markup=False)
        return Exit.ANSWERED

    return with_client(work, **where)


def ask_again(approval: str, *, where: Where) -> Exit:
    async def work(client: Client) -> None:
        view = await client.post(f"/api/v1/proposals/again/{approval}")
        Console().print(card_of(view))

    return with_client(work, **where)


def _agreed(console: Console, view: View) -> bool:
    console.print(card_of(view))
    if not sys.stdin.isatty():
        console.print("Say --yes to approve without being asked.", style="dim")
        return False
    return console.input("Approve and run it? \\[y/N] ").strip().lower() in ("y", "yes", "はい", "是")


def _hints(client: Client, view: View, code: str) -> tuple[str, ...]:
    page = f"{client.url}/approvals/{view['id']}"
    if code == "owner":
        return ("Say --override-owner and --reason, or commit the patch: `opsthread approvals show` prints it.",)
    if code in ("step_up", "frozen", "requester") and cast(View, view["you"])["may_break_glass"]:
        return (f"Alone, and it can't wait? Breaking the glass needs a fresh sign-in on the web: {page}",)
    return (f"On the web: {page}",) if code == "step_up" else ()
