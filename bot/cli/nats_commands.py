"""`opsthread nats config`: what an external NATS is told, and what every replica is told of it."""

import os
from pathlib import Path
from typing import Annotated

import typer

from bot.cli.exits import Exit

nats_app = typer.Typer(help="The bus, where it is not the bundled one.", no_args_is_help=True, rich_markup_mode=None)


@nats_app.command("config")
def config(
    out: Annotated[Path, typer.Option("--out", help="Folder for the three files; it must not hold them yet.")],
    address: Annotated[str, typer.Option(help="host:port by which replicas and runners reach it.")] = "nats:4222",
    listen: Annotated[str, typer.Option(help="Where it listens.")] = "0.0.0.0:4222",
    store_dir: Annotated[str, typer.Option(help="Where it keeps its streams.")] = "/data/jetstream",
    server_name: Annotated[str, typer.Option(help="Its name, different for each server of a cluster.")] = "opsthread-nats-0",
) -> None:
    """Write what an external NATS needs (accounts, auth callout, JetStream), the callout's key, and the replicas' settings."""
    from control_plane.bus.config import ServerSecrets
    from control_plane.bus.external import CONFIG_FILE, ENV_FILE, SEED_FILE, External, external_config, external_env

    external = External(address=address, listen=listen, store_dir=store_dir, server_name=server_name)
    secrets = ServerSecrets.fresh()
    files = {
        CONFIG_FILE: external_config(external, secrets),
        SEED_FILE: f"{secrets.issuer_seed.decode()}\n",
        ENV_FILE: external_env(external, secrets, (out / SEED_FILE).absolute()),
    }
    there = [name for name in files if (out / name).exists()]
    if there:
        typer.echo(
            f"{out} holds {', '.join(there)} already: new secrets would shut out who uses them. Choose another.", err=True
        )
        raise SystemExit(Exit.USAGE)
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, text in files.items():
            _write_private(out / name, text)
    except OSError as error:
        typer.echo(f"{error.filename}: {error.strerror}. Choose a folder that can be written.", err=True)
        raise SystemExit(Exit.FAILED) from None
    shown = files[CONFIG_FILE]
    for secret in (secrets.auth_password, secrets.app_password, secrets.sys_password):
        shown = shown.replace(secret, "…")  # a terminal is scrolled back, a job's output is kept
    typer.echo(shown)
    typer.echo(
        f"That is {out / CONFIG_FILE}; start the server with: nats-server -c {out / CONFIG_FILE}\n"
        f"Every replica gets the settings of {out / ENV_FILE} and the key {out / SEED_FILE}. All three are secrets.",
        err=True,
    )


def _write_private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
