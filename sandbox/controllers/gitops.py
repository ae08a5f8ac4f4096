"""A GitOps controller (as Argo CD with automated sync and self-heal): what "Git" says is put back within seconds.

The repository is a table here: application → objects. `commit` is a push to it; the controller syncs it, and reverts
whatever anybody changes in the cluster in the meantime. Fields that Git does not name are left alone.
"""

from collections.abc import Iterable

from sandbox import patches
from sandbox.cluster import Cluster, Key
from sandbox.defaults import fill
from sandbox.objects import Obj, annotations_of, clone, name_of, namespace_of, text
from sandbox.resources import BY_KIND, Resource
from sandbox.store import Change

MANAGER = "argocd-controller"
TRACKING = "argocd.argoproj.io/tracking-id"
SELF_HEAL_AFTER = 4.0

Wanted = tuple[str, str, str]
"""Kind, namespace and name of an object in Git."""


class GitOps:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.applications: dict[str, dict[Wanted, Obj]] = {}
        self._due: set[Wanted] = set()

    def commit(self, app: str, obj: Obj) -> None:
        """Let Git say this of an object from now on; the cluster follows after a moment."""
        resource = BY_KIND[text(obj, "kind")]
        wanted = clone(obj)
        group = f"{resource.group}/" if resource.group else "/"
        tracked = f"{app}:{group}{resource.kind}:{namespace_of(obj)}/{name_of(obj)}"
        wanted["metadata"]["annotations"] = annotations_of(wanted) | {TRACKING: tracked}
        key = (resource.kind, namespace_of(obj), name_of(obj))
        self.applications.setdefault(app, {})[key] = wanted
        if self.cluster.store.get(resource, key[1], key[2]) is None:
            self._sync(key)
        else:
            self._soon(key)

    def desired(self, app: str, key: Wanted) -> Obj | None:
        """What Git says of an object, None if it is not in that application."""
        return self.applications.get(app, {}).get(key)

    def wake(self, change: Change) -> Iterable[Key]:
        key = (change.resource.kind, namespace_of(change.obj), name_of(change.obj))
        if self._wanted(key) is not None:
            yield f"{key[0]}/{key[1]}", key[2]

    def reconcile(self, key: Key) -> None:
        kind, _, namespace = key[0].partition("/")
        wanted = (kind, namespace, key[1])
        if self._drifted(wanted):
            self._soon(wanted)

    def _wanted(self, key: Wanted) -> Obj | None:
        return next((objects[key] for objects in self.applications.values() if key in objects), None)

    def _soon(self, key: Wanted) -> None:
        if key in self._due:
            return
        self._due.add(key)
        self.cluster.clock.after(SELF_HEAL_AFTER, lambda: self._sync(key))

    def _drifted(self, key: Wanted) -> bool:
        resource = BY_KIND[key[0]]
        live = self.cluster.store.get(resource, key[1], key[2])
        return live is None or self._synced(resource, key, live) != live

    def _synced(self, resource: Resource, key: Wanted, live: Obj) -> Obj:
        wanted = self._wanted(key)
        if wanted is None:
            return live
        merged = patches.strategic(clone(live), clone(wanted), "service" if resource.kind == "Service" else "")
        fill(self.cluster, resource, merged)
        return merged

    def _sync(self, key: Wanted) -> None:
        self._due.discard(key)
        wanted, resource = self._wanted(key), BY_KIND[key[0]]
        if wanted is None:
            return
        live = self.cluster.store.get(resource, key[1], key[2])
        if live is None:
            obj = clone(wanted)
            fill(self.cluster, resource, obj)
            self.cluster.store.create(resource, obj, MANAGER)
            return
        merged = self._synced(resource, key, live)
        if merged != live:
            self.cluster.store.update(resource, merged, MANAGER)
