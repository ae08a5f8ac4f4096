"""A practice cluster kept over a restart: one file, written whole, and put in place by a rename.

The first line is the SHA-256 of the rest, so that a file that was torn is known as one: it is put aside and the cluster
starts from its history again. resourceVersions go on where they were; older ones are 410 Gone, as after a compaction.
"""

import asyncio
import contextlib
import hashlib
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import orjson

from sandbox.objects import Obj
from sandbox.resources import BY_KIND, LEASE
from sandbox.store import Change

if TYPE_CHECKING:
    from sandbox.world import Sandbox

_VERSION = 1
_AT_MOST_EVERY = 1.0


def read(path: Path) -> Obj | None:
    """What was kept, None when there is nothing (yet). A file that can't be used is put aside as <name>.torn, and said."""
    try:
        digest, _, body = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return None
    if hashlib.sha256(body).hexdigest().encode() == digest:
        kept: Any = orjson.loads(body)
        if isinstance(kept, dict) and cast(Obj, kept).get("v") == _VERSION:
            return cast(Obj, kept)
    aside = path.with_name(f"{path.name}.torn")
    path.replace(aside)
    logging.warning("%s can not be used and was put aside as %s; the practice cluster starts anew", path, aside)
    return None


def write(path: Path, body: bytes) -> None:
    """Replace the file in one step; a crash leaves the old one or the new one. Only the owner may read it: it has tokens."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def taken(sandbox: "Sandbox") -> Obj:
    """Everything that a cluster needs to go on."""
    cluster, machines = sandbox.cluster, sandbox.kubelet.machines
    return {
        "v": _VERSION,
        "version": cluster.store.version,
        "drawn": cluster.drawn,
        "objects": cluster.store.everything(),
        "started": sandbox.scenarios.started,
        "git": {app: list(objects.values()) for app, objects in sandbox.gitops.applications.items()},
        "hosts": machines.world.hosts,
        "silent": sorted(machines.silent),
        "addresses": machines.addresses,
        "images": sorted(machines.images),
        "tokens": sandbox.tokens.by_name,
    }


def put_back(sandbox: "Sandbox", kept: Obj) -> None:
    """Let a new sandbox go on where the kept one was. Its clock must be at now already."""
    cluster, machines = sandbox.cluster, sandbox.kubelet.machines
    cluster.drawn = int(kept["drawn"])
    sandbox.scenarios.started = list(kept["started"])
    machines.world.hosts |= kept["hosts"]
    machines.addresses = int(kept["addresses"])
    machines.images |= {(node, image) for node, image in kept["images"]}
    for app, objects in cast(dict[str, list[Obj]], kept["git"]).items():
        for obj in objects:
            meta = obj["metadata"]
            sandbox.gitops.applications.setdefault(app, {})[obj["kind"], meta.get("namespace", ""), meta["name"]] = obj
    for node in kept["silent"]:
        sandbox.nodes.silence(node)
    cluster.store.restore([(BY_KIND[obj["kind"]], obj) for obj in kept["objects"]], int(kept["version"]))
    sandbox.kubelet.adopting = True
    cluster.resume()
    sandbox.kubelet.adopting = False


class Keeper:
    """Owns the task that writes after changes, at most once a second, and once more at the end."""

    def __init__(self, sandbox: "Sandbox", path: Path) -> None:
        self.sandbox, self.path = sandbox, path
        self._dirty = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._dirty.set()
        self.sandbox.cluster.store.listeners.append(self._heard)
        self._task = asyncio.create_task(self._keep(), name="practice-cluster-state")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._write()

    def _heard(self, change: Change) -> None:
        # heartbeats alone are not worth a write
        if change.resource is not LEASE:
            self._dirty.set()

    async def _keep(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            await self._write()
            await asyncio.sleep(_AT_MOST_EVERY)

    async def _write(self) -> None:
        body = orjson.dumps(taken(self.sandbox))
        try:
            await asyncio.to_thread(write, self.path, body)
        except OSError as error:
            # a full disk must not stop the cluster; the last whole file stays
            logging.warning("the practice cluster can not be kept in %s: %s", self.path, error.strerror)
