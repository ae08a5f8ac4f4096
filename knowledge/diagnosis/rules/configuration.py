"""What pods refer to and does not exist, and ConfigMaps with a value that cannot be right."""

import re
from collections.abc import Iterator
from difflib import get_close_matches

from knowledge.diagnosis.addresses import addresses_in_value, near_service, service_of
from knowledge.diagnosis.context import Context
from knowledge.diagnosis.fields import Obj, number, rows, strings, text
from knowledge.diagnosis.graph import Setting
from knowledge.diagnosis.hit import Fact, Hit, Quote, quote_change, quote_event, quote_field
from knowledge.diagnosis.rules.registry import rule
from knowledge.diagnosis.view import ClusterView, Key
from protocol.diagnosis import Change
from protocol.objects import valid_name

# The kubelet's own messages: pkg/kubelet/kubelet_pods.go and the volume plug-ins.
_NOT_FOUND = re.compile(r"\b(configmap|secret) \"([^\"\s]{1,253})\" not found")
_REFERENCED = re.compile(r"references non-existent (config|secret) key: ([\w.-]{1,253})")
_NO_KEY = re.compile(r"couldn't find key ([\w.-]{1,253}) in (ConfigMap|Secret) ([a-z0-9-]{1,63})/([\w.-]{1,253})")
_VOLUME = re.compile(r"for volume \"([\w.-]{1,253})\"")


@rule("Pod")
def missing_reference(context: Context, key: Key, _pod: Obj) -> Iterator[Hit]:
    """A container or volume that the kubelet cannot make because a ConfigMap, a Secret or a key is absent."""
    said: list[tuple[str, Quote, str]] = []
    for container in context.containers(key):
        if container.waiting_reason == "CreateContainerConfigError":
            quote = quote_field(key, f"{container.path}.state.waiting.message", container.waiting_message)
            said.append((container.waiting_message, quote, container.name))
    starting = any(
        c.waiting_reason in ("ContainerCreating", "PodInitializing", "CreateContainerConfigError")
        for c in context.containers(key)
    )
    if starting:
        said += [
            (event.message, quote_event(key, event), event.container())
            for event in context.view.events(key, "FailedMount", "Failed")
        ]
    told: set[tuple[str, Key, str]] = set()
    for message, quote, container in said:
        for hit in _read(context, key, message, quote, container):
            name = (hit.code, hit.object, str(hit.facts.get("key", "")))
            if name not in told:
                told.add(name)
                yield hit


def _read(context: Context, pod: Key, message: str, quote: Quote, container: str) -> Iterator[Hit]:
    for kind, name in _NOT_FOUND.findall(message):
        target = Key("ConfigMap" if kind == "configmap" else "Secret", pod.namespace, name)
        # An event is history once the object is there.
        if valid_name(name) and not context.view.has(*target):
            yield _missing(context, pod, target, quote, container)
    for key_name, kind, namespace, name in _NO_KEY.findall(message):
        target = Key(kind, namespace, name)
        if key_name not in strings(context.view.get(target) or {}, "data"):
            yield _key_missing(context, pod, target, key_name, quote, container)
    for kind, key_name in _REFERENCED.findall(message):
        found = _VOLUME.search(message)
        target = _volume_source(context, pod, found[1] if found else "", "ConfigMap" if kind == "config" else "Secret")
        if target is not None and key_name not in strings(context.view.get(target) or {}, "data"):
            yield _key_missing(context, pod, target, key_name, quote, container)


def _missing(context: Context, pod: Key, target: Key, quote: Quote, container: str) -> Hit:
    workload = context.view.workload(pod)
    near = _near(context, target)
    evidence = [quote]
    facts: dict[str, Fact] = {"name": target.name, "workload": str(workload)}
    if container:
        facts["container"] = container
    hint = ""
    if near:
        facts["near"] = near
        evidence.append(quote_field(Key(target.kind, target.namespace, near), "metadata.name", near))
        hint = f" There is one called {near}."
    before = context.revision_before(workload)
    if before and any(target.name in (change.after or "") for change in context.changes(workload)):
        facts["revision"] = before[0]
        evidence += [
            quote_change(change, workload) for change in context.changes(workload) if target.name in (change.after or "")
        ][:1]
    kind = "configmap" if target.kind == "ConfigMap" else "secret"
    return Hit(
        code=f"{kind}-missing",
        object=target,
        explanation=f"{workload.kind} {workload.name} needs {target.kind} {target.name}, which does not exist in namespace "
        f"{target.namespace}.{hint}",
        evidence=tuple(evidence),
        confidence=0.93,
        facts=facts,
        since=quote.at,
        affected=(pod,),
    )


def _key_missing(context: Context, pod: Key, target: Key, key_name: str, quote: Quote, container: str) -> Hit:
    workload = context.view.workload(pod)
    facts: dict[str, Fact] = {"key": key_name, "workload": str(workload), "container": container}
    evidence = [quote]
    for change in context.changes(target):
        if change.path == f"data.{key_name}" and change.before is not None:
            facts["previous"] = change.before
            evidence.append(quote_change(change, target))
    return Hit(
        code="configmap-key-missing" if target.kind == "ConfigMap" else "secret-key-missing",
        object=target,
        explanation=(
            f"{workload.kind} {workload.name} needs key {key_name} of {target.kind} {target.name}, which has no such key."
        ),
        evidence=tuple(evidence),
        confidence=0.92,
        facts=facts,
        since=quote.at,
        affected=(pod,),
    )


