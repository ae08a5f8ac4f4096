"""Settings as the command line sees them."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console

from bot.cli.exits import Exit
from control_plane.settings import Settings


def settings_for(*, host: str | None, port: int | None, data_dir: Path | None, solo: bool) -> Settings:
    """Settings of the environment and opsthread.toml, with what the command line says on top. Exits 2 and names what is
    not valid."""
    said: dict[str, Any] = {"host": host, "port": port, "data_dir": data_dir, "four_eyes": False if solo else None}
    try:
        return Settings(**{key: value for key, value in said.items() if value is not None})
    except ValidationError as error:
        for row in error.errors(include_url=False, include_context=False, include_input=False):
            name = "_".join(str(part) for part in row["loc"])
            Console(stderr=True).print(f"Setting {name} is not valid: {row['msg']}", style="red", markup=False)
        raise SystemExit(Exit.USAGE) from None
