"""`opsthread serve`: the control plane, the agent, web and REST; with --with-runner also a runner on KUBECONFIG's cluster."""

import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from bot.cli import logs
from bot.cli.connection import Connection, remove_connection, write_connection
from bot.cli.exits import Exit
from bot.cli.own_runner import OwnRunner
from bot.cli.running import StopSignal, run_loop, write_ready
from bot.cli.settings import settings_for
from control_plane.settings import Settings

if TYPE_CHECKING:
    from bot.cli.compose import Product


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
    return run_loop(lambda: _serve(settings, cluster, with_runner=with_runner, read_only=read_only, ready_file=ready_file))


async def _serve(settings: Settings, cluster: str, *, with_runner: bool, read_only: bool, ready_file: Path | None) -> Exit:
    stop = StopSignal()
    logs.configure(settings.log_level)
    runner = OwnRunner(settings.data_dir) if with_runner else None
    async with AsyncExitStack() as stack:
        if runner is not None:
            stack.push_async_callback(runner.stop)
            await runner.spawn()
        from bot.cli.compose import Composition, product, wait_for_cluster
        from bot.cli.people import cli_token, first_admin, sign_in_link

        what = Composition(runner=runner, cluster_name=cluster, runner_writes=not read_only)
        running = await stack.enter_async_context(product(settings, what))
        first = not await running.plane.accounts.list()
        admin = await first_admin(running.plane)
        links = {"admin": await sign_in_link(running.plane, admin, running.url)} if first else {}
        # A disabled one gets no token; the command line here then needs one of another account.
        token = "" if admin.disabled else await stack.enter_async_context(cli_token(running.plane, admin))
        write_connection(settings.data_dir, Connection(url=running.url, token=token, pid=os.getpid()))
        try:
            _say(running, links)
            warm = await wait_for_cluster(running) if runner is not None else False
            stop.serving()
            write_ready(
                ready_file, {"url": running.url, "links": links, "tokens": {"admin": token}, "warm": warm, "pid": os.getpid()}
            )
            if runner is not None and not warm:
                _say_cold(settings, cluster)
            await stop.wait()
        finally:
            remove_connection(settings.data_dir)
    return Exit.ANSWERED


def _say(running: "Product", links: dict[str, str]) -> None:
    console = Console(stderr=True, highlight=False)
    console.print(f"Opsthread is at {running.url} (model: {running.runtime.model_name})", style="bold", markup=False)
    for name, link in links.items():
        console.print(f"First sign-in as {name}, once: {link}", markup=False, soft_wrap=True)
    settings = running.plane.settings
    if mode := settings.slack_in_use():
        console.print(f"Slack: by {mode}; `opsthread slack check` looks at it", markup=False)
    elif settings.slack_begun:
        console.print("Slack is off; `opsthread slack check` says what is missing", style="yellow", markup=False)


def _say_cold(settings: Settings, cluster: str) -> None:
    Console(stderr=True).print(
        f"The runner of cluster {cluster} has not seen its cluster yet. Is KUBECONFIG right and the API server up? "
        f"Its log: {settings.data_dir}/logs/runner.log",
        style="yellow",
        markup=False,
    )
