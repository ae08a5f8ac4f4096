"""A small world of Kubernetes objects for tests: shapes and messages as the API server and the kubelet write them."""

import copy
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from knowledge.diagnosis import ClusterView, LogKey, Series, diagnose
from protocol.commands import Diagnose
from protocol.diagnosis import Change, Diagnosis
from protocol.objects import ObjectRef

NOW = datetime(2026, 3, 5, 12, 0, 0, tzinfo=UTC)

Obj = dict[str, Any]


def ago(**span: float) -> str:
    return stamp(NOW - timedelta(**span))


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def container(name: str, image: str = "", **extra: Any) -> Obj:
    return {
        "name": name,
        "image": image or f"registry.example/shop/{name}:1.4.2",
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        **extra,
    }


class World:
    """Objects by name, so that a test can reach in and change one field."""

    def __init__(self) -> None:
        self.objects: list[Obj] = []
        self.logs: dict[LogKey, str] = {}
        self.metrics: list[Series] = []
        self.changes: list[Change] = []
        for name in ("default", "kube-system", "shop"):
            self.add("Namespace", "", name, status={"phase": "Active"})
        self.add(
            "Service", "default", "kubernetes", spec={"clusterIP": "10.96.0.1", "ports": [{"port": 443, "targetPort": 6443}]}
        )
        for n in (1, 2):
            self.node(f"worker-{n}")

    def copy(self) -> "World":
        return copy.deepcopy(self)

    def add(self, kind: str, namespace: str, name: str, **parts: Any) -> Obj:
        made: Obj = {
            "kind": kind,
            "metadata": {"name": name, "uid": f"uid-{kind}-{namespace}-{name}", "creationTimestamp": ago(days=30)},
        }
        if namespace:
            made["metadata"]["namespace"] = namespace
        made["metadata"].update(parts.pop("meta", {}))
        made.update(parts)
        self.objects.append(made)
        return made

    def get(self, kind: str, name: str, namespace: str = "shop") -> Obj:
        for made in self.objects:
            meta = made["metadata"]
            if made["kind"] == kind and meta["name"] == name and meta.get("namespace", "") in (namespace, ""):
                return made
        raise KeyError(f"{kind}/{namespace}/{name}")

    def remove(self, kind: str, name: str, namespace: str = "shop") -> None:
        self.objects.remove(self.get(kind, name, namespace))

    def node(self, name: str, *, cpu: str = "4", memory: str = "8Gi", **spec: Any) -> Obj:
        return self.add(
            "Node",
            "",
            name,
            meta={"labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}},
            spec=dict(spec),
            status={
                "allocatable": {"cpu": cpu, "memory": memory, "pods": "110"},
                "conditions": [
                    {"type": "MemoryPressure", "status": "False", "reason": "KubeletHasSufficientMemory"},
                    {"type": "DiskPressure", "status": "False", "reason": "KubeletHasNoDiskPressure"},
                    {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status"},
                ],
            },
        )

    def deployment(
        self,
        name: str,
        *containers: Obj,
        namespace: str = "shop",
        replicas: int = 2,
        pod_spec: Mapping[str, Any] | None = None,
        service: bool = True,
    ) -> Obj:
        """A healthy Deployment at revision 1 with its ReplicaSet, ready pods and Service."""
        labels = {"app": name}
        spec: Obj = {"containers": list(containers) or [container(name)], **(pod_spec or {})}
        made = self.add(
            "Deployment",
            namespace,
            name,
            meta={"labels": labels, "annotations": {"deployment.kubernetes.io/revision": "1"}, "generation": 1},
            spec={
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": spec},
            },
            status={"observedGeneration": 1, "replicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas},
        )
        self.replicaset(made, 1, ago(days=20))
        for n in range(replicas):
            self.pod(made, n)
        if service:
            self.service(name, labels, namespace=namespace)
        return made

    def replicaset(self, deployment: Obj, revision: int, made_at: str, template: Obj | None = None) -> Obj:
        meta = deployment["metadata"]
        return self.add(
            "ReplicaSet",
            meta["namespace"],
            f"{meta['name']}-{HASHES[revision]}",
            meta={
                "creationTimestamp": made_at,
                "labels": dict(deployment["spec"]["template"]["metadata"]["labels"]),
                "annotations": {"deployment.kubernetes.io/revision": str(revision)},
                "ownerReferences": [{"kind": "Deployment", "name": meta["name"], "uid": meta["uid"], "controller": True}],
            },
            spec={
                "replicas": deployment["spec"]["replicas"],
                "template": {"spec": copy.deepcopy(template or deployment["spec"]["template"]["spec"])},
            },
            status={"replicas": deployment["spec"]["replicas"]},
        )

    def revise(
        self, name: str, change: Callable[[Obj], object], *, at: str, by: str = "kubectl-edit", namespace: str = "shop"
    ) -> Obj:
        """A new revision of a Deployment: `change` gets the pod spec. Pods are made anew, not ready, for the test to break."""
        deployment = self.get("Deployment", name, namespace)
        template = deployment["spec"]["template"]["spec"]
        change(template)
        revision = int(deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"]) + 1
        deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = str(revision)
        deployment["metadata"]["managedFields"] = [{"manager": by, "operation": "Update", "time": at}]
        for old in [o for o in self.objects if o["kind"] == "ReplicaSet" and o["metadata"]["name"].startswith(f"{name}-")]:
            old["spec"]["replicas"] = 0
        self.objects = [o for o in self.objects if not (o["kind"] == "Pod" and o["metadata"]["name"].startswith(f"{name}-"))]
        self.replicaset(deployment, revision, at)
        return deployment

    def pod(self, owner: Obj, n: int = 0, **changes: Any) -> Obj:
        """A pod of a Deployment's newest revision (or of another owner), running and ready for days."""
        meta, template = owner["metadata"], owner["spec"]["template"]
        if owner["kind"] == "Deployment":
            parent = f"{meta['name']}-{HASHES[int(meta['annotations']['deployment.kubernetes.io/revision'])]}"
            ref: Obj = {"kind": "ReplicaSet", "name": parent, "controller": True}
            name = f"{parent}-{SUFFIXES[n]}"
        else:
            ref = {"kind": owner["kind"], "name": meta["name"], "controller": True}
            name = f"{meta['name']}-{n}"
        spec = copy.deepcopy(template["spec"]) | {"nodeName": f"worker-{1 + n % 2}"}
        made = self.add(
            "Pod",
            meta["namespace"],
            name,
            meta={"labels": dict(template["metadata"]["labels"]), "ownerReferences": [ref], "creationTimestamp": ago(days=6)},
            spec=spec,
            status={
                "phase": "Running",
                "startTime": ago(days=6),
                "podIP": f"10.244.{1 + n % 2}.{10 + len(self.objects) % 200}",
                "conditions": [
                    {"type": "PodScheduled", "status": "True", "lastTransitionTime": ago(days=6)},
                    {"type": "Ready", "status": "True", "lastTransitionTime": ago(days=6)},
                ],
                "containerStatuses": [
                    {
                        "name": row["name"],
                        "image": row["image"],
                        "ready": True,
                        "started": True,
                        "restartCount": 0,
                        "containerID": f"containerd://{n}",
                        "state": {"running": {"startedAt": ago(days=6)}},
                        "lastState": {},
                    }
                    for row in spec["containers"]
                ],
            },
        )
        made.update(changes)
        return made

    def service(
        self, name: str, selector: Mapping[str, str], *, namespace: str = "shop", port: int = 8080, target: Any = "http"
    ) -> Obj:
        return self.add(
            "Service",
            namespace,
            name,
            spec={
                "clusterIP": f"10.96.1.{len(self.objects) % 250}",
                "selector": dict(selector),
                "ports": [{"port": port, "targetPort": target}],
            },
        )

    def configmap(
        self,
        name: str,
        data: Mapping[str, str],
        *,
        namespace: str = "shop",
        applied: Mapping[str, str] | None = None,
        by: str = "",
        at: str = "",
    ) -> Obj:
        meta: Obj = {}
        if applied is not None:
            manifest = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": name, "namespace": namespace},
                "data": dict(applied),
            }
            meta["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": orjson.dumps(manifest).decode() + "\n"}
        if by:
            meta["managedFields"] = [
                {"manager": "kubectl-client-side-apply", "operation": "Update", "time": ago(days=9)},
                {"manager": by, "operation": "Update", "time": at},
            ]
        return self.add("ConfigMap", namespace, name, meta=meta, data=dict(data))

    def event(
        self,
        about: Obj,
        reason: str,
        message: str,
        *,
        first: str = "",
        last: str = "",
        count: int = 1,
        warning: bool = True,
        container: str = "",
    ) -> Obj:
        meta = about["metadata"]
        involved: Obj = {
            "kind": about["kind"],
            "name": meta["name"],
            "namespace": meta.get("namespace", ""),
            "uid": meta["uid"],
        }
        if container:
            involved["fieldPath"] = f"spec.containers{{{container}}}"
        return self.add(
            "Event",
            meta.get("namespace", "default") or "default",
            f"{meta['name']}.{len(self.objects):x}",
            involvedObject=involved,
            reason=reason,
            message=message,
            type="Warning" if warning else "Normal",
            count=count,
            firstTimestamp=first or ago(minutes=20),
            lastTimestamp=last or ago(minutes=1),
        )

    def log(self, pod: Obj, text: str, *, container: str = "", previous: bool = False) -> None:
        meta = pod["metadata"]
        name = container or pod["spec"]["containers"][0]["name"]
        self.logs[LogKey(meta["namespace"], meta["name"], name, previous)] = text

    def metric(self, name: str, values: list[float], **labels: str) -> None:
        start = NOW.timestamp() - 60 * len(values)
        self.metrics.append(
            Series({"__name__": name, **labels}, tuple((start + 60 * n, value) for n, value in enumerate(values)))
        )

    def view(self) -> ClusterView:
        return ClusterView(self.objects, now=NOW, logs=self.logs, metrics=self.metrics, changes=self.changes)

    def ask(self, *words: str, namespace: str | None = None, target: str | None = None, **extra: Any) -> Diagnosis:
        request = Diagnose(words=words, namespace=namespace, target=ObjectRef.parse(target) if target else None, **extra)
        return diagnose(self.view(), request)

    def pods_named(self, name: str) -> list[Obj]:
        return [o for o in self.objects if o["kind"] == "Pod" and o["metadata"]["name"].startswith(f"{name}-")]


HASHES = {1: "7d9f8b6c5d", 2: "5c4d7b9f86", 3: "6b8c9d5f47"}
SUFFIXES = ("x2k4q", "p9w7z", "m5t8r", "c3v6b")
