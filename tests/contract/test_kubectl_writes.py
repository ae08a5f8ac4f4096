"""What the real kubectl writes: scale, roll-outs, set, patch, apply, replace, cordon, drain, dry run, conflicts."""

import json
from typing import Any

import pytest

from tests.contract.cluster import Cluster, Namespace, config_map, deployment, until

pytestmark = pytest.mark.contract


def _image(namespace: Namespace, name: str) -> str:
    return namespace.kubectl("get", "deploy", name, "-o", "jsonpath={.spec.template.spec.containers[0].image}").out


def _pods(namespace: Namespace, app: str) -> list[dict[str, Any]]:
    return namespace.get("pods", "-l", f"app={app}")["items"]


def test_scale(namespace: Namespace) -> None:
    namespace.apply(deployment("scaled"))
    namespace.rolled_out("deployment/scaled")
    namespace.kubectl("scale", "deploy/scaled", "--replicas=3")
    namespace.rolled_out("deployment/scaled")
    assert len(_pods(namespace, "scaled")) == 3
    refused = namespace.kubectl("scale", "deploy/scaled", "--current-replicas=7", "--replicas=1", check=False)
    assert refused.code == 1
    assert namespace.kubectl("get", "deploy", "scaled", "-o", "jsonpath={.spec.replicas}").out == "3"


def test_a_roll_out_restarts_is_told_and_undone(namespace: Namespace) -> None:
    namespace.apply(deployment("rolling", image="acme/app:1", replicas=2))
    namespace.rolled_out("deployment/rolling")
    before = {pod["metadata"]["uid"] for pod in _pods(namespace, "rolling")}
    namespace.kubectl("rollout", "restart", "deploy/rolling")
    namespace.rolled_out("deployment/rolling")
    # `rollout status` is content while old pods still end
    until(lambda: not before & {pod["metadata"]["uid"] for pod in _pods(namespace, "rolling")}, "all pods are new")
    namespace.kubectl("set", "image", "deploy/rolling", "app=acme/app:2")
    namespace.rolled_out("deployment/rolling")
    assert _image(namespace, "rolling") == "acme/app:2"
    history = namespace.kubectl("rollout", "history", "deploy/rolling").out.splitlines()
    assert [line.split()[0] for line in history if line[:1].isdigit()] == ["1", "2", "3"]
    namespace.kubectl("rollout", "undo", "deploy/rolling")
    namespace.rolled_out("deployment/rolling")
    assert _image(namespace, "rolling") == "acme/app:1"
    namespace.kubectl("rollout", "undo", "deploy/rolling", "--to-revision=3")
    assert _image(namespace, "rolling") == "acme/app:2"
    assert "acme/app:2" in namespace.kubectl("rollout", "history", "deploy/rolling", "--revision=5").out


def test_a_stateful_set_rolls_out_and_back(namespace: Namespace) -> None:
    wanted: dict[str, Any] = deployment("db", image="acme/db:1", replicas=2) | {"kind": "StatefulSet"}
    wanted["spec"]["serviceName"] = "db"
    namespace.apply(wanted)
    namespace.rolled_out("statefulset/db")
    assert [pod["metadata"]["name"] for pod in _pods(namespace, "db")] == ["db-0", "db-1"]
    namespace.kubectl("set", "image", "sts/db", "app=acme/db:2")
    namespace.rolled_out("statefulset/db")
    assert {pod["spec"]["containers"][0]["image"] for pod in _pods(namespace, "db")} == {"acme/db:2"}
    namespace.kubectl("rollout", "undo", "sts/db")
    namespace.rolled_out("statefulset/db")
    assert {pod["spec"]["containers"][0]["image"] for pod in _pods(namespace, "db")} == {"acme/db:1"}


def test_a_daemon_set_is_on_every_node(namespace: Namespace) -> None:
    wanted: dict[str, Any] = deployment("agent", image="acme/agent:1") | {"kind": "DaemonSet"}
    del wanted["spec"]["replicas"]
    namespace.apply(wanted)
    namespace.rolled_out("daemonset/agent")
    nodes = namespace.cluster.kubectl("get", "nodes", "-o", "name").out.split()
    assert {pod["spec"]["nodeName"] for pod in _pods(namespace, "agent")} == {node.partition("/")[2] for node in nodes}


def test_a_job_completes(namespace: Namespace) -> None:
    namespace.kubectl("create", "job", "once", "--image=acme/job:1")
    namespace.kubectl("wait", "--for=condition=complete", "job/once", "--timeout=50s")
    assert namespace.get("job", "once")["status"]["succeeded"] == 1


