"""Where it is installed: the configuration's words, the data directory, its disk, the port."""

import difflib
import errno
import fcntl
import os
import shutil
import socket
import stat
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from control_plane.settings import Settings
from protocol.checkup import CheckRow, fail, ok, warn
from protocol.text import one_line

PREFIX = "OPSTHREAD_"
_OTHER_VARIABLES = frozenset({"OPSTHREAD_URL", "OPSTHREAD_TOKEN", "OPSTHREAD_SCREENSHOTS"})
_RUNNER_PREFIX = "OPSTHREAD_RUNNER_"
_FREE_WARN, _FREE_FAIL = 2 << 30, 256 << 20
_NETWORK_DISKS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "afs", "ceph", "fuse.glusterfs"})


def read_settings(
    environment: Mapping[str, str], folder: Path, said: Mapping[str, Any]
) -> tuple[Settings | None, list[CheckRow]]:
    """The settings as serve would read them in `folder`, None when it would refuse them; and what is to be said of them."""
    rows, table = _file(folder / "opsthread.toml")
    if table is None:
        return None, rows
    unknown = [*_unknown_variables(environment), *_unknown_keys(table)]
    try:
        settings = Settings(**said)
    except ValidationError as error:
        return None, [*rows, *unknown, *_invalid(error)]
    except (OSError, ValueError) as error:
        return None, [*rows, *unknown, fail("configuration", "settings", one_line(str(error), 300), "Correct the value.")]
    return settings, [*rows, *unknown, ok("configuration", "settings", f"valid; data in {settings.data_dir.absolute()}")]


def look_at_place(settings: Settings, *, serving: bool) -> list[CheckRow]:
    """`serving`: a serve of ours is up, so its port is rightly in use."""
    folder = settings.data_dir.absolute()
    try:
        rows = [_folder(folder)]
        if folder.is_dir():
            rows += [_disk(folder), *_network_disk(folder)]
            rows += [] if serving else _holder(folder)
    except OSError as error:
        mend = "OPSTHREAD_DATA_DIR=/var/lib/opsthread   # a directory of ours"
        rows = [fail("data", "directory", f"{folder} can't be looked into: {error.strerror}", mend)]
    return [*rows, *_port(settings, serving=serving), *_public_url(settings)]


def _file(path: Path) -> tuple[list[CheckRow], dict[str, Any] | None]:
    if not path.exists():
        return [ok("configuration", "opsthread.toml", f"none in {path.parent}: environment and defaults")], {}
    try:
        return [ok("configuration", "opsthread.toml", str(path))], tomllib.loads(path.read_text())
    except OSError as error:
        return [fail("configuration", "opsthread.toml", f"{path} can't be read: {error.strerror}", f"chmod u+r {path}")], None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        found = f"{path} is no TOML: {one_line(str(error), 200)}"
        return [fail("configuration", "opsthread.toml", found, "Correct that line; strings are in quotes.")], None


def _invalid(error: ValidationError) -> list[CheckRow]:
    rows: list[CheckRow] = []
    for row in error.errors(include_url=False, include_context=False, include_input=False):
        name = "_".join(str(part) for part in row["loc"]) or "settings"
        mend = f"Correct {name} in opsthread.toml, or {PREFIX}{name.upper()} in the environment."
        rows.append(fail("configuration", name, one_line(str(row["msg"]), 300), mend))
    return rows


def _names() -> dict[str, str]:
    """Setting to the variable that sets it."""
    return {name: str(field.validation_alias or f"{PREFIX}{name.upper()}") for name, field in Settings.model_fields.items()}


def _unknown_variables(environment: Mapping[str, str]) -> Iterable[CheckRow]:
    known = set(_names().values()) | _OTHER_VARIABLES
    for name in sorted(environment):
        if name.startswith(PREFIX) and not name.startswith(_RUNNER_PREFIX) and name not in known:
            yield warn("configuration", name, "nothing reads this variable", _instead(name, known))


def _unknown_keys(table: Mapping[str, Any]) -> Iterable[CheckRow]:
    known = set(_names())
    for name in sorted(set(table) - known - set(_names().values())):
        yield warn("configuration", name, "nothing reads this key of opsthread.toml", _instead(name, known))


def _instead(name: str, known: Iterable[str]) -> str:
    """The prefix that all share would make any two look alike."""
    by_end = {one.removeprefix(PREFIX).lower(): one for one in sorted(known)}
    near = difflib.get_close_matches(name.removeprefix(PREFIX).lower(), by_end, n=1, cutoff=0.7)
    return f"Write {by_end[near[0]]} instead." if near else "Remove it; docs/configuration.md has all names."


