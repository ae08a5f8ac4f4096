"""Settings as the command line sees them."""

from pathlib import Path
from typing import Any

from control_plane.settings import Settings


def settings_for(*, host: str | None, port: int | None, data_dir: Path | None, solo: bool) -> Settings:
    """Settings of the environment and opsthread.toml, with what the command line says on top."""
    said: dict[str, Any] = {"host": host, "port": port, "data_dir": data_dir, "four_eyes": False if solo else None}
    return Settings(**{key: value for key, value in said.items() if value is not None})
