"""Every type of remediation: what it makes of an object, and that its undo brings back exactly what was."""

import copy
from datetime import UTC, datetime
from typing import Any

import jsonpatch
import pytest

from protocol.objects import ObjectRef
from protocol.remediation import (
    REMEDIATIONS,
    AdjustHpa,
    CordonNode,
    CreateConfigMap,
    DeletePod,
    DrainNode,
    ExpandPvc,
    PatchConfigMap,
    Remediation,
    RestartWorkload,
    RollbackWorkload,
    ScaleWorkload,
    SetEnv,
    SetImage,
    SetResources,
    SuspendCronJob,
    UncordonNode,
)
from runner.remediation.diff import guarded, json_patch, unified
from runner.remediation.prepare import fields_hash
from runner.remediation.rows import ROWS, row_of
from runner.remediation.types import Revision, Situation, Unfit

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
WEB = ObjectRef.parse("Deployment/shop/web")
CONFIG = ObjectRef.parse("ConfigMap/shop/settings")
NODE = ObjectRef.parse("Node//worker-1")
PVC = ObjectRef.parse("PersistentVolumeClaim/shop/data")
HPA = ObjectRef.parse("HorizontalPodAutoscaler/shop/web")
CRON = ObjectRef.parse("CronJob/shop/nightly")


def made(kind: str, **parts: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "x", "uid": "u1", "resourceVersion": "7"}, **parts}


def deployment() -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": "app",
        "image": "web:1",
        "resources": {"limits": {"memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "256Mi"}},
        "env": [
            {"name": "URL", "value": "http://a"},
            {"name": "KEEP", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        ],
    }
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "side", "image": "s:1"}, container]}}
    return made("Deployment", spec={"replicas": 2, "template": template})


def older_template() -> dict[str, Any]:
    template = copy.deepcopy(deployment()["spec"]["template"])
    template["spec"]["containers"][1]["image"] = "web:0"
    template["metadata"]["labels"]["pod-template-hash"] = "abc"
    return template


def situation(obj: dict[str, Any] | None, **more: Any) -> Situation:
    revisions = (Revision(1, older_template()), Revision(2, deployment()["spec"]["template"]))
    return Situation(obj, NOW, revisions=revisions, current_revision=2, **more)


CONFIG_MAP = made("ConfigMap", data={"a": "1", "b": "2"})
PLAIN_NODE = made("Node", spec={"podCIDR": "10.0.0.0/24"})
CORDONED = made("Node", spec={"podCIDR": "10.0.0.0/24", "unschedulable": True})
CLAIM = made("PersistentVolumeClaim", spec={"resources": {"requests": {"storage": "1Gi"}}})
SCALER = made("HorizontalPodAutoscaler", spec={"minReplicas": 1, "maxReplicas": 3})
NIGHTLY = made("CronJob", spec={"suspend": False, "schedule": "1 1 * * *"})

REVERSIBLE: list[tuple[Remediation, dict[str, Any]]] = [
    (ScaleWorkload(target=WEB, replicas=5), deployment()),
    (SetImage(target=WEB, container="app", image="web:2"), deployment()),
    (SetResources(target=WEB, container="app", limits={"memory": "512Mi"}, requests={"cpu": "200m"}), deployment()),
    (SetEnv(target=WEB, container="app", env={"URL": "http://b", "NEW": "1"}), deployment()),
    (SetEnv(target=WEB, container="app", env={"URL": None}), deployment()),
    (PatchConfigMap(target=CONFIG, data={"a": "9", "c": "3"}), CONFIG_MAP),
    (PatchConfigMap(target=CONFIG, data={"b": None}), CONFIG_MAP),
    (CordonNode(target=NODE), PLAIN_NODE),
    (UncordonNode(target=NODE), CORDONED),
    (AdjustHpa(target=HPA, max_replicas=9), SCALER),
    (SuspendCronJob(target=CRON, suspend=True), NIGHTLY),
    (RollbackWorkload(target=WEB, to_revision=1), deployment()),
]


def canonical(obj: dict[str, Any]) -> dict[str, Any]:
    """Order of variables does not count: one that was removed comes back at the end."""
    shown = copy.deepcopy(obj)
    for container in shown.get("spec", {}).get("template", {}).get("spec", {}).get("containers", []):
        if "env" in container:
            container["env"] = dict(sorted((row["name"], row) for row in container["env"]))
    return shown


def test_every_type_has_a_row() -> None:
    assert set(ROWS) == set(REMEDIATIONS)


@pytest.mark.parametrize(("action", "obj"), REVERSIBLE, ids=lambda value: getattr(value, "type", ""))
def test_the_undo_brings_back_exactly_what_was(action: Remediation, obj: dict[str, Any]) -> None:
    before = situation(copy.deepcopy(obj))
    row = row_of(action)
    after = row.after(action, before)
    undo = row.undo(action, before)
    assert after is not None
    assert undo is not None
    changed = Situation(after, NOW, revisions=before.revisions, current_revision=1 if action.type == "rollback" else 2)
    restored = row_of(undo).after(undo, changed)
    assert restored is not None
    assert after != obj
    assert canonical(restored) == canonical(obj)


