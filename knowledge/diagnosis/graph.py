"""The graph of what depends on what, computed edge by edge when asked for: cause travels against its direction."""

from collections.abc import Iterator
from dataclasses import dataclass

from knowledge.diagnosis.addresses import addresses_in_text, addresses_in_value, service_of
from knowledge.diagnosis.catalogue import Channel
from knowledge.diagnosis.fields import Obj, rows, strings, sub, text, texts
from knowledge.diagnosis.logread import LogReader
from knowledge.diagnosis.policies import Peer, selecting
from knowledge.diagnosis.view import CONTROLLERS, ClusterView, Key


@dataclass(frozen=True, slots=True)
class Edge:
    """`to` is needed by the object that the edge starts from; `why` is said to people: "env PAYMENTS_URL"."""

    channel: Channel
    to: Key
    why: str


@dataclass(frozen=True, slots=True)
class Setting:
    """One configured value of a workload, and where it stands. `container` is "" for a ConfigMap mounted as files."""

    holder: Key
    key: str
    value: str
    path: str
    container: str


class Graph:
    """Edges of a view. Each object's edges are found once."""

    def __init__(self, view: ClusterView) -> None:
        self.view = view
        self.logs = LogReader(view)
        self._edges: dict[Key, tuple[Edge, ...]] = {}
        self._settings: dict[Key, tuple[Setting, ...]] = {}

    def edges(self, key: Key) -> tuple[Edge, ...]:
        found = self._edges.get(key)
        if found is None:
            unique: dict[tuple[Channel, Key], Edge] = {}
            for edge in self._find(key):
                unique.setdefault((edge.channel, edge.to), edge)
            found = self._edges[key] = tuple(unique.values())
        return found

    def is_workload(self, key: Key) -> bool:
        return key.kind in CONTROLLERS or key.kind == "Pod"

    def settings(self, workload: Key) -> tuple[Setting, ...]:
        """Every plain value that the workload's containers are given: env, args, and data of its ConfigMaps."""
        found = self._settings.get(workload)
        if found is None:
            found = self._settings[workload] = tuple(_settings(self.view, workload))
        return found

    def _find(self, key: Key) -> Iterator[Edge]:
        if self.is_workload(key):
            yield from self._workload_edges(key)
        elif key.kind == "Service":
            yield from self._service_edges(key)
        elif key.kind == "Ingress":
            for backend in ingress_backends(self.view.get(key) or {}):
                yield Edge(Channel.CALLS, Key("Service", key.namespace, backend), "backend")
        elif key.kind == "PersistentVolumeClaim":
            yield from self._claim_edges(key)
        elif key.kind == "HorizontalPodAutoscaler":
            target = sub(self.view.get(key) or {}, "spec", "scaleTargetRef")
            if text(target, "kind") and text(target, "name"):
                yield Edge(Channel.SELECTS, Key(text(target, "kind"), key.namespace, text(target, "name")), "scale target")

    def _workload_edges(self, key: Key) -> Iterator[Edge]:
        spec = self.view.template(key)
        for kind, name, why in references(spec):
            yield Edge(
                Channel.STORAGE if kind == "PersistentVolumeClaim" else Channel.CONFIG, Key(kind, key.namespace, name), why
            )
        obj = self.view.get(key) or {}
        for claim in rows(obj, "spec", "volumeClaimTemplates"):
            base = text(claim, "metadata", "name")
            for pod in self.view.pods_of(key):
                yield Edge(
                    Channel.STORAGE, Key("PersistentVolumeClaim", key.namespace, f"{base}-{pod.name}"), "volume claim template"
                )
        own = set(self.view.services_of(self.view.pods_of(key)))
        for setting in self.settings(key):
            for address in addresses_in_value(setting.key, setting.value):
                service = service_of(self.view, address.host, key.namespace)
                if service is not None and service not in own:
                    yield Edge(Channel.CALLS, service, f"{setting.holder.kind} {setting.key}" if setting.key else "command")
        for pod in self.view.pods_of(key):
            for address in self.logs.named_in_trouble(pod):
                service = service_of(self.view, address.host, key.namespace)
                if service is not None and service not in own:
                    yield Edge(Channel.CALLS, service, "log")
        for node in sorted({text(self.view.get(pod) or {}, "spec", "nodeName") for pod in self.view.pods_of(key)} - {""}):
            yield Edge(Channel.NODE, Key("Node", "", node), "runs on")
        for quota in self.view.within("ResourceQuota", key.namespace):
            yield Edge(Channel.LIMITS, quota, "quota")
        yield from self._policy_edges(key.namespace, strings(self._pod_template(key), "metadata", "labels"))

    def _pod_template(self, workload: Key) -> Obj:
        obj = self.view.get(workload) or {}
        return obj if workload.kind == "Pod" else sub(obj, "spec", "template")

    def _policy_edges(self, namespace: str, labels: dict[str, str]) -> Iterator[Edge]:
        for policy in selecting(self.view, Peer(namespace, labels)) if labels else ():
            yield Edge(Channel.TRAFFIC, policy, "network policy")

    def _service_edges(self, key: Key) -> Iterator[Edge]:
        service = self.view.get(key)
        if service is None:
            return
        selector = strings(service, "spec", "selector")
        for pod in self.view.pods_matching(key.namespace, selector):
            yield Edge(Channel.SELECTS, self.view.workload(pod), "selector")
        for workload in workloads_for_selector(self.view, key.namespace, selector):
            yield Edge(Channel.SELECTS, workload, "selector")
        for pod in self.view.pods_matching(key.namespace, selector)[:1]:
            yield from self._policy_edges(key.namespace, strings(self.view.get(pod) or {}, "metadata", "labels"))

    def _claim_edges(self, key: Key) -> Iterator[Edge]:
        claim = self.view.get(key) or {}
        volume, storage = text(claim, "spec", "volumeName"), text(claim, "spec", "storageClassName")
        if volume:
            yield Edge(Channel.STORAGE, Key("PersistentVolume", "", volume), "volume")
        if storage:
            yield Edge(Channel.STORAGE, Key("StorageClass", "", storage), "storage class")


