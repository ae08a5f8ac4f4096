"""What the real kubectl reads: get, selectors, tables, describe, logs, top, discovery, refusals."""

import re

import pytest

from tests.contract.cluster import Cluster, Namespace, config_map, deployment, until

pytestmark = pytest.mark.contract


@pytest.fixture(scope="module")
def shop(namespace: Namespace) -> Namespace:
    namespace.apply(
        deployment("web", replicas=3),
        deployment("api", image="acme/api:1"),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
        },
        config_map("settings", level="info"),
    )
    namespace.rolled_out("deployment/web")
    namespace.rolled_out("deployment/api")
    return namespace


def test_version_and_discovery(cluster: Cluster) -> None:
    assert re.search(r"Server Version: .*v?1\.\d+", cluster.kubectl("version").out)
    rows = cluster.kubectl("api-resources").out
    for short, kind in (("po", "Pod"), ("deploy", "Deployment"), ("cm", "ConfigMap"), ("sts", "StatefulSet"), ("no", "Node")):
        assert re.search(rf"\s{short}\s.*\s{kind}\b", rows), f"{short} of {kind} is missing"
    assert "apps/v1" in cluster.kubectl("api-versions").out.split()
    assert cluster.kubectl("get", "--raw", "/healthz").out == "ok"


@pytest.mark.parametrize(
    ("what", "columns"),
    [
        ("pods", ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]),
        ("deployments", ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]),
        ("replicasets", ["NAME", "DESIRED", "CURRENT", "READY", "AGE"]),
        ("services", ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"]),
        ("configmaps", ["NAME", "DATA", "AGE"]),
        ("endpoints", ["NAME", "ENDPOINTS", "AGE"]),
        ("events", ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]),
        ("nodes", ["NAME", "STATUS", "ROLES", "AGE", "VERSION"]),
        ("namespaces", ["NAME", "STATUS", "AGE"]),
    ],
)
def test_columns_are_kubectls_own(shop: Namespace, what: str, columns: list[str]) -> None:
    head = shop.kubectl("get", what).out.splitlines()[0]
    assert re.split(r"\s{2,}", head.strip()) == columns


def test_wide_adds_where_a_pod_runs(shop: Namespace) -> None:
    lines = shop.kubectl("get", "pods", "-o", "wide", "-l", "app=web").out.splitlines()
    assert re.split(r"\s{2,}", lines[0].strip())[5:] == ["IP", "NODE", "NOMINATED NODE", "READINESS GATES"]
    assert all(re.search(r"\d+\.\d+\.\d+\.\d+\s+\S+\s+<none>\s+<none>", line) for line in lines[1:])


@pytest.mark.parametrize(
    ("selector", "apps"),
    [
        ("app=web", {"web"}),
        ("app==web", {"web"}),
        ("app!=web", {"api"}),
        ("app in (web,api)", {"web", "api"}),
        ("app notin (web)", {"api"}),
        ("app", {"web", "api"}),
        ("!app", set[str]()),
        ("app=web,pod-template-hash", {"web"}),
    ],
)
def test_label_selectors(shop: Namespace, selector: str, apps: set[str]) -> None:
    items = shop.get("pods", "-l", selector)["items"]
    assert {pod["metadata"]["labels"]["app"] for pod in items} == apps


def test_field_selectors(shop: Namespace) -> None:
    name = shop.get("pods", "-l", "app=api")["items"][0]["metadata"]["name"]
    assert [p["metadata"]["name"] for p in shop.get("pods", f"--field-selector=metadata.name={name}")["items"]] == [name]
    assert len(shop.get("pods", "--field-selector=status.phase=Running")["items"]) == 4
    assert shop.get("pods", "--field-selector=status.phase!=Running")["items"] == []
    events = shop.get("events", f"--field-selector=involvedObject.name={name},reason=Scheduled")["items"]
    assert len(events) == 1
    refused = shop.kubectl("get", "pods", "--field-selector=spec.color=red", check=False)
    assert refused.code == 1
    assert "spec.color" in refused.err


def test_limit_and_continue_walk_through_everything_once(shop: Namespace) -> None:
    path = f"/api/v1/namespaces/{shop.name}/pods?limit=2"
    seen: list[str] = []
    token = ""
    for _ in range(10):
        page = shop.kubectl("get", "--raw", path + (f"&continue={token}" if token else "")).json
        assert len(page["items"]) <= 2
        seen += [pod["metadata"]["name"] for pod in page["items"]]
        token = page["metadata"].get("continue", "")
        if not token:
            break
    assert sorted(seen) == sorted({pod["metadata"]["name"] for pod in shop.get("pods")["items"]})
    assert len(seen) == 4


def test_output_forms(shop: Namespace) -> None:
    assert shop.kubectl("get", "deploy", "web", "-o", "jsonpath={.spec.replicas}").out == "3"
    assert shop.kubectl("get", "deploy/web", "-o", "name").out.strip() == "deployment.apps/web"
    assert "kind: Deployment" in shop.kubectl("get", "deploy", "web", "-o", "yaml").out
    both = shop.kubectl("get", "deploy,svc").out
    assert "deployment.apps/web" in both
    assert "service/web" in both


def test_endpoints_follow_readiness(shop: Namespace) -> None:
    subset = shop.get("endpoints", "web")["subsets"][0]
    assert len(subset["addresses"]) == 3
    assert subset["ports"][0]["port"] == 80


