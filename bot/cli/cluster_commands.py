"""`opsthread cluster …` as typer sees it."""

from typing import Annotated

import typer

from bot.cli.options import DataDir, Json, Token, Url

cluster_app = typer.Typer(help="Clusters and their runners, for administrators.", no_args_is_help=True, rich_markup_mode=None)

Name = Annotated[str, typer.Argument(help="What the cluster is called.")]


@cluster_app.command("add")
def add(
    name: Name,
    mode: Annotated[
        str, typer.Option(help="read-only, or remediation: then the runner also runs what people approve.")
    ] = "read-only",
    in_namespaces: Annotated[
        list[str] | None, typer.Option("--in", help="With remediation: only in these namespaces. Everywhere when absent.")
    ] = None,
    remediation: Annotated[
        list[str] | None, typer.Option("--remediation", help="With remediation: only these types, such as restart.")
    ] = None,
    environment: Annotated[str, typer.Option(help="Such as production; shown beside the name.")] = "",
    image: Annotated[str, typer.Option(help="The runner's image, with your registry before it.")] = "",
    print_manifest: Annotated[bool, typer.Option("--print", help="Print the YAML itself instead of the command.")] = False,
    wait: Annotated[float, typer.Option(help="Seconds to wait for the runner; 0 does not wait.")] = 0,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
) -> None:
    """Print the one command that installs a runner in a cluster, with a token that works once."""
    from bot.cli.clusters import add as run

    raise SystemExit(
        run(
            name, environment=environment, mode=mode, namespaces=tuple(in_namespaces or ()),
            remediations=tuple(remediation or ()), image=image, print_manifest=print_manifest, wait_s=wait,
            url=url, token=token, data_dir=data_dir,
        )
    )  # fmt: skip


@cluster_app.command("list")
def list_(url: Url = None, token: Token = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """List the clusters and whether their runners are online."""
    from bot.cli.clusters import list_clusters

    raise SystemExit(list_clusters(url=url, token=token, data_dir=data_dir, as_json=as_json))


@cluster_app.command("revoke")
def revoke(name: Name, url: Url = None, token: Token = None, data_dir: DataDir = None) -> None:
    """Take a cluster's runner out: its key opens nothing any more."""
    from bot.cli.clusters import revoke as run

    raise SystemExit(run(name, url=url, token=token, data_dir=data_dir))
