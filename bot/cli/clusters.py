"""`opsthread cluster …`: bring a runner into a cluster, see the clusters, take a runner out."""

import asyncio
import json
import shlex
import time
from datetime import datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlencode, urlsplit

from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bot.cli.calling import with_client
from bot.cli.client import ApiError, Client
from bot.cli.exits import Exit
from bot.install.manifests import IMAGE, Install, refusal
from protocol.text import one_line

_LOOK_EVERY_S = 1.0
_LOOPBACK = ("localhost", "127.0.0.1", "::1", "0.0.0.0")


def add(
    name: str,
    *,
    environment: str,
    mode: str,
    namespaces: tuple[str, ...],
    remediations: tuple[str, ...],
    image: str,
    print_manifest: bool,
    wait_s: float,
    url: str | None,
    token: str | None,
    data_dir: Path | None,
) -> Exit:
    """Make the cluster if it is new, and print the one command that installs its runner."""

    console = Console(stderr=True, highlight=False)
    if (problem := _impossible(mode, namespaces, remediations, image)) is not None:
        console.print(problem, style="red", markup=False, soft_wrap=True)
        return Exit.USAGE

    async def work(client: Client) -> Exit:
        cluster = await _made(client, name, environment)
        wish = {"mode": mode, "namespaces": list(namespaces), "remediations": list(remediations), "image": image}
        installation = await client.post(f"/api/v1/clusters/{cluster['id']}/installations", wish)
        for warning in warnings(client.url, str(installation["bus"])):
            console.print(warning, style="yellow", markup=False, soft_wrap=True)
        if print_manifest:
            print(installation["manifest"])
        else:
            until = datetime.fromisoformat(installation["enrolment_token_expires_at"])
            console.print(
                f"In cluster {name}, as its administrator (the token works once, until {until:%H:%M} UTC):",
                style="dim",
                markup=False,
                soft_wrap=True,
            )
            print(command_line(client.url, installation, wish))
        return await _wait(client, str(cluster["id"]), name, wait_s, console) if wait_s > 0 else Exit.ANSWERED

    return with_client(work, url=url, token=token, data_dir=data_dir, administering=True)


def list_clusters(*, url: str | None, token: str | None, data_dir: Path | None, as_json: bool) -> Exit:
    async def work(client: Client) -> None:
        clusters = await _all(client, "/api/v1/clusters", "clusters")
        if as_json:
            print(json.dumps(clusters, ensure_ascii=False, indent=2))
            return
        table = Table("name", "environment", "runner", "health", "changes")
        for cluster in clusters:
            changes = "stopped by the kill switch" if cluster.get("kill_switch") else "as approved"
            online = "online" if cluster.get("online") else "offline"
            cells = (cluster["name"], cluster.get("environment", ""), online, cluster.get("health", ""), changes)
            table.add_row(*(Text(one_line(str(cell), 200)) for cell in cells))
        Console().print(table)

    return with_client(work, url=url, token=token, data_dir=data_dir, administering=True)


def revoke(name: str, *, url: str | None, token: str | None, data_dir: Path | None) -> Exit:
    async def work(client: Client) -> None:
        cluster = await client.get(_path(name))
        if not cluster["runner"]:
            raise ApiError(404, "not_found", f"Cluster {name} has no runner to revoke.")
        await client.delete(f"/api/v1/agents/{cluster['runner']}")
        print(f"The runner of cluster {name} is out. Install a new one with: opsthread cluster add {shlex.quote(name)}")

    return with_client(work, url=url, token=token, data_dir=data_dir, administering=True)


def command_line(base: str, installation: dict[str, Any], wish: dict[str, Any]) -> str:
    """One line for a shell. The token stands in a header and not in the address, which proxies log."""
    query = [("mode", wish["mode"])]
    query += [("namespace", name) for name in wish["namespaces"]]
    query += [("remediation", name) for name in wish["remediations"]]
    if wish["image"]:
        query.append(("image", wish["image"]))
    address = f"{base}{installation['path']}?{urlencode(query)}"
    header = f"Authorization: Bearer {installation['enrolment_token']}"
    return f"curl -fsS -H {shlex.quote(header)} {shlex.quote(address)} | kubectl apply -f -"


def warnings(base: str, bus: str) -> list[str]:
    """What would keep the runner from reaching us, as far as the addresses tell."""
    found: list[str] = []
    if urlsplit(bus).hostname in _LOOPBACK:
        found.append(
            f"Runners would connect to {bus}, which is this machine alone. Set OPSTHREAD_NATS_PUBLIC_URL to an address that "
            "the cluster can reach, and OPSTHREAD_NATS_HOST=0.0.0.0 for the bundled server; then start serve again."
        )
    if urlsplit(base).hostname in _LOOPBACK:
        found.append(
            f"The command fetches from {base}, which only this machine can reach: run it here, with kubectl for that cluster, "
            "or take the YAML of --print there."
        )
    elif urlsplit(base).scheme != "https":
        found.append(
            f"The command fetches from {base} by plain http: who is on the way can read the token and change what is "
            "installed. Put a proxy with TLS before Opsthread, or take the YAML of --print there."
        )
    return found


def _impossible(mode: str, namespaces: tuple[str, ...], remediations: tuple[str, ...], image: str) -> str | None:
    """What the server would refuse, said before a cluster is made for it."""
    try:
        Install.model_validate(
            {"nats_url": "-", "mode": mode, "namespaces": namespaces, "remediations": remediations, "image": image or IMAGE}
        )
    except ValidationError as error:
        return f"The runner can't be installed like that: {refusal(error)}."
    return None


def _path(name: str) -> str:
    """Raises ApiError for what would be read as another path."""
    if name in ("", ".", ".."):
        raise ApiError(422, "invalid", f"{name!r} is no name for a cluster.")
    return f"/api/v1/clusters/{quote(name, safe='')}"


async def _made(client: Client, name: str, environment: str) -> dict[str, Any]:
    try:
        return await client.get(_path(name))
    except ApiError as error:
        if error.status != 404:
            raise
    return await client.post("/api/v1/clusters", {"name": name, "environment": environment})


async def _wait(client: Client, cluster: str, name: str, wait_s: float, console: Console) -> Exit:
    until = time.monotonic() + wait_s
    with console.status(f"Waiting for the runner of {name} …"):
        while time.monotonic() < until:
            found = await client.get(f"/api/v1/clusters/{cluster}")
            if found.get("online"):
                console.print(
                    f'The runner of {name} is online. Ask: opsthread ask --cluster {name} "what is wrong?"', markup=False
                )
                return Exit.ANSWERED
            await asyncio.sleep(_LOOK_EVERY_S)
    console.print(
        f"The runner of {name} has not come within {wait_s:.0f} s. See kubectl -n opsthread logs deploy/opsthread-runner",
        style="red",
        markup=False,
    )
    return Exit.CLUSTER_UNREACHABLE


async def _all(client: Client, path: str, key: str) -> list[dict[str, Any]]:
    """Every page of a listing."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = await client.get(f"{path}?limit=200{f'&cursor={cursor}' if cursor else ''}")
        found += cast(list[dict[str, Any]], page[key])
        cursor = str(page["next"] or "")
        if not cursor:
            return found