@pytest.mark.parametrize("what", ["deployment/web", "service/web", "configmap/settings"])
def test_describe(shop: Namespace, what: str) -> None:
    said = shop.kubectl("describe", what).out
    assert re.search(rf"^Name:\s+{what.partition('/')[2]}$", said, re.MULTILINE)


def test_describe_a_pod_with_its_events(shop: Namespace) -> None:
    name = shop.get("pods", "-l", "app=api")["items"][0]["metadata"]["name"]
    said = shop.kubectl("describe", "pod", name).out
    for word in (
        "Controlled By:",
        "State:          Running",
        "Ready           True",
        "Successfully assigned",
        "Started container app",
    ):
        assert re.sub(r"\s+", " ", word) in re.sub(r"\s+", " ", said), word


def test_describe_a_node(cluster: Cluster) -> None:
    name = cluster.kubectl("get", "nodes", "-o", "name").out.split()[0]
    said = cluster.kubectl("describe", name).out
    assert "Allocated resources:" in said
    assert "MemoryPressure" in said


def test_logs(shop: Namespace) -> None:
    name = shop.get("pods", "-l", "app=api")["items"][0]["metadata"]["name"]
    until(lambda: shop.kubectl("logs", name).out.strip() != "", "the pod has written its first line")
    assert len(shop.kubectl("logs", name, "--tail=1").out.splitlines()) == 1
    assert shop.kubectl("logs", "-l", "app=web", "--tail=1").out.strip()
    stamped = shop.kubectl("logs", "deploy/api", "--timestamps").out.splitlines()[0]
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z ", stamped)


def test_log_refusals(shop: Namespace) -> None:
    name = shop.get("pods", "-l", "app=api")["items"][0]["metadata"]["name"]
    previous = shop.kubectl("logs", name, "--previous", check=False)
    assert previous.code == 1
    assert f'previous terminated container "app" in pod "{name}" not found' in previous.err
    other = shop.kubectl("logs", name, "-c", "nope", check=False)
    assert "container nope is not valid for pod" in other.err


def test_logs_of_a_pod_that_can_not_start(shop: Namespace) -> None:
    shop.apply(deployment("typo", image="acme/api:nonexistent"))

    def stuck() -> str:
        path = "{.items[0].metadata.name} {.items[0].status.containerStatuses[0].state.waiting.reason}"
        name, _, reason = shop.kubectl("get", "pods", "-l", "app=typo", "-o", f"jsonpath={path}", check=False).out.partition(
            " "
        )
        return name if reason in ("ErrImagePull", "ImagePullBackOff") else ""

    name = until(stuck, "the image can not be pulled")
    refused = shop.kubectl("logs", name, check=False)
    assert refused.code == 1
    assert f'container "app" in pod "{name}" is waiting to start: ' in refused.err
    shop.kubectl("delete", "deploy", "typo")


def test_ambiguous_container_is_refused_with_the_choice(shop: Namespace) -> None:
    two = [{"name": "one", "image": "acme/one:1"}, {"name": "two", "image": "acme/two:1"}]
    shop.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pair"}, "spec": {"containers": two}})
    shop.kubectl("wait", "--for=condition=Ready", "pod/pair", "--timeout=30s")
    raw = shop.kubectl("get", "--raw", f"/api/v1/namespaces/{shop.name}/pods/pair/log", check=False)
    assert raw.code == 1
    assert "a container name must be specified for pod pair, choose one of: [one two]" in raw.err
    shop.kubectl("delete", "pod", "pair")


def test_top(shop: Namespace) -> None:
    def measured() -> bool:
        said = shop.kubectl("top", "pods", check=False).out
        return bool(re.search(r"web-\S+\s+\d+m\s+\d+Mi", said))

    until(measured, "metrics for the pods")
    assert re.search(r"\d+%", shop.kubectl("top", "nodes").out)


def test_what_is_not_there(shop: Namespace) -> None:
    refused = shop.kubectl("get", "pod", "nope", check=False)
    assert (refused.code, refused.err.strip()) == (1, 'Error from server (NotFound): pods "nope" not found')
    refused = shop.kubectl("get", "deploy", "nope", check=False)
    assert refused.err.strip() == 'Error from server (NotFound): deployments.apps "nope" not found'
    assert "the server doesn't have a resource type" in shop.kubectl("get", "unicorns", check=False).err


def test_who_may_what(cluster: Cluster, shop: Namespace) -> None:
    assert shop.kubectl("auth", "can-i", "delete", "pods").out.strip() == "yes"
    if not cluster.viewer:
        return
    asked = shop.kubectl("auth", "can-i", "delete", "pods", check=False, kubeconfig=cluster.viewer)
    assert asked.out.strip().startswith("no")
    assert shop.kubectl("auth", "can-i", "list", "pods", kubeconfig=cluster.viewer).out.strip() == "yes"
    assert shop.kubectl("get", "pods", kubeconfig=cluster.viewer).out
    refused = shop.kubectl("get", "secrets", check=False, kubeconfig=cluster.viewer).err
    assert re.search(
        r'Error from server \(Forbidden\): secrets is forbidden: User "[^"]+" cannot list resource "secrets" '
        rf'in API group "" in the namespace "{shop.name}"',
        refused,
    )
    refused = shop.kubectl("delete", "deploy", "web", check=False, kubeconfig=cluster.viewer).err
    assert re.search(
        r'deployments\.apps "web" is forbidden: User "[^"]+" cannot delete resource "deployments" in API group "apps"', refused
    )
