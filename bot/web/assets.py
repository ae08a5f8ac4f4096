"""Static files: served under a path that holds their digest, so that browsers may keep them for good."""

import hashlib
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from fastapi import Response

from control_plane.errors import NotFound

_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
}
_FOR_GOOD = "public, max-age=31536000, immutable"


@cache
def all_assets() -> dict[str, bytes]:
    """Path under static/ to content; the catalogues of words are among them as i18n/<language>.json."""
    found: dict[str, bytes] = {}
    root = files("bot.web")
    _collect(root / "static", "", found)
    _collect(root / "i18n", "i18n/", found)
    return found


@cache
def build() -> str:
    """Digest of all static files."""
    digest = hashlib.sha256()
    for name, content in sorted(all_assets().items()):
        digest.update(name.encode() + b"\0" + content)
    return digest.hexdigest()[:16]


@cache
def modules() -> tuple[str, ...]:
    """The scripts of the application, for modulepreload: without it they load one import deep at a time."""
    return tuple(sorted(name for name in all_assets() if name.endswith(".js") and name not in ("app.js", "door.js")))


def asset(path: str) -> Response:
    """Raises NotFound."""
    content = all_assets().get(path)
    if content is None:
        raise NotFound("There is no such file.")
    kind = _TYPES[path[path.rindex(".") :]]
    return Response(content, headers={"Content-Type": kind, "Cache-Control": _FOR_GOOD})


def _collect(folder: Traversable, prefix: str, found: dict[str, bytes]) -> None:
    for item in folder.iterdir():
        if item.is_dir():
            _collect(item, f"{prefix}{item.name}/", found)
        elif any(item.name.endswith(ending) for ending in _TYPES):
            found[prefix + item.name] = item.read_bytes()
