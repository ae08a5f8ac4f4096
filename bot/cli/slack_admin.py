"""`opsthread slack bind` and its neighbours: what channels may see and who people are, over REST."""

import json
from typing import Any, cast
from urllib.parse import quote

from rich.console import Console
from rich.table import Table

from bot.cli.calling import with_client
from bot.cli.client import ApiError, Client
from bot.cli.exits import Exit
from protocol.text import one_line

Where = dict[str, Any]
Row = dict[str, Any]


def list_channels(*, as_json: bool, where: Where) -> Exit:
    def cells(row: Row) -> tuple[str, ...]:
        reach = "; ".join(_reach_words(one) for one in cast(list[Row], row["reach"]))
        return (row["team"], row["channel"], row["name"], reach, row["strangers"], "yes" if row["follow"] else "")

    head = ("workspace", "channel", "name", "may see", "strangers", "follows")
    return _list("channels", head, cells, as_json=as_json, where=where)


def list_people(*, as_json: bool, where: Where) -> Exit:
    def cells(row: Row) -> tuple[str, ...]:
        return (row["team_name"] or row["team"], row["user"], row["account_name"], row["how"], row["linked_at"])

    return _list("people", ("workspace", "person", "acts as", "by", "since"), cells, as_json=as_json, where=where)


def list_groups(*, as_json: bool, where: Where) -> Exit:
    def cells(row: Row) -> tuple[str, ...]:
        over = f"{', '.join(row['clusters'])} / {', '.join(row['namespaces'])}"
        return (row["id"], row["team"], row["usergroup"], row["handle"], row["role"], over)

    return _list("groups", ("id", "workspace", "user group", "handle", "role", "over"), cells, as_json=as_json, where=where)


def bind_channel(channel: str, clusters: list[str], body: Row, *, team: str, where: Where) -> Exit:
    async def work(client: Client) -> None:
        reach = [_reach_of(text) for text in clusters]
        path = f"/api/v1/slack/channels/{await _team(client, team)}/{quote(channel, safe='')}"
        bound = await client.put(path, {**body, "reach": reach})
        words = "; ".join(_reach_words(one) for one in cast(list[Row], bound["reach"]))
        Console().print(f"{bound['name'] or channel} may see: {words}", markup=False, soft_wrap=True)

    return with_client(work, **where)


def unbind_channel(channel: str, *, team: str, where: Where) -> Exit:
    async def work(client: Client) -> None:
        await client.delete(f"/api/v1/slack/channels/{await _team(client, team)}/{quote(channel, safe='')}")
        Console().print(f"{channel} sees nothing any more.", markup=False)

    return with_client(work, **where)


def unlink_person(user: str, *, team: str, where: Where) -> Exit:
    async def work(client: Client) -> None:
        await client.delete(f"/api/v1/slack/people/{await _team(client, team)}/{user}")
        Console().print(f"{user} acts as nobody any more.", markup=False)

    return with_client(work, **where)


def map_group(usergroup: str, body: Row, *, team: str, where: Where) -> Exit:
    async def work(client: Client) -> None:
        mapped = await client.post("/api/v1/slack/groups", {**body, "team": await _team(client, team), "usergroup": usergroup})
        Console().print(f"{mapped['id']}: members of {usergroup} are {mapped['role']}.", markup=False)

    return with_client(work, **where)


def unmap_group(mapping: str, *, where: Where) -> Exit:
    async def work(client: Client) -> None:
        await client.delete(f"/api/v1/slack/groups/{mapping}")
        Console().print("Its members have lost the role.")

    return with_client(work, **where)


def _list(what: str, head: tuple[str, ...], cells: Any, *, as_json: bool, where: Where) -> Exit:
    async def work(client: Client) -> None:
        found = cast(list[Row], (await client.get(f"/api/v1/slack/{what}"))[what])
        if as_json:
            print(json.dumps(found, ensure_ascii=False, indent=2))
            return
        table = Table(*head)
        for row in found:
            table.add_row(*(one_line(str(cell), 120) for cell in cells(row)))
        Console().print(table)

    return with_client(work, **where)


async def _team(client: Client, team: str) -> str:
    """The one that is meant, or the only one. Raises ApiError with what to write."""
    if team:
        return team
    found = cast(list[Row], (await client.get("/api/v1/slack/workspaces"))["workspaces"])
    teams = [str(row["team"]) for row in found if row["revoked_at"] is None]
    if len(teams) != 1:
        known = ", ".join(teams) or "none is known yet"
        raise ApiError(422, "invalid", f"Say which workspace with --team: {known}.")
    return teams[0]


def _reach_of(text: str) -> Row:
    """`prod`, or `prod:payments,shop`."""
    cluster, colon, names = text.partition(":")
    namespaces = [name.strip() for name in names.split(",") if name.strip()]
    return {"cluster_id": cluster.strip(), "namespaces": namespaces if colon else None}


def _reach_words(reach: Row) -> str:
    names = cast(list[str] | None, reach["namespaces"])
    return f"{reach['cluster_name']} / {'*' if names is None else ', '.join(names)}"
