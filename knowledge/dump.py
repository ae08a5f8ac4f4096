"""Read a cluster dump: a directory of plain files that anybody can make. `limits` says what was missing or unreadable.

    objects.json | objects.yaml                a List of any Kubernetes objects, Events included
    logs/<namespace>/<pod>/<container>.log     and <container>.previous.log
    metrics.json                               a list of Prometheus query_range matrix series
    now.txt                                    RFC 3339 time of the dump
    dump.json                                  optional, has `v`

Nothing in a dump is executed, fetched or followed: links that lead out of the directory are left out.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import orjson

from knowledge.diagnosis import ClusterView, LogKey, Series, read_series
from knowledge.diagnosis.fields import Obj, time_at, when
from protocol.base import PROTOCOL_VERSION
from protocol.text import clean, one_line

MAX_FILE_BYTES = 512 * 1024 * 1024
MAX_LOG_BYTES = 1024 * 1024
MAX_LOGS = 20_000


class NoDump(Exception):
    """The path holds no dump at all. Says what was looked for."""


def load_dump(directory: Path, *, now: datetime | None = None) -> ClusterView:
    """The view of a dump. `now` overrides now.txt. Raises NoDump when there is no directory or no objects file."""
    if not directory.is_dir():
        raise NoDump(f"{directory} is no directory; a cluster dump is a directory with objects.json in it")
    limits: list[str] = []
    _check_version(directory, limits)
    objects = _objects(directory, limits)
    logs = _logs(directory, limits)
    metrics = _metrics(directory, limits)
    return ClusterView(objects, now=now or _now(directory, objects, limits), logs=logs, metrics=metrics, limits=limits)


def _check_version(directory: Path, limits: list[str]) -> None:
    said = _json(directory, "dump.json", limits, optional=True)
    version: Any = cast(Mapping[str, Any], said).get("v") if isinstance(said, dict) else None
    if isinstance(version, int) and version > PROTOCOL_VERSION:
        limits.append(
            f"the dump is of version {version}, newer than this program reads ({PROTOCOL_VERSION}); unknown parts are left out"
        )


def _objects(directory: Path, limits: list[str]) -> list[Obj]:
    if _inside(directory, directory / "objects.json"):
        value = _json(directory, "objects.json", limits)
    elif _inside(directory, directory / "objects.yaml"):
        value = _yaml(directory, "objects.yaml", limits)
    else:
        raise NoDump(
            f"{directory} has neither objects.json nor objects.yaml; write one with: kubectl get … -A -o json > objects.json"
        )
    found: list[Obj] = []
    for part in cast(list[Any], value) if isinstance(value, list) else [value]:
        _unfold(part, found)
    if not found:
        limits.append("the objects file holds no objects")
    return found


def _unfold(value: Any, found: list[Obj]) -> None:
    """A List's items, a PodList's items (which carry no kind of their own), or one object."""
    if not isinstance(value, dict):
        return
    row = cast(dict[str, Any], value)
    kind: Any = row.get("kind")
    if not isinstance(row.get("items"), list):
        found.append(row)
        return
    item_kind = kind.removesuffix("List") if isinstance(kind, str) and kind != "List" else ""
    for item in cast(list[Any], row["items"]):
        if isinstance(item, dict):
            one = cast(dict[str, Any], item)
            found.append(one if one.get("kind") or not item_kind else {**one, "kind": item_kind})


def _logs(directory: Path, limits: list[str]) -> dict[LogKey, str]:
    root = directory / "logs"
    found: dict[LogKey, str] = {}
    if not _inside(directory, root) or not root.is_dir():
        limits.append("the dump has no logs")
        return found
    for path in sorted(root.glob("*/*/*.log")):
        if len(found) >= MAX_LOGS:
            limits.append(f"only the first {MAX_LOGS} logs were read")
            break
        if not _inside(directory, path) or not path.is_file():
            limits.append(f"log {one_line(path.name, 80)} leads out of the dump or is no file, and was left out")
            continue
        container = path.name.removesuffix(".log")
        previous = container.endswith(".previous")
        key = LogKey(path.parent.parent.name, path.parent.name, container.removesuffix(".previous"), previous)
        text = _tail(path, limits)
        if text is not None:
            found[key] = clean(text)
    return found


def _tail(path: Path, limits: list[str]) -> str | None:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - MAX_LOG_BYTES))
            return file.read(MAX_LOG_BYTES).decode("utf-8", "replace")
    except OSError as error:
        limits.append(f"log {one_line(path.name, 80)} cannot be read ({error.strerror})")
        return None


def _metrics(directory: Path, limits: list[str]) -> list[Series]:
    if not _inside(directory, directory / "metrics.json"):
        limits.append("the dump has no metrics")
        return []
    value = _json(directory, "metrics.json", limits)
    if isinstance(value, dict):  # Prometheus's whole answer: {"data": {"result": [...]}}
        data: Any = cast(dict[str, Any], value).get("data")
        value = cast(dict[str, Any], data).get("result") if isinstance(data, dict) else None
    return read_series(cast(Iterable[object], value)) if isinstance(value, list) else []


def _now(directory: Path, objects: list[Obj], limits: list[str]) -> datetime:
    path = directory / "now.txt"
    if _inside(directory, path) and path.is_file():
        try:
            moment = when(path.read_text("utf-8", "replace")[:64].strip())
        except OSError:
            moment = None
        if moment is not None:
            return moment
        limits.append("now.txt holds no RFC 3339 time")
    times = [
        time_at(obj, *path)
        for obj in objects
        for path in (("lastTimestamp",), ("metadata", "creationTimestamp"), ("eventTime",))
    ]
    newest = max((moment for moment in times if moment), default=None)
    limits.append("the dump does not say when it was made; its newest event or object stands for now")
    return newest or datetime.now(UTC)


def _json(directory: Path, name: str, limits: list[str], *, optional: bool = False) -> Any:
    data = _bytes(directory, name, limits, optional=optional)
    try:
        return orjson.loads(data) if data else None
    except orjson.JSONDecodeError as error:
        limits.append(f"{name} is no valid JSON ({error.msg} at line {error.lineno}) and was left out")
        return None


def _yaml(directory: Path, name: str, limits: list[str]) -> Any:
    import yaml

    data = _bytes(directory, name, limits)
    try:
        documents = list(yaml.load_all(data or b"", Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        limits.append(f"{name} is no valid YAML ({one_line(str(error), 120)}) and was left out")
        return None
    return _plain(documents)


def _plain(value: Any) -> Any:
    """YAML reads times as datetime; the view wants the API's strings."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in cast(dict[Any, Any], value).items()}
    if isinstance(value, list):
        return [_plain(item) for item in cast(list[Any], value)]
    return value.isoformat() if isinstance(value, datetime) else value


def _bytes(directory: Path, name: str, limits: list[str], *, optional: bool = False) -> bytes | None:
    path = directory / name
    if not _inside(directory, path) or not path.is_file():
        if not optional:
            limits.append(f"the dump has no {name}")
        return None
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            limits.append(f"{name} is larger than {MAX_FILE_BYTES // 2**20} MiB and was left out")
            return None
        return path.read_bytes()
    except OSError as error:
        limits.append(f"{name} cannot be read ({error.strerror})")
        return None


def _inside(directory: Path, path: Path) -> bool:
    try:
        return path.resolve(strict=True).is_relative_to(directory.resolve())
    except OSError:
        return False
