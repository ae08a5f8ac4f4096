"""Actions on workloads: what they read, what the object becomes, and what takes them back. Pure."""

import copy
from typing import Any, cast

from knowledge.diagnosis.fields import rows, sub
from protocol.redaction import holds_secret
from protocol.remediation import (
    Remediation,
    RestartWorkload,
    RollbackWorkload,
    ScaleWorkload,
    SetEnv,
    SetImage,
    SetResources,
)
from runner.remediation.types import Obj, Row, Situation, Unfit

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
_READY = "all replicas are of the new template, ready for 10 s, and none restarts"


def template_of(obj: Obj) -> Obj:
    """The pod template of a workload, or of a CronJob's jobs."""
    spec = sub(obj, "spec")
    if "jobTemplate" in spec:
        return cast(Obj, spec["jobTemplate"]["spec"]["template"])
    return cast(Obj, sub(spec, "template"))


def container_of(obj: Obj, name: str) -> Obj:
    """The container or init container `name`. Raises Unfit that lists what there is."""
    spec = sub(template_of(obj), "spec")
    table = cast(list[Obj], [*rows(spec, "containers"), *rows(spec, "initContainers")])
    for row in table:
        if row.get("name") == name:
            return row
    raise Unfit(f"there is no container {name}; it has {', '.join(str(row.get('name')) for row in table)}")


def _back(action: Remediation, situation: Situation) -> Remediation | None:
    """Roll back to the template that runs now; None where no revisions are kept."""
    if action.target.kind == "CronJob" or not situation.current_revision:
        return None
    return RollbackWorkload(target=action.target, to_revision=situation.current_revision)


# restart


def _restart_fields(_: RestartWorkload, situation: Situation) -> Any:
    return {"template": template_of(situation.existing())}


def _restarted(_: RestartWorkload, situation: Situation) -> Obj:
    obj = copy.deepcopy(situation.existing())
    if sub(obj, "spec").get("paused"):
        raise Unfit("its roll-out is paused: resume it first")
    metadata = template_of(obj).setdefault("metadata", {})
    annotations = sub(metadata, "annotations")
    metadata["annotations"] = {**annotations, RESTARTED_AT: situation.now.strftime("%Y-%m-%dT%H:%M:%SZ")}
    return obj


# scale


def _scale_fields(_: ScaleWorkload, situation: Situation) -> Any:
    return {"replicas": replicas_of(situation.existing())}


def replicas_of(obj: Obj) -> int:
    found = sub(obj, "spec").get("replicas")
    return 1 if found is None else int(found)


def _scaled(action: ScaleWorkload, situation: Situation) -> Obj:
    obj = copy.deepcopy(situation.existing())
    if replicas_of(obj) == action.replicas:
        raise Unfit(f"it has {action.replicas} replicas already")
    obj["spec"]["replicas"] = action.replicas
    return obj


def _unscale(action: ScaleWorkload, situation: Situation) -> Remediation:
    return ScaleWorkload(target=action.target, replicas=replicas_of(situation.existing()))


# rollback


def wanted_revision(action: RollbackWorkload, situation: Situation) -> int:
    """The revision that is meant; None means the one before the current. Raises Unfit."""
    earlier = [row.number for row in situation.revisions if row.number != situation.current_revision]
    if action.to_revision is None:
        if not earlier:
            raise Unfit("no earlier revision is kept, so there is nothing to roll back to")
        return max(earlier)
    if action.to_revision == situation.current_revision:
        raise Unfit(f"revision {action.to_revision} is what runs now")
    if action.to_revision not in earlier:
        kept = ", ".join(map(str, earlier)) or "none"
        raise Unfit(f"revision {action.to_revision} is not kept any more; kept: {kept}")
    return action.to_revision


def _rollback_fields(_: RollbackWorkload, situation: Situation) -> Any:
    """A revision's number always means the same template, and a plan names it, so what runs now is all that can change."""
    return {"template": template_of(situation.existing())}


def _rolled_back(action: RollbackWorkload, situation: Situation) -> Obj:
    obj = copy.deepcopy(situation.existing())
    number = wanted_revision(action, situation)
    template = copy.deepcopy(next(row.template for row in situation.revisions if row.number == number))
    labels = sub(template, "metadata").get("labels")
    if labels:
        labels.pop("pod-template-hash", None)
    obj["spec"]["template"] = template
    return obj


# image, resources, env


def _image_fields(action: SetImage, situation: Situation) -> Any:
    return {"image": container_of(situation.existing(), action.container).get("image")}


def _with_image(action: SetImage, situation: Situation) -> Obj:
    obj = copy.deepcopy(situation.existing())
    container = container_of(obj, action.container)
    if container.get("image") == action.image:
        raise Unfit(f"container {action.container} has the image {action.image} already")
    container["image"] = action.image
    return obj


def _image_back(action: SetImage, situation: Situation) -> Remediation:
    image = str(container_of(situation.existing(), action.container).get("image"))
    return SetImage(target=action.target, container=action.container, image=image)


