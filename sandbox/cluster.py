"""The living cluster: store, clock and a work queue of controllers.

A change in the store wakes the controllers that care; they run until nothing is left to do, and the
next timer moves the clock. There are no threads and no tasks here: `run_until` is all it takes, so a
test can play an hour of cluster life in a call, and the same call fabricates the past at start.
"""

import hashlib
from collections.abc import Iterable
from typing import Protocol

from sandbox.clock import Clock, epoch, rfc3339
from sandbox.objects import Obj, clone, first, name_of, namespace_of, number, sub, text, uid_of
from sandbox.resources import EVENT, Resource
from sandbox.store import Change, Store

Key = tuple[str, str]
"""Namespace and name of what a controller has to look at."""

EVENT_LIFETIME = 3600.0
_MAX_STEPS = 100_000


class Controller(Protocol):
    """Brings one thing in line with what is wanted. Must do nothing when it already is."""

    def wake(self, change: Change) -> Iterable[Key]:
        """Which keys to reconcile because of this change."""
        ...

    def reconcile(self, key: Key) -> None: ...


class Cluster:
    def __init__(self, clock: Clock, *, seed: int = 7) -> None:
        self.clock = clock
        self.store = Store(clock)
        self._seed, self.drawn = seed, 0
        self._controllers: list[Controller] = []
        self._queue: dict[tuple[int, Key], None] = {}
        self._retries: dict[tuple[int, Key], int] = {}
        self._waiting: set[tuple[int, Key]] = set()
        self._events: dict[tuple[str, str, str, str], str] = {}
        self.store.listeners.append(self._wake)

    def install(self, *controllers: Controller) -> None:
        self._controllers.extend(controllers)

    def enqueue(self, controller: Controller, key: Key) -> None:
        self._queue[self._controllers.index(controller), key] = None

    def retry(self, controller: Controller, key: Key) -> None:
        """Look at `key` once more, later each time: after 5 s, 10 s, 20 s ... 5 minutes, until `forgive`."""
        at = (self._controllers.index(controller), key)
        if at in self._waiting:
            return
        tried = self._retries[at] = self._retries.get(at, 0) + 1
        self._waiting.add(at)

        def again() -> None:
            self._waiting.discard(at)
            self._queue[at] = None

        self.clock.after(min(5.0 * 2 ** min(tried - 1, 6), 300.0), again)

    def forgive(self, controller: Controller, key: Key) -> None:
        """What was retried has worked."""
        self._retries.pop((self._controllers.index(controller), key), None)

    def settle(self) -> None:
        """Run the controllers until none of them wants anything at this moment."""
        for _ in range(_MAX_STEPS):
            if not self._queue:
                return
            index, key = next(iter(self._queue))
            del self._queue[index, key]
            self._controllers[index].reconcile(key)
        raise RuntimeError(f"controllers do not come to rest; still queued: {list(self._queue)[:5]}")

    def run_until(self, moment: float) -> None:
        """Live through everything that is due up to `moment`, and be there."""
        self.settle()
        while (action := self.clock.pop_due(moment)) is not None:
            action()
            self.settle()
        self.clock.now = max(self.clock.now, moment)

    def event(
        self,
        about: Obj,
        reason: str,
        message: str,
        *,
        component: str,
        warning: bool = False,
        field: str = "",
        host: str = "",
    ) -> None:
        """Record an Event; the same one again counts up, as the event recorder does."""
        now = rfc3339(self.clock.now)
        namespace = namespace_of(about) or "default"
        key = (uid_of(about) or name_of(about), reason, message, field)
        known = self._events.get(key)
        old = self.store.get(EVENT, namespace, known) if known else None
        if old is not None:
            seen = clone(old)
            seen["count"] = number(old, "count") + 1
            seen["lastTimestamp"] = now
            self.store.update(EVENT, seen, component, track=False)
            return
        name = f"{name_of(about)}.{self._draw():016x}"
        reference = {
            "kind": about["kind"],
            "namespace": namespace_of(about),
            "name": name_of(about),
            "uid": uid_of(about),
            "apiVersion": about["apiVersion"],
            "resourceVersion": text(about, "metadata", "resourceVersion"),
            "fieldPath": field,
        }
        self.store.create(
            EVENT,
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": name, "namespace": namespace},
                "involvedObject": {k: v for k, v in reference.items() if v},
                "reason": reason,
                "message": message,
                "source": {"component": component, **({"host": host} if host else {})},
                "firstTimestamp": now,
                "lastTimestamp": now,
                "count": 1,
                "type": "Warning" if warning else "Normal",
                "eventTime": None,
                "reportingComponent": component,
                "reportingInstance": host,
            },
            component,
        )
        self._events[key] = name
        self.clock.after(EVENT_LIFETIME * self.clock.speed, lambda: self._expire(namespace, name, key))

    def _expire(self, namespace: str, name: str, key: tuple[str, str, str, str]) -> None:
        event = self.store.get(EVENT, namespace, name)
        if event is None:
            self._events.pop(key, None)
            return
        left = epoch(text(event, "lastTimestamp")) + EVENT_LIFETIME - self.clock.now
        if left > 1:
            self.clock.after(left * self.clock.speed, lambda: self._expire(namespace, name, key))
            return
        self._events.pop(key, None)
        self.store.remove(EVENT, namespace, name)

    def resume(self) -> None:
        """Take up what was put back into the store: every controller looks at every object, Events age on."""
        for resource, obj in self.store.items():
            self._wake(Change(self.store.version, "ADDED", resource, obj, None))
            if resource is EVENT:
                about = sub(obj, "involvedObject")
                field, reason, message = text(about, "fieldPath"), text(obj, "reason"), text(obj, "message")
                key = (text(about, "uid") or text(about, "name"), reason, message, field)
                self._events[key] = name_of(obj)
                self._expire(namespace_of(obj), name_of(obj), key)
        self.settle()

    def set_status(self, resource: Resource, obj: Obj, status: Obj, manager: str) -> None:
        """Write the status of an object if it differs."""
        if obj.get("status") == status:
            return
        fresh = self.store.get(resource, namespace_of(obj) if resource.namespaced else "", name_of(obj))
        if fresh is None or uid_of(fresh) != uid_of(obj):
            return
        self.store.update(resource, {**fresh, "status": status}, manager, subresource="status")

    def suffix(self, length: int = 5) -> str:
        """A random name part in the alphabet of generated names."""
        alphabet, left = "bcdfghjklmnpqrstvwxz2456789", self._draw()
        drawn = ""
        for _ in range(length):
            left, at = divmod(left, len(alphabet))
            drawn += alphabet[at]
        return drawn

    def _draw(self) -> int:
        """64 bits that look random and are the same at each start, so that a demo can be told twice."""
        self.drawn += 1
        return int.from_bytes(hashlib.sha256(f"{self._seed}:{self.drawn}".encode()).digest()[:8])

    def _wake(self, change: Change) -> None:
        for index, controller in enumerate(self._controllers):
            for key in controller.wake(change):
                self._queue[index, key] = None


def with_condition(conditions: list[Obj], now: float, kind: str, status: bool | str, reason: str, message: str) -> list[Obj]:
    """`conditions` with one set; its transition time moves only when its status changes."""
    word = status if isinstance(status, str) else ("True" if status else "False")
    stamp = rfc3339(now)
    result = [row for row in conditions if row.get("type") != kind]
    old = first(conditions, lambda row: row.get("type") == kind)
    same = all(old.get(k) == v for k, v in (("status", word), ("reason", reason), ("message", message)))
    if same:
        return conditions
    row: Obj = {
        "type": kind,
        "status": word,
        "lastUpdateTime": stamp,
        "lastTransitionTime": old["lastTransitionTime"] if old.get("status") == word else stamp,
        "reason": reason,
        "message": message,
    }
    at = next((i for i, item in enumerate(conditions) if item.get("type") == kind), len(result))
    return [*result[:at], row, *result[at:]]
