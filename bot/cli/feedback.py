"""`opsthread feedback …`, and the question after an answer: was it right, and if not, what was it?"""

import json
import sys
from typing import Any, cast

from rich.console import Console
from rich.table import Table

from bot.cli.calling import with_client
from bot.cli.cases import Where, cell
from bot.cli.client import ApiError, Client
from bot.cli.exits import Exit
from bot.cli.screen import Screen

_KEPT = "Thank you. It is kept; only an approver's word moves what is suspected first."
_COUNTED = "Thank you. It is kept, and it counts for what is suspected first next time."


def give(verdict: str, *, conversation: str | None, turn: str | None, actual: str, note: str, where: Where) -> Exit:
    """About the newest answer of the newest conversation unless they are named."""

    async def work(client: Client) -> Exit | None:
        chosen, answer = await newest(client, conversation, turn)
        await _send(client, chosen, answer, verdict, actual, note)
        return None

    return with_client(work, **where)


def list_causes(*, as_json: bool, where: Where) -> Exit:
    async def work(client: Client) -> None:
        causes = await _causes(client)
        if as_json:
            print(json.dumps(causes, ensure_ascii=False, indent=2))
            return
        table = Table("code", "what it is", "group")
        for cause in causes:
            table.add_row(str(cause["code"]), str(cause["title"]), str(cause["group"]))
        Console().print(table)

    return with_client(work, **where)


def list_said(*, conversation: str | None, as_json: bool, where: Where) -> Exit:
    """Of the newest conversation unless it is named: one's own, and for an approver everybody's."""

    async def work(client: Client) -> None:
        chosen = conversation or (await newest(client, None, None))[0]
        said = cast(list[dict[str, Any]], (await client.get(f"/api/v1/conversations/{chosen}/feedback"))["all"])
        if as_json:
            print(json.dumps(said, ensure_ascii=False, indent=2))
            return
        table = Table("who", "verdict", "the answer said", "actual cause", "in their words", "counts")
        for one in said:
            words = (one["account_name"], one["verdict"], one["code"] or "-", one["actual"] or "-", one["note"] or "-")
            table.add_row(*(cell(word) for word in words), "yes" if one["counted"] else "no")
        Console().print(table)

    return with_client(work, **where)


async def ask_after(client: Client, conversation: str, turn: str, screen: Screen) -> None:
    """On a terminal, once the story is over: Enter says nothing. What goes wrong here spoils no answer."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return
    screen.rest()
    said = screen.choose("Was this right? \\[y]es, \\[n]o, Enter to skip ")
    if said not in ("y", "n"):
        return
    try:
        actual = await _ask_cause(client, screen) if said == "n" else ""
        note = screen.choose("What was it, in your own words? (Enter to skip) ", lower=False) if said == "n" else ""
        await _send(client, conversation, turn, "right" if said == "y" else "wrong", actual, note)
    except ApiError as error:
        screen.error(str(error))


async def newest(client: Client, conversation: str | None, turn: str | None) -> tuple[str, str]:
    """(conversation, turn). Raises ApiError where there is no answer yet."""
    if conversation is None:
        if turn is not None:
            raise ApiError(422, "invalid", "Say --conversation too: a turn is found in its conversation.")
        found = cast(list[dict[str, Any]], (await client.get("/api/v1/conversations?limit=1"))["conversations"])
        if not found:
            raise ApiError(404, "not_found", "There is no conversation yet. Ask something first.")
        conversation = str(found[0]["id"])
    if turn is not None:
        return conversation, turn
    asked: dict[str, str] = {}
    after: str | None = "0"
    while after is not None:
        page = await client.get(f"/api/v1/conversations/{conversation}/log?after={after}&limit=1000")
        for entry in cast(list[dict[str, Any]], page["entries"]):
            if entry["event"]["type"] == "user_message" and entry["turn"]:
                asked[str(entry["turn"])] = str(entry["event"]["door"])
        after = cast(str | None, page["next"])
    turns = [one for one, door in asked.items() if door != "action"]
    if not turns:
        raise ApiError(404, "not_found", f"Nothing was asked in conversation {conversation} yet.")
    return conversation, turns[-1]


async def _send(client: Client, conversation: str, turn: str, verdict: str, actual: str, note: str) -> None:
    body = {"verdict": verdict, "actual": actual, "note": note}
    given = await client.post(f"/api/v1/conversations/{conversation}/turns/{turn}/feedback", body)
    Console(stderr=True).print(_COUNTED if given["counted"] else _KEPT, style="dim", markup=False)


async def _ask_cause(client: Client, screen: Screen) -> str:
    """By a word of its code or title; asked again until one is chosen or nothing is said."""
    causes = await _causes(client)
    while True:
        word = screen.choose("What was the actual cause? A word of it, Enter if you don't know ")
        if not word:
            return ""
        found = [c for c in causes if word in str(c["code"]).lower() or word in str(c["title"]).lower()]
        exact = [c for c in found if c["code"] == word]
        if len(exact or found) == 1:
            return str((exact or found)[0]["code"])
        screen.note("\n".join(f"  {c['code']}: {c['title']}" for c in found[:12]) or "  No cause has that word.")


async def _causes(client: Client) -> list[dict[str, Any]]:
    return cast(list[dict[str, Any]], (await client.get("/api/v1/root-causes"))["root_causes"])
