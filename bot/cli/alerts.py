"""`opsthread alerts …`: groups, routes and tokens of a running serve."""

import json
from collections.abc import Iterable
from typing import Any, cast
from urllib.parse import quote, urlencode

from rich.console import Console
from rich.table import Table

from bot.cli.calling import with_client
from bot.cli.client import ApiError, Client
from bot.cli.exits import Exit
from protocol.text import one_line

Where = dict[str, Any]
_API = "/api/v1/alerts"


def list_groups(*, state: str | None, cluster: str | None, limit: int, as_json: bool, where: Where) -> Exit:
    async def work(client: Client) -> None:
        asked = {"state": state, "cluster": cluster, "limit": str(limit)}
        query = urlencode({name: value for name, value in asked.items() if value})
        found = _rows(await client.get(f"{_API}/groups?{query}"), "groups")
        heads = ("id", "state", "severity", "alerts", "cluster", "namespace", "firing", "since", "in hand", "thread")
        _show(found, heads, _group_cells, as_json=as_json)

    return with_client(work, **where)


def tell(group: str, verb: str, body: dict[str, Any], *, where: Where) -> Exit:
    async def work(client: Client) -> None:
        done = await client.post(f"{_API}/groups/{quote(group, safe='')}/{verb}", body)
        _say(f"{done['title']}: {_state(done)}.")

    return with_client(work, **where)


def create_token(name: str, cluster: str | None, *, as_json: bool, where: Where) -> Exit:
    async def work(client: Client) -> None:
        made = await client.post(f"{_API}/tokens", {"name": name, "cluster": cluster})
        if as_json:
            print(json.dumps(made, ensure_ascii=False, indent=2))
            return
        of = f"alerts of cluster {made['cluster_name']}" if made["cluster"] else "alerts whose label `cluster` names theirs"
        _say(f"Token {made['id']}, for {of}. It is shown this once; put it into a file that Alertmanager reads:")
        print(made["token"])
        _say("Its receiver in alertmanager.yml:")
        print(_RECEIVER)

    return with_client(work, **where)


def list_tokens(*, as_json: bool, where: Where) -> Exit:
    async def work(client: Client) -> None:
        found = _rows(await client.get(f"{_API}/tokens"), "tokens")
        heads = ("id", "name", "cluster", "made", "used last", "revoked")
        _show(found, heads, _token_cells, as_json=as_json)

    return with_client(work, **where)


def revoke_token(sender: str, *, where: Where) -> Exit:
    async def work(client: Client) -> None:
        await client.delete(f"{_API}/tokens/{quote(sender, safe='')}")
        _say("It lets nobody in any more.")

    return with_client(work, **where)


def list_routes(*, as_json: bool, where: Where) -> Exit:
    async def work(client: Client) -> None:
        found = _rows(await client.get(f"{_API}/routes"), "routes")
        heads = ("", "id", "clusters", "namespaces", "matchers", "from", "goes to", "an hour", "language", "")
        _show(found, heads, _route_cells, as_json=as_json)

    return with_client(work, **where)


def add_route(body: dict[str, Any], *, where: Where) -> Exit:
    async def work(client: Client) -> None:
        _say(_route_words(await client.post(f"{_API}/routes", body)))

    return with_client(work, **where)


def move_route(route: str, position: int, *, where: Where) -> Exit:
    async def work(client: Client) -> None:
        _say(_route_words(await client.post(f"{_API}/routes/{quote(route, safe='')}/move", {"position": position})))

    return with_client(work, **where)


def remove_route(route: str, *, where: Where) -> Exit:
    async def work(client: Client) -> None:
        await client.delete(f"{_API}/routes/{quote(route, safe='')}")
        _say("It was taken away.")

    return with_client(work, **where)


def try_route(cluster: str, labels: Iterable[str], *, as_json: bool, where: Where) -> Exit:
    async def work(client: Client) -> None:
        found = await client.post(f"{_API}/routes/test", {"cluster": cluster, "labels": _labels(labels)})
        if as_json:
            print(json.dumps(found, ensure_ascii=False, indent=2))
            return
        taken = _route_words(found["route"]) if found["route"] else "No route fits."
        leads = f"Slack's channel {found['team']}/{found['channel']}" if found["channel"] else "the web alone"
        why = f", because {found['web_only_because']}" if found["web_only_because"] else ""
        _say(f"{taken} Severity {found['severity']}: the thread goes to {leads}{why}.")

    return with_client(work, **where)


_RECEIVER = """\
receivers:
  - name: opsthread
    webhook_configs:
      - url: https://OPSTHREAD/api/v1/alerts/alertmanager
        send_resolved: true
        max_alerts: 100
        http_config:
          authorization:
            credentials_file: /etc/alertmanager/opsthread.token"""


def _labels(said: Iterable[str]) -> dict[str, str]:
    """Raises ApiError with what to write."""
    pairs = [one.partition("=") for one in said]
    bad = next((name for name, sign, _ in pairs if not sign or not name), None)
    if bad is not None:
        raise ApiError(422, "invalid", f"{bad!r} is no label; write name=value, such as severity=critical")
    return {name: value.strip('"') for name, _, value in pairs}


def _group_cells(one: dict[str, Any]) -> tuple[str, ...]:
    return (
        one["id"],
        _state(one),
        one["severity"],
        one["title"],
        one["cluster_name"],
        one["namespace"],
        str(one["firing"]),
        one["opened_at"],
        one["acknowledged_by_name"],
        one["conversation"] or ("digest" if one["in_digest"] else ""),
    )


def _token_cells(one: dict[str, Any]) -> tuple[str, ...]:
    cluster = one["cluster_name"] or one["cluster"] or "by label"
    return (one["id"], one["name"], cluster, one["created_at"], one["used_at"] or "never", one["revoked_at"] or "")


def _route_cells(one: dict[str, Any]) -> tuple[str, ...]:
    return (
        str(one["position"]),
        one["id"],
        ", ".join(one["cluster_names"]),
        ", ".join(one["namespaces"]),
        ", ".join(one["matchers"]),
        one["least_severity"],
        _goes_to(one),
        str(one["threads_per_hour"]),
        one["language"],
        one["problem"],
    )


def _route_words(one: dict[str, Any]) -> str:
    return f"Route {one['position']} ({one['id']}) goes to {_goes_to(one)}."


def _goes_to(one: dict[str, Any]) -> str:
    return f"{one['team']}/{one['channel']}" if one["channel"] else "the web"


def _state(one: dict[str, Any]) -> str:
    if one["state"] == "resolved" or not one["silenced"]:
        return str(one["state"])
    return f"{one['state']}, silenced until {one['silenced_until'] or 'resolved'}"


def _show(rows: list[dict[str, Any]], heads: tuple[str, ...], cells: Any, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    table = Table(*heads)
    for row in rows:
        table.add_row(*(one_line(str(cell), 120) for cell in cells(row)))
    Console().print(table)


def _rows(answer: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return cast(list[dict[str, Any]], answer[name])


def _say(text: str) -> None:
    Console().print(text, markup=False, soft_wrap=True)