@pytest.mark.parametrize(("action", "obj"), REVERSIBLE, ids=lambda value: getattr(value, "type", ""))
def test_the_patch_leads_from_before_to_after(action: Remediation, obj: dict[str, Any]) -> None:
    after = row_of(action).after(action, situation(copy.deepcopy(obj)))
    operations = json_patch(obj, after or {})
    assert operations
    assert jsonpatch.apply_patch(copy.deepcopy(obj), operations) == after
    assert [op["path"] for op in guarded(operations, obj)[:2]] == ["/metadata/uid", "/metadata/resourceVersion"]


@pytest.mark.parametrize(("action", "obj"), REVERSIBLE, ids=lambda value: getattr(value, "type", ""))
def test_the_hash_sees_what_the_action_touches_and_nothing_else(action: Remediation, obj: dict[str, Any]) -> None:
    before = situation(copy.deepcopy(obj))
    noisy = copy.deepcopy(obj)
    noisy["metadata"]["resourceVersion"] = "99"
    noisy["status"] = {"replicas": 1}
    after = situation(row_of(action).after(action, before))
    assert fields_hash(action, situation(noisy)) == fields_hash(action, before)
    assert fields_hash(action, after) != fields_hash(action, before)


@pytest.mark.parametrize(
    ("action", "obj", "words"),
    [
        (ScaleWorkload(target=WEB, replicas=2), deployment(), "2 replicas already"),
        (SetImage(target=WEB, container="nope", image="x:1"), deployment(), "it has side, app"),
        (SetImage(target=WEB, container="app", image="web:1"), deployment(), "already"),
        (RollbackWorkload(target=WEB, to_revision=7), deployment(), "kept: 1"),
        (RollbackWorkload(target=WEB, to_revision=2), deployment(), "runs now"),
        (PatchConfigMap(target=CONFIG, data={"a": "2"}), {**CONFIG_MAP, "immutable": True}, "immutable"),
        (CreateConfigMap(target=CONFIG, data={"a": "2"}), CONFIG_MAP, "exists already"),
        (ExpandPvc(target=PVC, size="512Mi"), CLAIM, "cannot be made smaller"),
        (AdjustHpa(target=HPA, min_replicas=9), SCALER, "over the maximum"),
        (CordonNode(target=NODE), CORDONED, "cordoned already"),
        (DeletePod(target=ObjectRef.parse("Pod/shop/x")), made("Pod"), "no controller"),
    ],
)
def test_what_does_not_fit_says_why(action: Remediation, obj: dict[str, Any], words: str) -> None:
    with pytest.raises(Unfit, match=words):
        row_of(action).after(action, situation(obj))


def test_a_key_that_was_not_there_is_undone_by_a_rollback() -> None:
    action = SetResources(target=WEB, container="app", limits={"cpu": "1"})
    assert row_of(action).undo(action, situation(deployment())) == RollbackWorkload(target=WEB, to_revision=2)


def test_a_variable_by_reference_is_undone_by_a_rollback() -> None:
    action = SetEnv(target=WEB, container="app", env={"KEEP": "x"})
    assert row_of(action).undo(action, situation(deployment())) == RollbackWorkload(target=WEB, to_revision=2)


def test_no_plan_carries_an_earlier_secret() -> None:
    secret = made("ConfigMap", data={"DB_PASSWORD": "correct-horse-battery"})
    action = PatchConfigMap(target=CONFIG, data={"DB_PASSWORD": None})
    assert row_of(action).undo(action, situation(secret)) is None


def test_restart_changes_one_annotation_of_the_template() -> None:
    action = RestartWorkload(target=WEB)
    after = row_of(action).after(action, situation(deployment())) or {}
    operations = json_patch(deployment(), after)
    assert [op["path"] for op in operations] == ["/spec/template/metadata/annotations"]
    assert "2026-11-20T12:00:00Z" in str(operations)


def test_rollback_drops_the_hash_label() -> None:
    action = RollbackWorkload(target=WEB, to_revision=1)
    after = row_of(action).after(action, situation(deployment())) or {}
    assert "pod-template-hash" not in after["spec"]["template"]["metadata"]["labels"]


def test_a_drain_names_what_would_be_lost() -> None:
    bare = made("Pod", spec={})
    scratch = made("Pod", spec={"volumes": [{"name": "tmp", "emptyDir": {}}]})
    scratch["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet", "controller": True}]
    daemon = made("Pod")
    daemon["metadata"]["ownerReferences"] = [{"kind": "DaemonSet", "controller": True}]
    action = DrainNode(target=NODE)
    with pytest.raises(Unfit, match=r"no controller.*emptyDir"):
        row_of(action).after(action, situation(PLAIN_NODE, node_pods=(bare, scratch, daemon)))
    assert row_of(action).after(action, situation(PLAIN_NODE, node_pods=(daemon,))) == CORDONED


def test_the_diff_shows_the_change_and_hides_secrets() -> None:
    before, after = deployment(), deployment()
    after["spec"]["template"]["spec"]["containers"][1]["image"] = "web:2"
    after["spec"]["template"]["spec"]["containers"][1]["args"] = ["--password=hunter2hunter2"]
    text = unified(before, after, "Deployment/shop/web")
    assert "-        image: web:1" in text or "image: web:1" in text
    assert "+" in text
    assert "web:2" in text
    assert "hunter2" not in text
    assert "resourceVersion" not in text
