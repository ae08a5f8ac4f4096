"""A GitOps controller (as Argo CD with automated sync and self-heal): what "Git" says is put back within seconds.

The repository is a table here: application → objects; each has an Application object in namespace argocd, whose
syncPolicy is obeyed. `commit` is a push to the repository. Fields that Git does not name are left alone.
"""

import hashlib
from collections.abc import Iterable

import orjson

from sandbox import patches
from sandbox.cluster import Cluster, Key
from sandbox.defaults import fill
from sandbox.objects import Obj, annotations_of, clone, name_of, namespace_of, sub, text
from sandbox.resources import APPLICATION, BY_KIND, NAMESPACE, Resource
from sandbox.store import Change

MANAGER = "argocd-controller"
HOME = "argocd"
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
        tracked = f"{app}:{resource.group}/{resource.kind}:{namespace_of(obj)}/{name_of(obj)}"
        wanted["metadata"]["annotations"] = annotations_of(wanted) | {TRACKING: tracked}
        key = (resource.kind, namespace_of(obj), name_of(obj))
        self.applications.setdefault(app, {})[key] = wanted
        self._register(app)
        if not self._policy(app):
            return
        if self.cluster.store.get(resource, key[1], key[2]) is None:
            self._sync(key)
        else:
            self._soon(key)

    def desired(self, app: str, key: Wanted) -> Obj | None:
        """What Git says of an object, None if it is not in that application."""
        return self.applications.get(app, {}).get(key)

    def wake(self, change: Change) -> Iterable[Key]:
        if change.resource is APPLICATION:
            objects = self.applications.get(name_of(change.obj), {})
            yield from ((f"{kind}/{namespace}", name) for kind, namespace, name in objects)
            return
        key = (change.resource.kind, namespace_of(change.obj), name_of(change.obj))
        if self._app_of(key):
            yield f"{key[0]}/{key[1]}", key[2]

    def reconcile(self, key: Key) -> None:
        kind, _, namespace = key[0].partition("/")
        wanted = (kind, namespace, key[1])
        app = self._app_of(wanted)
        drifted = self._drifted(wanted)
        if drifted and self._policy(app).get("selfHeal"):
            self._soon(wanted)
        self._report(app)

    def _app_of(self, key: Wanted) -> str:
        return next((app for app, objects in self.applications.items() if key in objects), "")

    def _policy(self, app: str) -> Obj:
        """The automated sync of an application; empty when people sync it by hand, or it is gone."""
        found = self.cluster.store.get(APPLICATION, HOME, app) or {}
        return sub(found, "spec", "syncPolicy", "automated")

    def _register(self, app: str) -> None:
        """The Application object, once; what people changed in it stays."""
        store = self.cluster.store
        if store.get(NAMESPACE, "", HOME) is None:
            space: Obj = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOME}}
            fill(self.cluster, NAMESPACE, space)
            store.create(NAMESPACE, space, "kubectl")
        if store.get(APPLICATION, HOME, app) is None:
            source = {"repoURL": "https://git.shop.example/deploy.git", "path": f"apps/{app}", "targetRevision": "main"}
            spec: Obj = {
                "project": "default",
                "source": source,
                "destination": {"server": "https://kubernetes.default.svc", "namespace": "shop"},
                "syncPolicy": {"automated": {"selfHeal": True, "prune": True}},
            }
            meta = {"name": app, "namespace": HOME}
            made: Obj = {"apiVersion": APPLICATION.api_version, "kind": APPLICATION.kind, "metadata": meta, "spec": spec}
            store.create(APPLICATION, made, "kubectl")

    def _report(self, app: str) -> None:
        found = self.cluster.store.get(APPLICATION, HOME, app)
        if found is None:
            return
        objects = self.applications[app]
        synced = not any(self._drifted(key) for key in objects)
        revision = hashlib.sha256(orjson.dumps(list(objects.values()))).hexdigest()[:40]
        status: Obj = {"sync": {"status": "Synced" if synced else "OutOfSync", "revision": revision}}
        self.cluster.set_status(APPLICATION, found, status, MANAGER)

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
        wanted = self.desired(self._app_of(key), key)
        if wanted is None:
            return live
        merged = patches.strategic(clone(live), clone(wanted), "service" if resource.kind == "Service" else "")
        fill(self.cluster, resource, merged)
        return merged

    def _sync(self, key: Wanted) -> None:
        self._due.discard(key)
        app, resource = self._app_of(key), BY_KIND[key[0]]
        wanted = self.desired(app, key)
        if wanted is None or not self._policy(app):
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
