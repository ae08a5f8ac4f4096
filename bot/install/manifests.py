"""The runner's manifests for one cluster. Pure but for reading deploy/kubernetes: values in, YAML out.

What `kubectl kustomize` makes of an overlay and what is made here come from the same files: an overlay only lists
resources, it patches none, and the values stand in the ConfigMap, in the right's rules and in the image's name.
"""

import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from protocol.base import Strict
from protocol.remediation import IMAGE_PATTERN, PROPOSABLE
from protocol.rights import Right, needs_nodes, rights_for
from protocol.text import one_line

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes" / "runner" / "overlays"
SPACE, NAME = "opsthread", "opsthread-runner"
IMAGE = "opsthread-runner:0.1.0"

Mode = Literal["read-only", "remediation"]
Namespace = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
Object = dict[str, Any]


class Install(Strict):
    """What differs from cluster to cluster. Nothing in it is secret but the token."""

    nats_url: str = Field(min_length=1, max_length=500)
    mode: Mode = "read-only"
    namespaces: tuple[Namespace, ...] = Field(default=(), max_length=200)
    """Where remediations may run; empty means everywhere, nodes included."""
    remediations: tuple[str, ...] = ()
    """Types that may run; empty means all that fit the namespaces."""
    grant_keys: dict[str, str] = {}
    token: str | None = Field(default=None, max_length=200)
    image: str = Field(default=IMAGE, pattern=IMAGE_PATTERN)
    bus_ca: str = Field(default="", max_length=100_000)
    """PEM of the authority that signed the bus' certificate, when the system's own don't know it."""

    @field_validator("remediations")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        known = set(PROPOSABLE)
        if unknown := [name for name in value if name not in known]:
            raise ValueError(f"unknown remediations {', '.join(unknown)}; known: {', '.join(sorted(known))}")
        return value

    @model_validator(mode="after")
    def _nodes_are_everywhere(self) -> "Install":
        on_nodes = [name for name in self.remediations if needs_nodes(name)]
        if self.namespaces and on_nodes:
            raise ValueError(f"{', '.join(on_nodes)} change nodes, which are in no namespace: name no namespaces for them")
        if self.mode == "read-only" and (self.remediations or self.namespaces):
            raise ValueError("a runner in mode read-only runs no remediations: choose the mode remediation for them")
        return self

    @property
    def types(self) -> tuple[str, ...]:
        """The types of remediation that the runner will run."""
        if self.mode == "read-only":
            return ()
        return self.remediations or tuple(name for name in PROPOSABLE if not (self.namespaces and needs_nodes(name)))


def refusal(error: ValidationError) -> str:
    """What is wrong with a wish, for people."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    said = first["msg"].removeprefix("Value error, ")
    if first["type"] == "string_pattern_mismatch":
        said = f"{one_line(str(first['input']), 100)!r} is not written as Kubernetes has it"
    return f"{where}: {said}" if where else said


def runner_manifest(install: Install) -> str:
    """A stream of YAML documents for `kubectl apply -f -`."""
    return yaml.safe_dump_all(runner_objects(install), sort_keys=False, width=10_000)


def runner_objects(install: Install) -> list[Object]:
    objects = [_filled(item, install) for item in overlay(install.mode) if not _is_write(item)]
    if install.mode == "remediation":
        objects += write_objects(install.types, install.namespaces)
    if install.token is not None:
        objects.append(_token_secret(install.token))
    # The ServiceAccount and its rights come first, the pod last.
    return sorted(objects, key=lambda item: item["kind"] == "Deployment")


def write_objects(types: Sequence[str], namespaces: Sequence[str]) -> list[Object]:
    """Just the rights that these types need, bound in just these namespaces; bound everywhere when none are named."""
    found = rights_for(types)
    spaced = _role(f"{NAME}-write", [right for right in found if right.namespaced])
    if not namespaces:
        rules = _role(f"{NAME}-write", found)
        return [rules, _binding("ClusterRoleBinding", f"{NAME}-write", None)]
    return [spaced, *(_binding("RoleBinding", f"{NAME}-write", space) for space in namespaces)]


def overlay(mode: Mode) -> list[Object]:
    """The objects of an overlay as its files hold them. A copy: change it as you like."""
    return cast(list[Object], json.loads(_overlay_text(mode)))


@cache
def _overlay_text(mode: Mode) -> str:
    return json.dumps(list(_resources(FOLDER / mode)))


def _resources(folder: Path) -> Iterator[Object]:
    for entry in yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]:
        path = (folder / entry).resolve()
        if path.is_dir():
            yield from _resources(path)
        else:
            yield from (item for item in yaml.safe_load_all(path.read_text()) if item)


def _is_write(item: Object) -> bool:
    return item["metadata"]["name"] == f"{NAME}-write"


def _filled(item: Object, install: Install) -> Object:
    if item["kind"] == "ConfigMap":
        item["data"] = _configuration(install)
        if install.bus_ca:
            item["data"]["bus-ca.pem"] = install.bus_ca
    elif item["kind"] == "Deployment":
        pod = item["spec"]["template"]["spec"]
        pod["containers"][0]["image"] = install.image
        if install.bus_ca:
            _mount_ca(pod)
    return item


def _configuration(install: Install) -> dict[str, str]:
    if install.mode == "read-only":
        return {"OPSTHREAD_RUNNER_NATS_URL": install.nats_url, "OPSTHREAD_RUNNER_MODE": "read-only"}
    return {
        "OPSTHREAD_RUNNER_NATS_URL": install.nats_url,
        "OPSTHREAD_RUNNER_MODE": "writes",
        "OPSTHREAD_RUNNER_REMEDIATIONS": ",".join(install.types),
        "OPSTHREAD_RUNNER_NAMESPACES": ",".join(install.namespaces),
        "OPSTHREAD_RUNNER_GRANT_KEYS": json.dumps(install.grant_keys, sort_keys=True),
    }


def _mount_ca(pod: Object) -> None:
    container = pod["containers"][0]
    container["env"].append({"name": "OPSTHREAD_RUNNER_NATS_CA_FILE", "value": "/etc/opsthread/bus/bus-ca.pem"})
    container["volumeMounts"].append({"name": "bus-ca", "mountPath": "/etc/opsthread/bus", "readOnly": True})
    pod["volumes"].append(
        {"name": "bus-ca", "configMap": {"name": NAME, "items": [{"key": "bus-ca.pem", "path": "bus-ca.pem"}]}}
    )


def _role(name: str, rights: Sequence[Right]) -> Object:
    """One rule a resource: a reader sees at once what may be done to what."""
    verbs: dict[tuple[str, str], list[str]] = {}
    for right in rights:
        verbs.setdefault((right.group, right.resource), []).append(right.verb)
    rules = [{"apiGroups": [group], "resources": [what], "verbs": sorted(can)} for (group, what), can in verbs.items()]
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": rules,
    }


def _binding(kind: str, role: str, namespace: str | None) -> Object:
    metadata = {"name": role} if namespace is None else {"name": role, "namespace": namespace}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": SPACE}],
    }


def _token_secret(token: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"{NAME}-enrolment", "namespace": SPACE},
        "type": "Opaque",
        "stringData": {"token": token},
    }
