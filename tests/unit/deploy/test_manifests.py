"""What stands in deploy/kubernetes: it builds, it asks for no more than it needs, and what `cluster add` makes is the same."""

import subprocess
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from pydantic import ValidationError

from bot.install.manifests import FOLDER, Install, Object, overlay, runner_manifest, runner_objects, write_objects
from protocol.kubectl.resources import RESOURCES
from protocol.remediation import REMEDIATIONS
from protocol.rights import needs_nodes, rights_for
from runner.remediation.rows import ROWS

DEPLOY = FOLDER.parents[1]
OVERLAYS = [path.parent for path in sorted(DEPLOY.glob("*/overlays/*/kustomization.yaml"))]
BUS = "tls://bus.example.com:4222"
KEYS = {"abcd": "00" * 32}
SHELLS = {"pods/exec", "pods/attach", "pods/portforward", "pods/ephemeralcontainers", "services/proxy", "nodes/proxy"}
NOT_READ = {"secrets"}
"""What the runner has no right to by default."""


def built(folder: Path) -> list[Object]:
    done = subprocess.run(["kubectl", "kustomize", str(folder)], check=True, capture_output=True, text=True, timeout=60)
    return [cast(Object, item) for item in yaml.safe_load_all(done.stdout)]


def by_name(objects: list[Object]) -> dict[tuple[str, str, str], Object]:
    return {(item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]): item for item in objects}


def rules_of(objects: list[Object]) -> list[dict[str, Any]]:
    return [rule for item in objects if item["kind"] in ("Role", "ClusterRole") for rule in item["rules"]]


def pods_of(objects: list[Object]) -> list[dict[str, Any]]:
    return [item["spec"]["template"]["spec"] for item in objects if item["kind"] in ("Deployment", "StatefulSet")]


@pytest.mark.parametrize("folder", OVERLAYS, ids=lambda path: f"{path.parents[1].name}-{path.name}")
def test_every_overlay_builds_and_its_pods_are_confined(folder: Path) -> None:
    objects = built(folder)
    pods = pods_of(objects)
    assert pods
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["enableServiceLinks"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert not any("hostPath" in volume for volume in pod["volumes"])
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {"startupProbe", "livenessProbe", "readinessProbe"} <= container.keys()
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]
    kinds = {item["kind"] for item in objects}
    assert {"NetworkPolicy", "ServiceAccount", "Namespace"} <= kinds


@pytest.mark.parametrize("folder", OVERLAYS, ids=lambda path: f"{path.parents[1].name}-{path.name}")
def test_no_role_has_a_wildcard_or_reaches_into_secrets_and_shells(folder: Path) -> None:
    for rule in rules_of(built(folder)):
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
        assert not SHELLS & set(rule["resources"])
        assert not {"impersonate", "escalate", "bind"} & set(rule["verbs"])
        if "secrets" in rule["resources"]:
            assert rule["resourceNames"] == ["opsthread-runner-identity"]
            assert set(rule["verbs"]) <= {"get", "update", "patch"}


def test_the_control_plane_has_no_rights_in_its_cluster() -> None:
    for folder in OVERLAYS:
        if "control-plane" in folder.parts:
            objects = built(folder)
            assert rules_of(objects) == []
            assert all(pod["automountServiceAccountToken"] is False for pod in pods_of(objects))


def test_a_read_only_runner_can_write_nothing_but_its_own_lease_and_key() -> None:
    writes = [rule for rule in rules_of(built(FOLDER / "read-only")) if set(rule["verbs"]) - {"get", "list", "watch"}]
    assert {what for rule in writes for what in rule["resources"]} == {"secrets", "leases"}


@pytest.mark.parametrize("row", RESOURCES, ids=lambda row: f"{row.plural}.{row.group}")
def test_every_kind_that_may_be_asked_for_may_be_read_or_is_left_out_on_purpose(row: Any) -> None:
    read = next(
        item for item in overlay("read-only") if item["metadata"]["name"] == "opsthread-runner-read" and "rules" in item
    )
    granted = {(group, what) for rule in read["rules"] for group in rule["apiGroups"] for what in rule["resources"]}
    assert ((row.group, row.plural) in granted) != (row.plural in NOT_READ)


