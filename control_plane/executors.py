"""The stable name of a replica: what durable work is filed under, so that it is found again after a restart or by another."""

import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path

from control_plane.errors import Invalid
from control_plane.settings import Settings
from protocol.ids import is_id, new_id

_ORDINAL = re.compile(r"[a-z0-9]([a-z0-9-]{0,56}[a-z0-9])?-[0-9]{1,4}")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


def executor_id(settings: Settings, env: Mapping[str, str] = os.environ, hostname: str = "") -> str:
    """What the configuration says; else the name of a StatefulSet's pod (`opsthread-0`), which stays; else one that is made
    once and kept in the data directory. Raises Invalid for a name that is none."""
    if settings.executor_id:
        if _NAME.fullmatch(settings.executor_id) is None:
            raise Invalid(
                f"{settings.executor_id!r} is no executor id: letters, digits, dots, dashes and underscores, at most 63; "
                "set OPSTHREAD_EXECUTOR_ID to one, different for each replica"
            )
        return settings.executor_id
    host = (hostname or env.get("HOSTNAME") or platform.node()).lower()
    if "KUBERNETES_SERVICE_HOST" in env and _ORDINAL.fullmatch(host):
        return host
    return f"opsthread-{home_id(settings.data_dir)[:10]}"


def home_id(data_dir: Path) -> str:
    """The id of a data directory, made once."""
    path = data_dir / "home.id"
    try:
        known = path.read_text().strip()
    except OSError:
        known = ""
    if is_id(known):
        return known
    made = new_id()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(f"{made}\n")
    new.replace(path)
    return made