def workloads_for_selector(view: ClusterView, namespace: str, selector: dict[str, str]) -> Iterator[Key]:
    """Workloads whose pod template carries the selector's labels, with or without pods now."""
    if not selector:
        return
    for kind in ("Deployment", "StatefulSet", "DaemonSet"):
        for key in view.within(kind, namespace):
            labels = strings(view.get(key) or {}, "spec", "template", "metadata", "labels")
            if all(labels.get(name) == value for name, value in selector.items()):
                yield key


def references(spec: Obj) -> Iterator[tuple[str, str, str]]:
    """(kind, name, how) of ConfigMaps, Secrets, claims and the service account that a pod spec needs, but for optional ones."""
    for container in (*rows(spec, "initContainers"), *rows(spec, "containers")):
        for source in rows(container, "envFrom"):
            for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                ref = sub(source, field)
                if text(ref, "name") and ref.get("optional") is not True:
                    yield kind, text(ref, "name"), "envFrom"
        for row in rows(container, "env"):
            for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
                ref = sub(row, "valueFrom", field)
                if text(ref, "name") and ref.get("optional") is not True:
                    yield kind, text(ref, "name"), f"env {text(row, 'name')}"
    for volume in rows(spec, "volumes"):
        yield from _volume_references(volume)
    account = text(spec, "serviceAccountName")
    if account and account != "default":
        yield "ServiceAccount", account, "service account"


def _volume_references(volume: Obj) -> Iterator[tuple[str, str, str]]:
    how = f"volume {text(volume, 'name')}"
    config, secret, claim = sub(volume, "configMap"), sub(volume, "secret"), sub(volume, "persistentVolumeClaim")
    if text(config, "name") and config.get("optional") is not True:
        yield "ConfigMap", text(config, "name"), how
    if text(secret, "secretName") and secret.get("optional") is not True:
        yield "Secret", text(secret, "secretName"), how
    if text(claim, "claimName"):
        yield "PersistentVolumeClaim", text(claim, "claimName"), how
    for source in rows(volume, "projected", "sources"):
        for field, kind in (("configMap", "ConfigMap"), ("secret", "Secret")):
            ref = sub(source, field)
            name = text(ref, "name")
            if name and ref.get("optional") is not True and name != "kube-root-ca.crt":
                yield kind, name, how


def _settings(view: ClusterView, workload: Key) -> Iterator[Setting]:
    spec = view.template(workload)
    prefix = "spec" if workload.kind == "Pod" else "spec.template.spec"
    whole_maps: dict[str, str] = {}
    for field in ("initContainers", "containers"):
        for container in rows(spec, field):
            name = text(container, "name")
            path = f"{prefix}.{field}[{name}]"
            for row in rows(container, "env"):
                variable = text(row, "name")
                if text(row, "value"):
                    yield Setting(workload, variable, text(row, "value"), f"{path}.env[{variable}].value", name)
                ref = sub(row, "valueFrom", "configMapKeyRef")
                value = text(view.get(Key("ConfigMap", workload.namespace, text(ref, "name"))) or {}, "data", text(ref, "key"))
                if value:
                    holder = Key("ConfigMap", workload.namespace, text(ref, "name"))
                    yield Setting(holder, text(ref, "key"), value, f"data.{text(ref, 'key')}", name)
            for source in rows(container, "envFrom"):
                whole_maps.setdefault(text(source, "configMapRef", "name"), name)
            command = " ".join((*texts(container, "command"), *texts(container, "args")))
            for address in addresses_in_text(command):
                yield Setting(workload, "", f"tcp://{address.host}", f"{path}.command", name)
    for volume in rows(spec, "volumes"):
        whole_maps.setdefault(text(volume, "configMap", "name"), "")
    for map_name, container_name in whole_maps.items():
        holder = Key("ConfigMap", workload.namespace, map_name)
        for data_key, value in strings(view.get(holder) or {}, "data").items():
            yield Setting(holder, data_key, value, f"data.{data_key}", container_name)


def ingress_backends(ingress: Obj) -> Iterator[str]:
    default = text(ingress, "spec", "defaultBackend", "service", "name")
    if default:
        yield default
    for rule in rows(ingress, "spec", "rules"):
        for path in rows(rule, "http", "paths"):
            name = text(path, "backend", "service", "name")
            if name:
                yield name
