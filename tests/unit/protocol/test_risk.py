"""The risk of each type of remediation, what is protected, and which undo fits which action."""

import pytest

from protocol.bus import RunnerMode
from protocol.commands import ScopeLimit
from protocol.objects import ObjectRef
from protocol.policy import PolicyContext, judge
from protocol.remediation import (
    AdjustHpa,
    CordonNode,
    CreateConfigMap,
    DeleteConfigMap,
    DeletePod,
    DrainNode,
    ExpandPvc,
    PatchConfigMap,
    Remediation,
    RestartWorkload,
    Risk,
    RollbackWorkload,
    ScaleWorkload,
    SetEnv,
    SetImage,
    SetResources,
    SuspendCronJob,
    UncordonNode,
)
from protocol.risk import is_protected, remediation_risk, undo_misfit

WEB = ObjectRef.parse("Deployment/shop/web")
NODE = ObjectRef.parse("Node//worker-1")
CONFIG = ObjectRef.parse("ConfigMap/shop/app")
RESTART = RestartWorkload(target=WEB)

HPA = ObjectRef.parse("HorizontalPodAutoscaler/shop/web")
PVC = ObjectRef.parse("PersistentVolumeClaim/shop/data")
POD = ObjectRef.parse("Pod/shop/web-0")
JOB = ObjectRef.parse("CronJob/shop/nightly")


@pytest.mark.parametrize(
    ("action", "undo", "replicas", "risk"),
    [
        (RESTART, True, None, Risk.LOW),
        (RESTART, False, None, Risk.MEDIUM),
        (ScaleWorkload(target=WEB, replicas=5), True, 3, Risk.LOW),
        (ScaleWorkload(target=WEB, replicas=3), True, 3, Risk.LOW),
        (ScaleWorkload(target=WEB, replicas=5), False, 3, Risk.MEDIUM),
        (ScaleWorkload(target=WEB, replicas=2), True, 3, Risk.MEDIUM),
        (ScaleWorkload(target=WEB, replicas=2), True, None, Risk.MEDIUM),
        (ScaleWorkload(target=WEB, replicas=0), True, 3, Risk.HIGH),
        (ScaleWorkload(target=WEB, replicas=0), True, None, Risk.HIGH),
        (RollbackWorkload(target=WEB), True, None, Risk.MEDIUM),
        (SetImage(target=WEB, container="app", image="a:1"), True, None, Risk.MEDIUM),
        (SetResources(target=WEB, container="app", limits={"cpu": "1"}), True, None, Risk.MEDIUM),
        (SetEnv(target=WEB, container="app", env={"A": "b"}), True, None, Risk.MEDIUM),
        (PatchConfigMap(target=CONFIG, data={"a": "b"}), True, None, Risk.MEDIUM),
        (DeletePod(target=POD), True, None, Risk.LOW),
        (DeletePod(target=POD), False, None, Risk.MEDIUM),
        (CordonNode(target=NODE), True, None, Risk.LOW),
        (UncordonNode(target=NODE), True, None, Risk.MEDIUM),
        (DrainNode(target=NODE), True, None, Risk.HIGH),
        (ExpandPvc(target=PVC, size="10Gi"), False, None, Risk.MEDIUM),
        (CreateConfigMap(target=CONFIG, data={"a": "b"}), True, None, Risk.LOW),
        (CreateConfigMap(target=CONFIG, data={"a": "b"}), False, None, Risk.MEDIUM),
        (DeleteConfigMap(target=CONFIG), False, None, Risk.MEDIUM),
        (AdjustHpa(target=HPA, max_replicas=5), True, None, Risk.MEDIUM),
        (SuspendCronJob(target=JOB, suspend=True), True, None, Risk.LOW),
    ],
)
def test_risk(action: Remediation, undo: bool, replicas: int | None, risk: Risk) -> None:
    found, reason = remediation_risk(action, has_undo=undo, replicas=replicas)
    assert found is risk
    assert reason
    assert remediation_risk(action, has_undo=undo, replicas=replicas, protected=True)[0] is Risk.HIGH


@pytest.mark.parametrize("namespace", ["kube-system", "kube-public", "kube-node-lease"])
def test_the_clusters_own_namespaces_are_high_risk(namespace: str) -> None:
    action = RestartWorkload(target=ObjectRef(kind="Deployment", namespace=namespace, name="coredns"))
    assert remediation_risk(action, has_undo=True)[0] is Risk.HIGH
    assert (
        judge(
            action,
            PolicyContext(scope=ScopeLimit(), mode=RunnerMode(writes=True, remediations=("restart",))),
        ).risk
        is Risk.HIGH
    )


@pytest.mark.parametrize(
    ("replicas", "risk"), [(3, Risk.MEDIUM), (0, Risk.HIGH)], ids=["low becomes medium", "high stays high"]
)
def test_a_namespace_that_nobody_could_read_is_at_least_medium_risk(replicas: int, risk: Risk) -> None:
    action = ScaleWorkload(target=ObjectRef.parse("Deployment/shop/web"), replicas=replicas)
    found, reason = remediation_risk(action, has_undo=True, replicas=2, protected=None)
    assert found is risk
    assert ("can't be seen" in reason) is (risk is Risk.MEDIUM)


def test_a_label_protects_a_namespace() -> None:
    assert is_protected("shop", {"opsthread.dev/protected": "true"})
    assert not is_protected("shop", {"opsthread.dev/protected": "false"})
    assert not is_protected("shop")


@pytest.mark.parametrize(
    ("action", "undo", "fits"),
    [
        (RESTART, None, True),
        (RESTART, RollbackWorkload(target=WEB, to_revision=3), True),
        (SetImage(target=WEB, container="app", image="a:2"), SetImage(target=WEB, container="app", image="a:1"), True),
        (CordonNode(target=NODE), UncordonNode(target=NODE), True),
        (DrainNode(target=NODE), UncordonNode(target=NODE), True),
        (CordonNode(target=NODE), DrainNode(target=NODE), False),
        (CreateConfigMap(target=CONFIG, data={}), DeleteConfigMap(target=CONFIG), True),
        (PatchConfigMap(target=CONFIG, data={"a": None}), DeleteConfigMap(target=CONFIG), False),
        (DeletePod(target=POD), DeletePod(target=POD), False),
        (ExpandPvc(target=PVC, size="2Gi"), ExpandPvc(target=PVC, size="1Gi"), False),
        (RESTART, RollbackWorkload(target=ObjectRef.parse("Deployment/shop/other")), False),
    ],
)
def test_an_undo_takes_back_the_same_thing_on_the_same_object(
    action: Remediation, undo: Remediation | None, fits: bool
) -> None:
    assert (undo_misfit(action, undo) is None) is fits