@pytest.mark.parametrize("mode", ["read-only", "remediation"])
def test_what_cluster_add_makes_is_the_overlay_with_the_clusters_values(mode: Any) -> None:
    of_kustomize = by_name(built(FOLDER / mode))
    of_ours = by_name(
        runner_objects(Install(nats_url=BUS, mode=mode, namespaces=("default",) if mode == "remediation" else ()))
    )
    assert of_ours.keys() == of_kustomize.keys()
    for key, item in of_ours.items():
        if item["kind"] == "ConfigMap":
            assert item["data"].keys() == of_kustomize[key]["data"].keys()
        else:
            assert item == of_kustomize[key]


def test_remediation_gets_the_rights_for_its_types_in_its_namespaces_and_no_more() -> None:
    objects = write_objects(("restart", "delete_pod"), ("shop", "billing"))
    assert [item["kind"] for item in objects] == ["ClusterRole", "RoleBinding", "RoleBinding"]
    granted = {
        (group, what, verb)
        for r in rules_of(objects)
        for group in r["apiGroups"]
        for what in r["resources"]
        for verb in r["verbs"]
    }
    assert granted == {
        ("apps", "deployments", "patch"),
        ("apps", "statefulsets", "patch"),
        ("apps", "daemonsets", "patch"),
        ("", "pods", "delete"),
    }
    assert [item["metadata"]["namespace"] for item in objects[1:]] == ["shop", "billing"]


def test_without_namespaces_nodes_may_be_drained_too() -> None:
    objects = write_objects(("drain",), ())
    assert [item["kind"] for item in objects] == ["ClusterRole", "ClusterRoleBinding"]
    assert {what for rule in rules_of(objects) for what in rule["resources"]} == {"nodes", "pods/eviction"}


@pytest.mark.parametrize("name", sorted(REMEDIATIONS))
def test_the_verb_that_a_remediation_asks_can_i_about_is_granted(name: str) -> None:
    assert ROWS[name].verb in {right.verb for right in rights_for((name,))}
    assert needs_nodes(name) == (not all(right.namespaced for right in rights_for((name,))))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"mode": "remediation", "namespaces": ("shop\n---",)}, "pattern"),
        ({"mode": "remediation", "namespaces": ("Shop",)}, "pattern"),
        ({"mode": "remediation", "remediations": ("rm -rf",)}, "unknown remediations"),
        ({"mode": "remediation", "remediations": ("delete_configmap",)}, "unknown remediations"),
        ({"mode": "remediation", "remediations": ("drain",), "namespaces": ("shop",)}, "in no namespace"),
        ({"mode": "read-only", "namespaces": ("shop",)}, "read-only"),
        ({"image": "runner:1\nevil: true"}, "pattern"),
        ({"mode": "anything"}, "read-only"),
    ],
)
def test_what_cannot_be_installed_is_refused_in_words(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Install(nats_url=BUS, **values)


def test_values_are_data_and_never_yaml() -> None:
    hostile = 'nats://x"\n---\nkind: ClusterRoleBinding\n#: {a: b}'
    documents = list(yaml.safe_load_all(runner_manifest(Install(nats_url=hostile, token="enrol-'\n---\n"))))
    assert [item["kind"] for item in documents if item["kind"] == "ClusterRoleBinding"] == ["ClusterRoleBinding"]
    config = next(item for item in documents if item["kind"] == "ConfigMap")
    assert config["data"]["OPSTHREAD_RUNNER_NATS_URL"] == hostile


def test_the_buss_authority_is_mounted_where_the_runner_reads_it() -> None:
    objects = runner_objects(Install(nats_url=BUS, bus_ca="-----BEGIN CERTIFICATE-----\n"))
    pod = pods_of(objects)[0]
    env = {row["name"]: row.get("value") for row in pod["containers"][0]["env"]}
    mount = next(row for row in pod["containers"][0]["volumeMounts"] if row["name"] == "bus-ca")
    assert env["OPSTHREAD_RUNNER_NATS_CA_FILE"] == f"{mount['mountPath']}/bus-ca.pem"


def test_asking_twice_gives_the_same_and_leaves_the_files_as_they_were() -> None:
    first = runner_manifest(Install(nats_url=BUS, mode="remediation", grant_keys=KEYS, image="registry.local:5000/r:2"))
    runner_manifest(Install(nats_url="nats://other:1"))
    assert runner_manifest(Install(nats_url=BUS, mode="remediation", grant_keys=KEYS, image="registry.local:5000/r:2")) == first
