"""Where a running serve is, and the token of the person at this machine. Kept beside its data, mode 0600."""

import os
from pathlib import Path
from urllib.parse import urlsplit

from protocol.base import Value

FILE_NAME = "cli.json"


class Connection(Value):
    url: str
    token: str
    pid: int = 0
    admin: str = ""
    """An administrator's token where `token` is not one: in the demo, for the commands that look after the place."""


def write_connection(data_dir: Path, connection: Connection) -> None:
    path = data_dir / FILE_NAME
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(connection.model_dump_json())
    fresh.replace(path)


def remove_connection(data_dir: Path) -> None:
    (data_dir / FILE_NAME).unlink(missing_ok=True)


def find_connection(
    *, url: str | None, token: str | None, data_dir: Path | None, administering: bool = False
) -> Connection | None:
    """What was said, else a serve that runs here: in `data_dir`, in ./data, or the demo's. None when there is none.
    `administering`: as an administrator, where this machine has such a token besides.

    A folder that somebody else has filled may name any server: a person's own token goes to none but this machine then."""
    if url:
        return Connection(url=url.rstrip("/"), token=token or "")
    folders = (data_dir,) if data_dir is not None else (Path("data"), Path("data/demo"))
    for folder in folders:
        found = _read(folder / FILE_NAME)
        if found is not None and _alive(found.pid) and (token is None or data_dir is not None or _is_here(found.url)):
            own = found.admin if administering and found.admin else found.token
            return found.model_copy(update={"token": own if token is None else token})
    return None


def _read(path: Path) -> Connection | None:
    try:
        return Connection.model_validate_json(path.read_text())
    except (OSError, ValueError):
        return None


def _is_here(url: str) -> bool:
    return urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