def test_set_resources_and_env_change_only_that(namespace: Namespace) -> None:
    probe = {"httpGet": {"path": "/", "port": 80}}
    namespace.apply(deployment("tuned", readinessProbe=probe, env=[{"name": "A", "value": "1"}]))
    namespace.kubectl("set", "resources", "deploy/tuned", "-c", "app", "--limits=memory=256Mi", "--requests=cpu=50m")
    namespace.kubectl("set", "env", "deploy/tuned", "B=2")
    container = namespace.get("deploy", "tuned")["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"] == {"limits": {"memory": "256Mi"}, "requests": {"cpu": "50m"}}
    assert [(e["name"], e["value"]) for e in container["env"]] == [("A", "1"), ("B", "2")]
    assert container["readinessProbe"]["httpGet"]["path"] == "/"
    assert container["image"] == "nginx:1.25"


def test_three_kinds_of_patch(namespace: Namespace) -> None:
    namespace.apply(deployment("patched", env=[{"name": "A", "value": "1"}]))
    strategic = {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "acme/p:2"}]}}}}
    namespace.kubectl("patch", "deploy", "patched", "-p", json.dumps(strategic))
    container = namespace.get("deploy", "patched")["spec"]["template"]["spec"]["containers"][0]
    assert (container["image"], container["env"]) == ("acme/p:2", [{"name": "A", "value": "1"}])
    namespace.kubectl("patch", "deploy", "patched", "--type=merge", "-p", '{"metadata":{"labels":{"tier":"x"}}}')
    namespace.kubectl(
        "patch", "deploy", "patched", "--type=merge", "-p", '{"metadata":{"labels":{"tier":null,"app":"patched"}}}'
    )
    assert namespace.get("deploy", "patched")["metadata"]["labels"] == {"app": "patched"}
    operations = [{"op": "test", "path": "/spec/replicas", "value": 1}, {"op": "replace", "path": "/spec/replicas", "value": 2}]
    namespace.kubectl("patch", "deploy", "patched", "--type=json", "-p", json.dumps(operations))
    assert namespace.get("deploy", "patched")["spec"]["replicas"] == 2
    refused = namespace.kubectl("patch", "deploy", "patched", "--type=json", "-p", json.dumps(operations), check=False)
    assert refused.code == 1
    delete = {"spec": {"template": {"spec": {"containers": [{"name": "app", "env": [{"name": "A", "$patch": "delete"}]}]}}}}
    namespace.kubectl("patch", "deploy", "patched", "-p", json.dumps(delete))
    assert not namespace.get("deploy", "patched")["spec"]["template"]["spec"]["containers"][0].get("env")


