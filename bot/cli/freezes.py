"""`opsthread freeze …`: when nothing may be changed."""

import json
from datetime import datetime
from typing import Any, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rich.console import Console
from rich.table import Table

from bot.cli.calling import with_client
from bot.cli.client import ApiError, Client
from bot.cli.exits import Exit
from protocol.text import one_line

Where = dict[str, Any]


def list_freezes(*, as_json: bool, where: Where) -> Exit:
    async def work(client: Client) -> None:
        found = cast(list[dict[str, Any]], (await client.get("/api/v1/freezes"))["freezes"])
        if as_json:
            print(json.dumps(found, ensure_ascii=False, indent=2))
            return
        table = Table("id", "cluster", "when", "open until", "reason", "by")
        for freeze in found:
            cells = (
                freeze["id"],
                freeze["cluster_name"] or "all",
                _when(freeze["window"]),
                freeze["open_until"] or "",
                freeze["reason"],
                freeze["created_by_name"],
            )
            table.add_row(*(one_line(str(cell), 120) for cell in cells))
        Console().print(table)

    return with_client(work, **where)


def add_freeze(
    *,
    cluster: str | None,
    reason: str,
    start: str,
    until: str,
    days: tuple[str, ...],
    until_day: str | None,
    zone: str,
    where: Where,
) -> Exit:
    async def work(client: Client) -> None:
        window = _weekly(start, until, days, until_day, zone) if days else _once(start, until, zone)
        body = {"cluster_id": cluster, "window": window, "reason": reason}
        added = await client.post("/api/v1/freezes", body)
        state = f"open until {added['open_until']}" if added["open_until"] else "not open yet"
        Console().print(f"{added['id']}: {_when(added['window'])}, {state}.", markup=False)

    return with_client(work, **where)


def end_freeze(freeze: str, *, where: Where) -> Exit:
    async def work(client: Client) -> None:
        await client.delete(f"/api/v1/freezes/{freeze}")
        Console().print("It was taken away.")

    return with_client(work, **where)


def _once(start: str, until: str, zone: str) -> dict[str, Any]:
    return {"kind": "once", "starts_at": _time(start, zone), "ends_at": _time(until, zone)}


def _weekly(start: str, until: str, days: tuple[str, ...], until_day: str | None, zone: str) -> dict[str, Any]:
    window = {"kind": "weekly", "days": list(days), "starts": start, "ends": until, "time_zone": zone}
    return window | ({"until_day": until_day} if until_day else {})


def _time(text: str, zone: str) -> str:
    """A local time in a zone, or one that says its own. Raises ApiError with what to write."""
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo is not None else at.replace(tzinfo=ZoneInfo(zone))).isoformat()
    except (ValueError, ZoneInfoNotFoundError, OSError):
        words = f"{text!r} in {zone!r} is no time. Write --from 2026-12-24T18:00 --until 2026-12-27T06:00 --zone Europe/Berlin."
        raise ApiError(422, "invalid", words) from None


def _when(window: dict[str, Any]) -> str:
    if window["kind"] == "once":
        return f"{window['starts_at']} to {window['ends_at']}"
    until = f"{window['until_day']} {window['ends']}" if window["until_day"] else window["ends"]
    return f"{', '.join(window['days'])} {window['starts']} to {until} {window['time_zone']}"
