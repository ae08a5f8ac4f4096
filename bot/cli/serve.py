"""`opsthread serve`: the control plane, the agent, web and REST; with --with-runner also a runner on KUBECONFIG's cluster."""

import os
from pathlib import Path

from rich.console import Console

from bot.cli import logs
from bot.cli.compose import Composition, Product, product, wait_for_cluster
from bot.cli.connection import Connection, remove_connection, write_connection
from bot.cli.exits import Exit
from bot.cli.people import cli_token, first_admin, sign_in_link
from bot.cli.running import run_loop, stop_signal, write_ready
from bot.cli.settings import settings_for
from control_plane.settings import Settings


def run(
    *,
    host: str | None,
    port: int | None,
    data_dir: Path | None,
    with_runner: bool,
    read_only: bool,
    cluster: str,
    solo: bool,
    ready_file: Path | None,
) -> Exit:
    settings = settings_for(host=host, port=port, data_dir=data_dir, solo=solo)
    logs.configure(settings.log_level)
    what = Composition(with_runner=with_runner, cluster_name=cluster, runner_writes=not read_only)
    return run_loop(_serve(settings, what, ready_file))


async def _serve(settings: Settings, what: Composition, ready_file: Path | None) -> Exit:
    stop = stop_signal()
    async with product(settings, what) as running:
        first = not await running.plane.accounts.list()
        admin = await first_admin(running.plane)
        links = {"admin": await sign_in_link(running.plane, admin, running.url)} if first else {}
        # A disabled one gets no token; the command line here then needs one of another account.
        token = "" if admin.disabled else await cli_token(running.plane, admin)
        write_connection(settings.data_dir, Connection(url=running.url, token=token, pid=os.getpid()))
        try:
            _say(running, links)
            warm = await wait_for_cluster(running) if what.with_runner else False
            write_ready(
                ready_file, {"url": running.url, "links": links, "tokens": {"admin": token}, "warm": warm, "pid": os.getpid()}
            )
            if what.with_runner and not warm:
                _say_cold(settings, what)
            await stop.wait()
        finally:
            remove_connection(settings.data_dir)
    return Exit.ANSWERED


def _say(running: Product, links: dict[str, str]) -> None:
    console = Console(stderr=True, highlight=False)
    console.print(f"Opsthread is at {running.url} (model: {running.runtime.model_name})", style="bold", markup=False)
    for name, link in links.items():
        console.print(f"First sign-in as {name}, once: {link}", markup=False, soft_wrap=True)


def _say_cold(settings: Settings, what: Composition) -> None:
    Console(stderr=True).print(
        f"The runner of cluster {what.cluster_name} has not seen its cluster yet. Is KUBECONFIG right and the API server up? "
        f"Its log: {settings.data_dir}/logs/runner.log",
        style="yellow",
        markup=False,
    )
