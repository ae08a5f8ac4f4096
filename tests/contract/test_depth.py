"""What controllers and careful clients lean on: server-side apply with owners, RBAC, quotas, subresources, leases."""

import json
from collections.abc import Generator
from typing import Any

import pytest

from tests.contract.cluster import Cluster, Namespace, config_map, deployment, until
from tests.contract.official import Official, official

pytestmark = pytest.mark.contract

APPLY = "application/apply-patch+yaml"


@pytest.fixture(scope="module")
def client(cluster: Cluster) -> Generator[Official]:
    made = official(cluster.kubeconfig)
    yield made
    made.raw.close()


class Applier:
    """Server-side apply of one Deployment by several managers."""

    def __init__(self, client: Official, namespace: Namespace, name: str) -> None:
        self.client, self.namespace, self.name = client, namespace, name

    def apply(self, manager: str, spec: dict[str, Any], **options: Any) -> Any:
        body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": self.name}, "spec": spec}
        return self.client.apps.patch_namespaced_deployment(
            self.name, self.namespace.name, body, field_manager=manager, _content_type=APPLY, **options
        )

    def owners(self, field: str) -> set[str]:
        """Who owns spec.<field>."""
        path = f"/apis/apps/v1/namespaces/{self.namespace.name}/deployments/{self.name}"
        entries = self.namespace.kubectl("get", "--raw", path).json["metadata"]["managedFields"]
        return {e["manager"] for e in entries if f"f:{field}" in e["fieldsV1"].get("f:spec", {})}

    def env(self) -> dict[str, str]:
        rows = self.namespace.get("deploy", self.name)["spec"]["template"]["spec"]["containers"][0].get("env", [])
        return {row["name"]: row["value"] for row in rows}


def _spec(replicas: int | None = None, **env: str) -> dict[str, Any]:
    base = deployment("owned")["spec"]
    spec: dict[str, Any] = {"selector": base["selector"], "template": base["template"]}
    if replicas is not None:
        spec["replicas"] = replicas
    if env:
        spec["template"]["spec"]["containers"][0]["env"] = [{"name": k, "value": v} for k, v in env.items()]
    return spec


def _body(error: BaseException) -> Any:
    return json.loads(vars(error)["body"])


def test_apply_knows_the_owner_of_each_field(client: Official, namespace: Namespace) -> None:
    owned = Applier(client, namespace, "owned")
    owned.apply("first", _spec(2, A="1", B="2"))
    assert owned.owners("replicas") == {"first"}
    owned.apply("second", _spec(None, C="3"))
    assert owned.env() == {"A": "1", "B": "2", "C": "3"}
    with pytest.raises(client.error) as refused:
        owned.apply("second", _spec(5, C="3"))
    status = _body(refused.value)
    assert (status["code"], status["reason"]) == (409, "Conflict")
    cause = status["details"]["causes"][0]
    assert (cause["reason"], cause["field"]) == ("FieldManagerConflict", ".spec.replicas")
    assert cause["message"].startswith('conflict with "first"')
    assert owned.apply("second", _spec(5, C="3"), force=True, dry_run="All").spec.replicas == 5
    assert namespace.get("deploy", "owned")["spec"]["replicas"] == 2
    owned.apply("second", _spec(5, C="3"), force=True)
    assert owned.owners("replicas") == {"second"}


def test_what_an_applier_no_longer_names_goes_unless_another_owns_it(client: Official, namespace: Namespace) -> None:
    owned = Applier(client, namespace, "dropped")
    owned.apply("first", _spec(1, A="1", B="2"))
    owned.apply("second", _spec(1, B="2"))
    owned.apply("first", _spec(1))
    assert owned.env() == {"B": "2"}
    owned.apply("second", _spec(1))
    assert owned.env() == {}


def test_apply_without_a_manager_is_refused(client: Official, namespace: Namespace) -> None:
    with pytest.raises(client.error) as refused:
        client.core.patch_namespaced_config_map("c", namespace.name, config_map("c"), _content_type=APPLY)
    assert _body(refused.value)["code"] in (400, 422)
    assert "fieldManager" in _body(refused.value)["message"]