def _resources_fields(action: SetResources, situation: Situation) -> Any:
    return {"resources": container_of(situation.existing(), action.container).get("resources") or {}}


def _with_resources(action: SetResources, situation: Situation) -> Obj:
    obj = copy.deepcopy(situation.existing())
    container = container_of(obj, action.container)
    resources = dict(sub(container, "resources"))
    for part, values in (("requests", action.requests), ("limits", action.limits)):
        if values:
            resources[part] = {**(resources.get(part) or {}), **values}
    if resources == sub(container, "resources"):
        raise Unfit(f"container {action.container} has these resources already")
    container["resources"] = resources
    return obj


def _resources_back(action: SetResources, situation: Situation) -> Remediation | None:
    """The exact earlier values; a key that was not there before can only be taken away by a rollback."""
    container = container_of(situation.existing(), action.container)
    old_requests, old_limits = sub(container, "resources", "requests"), sub(container, "resources", "limits")
    if any(key not in old_requests for key in action.requests) or any(key not in old_limits for key in action.limits):
        return _back(action, situation)
    return SetResources(
        target=action.target,
        container=action.container,
        requests={key: str(old_requests[key]) for key in action.requests},
        limits={key: str(old_limits[key]) for key in action.limits},
    )


def _env_rows(obj: Obj, container: str) -> dict[str, Obj]:
    return {str(row["name"]): row for row in cast(list[Obj], container_of(obj, container).get("env") or [])}


def _env_fields(action: SetEnv, situation: Situation) -> Any:
    table = _env_rows(situation.existing(), action.container)
    return {"env": {name: table.get(name) for name in action.env}}


def _with_env(action: SetEnv, situation: Situation) -> Obj:
    obj = copy.deepcopy(situation.existing())
    container = container_of(obj, action.container)
    kept = [row for row in rows(container, "env") if action.env.get(row["name"], "") is not None]
    names = {row["name"] for row in kept}
    merged = [{"name": row["name"], "value": action.env[row["name"]]} if row["name"] in action.env else row for row in kept]
    merged += [{"name": name, "value": value} for name, value in action.env.items() if value is not None and name not in names]
    if merged == (rows(container, "env")):
        raise Unfit(f"container {action.container} has these variables already")
    container["env"] = merged
    return obj


def _env_back(action: SetEnv, situation: Situation) -> Remediation | None:
    """The exact earlier values. What came by reference, or is a secret, only a rollback brings back."""
    table = _env_rows(situation.existing(), action.container)
    earlier: dict[str, str | None] = {}
    for name in action.env:
        row = table.get(name)
        value = None if row is None else str(row.get("value", ""))
        if (row is not None and "valueFrom" in row) or (value is not None and holds_secret(f"{name}: {value}")):
            return _back(action, situation)
        earlier[name] = value
    return SetEnv(target=action.target, container=action.container, env=earlier)


def _roll_words(_: Remediation, situation: Situation) -> str:
    count = replicas_of(situation.existing()) if "replicas" in (situation.existing().get("spec") or {}) else None
    pods = f"its {count} pods" if count is not None else "its pods"
    return f"A new roll-out replaces {pods} step by step"


WORKLOAD_ROWS: dict[str, Row] = {
    "restart": Row(
        "patch",
        "patch",
        _restart_fields,
        _restarted,
        _back,
        lambda a, s: f"{_roll_words(a, s)}, of the same template.",
        _READY,
        rolls_out=True,
        stays=False,
        for_git=False,
    ),
    "scale": Row(
        "patch",
        "patch",
        _scale_fields,
        _scaled,
        _unscale,
        lambda a, s: f"Replicas go from {replicas_of(s.existing())} to {a.replicas}.",
        "as many pods as wanted are ready for 10 s",
    ),
    "rollback": Row(
        "patch",
        "patch",
        _rollback_fields,
        _rolled_back,
        _back,
        lambda a, s: f"{_roll_words(a, s)}, of the template of revision {wanted_revision(a, s)}.",
        _READY,
        rolls_out=True,
    ),
    "set_image": Row(
        "patch",
        "patch",
        _image_fields,
        _with_image,
        _image_back,
        lambda a, s: f"{_roll_words(a, s)}; container {a.container} runs {a.image}.",
        _READY,
        rolls_out=True,
    ),
    "set_resources": Row(
        "patch",
        "patch",
        _resources_fields,
        _with_resources,
        _resources_back,
        lambda a, s: f"{_roll_words(a, s)}; container {a.container} gets new requests or limits.",
        _READY,
        rolls_out=True,
    ),
    "set_env": Row(
        "patch",
        "patch",
        _env_fields,
        _with_env,
        _env_back,
        lambda a, s: f"{_roll_words(a, s)}; container {a.container} gets new variables: {', '.join(a.env)}.",
        _READY,
        rolls_out=True,
    ),
}
