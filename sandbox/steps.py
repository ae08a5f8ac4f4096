"""What a scenario's steps do to the cluster: one method a kind of step, named by its key in the YAML.

apply, patch and delete write objects as a person or a bot would; surge, crash, blip, host, node and git are what
happens to programs, machines, the world outside and the repository behind a GitOps controller.
"""

from collections.abc import Mapping
from typing import Any, cast

import orjson

from sandbox import patches
from sandbox.clock import duration
from sandbox.cluster import Cluster
from sandbox.controllers.gitops import GitOps
from sandbox.controllers.nodes import Nodes
from sandbox.defaults import fill
from sandbox.deletion import delete_gracefully
from sandbox.errors import bad_request
from sandbox.health import SHOP
from sandbox.kubelet import Kubelet
from sandbox.objects import Obj, annotations_of, clone, name_of, namespace_of, number, rows, sub, text
from sandbox.programs import Outcome
from sandbox.resources import BY_KIND, NODE, Resource

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_PATCH_TYPES = {"strategic": patches.STRATEGIC_PATCH, "merge": patches.MERGE_PATCH, "json": patches.JSON_PATCH}


class Stage:
    def __init__(self, cluster: Cluster, kubelet: Kubelet, nodes: Nodes, gitops: GitOps) -> None:
        self.cluster, self.kubelet, self.nodes, self.gitops = cluster, kubelet, nodes, gitops

    def do(self, step: Obj) -> None:
        """Carry out everything that one step names. Raises ApiError when an object is not there."""
        manager = text(step, "by") or "kubectl"
        for obj in rows(step, "apply"):
            self._apply(obj, manager)
        if change := sub(step, "patch"):
            self._patch(change, manager)
        if target := sub(step, "delete"):
            self._delete(target)
        if surge := sub(step, "surge"):
            self.kubelet.surge(SHOP, text(surge, "workload"), duration(text(surge, "for")), float(surge["cpu"]))
        if crash := sub(step, "crash"):
            lines = tuple(str(line) for line in cast(list[Any], crash.get("log", [])))
            result = Outcome(0.0, number(crash, "exit"), text(crash, "reason") or "Error", lines)
            self.kubelet.crash(SHOP, text(crash, "workload"), result)
        if blip := sub(step, "blip"):
            self.kubelet.blip(SHOP, text(blip, "workload"), duration(text(blip, "for")), text(blip, "message"))
        if host := sub(step, "host"):
            self.kubelet.set_host(text(host, "name"), text(host, "state"))
        if node := sub(step, "node"):
            (self.nodes.silence if node.get("state") == "silent" else self.nodes.revive)(text(node, "name"))
        if git := sub(step, "git"):
            self.commit(git)

    def commit(self, git: Obj) -> None:
        """A commit to the repository of a GitOps application: {app, apply: [objects]} or {app, patch: {...}}.

        Raises ApiError 400 when the patched object is not in that application.
        """
        app = text(git, "app")
        for obj in rows(git, "apply"):
            self.gitops.commit(app, _placed(obj))
        if change := sub(git, "patch"):
            resource: Resource = BY_KIND[text(change, "kind")]
            key = (resource.kind, text(change, "namespace") or SHOP, text(change, "name"))
            wanted = self.gitops.desired(app, key)
            if wanted is None:
                raise bad_request(f"application {app!r} does not hold {'/'.join(key)}")
            self.gitops.commit(app, patches.patched(wanted, clone({"body": change["body"]})["body"], _type_of(change)))

    def _apply(self, wanted: Obj, manager: str) -> None:
        resource = BY_KIND[text(wanted, "kind")]
        obj = _placed(wanted)
        namespace = namespace_of(obj) if resource.namespaced else ""
        if resource is not NODE and manager == "kubectl-client-side-apply":
            plain: Obj = {**obj, "metadata": {**obj["metadata"], "annotations": annotations_of(obj)}}
            obj["metadata"]["annotations"] = annotations_of(obj) | {_LAST_APPLIED: orjson.dumps(plain).decode() + "\n"}
        fill(self.cluster, resource, obj)
        old = self.cluster.store.get(resource, namespace, name_of(obj))
        if old is None:
            self.cluster.store.create(resource, obj, manager)
            return
        merged = patches.strategic(clone(old), obj, "service" if resource.kind == "Service" else "")
        fill(self.cluster, resource, merged)
        self.cluster.store.update(resource, merged, manager)

    def _patch(self, change: Obj, manager: str) -> None:
        resource: Resource = BY_KIND[text(change, "kind")]
        namespace = (text(change, "namespace") or SHOP) if resource.namespaced else ""
        old = self.cluster.store.need(resource, namespace, text(change, "name"))
        obj = patches.patched(old, clone({"body": change["body"]})["body"], _type_of(change))
        fill(self.cluster, resource, obj)
        self.cluster.store.update(resource, obj, manager)

    def _delete(self, target: Obj) -> None:
        """Gone already is as good as deleted."""
        resource = BY_KIND[text(target, "kind")]
        namespace = (text(target, "namespace") or SHOP) if resource.namespaced else ""
        obj = self.cluster.store.get(resource, namespace, text(target, "name"))
        if obj is not None:
            delete_gracefully(self.cluster, resource, obj)


def _placed(wanted: Obj) -> Obj:
    obj = clone(wanted)
    if BY_KIND[text(obj, "kind")].namespaced:
        obj["metadata"].setdefault("namespace", SHOP)
    return obj


def _type_of(change: Mapping[str, Any]) -> str:
    return _PATCH_TYPES[text(change, "type") or "strategic"]
