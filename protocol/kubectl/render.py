"""A call or a Remediation back into the kubectl line that a person would type. Canonical: one call, one line."""

import re
import shlex
from collections.abc import Callable, Sequence
from typing import Any

from protocol.kubectl import resources
from protocol.kubectl.calls import (
    ApiResourcesCall,
    Call,
    CanICall,
    ClusterInfoCall,
    DescribeCall,
    EventsCall,
    GetCall,
    LogsCall,
    NamedResource,
    ResourceType,
    RolloutHistoryCall,
    RolloutStatusCall,
    TopCall,
    VersionCall,
)
from protocol.objects import ObjectRef
from protocol.remediation import (
    AdjustHpa,
    CordonNode,
    CreateConfigMap,
    DeleteConfigMap,
    DeletePod,
    DrainNode,
    ExpandPvc,
    PatchConfigMap,
    Remediation,
    RestartWorkload,
    RollbackWorkload,
    ScaleWorkload,
    SetEnv,
    SetImage,
    SetResources,
    SuspendCronJob,
    UncordonNode,
)

_SETTING = re.compile(r"(?:-{0,2}[A-Za-z_][A-Za-z0-9_-]*=)(?=.)")


def render_argv(argv: Sequence[str]) -> str:
    """Words as one line that parses back to them, quoted as a person would: `--selector='a in (b)'`."""
    return " ".join(_quoted(word) for word in argv)


def _quoted(word: str) -> str:
    name = _SETTING.match(word)
    return name.group() + shlex.quote(word[name.end() :]) if name else shlex.quote(word)


def render(call: Call) -> str:
    """The canonical line of a call; `parse(render(call))` is the call again (a write: its remediation)."""
    return render_argv(["kubectl", *_call_words(call)])


def describe_remediation(action: Remediation) -> str:
    """The action in kubectl's words, for people. It is a description, never something to run."""
    return render_argv(["kubectl", *ACTIONS[type(action)](action)])


def _call_words(call: Call) -> list[str]:
    match call:
        case GetCall():
            return _get(call)
        case DescribeCall():
            words = ["describe", *_objects(call.resources), *_reach(call), *_option("-l", call.label_selector)]
            return [*words, *([] if call.show_events else ["--show-events=false"])]
        case LogsCall():
            return _logs(call)
        case TopCall():
            words = ["top", call.what, *([call.name] if call.name else []), *_reach(call), *_option("-l", call.label_selector)]
            return [*words, *_switch("--containers", call.containers), *_long("--sort-by", call.sort_by)]
        case EventsCall():
            about = [f"--for={_slashed(call.for_object)}"] if call.for_object else []
            return ["events", *about, *_reach(call), *_long("--types", ",".join(call.types)), *_output(call.output)]
        case VersionCall():
            return ["version", *_output(call.output)]
        case ClusterInfoCall():
            return ["cluster-info"]
        case ApiResourcesCall():
            namespaced = [] if call.namespaced is None else [f"--namespaced={str(call.namespaced).lower()}"]
            group = [] if call.api_group is None else [f"--api-group={call.api_group}"]
            return ["api-resources", *namespaced, *group, *_output(call.output)]
        case RolloutStatusCall():
            return ["rollout", "status", _slashed(call.resource), *_reach(call)]
        case RolloutHistoryCall():
            return ["rollout", "history", _slashed(call.resource), *_reach(call), *_number("--revision", call.revision)]
        case CanICall():
            return _can_i(call)
        case _:
            words = ACTIONS[type(call.remediation)](call.remediation)
            return [*words, *_switch("--dry-run=server", call.dry_run)]


def _get(call: GetCall) -> list[str]:
    return [
        "get",
        *_objects(call.resources),
        *_reach(call),
        *_option("-l", call.label_selector),
        *_long("--field-selector", call.field_selector),
        *_output(call.output, call.jsonpath),
        *_switch("--show-labels", call.show_labels),
        *_switch("--no-headers", call.no_headers),
        *_long("--sort-by", call.sort_by),
        *_switch("--ignore-not-found", call.ignore_not_found),
    ]


def _logs(call: LogsCall) -> list[str]:
    return [
        "logs",
        *([_logged(call.resource)] if call.resource else []),
        *_reach(call),
        *_option("-l", call.label_selector),
        *_option("-c", call.container),
        *_switch("--all-containers", call.all_containers),
        *_switch("--previous", call.previous),
        *_number("--tail", call.tail),
        *([f"--since={call.since_seconds}s"] if call.since_seconds else []),
        *_long("--since-time", call.since_time),
        *_switch("--timestamps", call.timestamps),
        *_switch("--prefix", call.prefix),
        *_number("--limit-bytes", call.limit_bytes),
    ]


def _can_i(call: CanICall) -> list[str]:
    if call.list_all or call.resource is None:
        return ["auth", "can-i", "--list", *_reach(call)]
    what = _slashed(call.resource) if call.resource.name else _type(call.resource.type)
    return ["auth", "can-i", call.action, what, *_long("--subresource", call.subresource), *_reach(call)]