def test_apply_again_changes_and_removes(namespace: Namespace) -> None:
    namespace.apply(config_map("applied", a="1", b="2"))
    namespace.apply(config_map("applied", a="3"))
    found = namespace.get("configmap", "applied")
    assert found["data"] == {"a": "3"}
    assert '"a":"3"' in found["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
    again = namespace.kubectl("apply", "-f", "-", stdin=json.dumps(config_map("applied", a="3"))).out
    assert again.strip() == "configmap/applied unchanged"


def test_server_side_apply_and_its_conflicts(namespace: Namespace) -> None:
    wanted = json.dumps(config_map("served", a="1"))
    namespace.kubectl("apply", "--server-side", "-f", "-", stdin=wanted)
    path = f"/api/v1/namespaces/{namespace.name}/configmaps/served"
    managers = namespace.kubectl("get", "--raw", path).json["metadata"]["managedFields"]
    assert [(m["manager"], m["operation"]) for m in managers] == [("kubectl", "Apply")]
    other = json.dumps(config_map("served", a="2"))
    refused = namespace.kubectl("apply", "--server-side", "--field-manager=somebody", "-f", "-", stdin=other, check=False)
    assert refused.code == 1
    assert 'conflict with "kubectl": .data.a' in refused.err
    namespace.kubectl("apply", "--server-side", "--field-manager=somebody", "--force-conflicts", "-f", "-", stdin=other)
    assert namespace.get("cm", "served")["data"] == {"a": "2"}


def test_create_replace_delete(namespace: Namespace) -> None:
    namespace.kubectl("create", "configmap", "typed", "--from-literal=a=b")
    assert namespace.get("cm", "typed")["data"] == {"a": "b"}
    refused = namespace.kubectl("create", "configmap", "typed", "--from-literal=a=b", check=False)
    assert 'configmaps "typed" already exists' in refused.err
    namespace.kubectl("replace", "-f", "-", stdin=json.dumps(config_map("typed", z="4")))
    assert namespace.get("cm", "typed")["data"] == {"z": "4"}
    namespace.kubectl("delete", "cm", "typed")
    assert 'configmaps "typed" not found' in namespace.kubectl("get", "cm", "typed", check=False).err


def test_labels_and_annotations(namespace: Namespace) -> None:
    namespace.apply(config_map("marked"))
    namespace.kubectl("label", "cm", "marked", "x=y")
    namespace.kubectl("annotate", "cm", "marked", "note=hello")
    meta = namespace.get("cm", "marked")["metadata"]
    assert meta["labels"]["x"] == "y"
    assert meta["annotations"]["note"] == "hello"
    namespace.kubectl("label", "cm", "marked", "x-")
    assert "x" not in namespace.get("cm", "marked")["metadata"]["labels"]


def test_delete_a_set_of_objects(namespace: Namespace) -> None:
    for name in ("one", "two"):
        namespace.apply(config_map(name) | {"metadata": {"name": name, "labels": {"batch": "gone"}}})
    namespace.kubectl("delete", "cm", "-l", "batch=gone")
    assert namespace.get("cm", "-l", "batch=gone")["items"] == []


def test_delete_a_deployment_takes_its_pods_along(namespace: Namespace) -> None:
    namespace.apply(deployment("doomed", replicas=2))
    namespace.rolled_out("deployment/doomed")
    namespace.kubectl("delete", "deploy", "doomed", "--timeout=40s")
    until(lambda: not _pods(namespace, "doomed"), "the pods are gone")
    assert namespace.get("rs", "-l", "app=doomed")["items"] == []


def test_a_deleted_pod_is_replaced(namespace: Namespace) -> None:
    namespace.apply(deployment("phoenix"))
    namespace.rolled_out("deployment/phoenix")
    name = _pods(namespace, "phoenix")[0]["metadata"]["name"]
    namespace.kubectl("delete", "pod", name, "--timeout=40s")
    namespace.rolled_out("deployment/phoenix")
    assert [pod["metadata"]["name"] for pod in _pods(namespace, "phoenix")] != [name]


@pytest.mark.parametrize(
    "command",
    [
        ("scale", "deploy/still", "--replicas=9"),
        ("set", "image", "deploy/still", "app=acme/other:1"),
        ("set", "env", "deploy/still", "X=1"),
        ("rollout", "restart", "deploy/still"),
        ("patch", "deploy", "still", "-p", '{"spec":{"replicas":7}}'),
        ("patch", "deploy", "still", "--type=merge", "-p", '{"spec":{"replicas":7}}'),
        ("patch", "deploy", "still", "--type=json", "-p", '[{"op":"replace","path":"/spec/replicas","value":7}]'),
        ("label", "deploy", "still", "x=y"),
        ("delete", "deploy", "still"),
        ("create", "configmap", "never", "--from-literal=a=b"),
    ],
    ids=" ".join,
)
def test_a_server_side_dry_run_leaves_everything_as_it_was(namespace: Namespace, command: tuple[str, ...]) -> None:
    namespace.apply(deployment("still"))
    namespace.rolled_out("deployment/still")
    before = namespace.get("deploy", "still")["metadata"]["resourceVersion"]
    if command[:2] == ("rollout", "restart"):
        body = '{"spec":{"template":{"metadata":{"annotations":{"r":"1"}}}}}'
        command = ("patch", "deploy", "still", "-p", body)
    namespace.kubectl(*command, "--dry-run=server")
    assert namespace.get("deploy", "still")["metadata"]["resourceVersion"] == before
    assert "not found" in namespace.kubectl("get", "cm", "never", check=False).err


def test_a_dry_run_shows_what_would_be(namespace: Namespace) -> None:
    namespace.apply(deployment("shown"))
    said = namespace.kubectl("set", "image", "deploy/shown", "app=acme/x:9", "--dry-run=server", "-o", "json").json
    assert said["spec"]["template"]["spec"]["containers"][0]["image"] == "acme/x:9"
    changed = namespace.kubectl("diff", "-f", "-", stdin=json.dumps(deployment("shown", replicas=4)), check=False)
    assert changed.code == 1
    assert "+  replicas: 4" in changed.out


def test_stale_versions_conflict(namespace: Namespace) -> None:
    namespace.apply(config_map("raced", a="1"))
    stale = namespace.get("cm", "raced")
    namespace.kubectl("patch", "cm", "raced", "--type=merge", "-p", '{"data":{"a":"2"}}')
    stale["data"] = {"a": "3"}
    refused = namespace.kubectl("replace", "-f", "-", stdin=json.dumps(stale), check=False)
    assert refused.code == 1
    assert 'Operation cannot be fulfilled on configmaps "raced": the object has been modified' in refused.err
    body = json.dumps({"metadata": {"resourceVersion": stale["metadata"]["resourceVersion"]}, "data": {"a": "4"}})
    refused = namespace.kubectl("patch", "cm", "raced", "--type=merge", "-p", body, check=False)
    assert "the object has been modified" in refused.err
    assert namespace.get("cm", "raced")["data"] == {"a": "2"}


def test_another_uid_is_refused(namespace: Namespace) -> None:
    namespace.apply(config_map("unique", a="1"))
    body = json.dumps({"metadata": {"uid": "00000000-0000-0000-0000-000000000000"}, "data": {"a": "4"}})
    refused = namespace.kubectl("patch", "cm", "unique", "--type=merge", "-p", body, check=False)
    assert refused.code == 1
    assert 'metadata.uid: Invalid value: "00000000-0000-0000-0000-000000000000": field is immutable' in refused.err
    other = config_map("unique", a="4")
    other["metadata"] |= {"uid": "00000000-0000-0000-0000-000000000000", "namespace": namespace.name}
    path = f"/api/v1/namespaces/{namespace.name}/configmaps/unique"
    refused = namespace.kubectl("replace", "--raw", path, "-f", "-", stdin=json.dumps(other), check=False)
    assert refused.code == 1
    assert "Precondition failed: UID in precondition: 00000000-0000-0000-0000-000000000000" in refused.err
    assert namespace.get("cm", "unique")["data"] == {"a": "1"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"spec": {"replicas": -1}}, "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
        ({"spec": {"selector": {"matchLabels": {"app": "other"}}}}, "field is immutable"),
        ({"spec": {"template": {"spec": {"containers": [{"name": "new"}]}}}}, "image: Required value"),
        (
            {"metadata": {"labels": {"bad": "no spaces please"}}},
            "a valid label must be an empty string or consist of alphanumeric characters",
        ),
    ],
)
def test_what_is_invalid_is_refused_with_the_field(namespace: Namespace, change: dict[str, Any], said: str) -> None:
    namespace.apply(deployment("checked"))
    refused = namespace.kubectl("patch", "deploy", "checked", "-p", json.dumps(change), check=False)
    assert refused.code == 1
    assert said in refused.err


