"""What a person would commit to Git for a planned change: a strategic merge patch, and the values that Helm charts usually
call it by. Pure and deterministic."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import yaml

from knowledge.diagnosis.fields import rows, sub
from protocol.redaction import redact
from protocol.remediation import AdjustHpa, Remediation, ScaleWorkload, SetImage, SetResources
from protocol.text import clean, one_line
from runner.remediation.rows import row_of
from runner.remediation.types import Obj

MERGE_KEYS: Mapping[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "imagePullSecrets": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "ports": ("containerPort", "protocol"),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}
"""Lists of a pod template that a strategic merge goes through row by row, with what tells the rows apart (the patchMergeKey and
x-kubernetes-list-map-keys of Kubernetes' API types). Every other list is replaced whole."""

MAX_PATCH = 32_000
"""Characters. A patch that is cut is none."""


def git_patch(action: Remediation, before: Obj | None, after: Obj | None) -> str | None:
    """YAML to commit beside the manifest, for kustomize's `patches` or by hand; the whole manifest of an object that is not
    there yet. None where there is nothing to commit, or more than a card holds. What is secret is blacked out, and the head
    says so."""
    if after is None or not row_of(action).for_git:
        return None
    patch = strategic_merge(before, after)
    found = redact(clean(yaml.safe_dump(patch, sort_keys=False, allow_unicode=True, width=4096)))
    head = (
        "# a new manifest\n" if before is None else "# a strategic merge patch: list it under `patches` in kustomization.yaml\n"
    )
    blacked_out = f"# {found.count} values are blacked out here: fill them in from where you keep them\n" if found.count else ""
    text = f"{head}{blacked_out}{found.text}"
    return text if len(text) <= MAX_PATCH else None


def strategic_merge(before: Obj | None, after: Obj) -> Obj:
    """kind, name, namespace, and only the fields that differ; a field or a row that goes is named as going."""
    patch: Obj = {
        "apiVersion": after.get("apiVersion"),
        "kind": after.get("kind"),
        "metadata": {key: after["metadata"][key] for key in ("name", "namespace") if after["metadata"].get(key)},
    }
    old = before or {}
    for key in ("spec", "data"):
        if old.get(key) != after.get(key):
            patch[key] = _changed(key, old.get(key), after.get(key))
    return patch


def values_hint(action: Remediation, before: Obj | None, after: Obj | None) -> str | None:
    """The change by the names that `helm create` gives to values, or None where there is no such name. Charts differ."""
    made = _VALUES.get(action.type)
    if made is None or before is None or after is None or not _main_container(action, before):
        return None
    return redact(clean(yaml.safe_dump(made(action, after), sort_keys=False, allow_unicode=True))).text


def chart_of(obj: Obj) -> str:
    """`shop-1.2.0`, or "" where the chart doesn't label its objects."""
    return one_line(str(sub(obj, "metadata", "labels").get("helm.sh/chart") or ""), 100)


def _changed(name: str, before: Any, after: Any) -> Any:
    if isinstance(before, dict) and isinstance(after, dict):
        old, new = cast(Obj, before), cast(Obj, after)
        kept = {key: _changed(key, old.get(key), value) for key, value in new.items() if key not in old or old[key] != value}
        return {**kept, **{key: None for key in old if key not in new}}
    keys = MERGE_KEYS.get(name)
    if keys and isinstance(before, list) and isinstance(after, list):
        return _changed_rows(keys, cast(list[Obj], before), cast(list[Obj], after))
    return after


def _changed_rows(keys: tuple[str, ...], before: list[Obj], after: list[Obj]) -> list[Obj]:
    old = {identity(row, keys): row for row in before}
    new = {identity(row, keys): row for row in after}
    kept = [{**_named(row, keys), **_changed("", old.get(who, {}), row)} for who, row in new.items() if old.get(who) != row]
    return kept + [{"$patch": "delete", **_named(row, keys)} for who, row in old.items() if who not in new]


def identity(row: Obj, keys: tuple[str, ...]) -> tuple[str, ...]:
    """What tells a row of a list from the others. A port without a protocol is TCP."""
    return tuple(str(row.get(key, "TCP" if key == "protocol" else "")) for key in keys)


def _named(row: Obj, keys: tuple[str, ...]) -> Obj:
    return {key: row[key] for key in keys if key in row}


def _main_container(action: Remediation, before: Obj) -> bool:
    """The values of a chart speak of its main container: the only one, or the first, as `helm create` writes it."""
    wanted = getattr(action, "container", None)
    if wanted is None:
        return True
    template = sub(before, "spec", "template") or sub(before, "spec", "jobTemplate", "spec", "template")
    names = [row.get("name") for row in rows(template, "spec", "containers")]
    return bool(names) and names[0] == wanted


def split_image(image: str) -> Obj:
    """repository with tag, or with digest."""
    if "@" in image:
        repository, _, digest = image.partition("@")
        return {"repository": repository, "digest": digest}
    head, slash, last = image.rpartition("/")
    name, colon, tag = last.partition(":")
    return {"repository": f"{head}{slash}{name}", "tag": tag} if colon else {"repository": image}


def _image_values(action: Any, _: Obj) -> Obj:
    return {"image": split_image(cast(SetImage, action).image)}


def _replica_values(action: Any, _: Obj) -> Obj:
    return {"replicaCount": cast(ScaleWorkload, action).replicas}


def _resource_values(action: Any, _: Obj) -> Obj:
    wanted = cast(SetResources, action)
    parts = (("requests", wanted.requests), ("limits", wanted.limits))
    return {"resources": {name: dict(values) for name, values in parts if values}}


def _bound_values(action: Any, _: Obj) -> Obj:
    wanted = cast(AdjustHpa, action)
    parts = (("minReplicas", wanted.min_replicas), ("maxReplicas", wanted.max_replicas))
    return {"autoscaling": {name: value for name, value in parts if value is not None}}


_VALUES: Mapping[str, Callable[[Any, Obj], Obj]] = {
    "set_image": _image_values,
    "scale": _replica_values,
    "set_resources": _resource_values,
    "adjust_hpa": _bound_values,
}
