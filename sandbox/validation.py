"""What the API server refuses with 422: names, quantities, selectors, and the fields that can't change."""

import re
from typing import cast

from sandbox import quantity
from sandbox.errors import ApiError, invalid
from sandbox.objects import Obj, labels_of, name_of, rows, sub, text
from sandbox.resources import Resource
from sandbox.selectors import matches

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_TEMPLATED = ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job")

Cause = tuple[str, str, str]

_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
    "start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and "
    "end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)


def check(resource: Resource, obj: Obj, old: Obj | None = None) -> None:
    """Raises ApiError 422 with every cause found; `old` is what an update would replace."""
    causes = _name(resource, obj)
    for key, value in labels_of(obj).items():
        if not _VALUE.fullmatch(str(value)) or len(str(value)) > 63:
            message = (
                f'Invalid value: "{value}": a valid label must be an empty string or consist of alphanumeric '
                f"characters, '-', '_' or '.', and must start and end with an alphanumeric character (key {key})"
            )
            causes.append(("metadata.labels", "FieldValueInvalid", message))
    if resource.kind == "Pod":
        causes += _pod_spec(sub(obj, "spec"), "spec")
    elif resource.kind in _TEMPLATED:
        causes += _workload(resource, obj)
    elif resource.kind in ("ConfigMap", "Secret"):
        causes += _keys(obj)
    if old is not None:
        causes += _changes(resource, old, obj)
    if causes:
        raise invalid(resource.kind, resource.group, name_of(obj), causes)


def _name(resource: Resource, obj: Obj) -> list[Cause]:
    name = name_of(obj)
    if not name:
        return [("metadata.name", "FieldValueRequired", "Required value: name or generateName is required")]
    strict = resource.kind in ("Namespace", "Service")
    if (_LABEL if strict else _SUBDOMAIN).fullmatch(name) and len(name) <= (63 if strict else 253):
        return []
    rule = _LABEL_RULE if strict else _SUBDOMAIN_RULE
    return [("metadata.name", "FieldValueInvalid", f'Invalid value: "{name}": {rule}')]


def _go(value: object) -> str:
    """A value as Go prints it in field errors."""
    if isinstance(value, dict):
        pairs = ", ".join(f"{_go(k)}:{_go(v)}" for k, v in cast(Obj, value).items())
        return f"map[string]string{{{pairs}}}"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _keys(obj: Obj) -> list[Cause]:
    causes: list[Cause] = []
    for key, value in sub(obj, "data").items():
        if not _KEY.fullmatch(key):
            causes.append(
                (
                    f"data[{key}]",
                    "FieldValueInvalid",
                    f"Invalid value: \"{key}\": a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
                )
            )
        if not isinstance(value, str):
            raise ApiError(
                400,
                f'{obj.get("kind")} in version "v1" cannot be handled as a {obj.get("kind")}: json: cannot '
                f"unmarshal {type(value).__name__} into Go struct field {obj.get('kind')}.data of type string",
            )
    return causes


def _workload(resource: Resource, obj: Obj) -> list[Cause]:
    causes: list[Cause] = []
    spec = sub(obj, "spec")
    replicas = spec.get("replicas", 1)
    if not isinstance(replicas, int):
        raise ApiError(
            400,
            f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: json: '
            f"cannot unmarshal {type(replicas).__name__} into Go struct field {resource.kind}Spec.spec.replicas of type int32",
        )
    if replicas < 0:
        causes.append(("spec.replicas", "FieldValueInvalid", f"Invalid value: {replicas}: must be greater than or equal to 0"))
    if resource.kind != "Job":
        selector = sub(spec, "selector")
        if not selector:
            causes.append(("spec.selector", "FieldValueRequired", "Required value"))
        elif not matches(selector, labels_of(sub(spec, "template"))):
            causes.append(
                (
                    "spec.template.metadata.labels",
                    "FieldValueInvalid",
                    f"Invalid value: {_go(labels_of(sub(spec, 'template')))}: `selector` does not match template `labels`",
                )
            )
    return causes + _pod_spec(sub(spec, "template", "spec"), "spec.template.spec")


