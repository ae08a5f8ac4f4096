"""What `opsthread doctor` says, row by row, and settings of an installation that nobody runs."""

from pathlib import Path
from typing import Any

from control_plane.settings import Settings
from protocol.checkup import CheckRow


def row(rows: Any, name: str) -> CheckRow:
    """The one row of that name."""
    (found,) = [row for row in rows if row.name == name]
    return found


def settings(folder: Path, **more: Any) -> Settings:
    data = folder / "data"
    data.mkdir(mode=0o700, exist_ok=True)
    return Settings(data_dir=data, port=0, **more)