def test_cordon_drain_uncordon(cluster: Cluster, namespace: Namespace) -> None:
    node = cluster.kubectl("get", "nodes", "-o", "name").out.split()[-1].partition("/")[2]
    try:
        cluster.kubectl("cordon", node)
        assert "SchedulingDisabled" in cluster.kubectl("get", "node", node).out
        namespace.apply(deployment("moved", replicas=2))
        namespace.rolled_out("deployment/moved")
        assert all(pod["spec"]["nodeName"] != node for pod in _pods(namespace, "moved"))
        cluster.kubectl("uncordon", node)
        assert "SchedulingDisabled" not in cluster.kubectl("get", "node", node).out
    finally:
        cluster.kubectl("uncordon", node)


def test_drain_moves_the_pods_of_the_node(cluster: Cluster, namespace: Namespace) -> None:
    namespace.apply(deployment("drained", replicas=3))
    namespace.rolled_out("deployment/drained")
    node = _pods(namespace, "drained")[0]["spec"]["nodeName"]
    try:
        cluster.kubectl("drain", node, "--ignore-daemonsets", "--pod-selector=app=drained", "--force", "--timeout=50s")
        until(lambda: all(pod["spec"].get("nodeName") != node for pod in _pods(namespace, "drained")), "the pods moved")
        namespace.rolled_out("deployment/drained")
    finally:
        cluster.kubectl("uncordon", node)


def test_an_eviction_honours_the_budget(cluster: Cluster, namespace: Namespace) -> None:
    namespace.apply(
        deployment("guarded", replicas=2),
        {
            "apiVersion": cluster.features().budgets,
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "guarded"},
            "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "guarded"}}},
        },
    )
    namespace.rolled_out("deployment/guarded")
    until(lambda: namespace.get("pdb", "guarded").get("status", {}).get("currentHealthy") == 2, "the budget has counted")
    name = _pods(namespace, "guarded")[0]["metadata"]["name"]
    eviction = {
        "apiVersion": cluster.features().budgets,
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": namespace.name},
    }
    path = f"/api/v1/namespaces/{namespace.name}/pods/{name}/eviction"
    refused = namespace.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction), check=False)
    assert refused.code == 1
    assert "Cannot evict pod as it would violate the pod's disruption budget." in refused.err
    namespace.kubectl("delete", "pdb", "guarded")
    namespace.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
    until(lambda: name not in [pod["metadata"]["name"] for pod in _pods(namespace, "guarded")], "the pod is evicted")
