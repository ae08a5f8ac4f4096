"""`opsthread demo`: the whole product with the practice cluster, on this machine alone."""

import os
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from bot.cli import logs
from bot.cli.connection import Connection, remove_connection, write_connection
from bot.cli.exits import Exit
from bot.cli.listening import PortInUse, listen
from bot.cli.own_runner import OwnRunner
from bot.cli.practice import Practice
from bot.cli.running import StopSignal, run_loop, unless_stopped, write_ready
from bot.cli.settings import settings_for
from control_plane.settings import Settings

if TYPE_CHECKING:
    from bot.cli.compose import Product

DATA_DIR = Path("data/demo")
QUESTIONS = {
    "why does payments keep restarting?": "",
    "checkout fails, what is going on?": "",
    "is something wrong with search?": "nothing is",
    "why does invoices crash?": "not enough evidence",
    "what is wrong with rates?": "no safe fix",
}
"""And what the answer shows, where it is not a fix."""


def run(
    *,
    ask: str | None,
    approve: bool,
    solo: bool,
    host: str | None,
    port: int | None,
    data_dir: Path | None,
    ready_file: Path | None,
    as_json: bool,
) -> Exit:
    """Start, print two one-time links, serve until Ctrl-C. With `ask`: tell the story in this terminal and exit."""
    wanted = port if port is not None else (0 if ask else None)
    settings = settings_for(host=host, port=wanted, data_dir=data_dir or DATA_DIR, solo=solo)
    if port is None and ask is None:
        settings = _free_port_if_busy(settings)
    return run_loop(lambda: _demo(settings, ask=ask, approve=approve, solo=solo, ready_file=ready_file, as_json=as_json))


async def _demo(
    settings: Settings, *, ask: str | None, approve: bool, solo: bool, ready_file: Path | None, as_json: bool
) -> Exit:
    console = Console(stderr=True, highlight=False)
    began = time.monotonic()
    stop = StopSignal()
    logs.configure(settings.log_level, settings.data_dir / "logs" / "serve.log")
    practice, runner = Practice(settings.data_dir), OwnRunner(settings.data_dir)
    await practice.spawn()
    await runner.spawn()
    try:
        with console.status("Starting the practice cluster, the runner and the control plane …"):
            from bot.cli.compose import Composition, product, wait_for_cluster

            stack = AsyncExitStack()
            running = await stack.enter_async_context(product(settings, Composition(practice=practice, runner=runner)))
        try:
            links, tokens = await _people(running, stack, solo=solo)
            admin = await _administrator(running, stack)
            here = Connection(url=running.url, token=tokens["asker"], pid=os.getpid(), admin=admin)
            write_connection(settings.data_dir, here)
            with console.status("Waiting for the runner to see the practice cluster …"):
                warm = await wait_for_cluster(running)
            if not warm:
                console.print(
                    f"The runner did not come up; its log: {settings.data_dir}/logs/runner.log", style="red", markup=False
                )
                return Exit.CLUSTER_UNREACHABLE
            content = {"url": running.url, "links": links, "tokens": tokens, "sandbox": running.sandbox, "pid": os.getpid()}
            stop.serving()
            write_ready(ready_file, content)
            if ask is not None:
                story = _story(ask, running, tokens["asker"], approve=approve, as_json=as_json)
                ended = await unless_stopped(story, stop)
                return Exit.FAILED if ended is None else ended
            _say(console, running, links, solo=solo, took_s=time.monotonic() - began)
            await stop.wait()
            console.print("Stopping …", style="dim")
        finally:
            remove_connection(settings.data_dir)
            await stack.aclose()
    finally:
        await runner.stop()
        await practice.stop()
    return Exit.ANSWERED


async def _people(running: "Product", stack: AsyncExitStack, *, solo: bool) -> tuple[dict[str, str], dict[str, str]]:
    from bot.cli.people import APPROVER, OPERATOR, cli_token, ensure, sign_in_link

    plane = running.plane
    asker = await ensure(plane, "dana", "Dana (on call)", APPROVER if solo else OPERATOR)
    links = {"asker": await sign_in_link(plane, asker, running.url)}
    tokens = {"asker": await stack.enter_async_context(cli_token(plane, asker))}
    if not solo:
        approver = await ensure(plane, "alex", "Alex (approver)", APPROVER)
        links["approver"] = await sign_in_link(plane, approver, running.url)
        tokens["approver"] = await stack.enter_async_context(cli_token(plane, approver))
    return links, tokens


async def _administrator(running: "Product", stack: AsyncExitStack) -> str:
    """A token for `opsthread doctor`, `cluster` and `account` on this machine: nobody who asks or approves has that role."""
    from bot.cli.people import ADMIN, cli_token, ensure

    account = await ensure(running.plane, "admin", "Administrator (command line)", ADMIN)
    return "" if account.disabled else await stack.enter_async_context(cli_token(running.plane, account))


async def _story(question: str, running: "Product", token: str, *, approve: bool, as_json: bool) -> Exit:
    from bot.cli.ask import Wishes, tell

    wishes = Wishes(cluster="practice", approve=approve, as_json=as_json)
    return await tell(question, Connection(url=running.url, token=token), wishes)


def _say(console: Console, running: "Product", links: dict[str, str], *, solo: bool, took_s: float) -> None:
    console.print(f"\nReady in {took_s:.1f} s. Model: {running.runtime.model_name}.", style="bold", markup=False)
    console.print("Each link works once; open the second in another browser or a private window.\n", style="dim")
    names = {
        "asker": "You ask (and approve: four-eyes is off)" if solo else "You ask as Dana",
        "approver": "You approve as Alex",
    }
    for who, link in links.items():
        console.print(f"  {names[who]:<28} {link}", markup=False, soft_wrap=True)
    console.print("\nAsk, for instance:", style="dim")
    for question, shows in QUESTIONS.items():
        console.print(f"  {question:<40} {shows}".rstrip(), markup=False)
    console.print(
        '\nOr from another terminal: .venv/bin/opsthread ask "why does payments keep restarting?"',
        style="dim",
        markup=False,
        soft_wrap=True,
    )
    console.print("Ctrl-C stops all of it.\n", style="dim")


def _free_port_if_busy(settings: Settings) -> Settings:
    """The demo's port is a convenience: when it is taken, any free one will do."""
    try:
        listen(settings.host, settings.port).close()
    except PortInUse:
        return settings.model_copy(update={"port": 0})
    return settings
