"""The objects of the practice cluster, one resource version for all, and the log that watches read.

The store knows nothing of HTTP, defaults or permissions. Listeners hear every change at once, in
order; `Change.old` lets a watch with selectors tell "no longer matches" from "never did".
"""

import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from sandbox import fields
from sandbox.clock import Clock, rfc3339
from sandbox.errors import already_exists, conflict, not_found, precondition_failed
from sandbox.objects import Obj, clone, name_of, namespace_of, sub, text
from sandbox.resources import Resource

LOG_LENGTH = 20_000
FIRST_VERSION = 1000


@dataclass(frozen=True)
class Change:
    """What happened to one object: ADDED, MODIFIED or DELETED, at which resource version."""

    version: int
    type: str
    resource: Resource
    obj: Obj
    old: Obj | None


class Store:
    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.version = FIRST_VERSION
        self.log: deque[Change] = deque(maxlen=LOG_LENGTH)
        self.listeners: list[Callable[[Change], None]] = []
        self._objects: dict[Resource, dict[tuple[str, str], Obj]] = {}

    def get(self, resource: Resource, namespace: str, name: str) -> Obj | None:
        """The object as stored: read it, don't change it."""
        return self._objects.get(resource, {}).get((namespace, name))

    def need(self, resource: Resource, namespace: str, name: str) -> Obj:
        found = self.get(resource, namespace, name)
        if found is None:
            raise not_found(resource, name)
        return found

    def list(self, resource: Resource, namespace: str = "") -> list[Obj]:
        """All objects of a kind (in a namespace), in the API server's order."""
        items = self._objects.get(resource, {})
        return [items[key] for key in sorted(items) if not namespace or key[0] == namespace]

    def create(self, resource: Resource, obj: Obj, manager: str, *, dry_run: bool = False) -> Obj:
        """Store a new object, or with `dry_run` only say what would be stored. Raises ApiError 409."""
        key = (namespace_of(obj) if resource.namespaced else "", name_of(obj))
        if key in self._objects.get(resource, {}):
            raise already_exists(resource, key[1])
        obj = clone(obj)
        meta = obj.setdefault("metadata", {})
        meta.pop("managedFields", None)
        meta["uid"] = str(uuid.uuid4())
        meta["creationTimestamp"] = rfc3339(self.clock.now)
        if "spec" in obj:
            meta["generation"] = 1
        obj = fields.tracked(None, obj, manager, rfc3339(self.clock.now))
        if not dry_run:
            self._write("ADDED", resource, obj, None)
        return obj

    def update(
        self,
        resource: Resource,
        obj: Obj,
        manager: str,
        *,
        subresource: str = "",
        track: bool = True,
        dry_run: bool = False,
    ) -> Obj:
        """Write `obj` over the stored one; unchanged writes nothing.

        Its resourceVersion, if it has one, must be the stored one. Raises ApiError 404 or 409.
        """
        namespace = namespace_of(obj) if resource.namespaced else ""
        old = self.need(resource, namespace, name_of(obj))
        meta, before = sub(obj, "metadata"), sub(old, "metadata")
        if meta.get("resourceVersion") not in (None, "", before["resourceVersion"]):
            raise conflict(resource, name_of(obj))
        if meta.get("uid") not in (None, "", before["uid"]):
            raise conflict(
                resource,
                name_of(obj),
                precondition_failed(resource, namespace, name_of(obj), "UID", meta["uid"], before["uid"]),
            )
        obj = clone(obj)
        meta = obj["metadata"]
        for field in ("uid", "creationTimestamp", "resourceVersion", "generation"):
            if field in before:
                meta[field] = before[field]
        if obj == old:
            return old
        if obj.get("spec") != old.get("spec") and "generation" in before:
            meta["generation"] = before["generation"] + 1
        if track:
            obj = fields.tracked(old, obj, manager, rfc3339(self.clock.now), subresource)
        if not dry_run:
            self._write("MODIFIED", resource, obj, old)
        return obj

    def remove(self, resource: Resource, namespace: str, name: str) -> Obj:
        old = self.need(resource, namespace, name)
        del self._objects[resource][(namespace, name)]
        self._announce("DELETED", resource, {**old, "metadata": dict(old["metadata"])}, old)
        return old

    def items(self) -> Iterator[tuple[Resource, Obj]]:
        """Every object with its kind, as it is now: what is stored meanwhile is not in it."""
        for resource, objects in list(self._objects.items()):
            for obj in list(objects.values()):
                yield resource, obj

    def everything(self) -> Sequence[Obj]:
        return [obj for _, obj in self.items()]

    def restore(self, objects: Iterable[tuple[Resource, Obj]], version: int) -> None:
        """Hold these objects, at that resource version; nobody may watch from before it."""
        self._objects = {}
        for resource, obj in objects:
            self._objects.setdefault(resource, {})[namespace_of(obj) if resource.namespaced else "", name_of(obj)] = obj
        self.version = version
        self.forget_log()

    def oldest_version(self) -> int:
        """The oldest resource version a watch may start from."""
        if len(self.log) < LOG_LENGTH:
            return self._floor
        return self.log[0].version - 1

    _floor = FIRST_VERSION

    def forget_log(self) -> None:
        """Drop the watch log: versions up to now are then too old to watch from."""
        self.log.clear()
        self._floor = self.version

    def _write(self, kind: str, resource: Resource, obj: Obj, old: Obj | None) -> None:
        key = (namespace_of(obj) if resource.namespaced else "", text(obj, "metadata", "name"))
        self._objects.setdefault(resource, {})[key] = obj
        self._announce(kind, resource, obj, old)

    def _announce(self, kind: str, resource: Resource, obj: Obj, old: Obj | None) -> None:
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        change = Change(self.version, kind, resource, obj, old)
        self.log.append(change)
        for listener in self.listeners:
            listener(change)
