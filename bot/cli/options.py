"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Where everything is kept that must survive a restart.")]
Host = Annotated[str | None, typer.Option(help="Address to listen on.")]
Port = Annotated[int | None, typer.Option(help="Port to listen on; 0 for a free one.")]
Solo = Annotated[bool, typer.Option("--solo", help="One person with both roles; four-eyes is off and cards say so.")]
ReadyFile = Annotated[
    Path | None, typer.Option(help="Write a JSON file with addresses and links when ready (for scripts and tests).")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Url = Annotated[str | None, typer.Option(envvar="OPSTHREAD_URL", help="A running serve; found by itself when it runs here.")]
Token = Annotated[str | None, typer.Option(envvar="OPSTHREAD_TOKEN", help="Bearer token of your account.")]
Namespace = Annotated[list[str] | None, typer.Option("--namespace", "-n", help="Limit to these namespaces.")]
