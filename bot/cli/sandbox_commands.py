"""`opsthread sandbox …`: the practice cluster from the command line."""

from pathlib import Path
from typing import Annotated

import typer

from bot.cli.options import Json

sandbox_app = typer.Typer(
    help="The practice cluster: a shop with faults to break and to heal.", no_args_is_help=True, rich_markup_mode=None
)

Kubeconfig = Annotated[
    Path | None,
    typer.Option("--kubeconfig", help="admin.kubeconfig of a running practice cluster; found by itself when it runs here."),
]
Name = Annotated[str, typer.Argument(help="Which scenario; `opsthread sandbox list` has them.")]


@sandbox_app.command("list")
def list_command(
    answers: Annotated[bool, typer.Option("--answers", help="Also say what is true: the root cause and its object.")] = False,
    as_json: Json = False,
) -> None:
    """List the scenarios. Needs no running cluster."""
    from bot.cli.sandbox import list_scenarios

    raise SystemExit(list_scenarios(answers=answers, as_json=as_json))


@sandbox_app.command("start")
def start_command(
    scenario: Annotated[list[str] | None, typer.Option("--scenario", "-s", help="Break this; may be repeated.")] = None,
    healthy: Annotated[bool, typer.Option("--healthy", help="Start with nothing broken.")] = False,
    port: Annotated[int, typer.Option(help="Port of its API; 0 for a free one.")] = 0,
    directory: Annotated[Path, typer.Option("--kubeconfig-dir", help="Where its kubeconfigs are written.")] = Path(
        "data/practice"
    ),
    state: Annotated[Path | None, typer.Option(help="Keep the cluster in this file over restarts.")] = None,
    speed: Annotated[float, typer.Option(min=0.1, max=100, help="Divides every wait of the cluster.")] = 1.0,
) -> None:
    """Run a practice cluster until Ctrl-C."""
    from bot.cli.sandbox import start

    chosen = () if healthy else tuple(scenario) if scenario else None
    raise SystemExit(start(chosen, port=port, directory=directory, state=state, speed=speed))


@sandbox_app.command("break")
def break_command(name: Name, kubeconfig: Kubeconfig = None, as_json: Json = False) -> None:
    """Break something now, in the running practice cluster."""
    from bot.cli.sandbox import change

    raise SystemExit(change(name, "break", kubeconfig=kubeconfig, as_json=as_json))


@sandbox_app.command("heal")
def heal_command(name: Name, kubeconfig: Kubeconfig = None, as_json: Json = False) -> None:
    """Apply a right fix now; for a GitOps scenario in its Git, for a lost node at the machine."""
    from bot.cli.sandbox import change

    raise SystemExit(change(name, "heal", kubeconfig=kubeconfig, as_json=as_json))


@sandbox_app.command("status")
def status_command(
    name: Annotated[str | None, typer.Argument(help="One scenario; all that were started when absent.")] = None,
    kubeconfig: Kubeconfig = None,
    as_json: Json = False,
) -> None:
    """Say what is broken and what is healthy."""
    from bot.cli.sandbox import status

    raise SystemExit(status(name, kubeconfig=kubeconfig, as_json=as_json))
