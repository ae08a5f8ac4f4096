"""The runner's manifests in a cluster: the API server takes them, and its ServiceAccount may do just what its mode says."""

import json
from collections.abc import Generator
from typing import Any

import pytest
import yaml

from bot.install.manifests import Install, runner_manifest
from tests.contract.cluster import Cluster, Namespace

pytestmark = pytest.mark.contract

BUS = "tls://bus.example.com:4222"
ACCOUNT = "system:serviceaccount:opsthread:opsthread-runner"
READS = (
    ("list", "pods", True),
    ("watch", "deployments.apps", True),
    ("get", "pods/log", True),
    ("list", "nodes", True),
    ("get", "configmaps", True),
    ("list", "secrets", False),
    ("get", "secrets", False),
    ("create", "pods/exec", False),
    ("create", "pods/portforward", False),
    ("get", "services/proxy", False),
    ("impersonate", "serviceaccounts", False),
    ("create", "rolebindings.rbac.authorization.k8s.io", False),
    ("patch", "clusterroles.rbac.authorization.k8s.io", False),
)
WRITES = (
    ("patch", "deployments.apps"),
    ("patch", "configmaps"),
    ("create", "configmaps"),
    ("delete", "pods"),
    ("patch", "persistentvolumeclaims"),
    ("patch", "horizontalpodautoscalers.autoscaling"),
)
NEVER = (
    ("delete", "deployments.apps"),
    ("create", "pods"),
    ("delete", "namespaces"),
    ("update", "deployments.apps"),
    ("deletecollection", "pods"),
    ("patch", "secrets"),
)


def install_for(mode: Any, namespace: str) -> Install:
    where = (namespace,) if mode == "remediation" else ()
    keys = {"0123456789abcdef": "00" * 32} if mode == "remediation" else {}
    return Install(nats_url=BUS, mode=mode, namespaces=where, grant_keys=keys, token="enrol-for-a-test")


@pytest.fixture(scope="module", params=["read-only", "remediation"])
def mode(request: pytest.FixtureRequest, cluster: Cluster, namespace: Namespace) -> Generator[str]:
    """The manifests of that mode, applied, but for the pod itself: there is no image to run."""
    text = runner_manifest(install_for(request.param, namespace.name))
    checked = cluster.kubectl("apply", "--dry-run=server", "-f", "-", stdin=_with_namespace(cluster, text))
    assert "deployment.apps/opsthread-runner" in checked.out
    objects = [item for item in yaml.safe_load_all(text) if item["kind"] != "Deployment"]
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    cluster.kubectl("apply", "-f", "-", stdin=listed)
    yield request.param
    cluster.kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-", stdin=_without_namespace(listed))


def _with_namespace(cluster: Cluster, text: str) -> str:
    """A dry run makes no namespace for what comes after it, so it has to be there."""
    cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(next(iter(yaml.safe_load_all(text)))))
    return text


def _without_namespace(listed: str) -> str:
    whole = json.loads(listed)
    whole["items"] = [item for item in whole["items"] if item["kind"] != "Namespace"]
    return json.dumps(whole)


def can(cluster: Cluster, verb: str, what: str, namespace: str, name: str = "") -> bool:
    resource, _, subresource = what.partition("/")
    args = [verb, f"{resource}/{name}" if name else resource, "--as", ACCOUNT, "-n", namespace]
    if subresource:
        args += ["--subresource", subresource]
    said = cluster.kubectl("auth", "can-i", *args, check=False).out.strip().splitlines()
    assert said[-1] in ("yes", "no"), said
    return said[-1] == "yes"


def test_it_reads_everything_but_secrets_and_no_shell(cluster: Cluster, mode: str, namespace: Namespace) -> None:
    assert mode
    assert [(verb, what, can(cluster, verb, what, namespace.name)) for verb, what, _ in READS] == list(READS)


def test_it_writes_where_it_was_let_and_nowhere_else(cluster: Cluster, mode: str, namespace: Namespace) -> None:
    writes = mode == "remediation"
    for verb, what in WRITES:
        assert can(cluster, verb, what, namespace.name) is writes, (verb, what)
        assert can(cluster, verb, what, "kube-system") is False, (verb, what)
    for verb, what in NEVER:
        assert can(cluster, verb, what, namespace.name) is False, (verb, what)
    assert can(cluster, "patch", "nodes", namespace.name) is False


def test_it_holds_one_secret_and_one_lease_by_name(cluster: Cluster, mode: str) -> None:
    assert mode
    assert can(cluster, "update", "secrets", "opsthread", "opsthread-runner-identity") is True
    assert can(cluster, "get", "secrets", "opsthread", "opsthread-runner-enrolment") is False
    assert can(cluster, "delete", "secrets", "opsthread", "opsthread-runner-identity") is False
    assert can(cluster, "create", "leases.coordination.k8s.io", "opsthread") is True
    assert can(cluster, "create", "leases.coordination.k8s.io", "kube-system") is False