def _near(context: Context, target: Key) -> str:
    names = [name for name in context.view.names(target.kind, target.namespace) if name != "kube-root-ca.crt"]
    stems = [name for name in names if name.startswith(f"{target.name}-") or target.name.startswith(f"{name}-")]
    return stems[0] if stems else next(iter(get_close_matches(target.name, names, n=1, cutoff=0.6)), "")


def _volume_source(context: Context, pod: Key, volume: str, kind: str) -> Key | None:
    for row in rows(context.view.get(pod) or {}, "spec", "volumes"):
        if text(row, "name") == volume:
            name = text(row, "configMap", "name") if kind == "ConfigMap" else text(row, "secret", "secretName")
            return Key(kind, pod.namespace, name) if name else None
    return None


@rule("Deployment", "StatefulSet", "DaemonSet")
def wrong_address(context: Context, key: Key, _obj: Obj) -> Iterator[Hit]:
    """A setting of the workload names a Service of the cluster that does not exist, or a port that it does not have.

    In a ConfigMap that is configmap-wrong-value; in the template env-wrong-value; where nothing similar exists and the
    setting did not change, the Service itself is missing. It counts only where something fails because of it.
    """
    if not context.view.knows("Service"):
        return
    told: set[tuple[Key, str]] = set()
    for setting in context.graph.settings(key):
        if not setting.key or (setting.holder, setting.key) in told:
            continue
        for address in addresses_in_value(setting.key, setting.value):
            service = service_of(context.view, address.host, key.namespace)
            if service is None or not can_tell(context.view, service, key.namespace):
                continue
            ports = ports_of(context.view, service)
            if context.view.has(*service) and (not ports or address.port is None or address.port in ports):
                continue
            told.add((setting.holder, setting.key))
            yield _wrong_address(context, key, setting, service, ports)
            break


def _wrong_address(context: Context, workload: Key, setting: Setting, missing: Key, ports: list[int]) -> Hit:
    """`ports` are the existing Service's, when only the port is wrong."""
    change = next((c for c in context.changes(setting.holder) if _same_setting(c, setting)), None)
    near = near_service(context.view, missing) if not ports else None
    evidence = [quote_field(setting.holder, setting.path, setting.value)]
    facts: dict[str, Fact] = {
        "key": setting.key,
        "current": setting.value,
        "missing_service": str(missing),
        "workload": str(workload),
        "container": setting.container,
        "read_as": "env" if setting.container else "file",
    }
    said = ""
    if change is not None:
        evidence.append(quote_change(change, setting.holder))
        if change.before is not None:
            facts["previous"] = change.before
            said = f" It was {change.before} before"
            said += f", changed by {change.by}" if change.by else ""
            said += f" at {change.at:%Y-%m-%d %H:%M:%S} UTC." if change.at else "."
        if change.by:
            facts["by"] = change.by
    if near is not None:
        facts["near"] = str(near)
        evidence.append(quote_field(near, "metadata.name", near.name))
    in_map = setting.holder.kind == "ConfigMap"
    problem = f"there is no Service {missing.name} in namespace {missing.namespace}"
    if ports:
        facts["ports"] = ",".join(map(str, ports))
        evidence.append(quote_field(missing, "spec.ports[*].port", ports))
        problem = f"Service {missing.name} does not serve that port (it has {facts['ports']})"
    elif change is None and near is None:
        return Hit(
            code="service-missing",
            object=missing,
            explanation=f"{workload.kind} {workload.name} calls Service {missing.name} in namespace {missing.namespace} "
            f"({setting.key}), which does not exist.",
            evidence=tuple(evidence),
            confidence=0.8,
            facts=facts,
            affected=(workload,),
            supporting=True,
        )
    if not in_map:
        before = context.revision_before(workload)
        if before and change is not None:
            facts["revision"] = before[0]
    return Hit(
        code="configmap-wrong-value" if in_map else "env-wrong-value",
        object=setting.holder if in_map else workload,
        explanation=f"{setting.key} in {setting.holder.kind} {setting.holder.name} is {setting.value}, but {problem}.{said}",
        evidence=tuple(evidence),
        confidence=0.92 if change is not None else 0.8,
        facts=facts,
        since=change.at if change is not None else None,
        affected=(workload,),
        supporting=True,
    )


def can_tell(view: ClusterView, service: Key, namespace: str) -> bool:
    """May a Service's absence be claimed? Not of a namespace of which no Service is seen: it may only be out of sight."""
    return service.namespace == namespace or bool(view.within("Service", service.namespace))


def ports_of(view: ClusterView, service: Key) -> list[int]:
    """The ports of a Service that has a fixed list of them; none for a headless or external one."""
    obj = view.get(service) or {}
    if text(obj, "spec", "clusterIP") == "None" or text(obj, "spec", "type") == "ExternalName":
        return []
    return [number(row, "port") for row in rows(obj, "spec", "ports")]


def _same_setting(change: Change, setting: Setting) -> bool:
    if setting.holder.kind == "ConfigMap":
        return change.path == f"data.{setting.key}"
    return f".env[{setting.key}]" in change.path