def test_rights_come_from_roles_and_bindings(cluster: Cluster, namespace: Namespace) -> None:
    namespace.kubectl("create", "serviceaccount", "robot")
    namespace.kubectl("create", "role", "reader", "--verb=get,list", "--resource=configmaps,pods/log")
    robot = f"system:serviceaccount:{namespace.name}:robot"

    def can(*words: str) -> str:
        return namespace.kubectl("auth", "can-i", *words, "--as", robot, check=False).out.strip()

    assert can("list", "configmaps") == "no"
    namespace.kubectl("create", "rolebinding", "robot", "--role=reader", f"--serviceaccount={namespace.name}:robot")
    until(lambda: can("list", "configmaps") == "yes", "the binding counts")
    assert can("get", "pods", "--subresource=log") == "yes"
    assert can("get", "pods") == "no"
    assert can("delete", "configmaps") == "no"
    assert can("list", "configmaps", "-n", "default") == "no"
    token = namespace.kubectl("create", "token", "robot").out.strip()
    config = json.loads(cluster.kubectl("config", "view", "--raw", "--minify", "-o", "json").out)
    config["users"][0]["user"] = {"token": token}
    path = cluster.home / "robot.kubeconfig"
    path.write_text(json.dumps(config))
    assert namespace.kubectl("get", "configmaps", kubeconfig=str(path))
    refused = namespace.kubectl("get", "secrets", kubeconfig=str(path), check=False)
    assert (
        f'secrets is forbidden: User "{robot}" cannot list resource "secrets" in API group "" '
        f'in the namespace "{namespace.name}"' in refused.err
    )
    listed = namespace.kubectl("auth", "can-i", "--list", kubeconfig=str(path)).out
    assert "pods/log" in listed


def test_a_quota_counts_and_refuses(namespace: Namespace) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "tight"}, "spec": {"hard": {"secrets": "100"}}}
    namespace.apply(quota)
    until(lambda: "secrets" in namespace.get("quota", "tight").get("status", {}).get("used", {}), "the quota has counted")
    used = int(namespace.get("quota", "tight")["status"]["used"]["secrets"])
    quota["spec"] = {"hard": {"secrets": str(used + 1)}}
    namespace.apply(quota)
    until(lambda: namespace.get("quota", "tight")["status"]["hard"] == {"secrets": str(used + 1)}, "the new limit counts")
    namespace.kubectl("create", "secret", "generic", "fits", "--from-literal=a=b")
    refused = namespace.kubectl("create", "secret", "generic", "over", "--from-literal=a=b", check=False)
    assert (
        f'secrets "over" is forbidden: exceeded quota: tight, requested: secrets=1, used: secrets={used + 1}, '
        f"limited: secrets={used + 1}" in refused.err
    )
    namespace.kubectl("delete", "quota", "tight")


def test_a_limit_range_gives_defaults_and_a_maximum(namespace: Namespace) -> None:
    row = {"type": "Container", "default": {"cpu": "200m"}, "defaultRequest": {"cpu": "100m"}, "max": {"cpu": "1"}}
    namespace.apply({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "range"}, "spec": {"limits": [row]}})

    def pod(name: str, **container: Any) -> str:
        spec = {"containers": [{"name": "app", "image": "nginx:1.25", **container}]}
        return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})

    namespace.kubectl("create", "-f", "-", stdin=pod("small"))
    resources = namespace.get("pod", "small")["spec"]["containers"][0]["resources"]
    assert resources == {"limits": {"cpu": "200m"}, "requests": {"cpu": "100m"}}
    refused = namespace.kubectl("create", "-f", "-", stdin=pod("big", resources={"limits": {"cpu": "2"}}), check=False)
    assert 'pods "big" is forbidden: maximum cpu usage per Container is 1, but limit is 2' in refused.err
    namespace.kubectl("delete", "limitrange", "range")


def test_status_is_a_subresource_of_its_own(client: Official, namespace: Namespace) -> None:
    namespace.apply(deployment("parts"))
    namespace.rolled_out("deployment/parts")
    generation = namespace.get("deploy", "parts")["metadata"]["generation"]
    client.apps.patch_namespaced_deployment("parts", namespace.name, {"status": {"replicas": 77}})
    assert namespace.get("deploy", "parts")["status"]["replicas"] == 1
    scale = client.apps.read_namespaced_deployment_scale("parts", namespace.name)
    assert (scale.spec.replicas, scale.status.selector) == (1, "app=parts")
    assert namespace.get("deploy", "parts")["metadata"]["generation"] == generation


def test_a_lease_is_taken_by_one(namespace: Namespace) -> None:
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "leader"},
        "spec": {"holderIdentity": "one", "leaseDurationSeconds": 15},
    }
    namespace.kubectl("create", "-f", "-", stdin=json.dumps(lease))
    seen = namespace.get("lease", "leader")
    seen["spec"]["holderIdentity"] = "two"
    namespace.kubectl("replace", "-f", "-", stdin=json.dumps(seen))
    seen["spec"]["holderIdentity"] = "three"
    late = namespace.kubectl("replace", "-f", "-", stdin=json.dumps(seen), check=False)
    assert "the object has been modified" in late.err
    assert namespace.get("lease", "leader")["spec"]["holderIdentity"] == "two"


def test_logs_are_followed_until_the_client_goes(client: Official, namespace: Namespace) -> None:
    namespace.apply(deployment("talker"))
    namespace.rolled_out("deployment/talker")
    name = namespace.get("pods", "-l", "app=talker")["items"][0]["metadata"]["name"]
    until(lambda: namespace.kubectl("logs", name).out, "the pod has written its first line")
    stream = client.core.read_namespaced_pod_log(name, namespace.name, follow=True, _preload_content=False, _request_timeout=20)
    assert next(iter(stream.stream()), b"")
    stream.close()
