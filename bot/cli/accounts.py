"""`opsthread account …`: administration over REST."""

import json
from pathlib import Path
from typing import Any, cast

from rich.console import Console
from rich.table import Table

from bot.cli.calling import with_client
from bot.cli.client import ApiError, Client
from bot.cli.exits import Exit


def list_accounts(*, url: str | None, token: str | None, data_dir: Path | None, as_json: bool) -> Exit:
    async def work(client: Client) -> None:
        accounts = cast(list[dict[str, Any]], (await client.get("/api/v1/accounts"))["accounts"])
        if as_json:
            print(json.dumps(accounts, ensure_ascii=False, indent=2))
            return
        table = Table("name", "who", "roles", "e-mail", "state")
        for account in accounts:
            roles = "; ".join(_role_words(role) for role in cast(list[dict[str, Any]], account["roles"]))
            followed = [
                f"{_role_words(role)} ({role['source']})" for role in cast(list[dict[str, Any]], account["other_roles"])
            ]
            state = "disabled" if account["disabled"] else "active" if account["person"] else "nobody signs in"
            words = "; ".join([roles, *followed]) if roles else "; ".join(followed)
            table.add_row(account["name"], account["display_name"], words, account["email"] or "", state)
        Console().print(table)

    return with_client(work, url=url, token=token, data_dir=data_dir, administering=True)


def create_account(
    name: str,
    *,
    role: str,
    display_name: str | None,
    clusters: tuple[str, ...],
    namespaces: tuple[str, ...],
    email: str | None = None,
    url: str | None,
    token: str | None,
    data_dir: Path | None,
) -> Exit:
    async def work(client: Client) -> None:
        grant = {"role": role, "clusters": list(clusters), "namespaces": list(namespaces)}
        body = {"name": name, "display_name": display_name or name, "roles": [grant], "email": email}
        account = await client.post("/api/v1/accounts", body)
        await _print_link(client, str(account["id"]), name)

    return with_client(work, url=url, token=token, data_dir=data_dir, administering=True)


def make_link(name: str, *, url: str | None, token: str | None, data_dir: Path | None) -> Exit:
    async def work(client: Client) -> None:
        await _print_link(client, await _id_of(client, name), name)

    return with_client(work, url=url, token=token, data_dir=data_dir, administering=True)


def set_email(name: str, email: str | None, *, url: str | None, token: str | None, data_dir: Path | None) -> Exit:
    async def work(client: Client) -> None:
        account = await client.put(f"/api/v1/accounts/{await _id_of(client, name)}/email", {"email": email})
        Console().print(f"{name}: {account['email'] or 'no e-mail address'}", markup=False)

    return with_client(work, url=url, token=token, data_dir=data_dir, administering=True)


async def _id_of(client: Client, name: str) -> str:
    """Raises ApiError."""
    accounts = cast(list[dict[str, Any]], (await client.get("/api/v1/accounts"))["accounts"])
    found = [account for account in accounts if account["name"] == name]
    if not found:
        raise ApiError(404, "not_found", f"There is no account {name!r}. Known: {', '.join(str(a['name']) for a in accounts)}.")
    return str(found[0]["id"])


async def _print_link(client: Client, account: str, name: str) -> None:
    link = await client.post(f"/api/v1/accounts/{account}/links")
    Console(stderr=True).print(f"Sign-in link for {name}, once:", style="dim", markup=False)
    print(f"{client.url}{link['path']}")


def _role_words(role: dict[str, Any]) -> str:
    return f"{role['role']} over {', '.join(role['clusters'])} / {', '.join(role['namespaces'])}"