def _folder(folder: Path) -> CheckRow:
    if not folder.exists():
        parent = next(path for path in folder.parents if path.exists())
        if not os.access(parent, os.W_OK | os.X_OK):
            mend = f"sudo install -d -m 700 -o {_me()} {folder}"
            return fail("data", "directory", f"{folder} is not there, and {parent} can't be written to", mend)
        return ok("data", "directory", f"{folder} is not there yet; the first start makes it")
    found = folder.stat()
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISDIR(found.st_mode):
        return fail("data", "directory", f"{folder} is not a directory", "Set OPSTHREAD_DATA_DIR to one.")
    if found.st_uid != os.geteuid() and os.geteuid() != 0:
        return fail(
            "data", "directory", f"{folder} belongs to user {found.st_uid}, not to us", f"sudo chown -R {_me()} {folder}"
        )
    if not _writable(folder):
        return fail("data", "directory", f"{folder} can't be written to", f"chmod u+rwx {folder}   # or mount it writable")
    if mode & 0o077:
        return warn("data", "directory", f"{folder} is open to others on this machine (mode {mode:o})", f"chmod 700 {folder}")
    return ok("data", "directory", f"{folder}, mode {mode:o}")


def _writable(folder: Path) -> bool:
    """By writing: a read-only mount and a full disk answer yes to everything else, and root may all but that."""
    path = folder / f".doctor-{os.getpid()}"
    try:
        path.write_bytes(b"x" * 4096)
    except OSError:
        return False
    finally:
        path.unlink(missing_ok=True)
    return True


def _holder(folder: Path) -> list[CheckRow]:
    """A serve that holds the directory and that we did not find: it hangs, or its address is not known here."""
    try:
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "?"
        mend = f"opsthread doctor --url http://…   # its address; if it hangs: kill {holder}, and look into its log"
        return [fail("data", "held", f"process {holder} holds {folder}, and no serve answers for it", mend)]
    finally:
        os.close(descriptor)
    return []


def _disk(folder: Path) -> CheckRow:
    usage, nodes = shutil.disk_usage(folder), os.statvfs(folder)
    said, mend = f"{usage.free >> 20:,} MiB free", f"df -h {folder}; du -xh {folder} | sort -h | tail   # make room"
    if usage.free < _FREE_FAIL:
        return fail("data", "disk", said, mend)
    if nodes.f_files and nodes.f_favail < 10_000:
        return warn("data", "disk", f"{said}, {nodes.f_favail:,} inodes free", f"df -i {folder}   # remove many small files")
    return warn("data", "disk", said, mend) if usage.free < _FREE_WARN else ok("data", "disk", said)


def _network_disk(folder: Path) -> list[CheckRow]:
    """SQLite's locks do not hold on network file systems, and JetStream loses data there."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return []
    holding = [parts for parts in mounts if len(parts) > 2 and folder.is_relative_to(parts[1].replace("\\040", " "))]
    kind = max(holding, key=lambda parts: len(parts[1]))[2] if holding else ""
    if kind not in _NETWORK_DISKS:
        return []
    found = f"{folder} is on {kind}, where SQLite's and JetStream's files can be lost"
    return [fail("data", "file system", found, "OPSTHREAD_DATA_DIR=/var/lib/opsthread   # a local disk")]


def _told(port: int) -> str:
    return f"port {port}" if port else "on a port that was free at its start"


def _port(settings: Settings, *, serving: bool) -> list[CheckRow]:
    if serving:
        return [ok("network", "port", f"serve listens on {settings.host}, {_told(settings.port)}")]
    if not settings.port:
        return [ok("network", "port", "a free one is chosen at each start")]
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((settings.host, settings.port))
    except PermissionError:
        mend = f"OPSTHREAD_PORT=8080   # or: sudo sysctl net.ipv4.ip_unprivileged_port_start={settings.port}"
        return [fail("network", "port", f"{settings.port} needs more rights than we have", mend)]
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            mend = f"ss -ltnp 'sport = :{settings.port}'   # who it is; or set OPSTHREAD_PORT"
            return [fail("network", "port", f"{settings.host}:{settings.port} is used by another program", mend)]
        found = f"{settings.host}:{settings.port} can't be listened on: {error.strerror}"
        return [fail("network", "port", found, "ip addr   # OPSTHREAD_HOST must be an address of this machine")]
    return [ok("network", "port", f"{settings.host}:{settings.port} is free")]


def _public_url(settings: Settings) -> list[CheckRow]:
    local = settings.host in ("127.0.0.1", "::1", "localhost")
    if not settings.public_url:
        if local:
            return []
        mend = "OPSTHREAD_PUBLIC_URL=https://opsthread.example.org"
        return [warn("network", "public URL", "people reach this from other machines, and links name no public URL", mend)]
    if not settings.public_url.lower().startswith("https://") and not local:
        mend = f"OPSTHREAD_PUBLIC_URL={settings.public_url.replace('http://', 'https://')}   # behind a proxy with TLS"
        return [warn("network", "public URL", "by plain http, so sign-ins can be read on the way", mend)]
    return [ok("network", "public URL", settings.public_url)]


def _me() -> str:
    return os.environ.get("USER") or str(os.geteuid())
