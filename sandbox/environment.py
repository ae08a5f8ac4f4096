"""What a pod gets from around it: environment, ConfigMaps, Secrets, volumes, and the services it can reach."""

from collections.abc import Iterator

from sandbox.cluster import Cluster
from sandbox.controllers.endpoints import target_port
from sandbox.netpolicy import allowed
from sandbox.objects import Obj, first, labels_of, name_of, namespace_of, rows, sub, text
from sandbox.programs import Place, World
from sandbox.resources import CLAIM, CONFIG_MAP, ENDPOINTS, NAMESPACE, NETWORK_POLICY, POD, SECRET, SERVICE, Resource

_KINDS: dict[str, tuple[Resource, str]] = {
    "configMap": (CONFIG_MAP, "configmap"),
    "secret": (SECRET, "secret"),
}


class ClusterWorld(World):
    """`hosts` are the hosts outside the cluster that are not well, by name."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.hosts: dict[str, str] = {}

    def config(self, namespace: str, name: str, key: str) -> str | None:
        found = self.cluster.store.get(CONFIG_MAP, namespace, name)
        value = sub(found or {}, "data").get(key)
        return str(value) if value is not None else None

    def service(self, namespace: str, name: str) -> Obj | None:
        return self.cluster.store.get(SERVICE, namespace, name)

    def serving(self, namespace: str, name: str) -> bool:
        endpoints = self.cluster.store.get(ENDPOINTS, namespace, name) or {}
        return any(rows(subset, "addresses") for subset in rows(endpoints, "subsets"))

    def admitted(self, source: Place, namespace: str, service: Obj, port: int) -> bool:
        policies = self.cluster.store.list(NETWORK_POLICY)
        if not policies:
            return True
        selector = sub(service, "spec", "selector")
        pods = [pod for pod in self.cluster.store.list(POD, namespace) if selector.items() <= labels_of(pod).items()]
        if not selector or not pods:
            return True
        target = Place(namespace, labels_of(pods[0]))
        spaces = {name_of(space): labels_of(space) for space in self.cluster.store.list(NAMESPACE)}
        row = first(rows(service, "spec", "ports"), lambda row: row.get("port") == port)
        return allowed(policies, spaces, source, target, target_port(row, pods))

    def outside(self, host: str) -> str:
        return self.hosts.get(host, "ok")


def environment(cluster: Cluster, pod: Obj, container: Obj) -> dict[str, str]:
    """The variables that the container sees."""
    env: dict[str, str] = {}
    namespace = namespace_of(pod)
    for row in rows(container, "envFrom"):
        for kind, (resource, _) in _KINDS.items():
            source = cluster.store.get(resource, namespace, text(row, f"{kind}Ref", "name"))
            prefix = text(row, "prefix")
            env |= {prefix + key: str(value) for key, value in sub(source or {}, "data").items()}
    for row in rows(container, "env"):
        name = text(row, "name")
        if "value" in row:
            env[name] = str(row["value"])
        for kind, (resource, _) in _KINDS.items():
            ref = sub(row, "valueFrom", f"{kind}KeyRef")
            source = cluster.store.get(resource, namespace, text(ref, "name")) or {}
            value = sub(source, "data").get(text(ref, "key"))
            if value is not None:
                env[name] = str(value)
        if sub(row, "valueFrom", "fieldRef"):
            env[name] = name_of(pod)
    return env


def missing_config(cluster: Cluster, pod: Obj, container: Obj) -> str:
    """The kubelet's message about a ConfigMap, Secret or key that the container needs; '' if none."""
    namespace = namespace_of(pod)
    for kind, ref in _references(container):
        if ref.get("optional"):
            continue
        resource, word = _KINDS[kind]
        found = cluster.store.get(resource, namespace, text(ref, "name"))
        if found is None:
            return f'{word} "{text(ref, "name")}" not found'
        key = text(ref, "key")
        if key and key not in sub(found, "data") and key not in sub(found, "binaryData"):
            return f"couldn't find key {key} in {resource.kind} {namespace}/{text(ref, 'name')}"
    return ""


def _references(container: Obj) -> Iterator[tuple[str, Obj]]:
    for kind in _KINDS:
        for row in rows(container, "envFrom"):
            if ref := sub(row, f"{kind}Ref"):
                yield kind, ref
        for row in rows(container, "env"):
            if ref := sub(row, "valueFrom", f"{kind}KeyRef"):
                yield kind, ref


def missing_volume(cluster: Cluster, pod: Obj) -> str:
    """The kubelet's message about a volume that can't be mounted; '' if all can."""
    namespace = namespace_of(pod)
    for volume in rows(pod, "spec", "volumes"):
        for kind, field in (("configMap", "name"), ("secret", "secretName")):
            source = sub(volume, kind)
            if not source or source.get("optional"):
                continue
            resource, word = _KINDS[kind]
            name = text(source, field)
            if cluster.store.get(resource, namespace, name) is None:
                return f'MountVolume.SetUp failed for volume "{text(volume, "name")}" : {word} "{name}" not found'
        claim = text(volume, "persistentVolumeClaim", "claimName")
        if claim and cluster.store.get(CLAIM, namespace, claim) is None:
            return f'persistentvolumeclaim "{claim}" not found'
    return ""