def _type(kind: ResourceType) -> str:
    """The shortest word that resolves to the same type."""
    if kind.version:
        return f"{kind.plural}.{kind.version}.{kind.group}"
    row = resources.by_word(kind.plural)
    if not kind.group or (row is not None and row.group == kind.group):
        return kind.plural
    return f"{kind.plural}.{kind.group}"


def _slashed(resource: NamedResource) -> str:
    return f"{_type(resource.type)}/{resource.name}"


def _logged(resource: NamedResource) -> str:
    return resource.name if resource.type.kind == "Pod" else _slashed(resource)


def _objects(found: tuple[NamedResource, ...]) -> list[str]:
    if not any(r.name for r in found):
        return [",".join(_type(r.type) for r in found)]
    if all(r.type == found[0].type for r in found):
        return [_type(found[0].type), *(r.name for r in found)]
    return [_slashed(r) for r in found]


def _reach(call: Any) -> list[str]:
    if call.all_namespaces:
        return ["-A"]
    return ["-n", call.namespace] if call.namespace is not None else []


def _option(flag: str, value: str) -> list[str]:
    return [flag, value] if value else []


def _long(flag: str, value: str) -> list[str]:
    return [f"{flag}={value}"] if value else []


def _number(flag: str, value: int | None) -> list[str]:
    return [] if value is None else [f"{flag}={value}"]


def _switch(flag: str, on: bool) -> list[str]:
    return [flag] if on else []


def _output(form: str, path: str = "") -> list[str]:
    if form == "table":
        return []
    return ["-o", f"jsonpath={path}" if form == "jsonpath" else form]


def _on(target: ObjectRef) -> list[str]:
    return [f"{target.kind.lower()}/{target.name}", *(["-n", target.namespace] if target.namespace else [])]


def _set_resources(action: SetResources) -> list[str]:
    limits = ",".join(f"{k}={v}" for k, v in sorted(action.limits.items()))
    requests = ",".join(f"{k}={v}" for k, v in sorted(action.requests.items()))
    words = ["set", "resources", *_on(action.target), "-c", action.container]
    return [*words, *_long("--limits", limits), *_long("--requests", requests)]


def _set_env(action: SetEnv) -> list[str]:
    changes = [f"{name}-" if value is None else f"{name}={value}" for name, value in sorted(action.env.items())]
    return ["set", "env", *_on(action.target), "-c", action.container, *changes]


def _adjust_hpa(action: AdjustHpa) -> list[str]:
    changes = {"minReplicas": action.min_replicas, "maxReplicas": action.max_replicas}
    fields = ",".join(f'"{name}":{value}' for name, value in changes.items() if value is not None)
    return _patch(action.target, f'{{"spec":{{{fields}}}}}')


def _patch(target: ObjectRef, patch: str) -> list[str]:
    return ["patch", *_on(target), "--type=merge", "-p", patch]


def _keys(data: dict[str, Any]) -> str:
    return ",".join(sorted(data))


# What has no kubectl verb of its own is described by the nearest one; a ConfigMap's values stand in the diff, not here.
ACTIONS: dict[type[Any], Callable[[Any], list[str]]] = {
    RestartWorkload: lambda a: ["rollout", "restart", *_on(a.target)],
    ScaleWorkload: lambda a: ["scale", *_on(a.target), f"--replicas={a.replicas}"],
    RollbackWorkload: lambda a: ["rollout", "undo", *_on(a.target), *_number("--to-revision", a.to_revision)],
    SetImage: lambda a: ["set", "image", *_on(a.target), f"{a.container}={a.image}"],
    SetResources: _set_resources,
    SetEnv: _set_env,
    PatchConfigMap: lambda a: ["patch", *_on(a.target), f"--keys={_keys(a.data)}"],
    DeletePod: lambda a: ["delete", *_on(a.target)],
    CordonNode: lambda a: ["cordon", a.target.name],
    UncordonNode: lambda a: ["uncordon", a.target.name],
    DrainNode: lambda a: [
        "drain",
        a.target.name,
        "--ignore-daemonsets",
        *_switch("--delete-emptydir-data", a.delete_emptydir_data),
    ],
    ExpandPvc: lambda a: _patch(a.target, f'{{"spec":{{"resources":{{"requests":{{"storage":"{a.size}"}}}}}}}}'),
    CreateConfigMap: lambda a: ["create", "configmap", a.target.name, "-n", a.target.namespace, f"--keys={_keys(a.data)}"],
    DeleteConfigMap: lambda a: ["delete", *_on(a.target)],
    AdjustHpa: _adjust_hpa,
    SuspendCronJob: lambda a: _patch(a.target, f'{{"spec":{{"suspend":{str(a.suspend).lower()}}}}}'),
}
