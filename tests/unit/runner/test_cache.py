"""What the cache keeps of an object, and the changes that it tells between two versions."""

import copy
from datetime import UTC, datetime
from typing import Any

from runner.cache.difference import appeared, author, changes_between
from runner.cache.summary import summarise
from runner.cache.trim import LAST_APPLIED, trim

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def obj(kind: str, **parts: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": "web", "namespace": "shop", "resourceVersion": "1"}, **parts}


def test_trimming_keeps_who_and_when_and_drops_the_bulk() -> None:
    raw = obj("Deployment", spec={"replicas": 1})
    raw["metadata"]["annotations"] = {LAST_APPLIED: "{...}", "team": "a"}
    raw["metadata"]["managedFields"] = [
        {"manager": "kubectl", "operation": "Update", "time": "2026-11-20T11:00:00Z", "fieldsV1": {"f:spec": {}}},
        {"manager": "kcm", "operation": "Update", "time": "2026-11-20T11:30:00Z", "fieldsV1": {"f:status": {}}},
    ]
    kept = trim(raw, "Deployment", "apps/v1")
    assert kept["metadata"]["annotations"] == {"team": "a"}
    assert kept["metadata"]["managedFields"] == [
        {"manager": "kubectl", "operation": "Update", "time": "2026-11-20T11:00:00Z"},
        {"manager": "kcm", "operation": "Update", "time": "2026-11-20T11:30:00Z", "subresource": "status"},
    ]
    assert kept["apiVersion"] == "apps/v1"


def test_a_config_map_keeps_what_was_last_applied() -> None:
    raw = obj("ConfigMap", data={"a": "1"}, binaryData={"b": "AAAA"})
    raw["metadata"]["annotations"] = {LAST_APPLIED: "{}"}
    kept = trim(raw, "ConfigMap", "v1")
    assert LAST_APPLIED in kept["metadata"]["annotations"]
    assert kept["binaryData"] == {"b": ""}


def test_a_pod_loses_its_token_volume() -> None:
    token = {"name": "kube-api-access-x", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    raw = obj(
        "Pod",
        spec={
            "volumes": [{"name": "kube-api-access-x", "projected": {}}, {"name": "config", "configMap": {"name": "c"}}],
            "containers": [{"name": "app", "volumeMounts": [token, {"name": "config", "mountPath": "/c"}]}],
        },
    )
    kept = trim(raw, "Pod", "v1")
    assert [row["name"] for row in kept["spec"]["volumes"]] == ["config"]
    assert [row["name"] for row in kept["spec"]["containers"][0]["volumeMounts"]] == ["config"]


def test_a_change_names_the_container_not_its_place() -> None:
    old = obj(
        "Deployment",
        spec={"template": {"spec": {"containers": [{"name": "app", "resources": {"limits": {"memory": "512Mi"}}}]}}},
    )
    new = copy.deepcopy(old)
    new["spec"]["template"]["spec"]["containers"].insert(0, {"name": "side", "image": "s:1"})
    new["spec"]["template"]["spec"]["containers"][1]["resources"]["limits"]["memory"] = "256Mi"
    found = {change.path: (change.before, change.after) for change in changes_between(old, new, NOW)}
    assert found["spec.template.spec.containers[app].resources.limits.memory"] == ("512Mi", "256Mi")
    assert found["spec.template.spec.containers[side]"][0] is None


def test_who_and_when_come_from_the_newest_writer_of_the_spec() -> None:
    old = obj("Deployment", spec={"replicas": 1})
    new = obj("Deployment", spec={"replicas": 2})
    kubectl = {"manager": "kubectl", "operation": "Update", "time": "2026-11-20T11:00:00Z"}
    old["metadata"]["managedFields"] = [kubectl]
    new["metadata"]["managedFields"] = [
        kubectl,
        {"manager": "deploy-bot", "operation": "Apply", "time": "2026-11-20T11:10:00Z"},
        {"manager": "kcm", "operation": "Update", "time": "2026-11-20T11:20:00Z", "subresource": "status"},
    ]
    assert author(old, new) == ("deploy-bot", datetime(2026, 11, 20, 11, 10, tzinfo=UTC))
    assert changes_between(old, new, NOW)[0].by == "deploy-bot"


def test_status_and_pods_are_no_changes() -> None:
    assert changes_between(obj("Deployment", spec={}, status={"a": 1}), obj("Deployment", spec={}, status={"a": 2}), NOW) == []
    assert changes_between(obj("Pod", spec={"a": 1}), obj("Pod", spec={"a": 2}), NOW) == []


def test_secrets_do_not_leave_in_changes() -> None:
    old = obj("ConfigMap", data={"API_TOKEN": "old-value-0123456789", "URL": "http://a"})
    new = obj("ConfigMap", data={"API_TOKEN": "new-value-0123456789", "URL": "http://b"})
    found = {change.path: (change.before, change.after) for change in changes_between(old, new, NOW)}
    assert found["data.URL"] == ("http://a", "http://b")
    assert "value-0123456789" not in str(found)


def test_objects_that_come_and_go_are_changes() -> None:
    config = obj("ConfigMap", data={})
    assert appeared(config, NOW)[0].after == "web"
    assert appeared(config, NOW, gone=True)[0].before == "web"
    assert appeared(obj("Pod"), NOW) == []


def test_the_summary_counts_what_fails() -> None:
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    crashing = {"containerStatuses": [{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}
    found = summarise(
        [obj("Node", status=ready), obj("Pod", status=ready), obj("Pod", status=crashing), obj("Namespace")],
        findings={},
        metrics_api=True,
        prometheus=False,
        cache="warm",
        note="",
    )
    assert (found.nodes, found.nodes_ready, found.pods, found.pods_ready, found.pods_failing) == (1, 1, 2, 1, 1)