def _pod_spec(spec: Obj, path: str) -> list[Cause]:
    containers = rows(spec, "containers")
    if not containers:
        return [(f"{path}.containers", "FieldValueRequired", "Required value")]
    causes: list[Cause] = []
    seen: set[str] = set()
    for part in ("initContainers", "containers"):
        for at, container in enumerate(rows(spec, part)):
            where = f"{path}.{part}[{at}]"
            name = text(container, "name")
            if not name:
                causes.append((f"{where}.name", "FieldValueRequired", "Required value"))
            elif not _LABEL.fullmatch(name):
                causes.append((f"{where}.name", "FieldValueInvalid", f'Invalid value: "{name}": {_LABEL_RULE}'))
            elif name in seen:
                causes.append((f"{where}.name", "FieldValueDuplicate", f'Duplicate value: "{name}"'))
            seen.add(name)
            if not text(container, "image").strip():
                causes.append((f"{where}.image", "FieldValueRequired", "Required value"))
            causes += _resources(sub(container, "resources"), f"{where}.resources")
    return causes


def _resources(resources: Obj, path: str) -> list[Cause]:
    causes: list[Cause] = []
    amounts: dict[tuple[str, str], float] = {}
    for part in ("limits", "requests"):
        for what, said in sub(resources, part).items():
            try:
                amounts[part, what] = quantity.parse(said)
            except ValueError as error:
                raise ApiError(400, f'unable to parse quantity of {path}.{part}.{what} "{said}": {error}') from error
            if amounts[part, what] < 0:
                causes.append(
                    (
                        f"{path}.{part}[{what}]",
                        "FieldValueInvalid",
                        f'Invalid value: "{said}": must be greater than or equal to 0',
                    )
                )
    for what, said in sub(resources, "requests").items():
        limit = amounts.get(("limits", what))
        if limit is not None and amounts["requests", what] > limit:
            shown = sub(resources, "limits")[what]
            causes.append(
                (
                    f"{path}.requests",
                    "FieldValueInvalid",
                    f'Invalid value: "{said}": must be less than or equal to {what} limit of {shown}',
                )
            )
    return causes


_IMMUTABLE: dict[str, tuple[str, ...]] = {
    "Deployment": ("selector",),
    "ReplicaSet": ("selector",),
    "DaemonSet": ("selector",),
    "StatefulSet": ("selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates"),
    "Job": ("selector", "template", "completionMode"),
    "PersistentVolumeClaim": ("storageClassName", "accessModes"),
}


def _changes(resource: Resource, old: Obj, new: Obj) -> list[Cause]:
    """What an update may not change."""
    before, after = sub(old, "spec"), sub(new, "spec")
    causes: list[Cause] = [
        (f"spec.{field}", "FieldValueInvalid", f"Invalid value: {_go(after.get(field))}: field is immutable")
        for field in _IMMUTABLE.get(resource.kind, ())
        if before.get(field) != after.get(field)
    ]
    if resource.kind == "Pod":
        causes += _pod_update(before, after)
    if resource.kind in ("ConfigMap", "Secret") and old.get("immutable") and old.get("data") != new.get("data"):
        causes.append(("data", "FieldValueForbidden", "Forbidden: field is immutable when `immutable` is set"))
    if resource.kind == "PersistentVolumeClaim":
        have, want = (quantity.value(sub(s, "resources", "requests").get("storage")) for s in (before, after))
        if want < have:
            causes.append(
                (
                    "spec.resources.requests.storage",
                    "FieldValueForbidden",
                    "Forbidden: field can not be less than status.capacity",
                )
            )
    return causes


def _pod_update(before: Obj, after: Obj) -> list[Cause]:
    def fixed(spec: Obj) -> Obj:
        return {
            **{k: v for k, v in spec.items() if k not in ("containers", "initContainers", "tolerations", "nodeName")},
            "containers": [{k: v for k, v in c.items() if k != "image"} for c in rows(spec, "containers")],
        }

    if fixed(before) == fixed(after) and before.get("nodeName") == after.get("nodeName"):
        return []
    message = (
        "Forbidden: pod updates may not change fields other than `spec.containers[*].image`, "
        "`spec.initContainers[*].image`, `spec.activeDeadlineSeconds`, `spec.tolerations` (only additions to "
        "existing tolerations), `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
    )
    return [("spec", "FieldValueForbidden", message)]
