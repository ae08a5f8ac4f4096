"""Rules on scheduling, network, storage, nodes and workloads: where they fire, and a twin in which they must not."""

import pytest

from tests.unit.knowledge.faults import PAY, Row, crash_is_over, edit, events_were_long_ago, first, hits
from tests.unit.knowledge.faults_platform import (
    QUOTA,
    attach_fails,
    attempt_failed,
    attempt_was_repeated,
    autoscaler,
    claim,
    claim_is_not_there,
    condition,
    ingress,
    job,
    next_run_succeeded,
    node,
    node_condition,
    nothing_behind,
    one_behind,
    pending,
    pods_are_young,
    policy_admits,
    policy_lets,
    port_name_is_wrong,
    quiet_deployment,
    refused,
    replicas_are_there,
    rollout_fails,
    scheduled,
    selector_is_wrong,
    zero,
)
from tests.unit.knowledge.world import ago

TABLE: list[Row] = [
    Row(
        "service-missing",
        "Service/shop/ledger",
        edit(lambda s: s["containers"][0].update(env=[{"name": "LEDGER_URL", "value": "http://ledger:80"}])),
        lambda w: w.service("ledger", {"app": "x"}),
    ),
    Row(
        "insufficient-cpu",
        PAY,
        pending(
            "0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: 2 No preemption victims found."
        ),
        scheduled,
    ),
    Row("insufficient-memory", PAY, pending("0/2 nodes are available: 2 Insufficient memory."), scheduled),
    Row(
        "node-selector-unmatched",
        PAY,
        pending("0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector."),
        scheduled,
    ),
    Row(
        "taint-not-tolerated", PAY, pending("0/2 nodes are available: 2 node(s) had untolerated taint {gpu: true}."), scheduled
    ),
    Row(
        "pod-affinity-unsatisfied",
        PAY,
        pending("0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules."),
        scheduled,
    ),
    Row(
        "volume-node-conflict", PAY, pending("0/2 nodes are available: 2 node(s) had volume node affinity conflict."), scheduled
    ),
    Row("unschedulable", PAY, pending("no nodes available to schedule pods"), scheduled),
    Row("network-policy-blocks", "NetworkPolicy/shop/wall", policy_admits("billing"), policy_lets("web")),
    Row("network-policy-blocks", "NetworkPolicy/shop/wall", policy_admits("search", egress=True), policy_lets("checkout")),
    Row("quota-exceeded", "ResourceQuota/shop/compute", refused(QUOTA), replicas_are_there),
    Row(
        "service-account-missing",
        "ServiceAccount/shop/payer",
        refused('pods "payments-" is forbidden: error looking up service account shop/payer: serviceaccount "payer" not found'),
        replicas_are_there,
    ),
    Row("pods-not-created", PAY, refused('admission webhook "policy.example" denied the request'), replicas_are_there),
    Row(
        "service-selector-mismatch",
        "Service/shop/payments",
        selector_is_wrong,
        lambda w: w.get("Service", "payments")["spec"].update(selector={"app": "payments"}),
    ),
    Row(
        "service-port-mismatch",
        "Service/shop/payments",
        port_name_is_wrong,
        lambda w: w.get("Service", "payments")["spec"]["ports"][0].update(targetPort="http"),
    ),
    Row("service-no-endpoints", "Service/shop/payments", nothing_behind, one_behind),
    Row("ingress-backend-missing", "Ingress/shop/front", ingress, lambda w: w.service("website", {"app": "web"})),
    Row("scaled-to-zero", PAY, zero, lambda w: w.get("Deployment", "payments")["spec"].update(replicas=1)),
    Row(
        "pvc-pending",
        "PersistentVolumeClaim/shop/data",
        claim("Pending", "ProvisioningFailed", "storageclass quota reached"),
        lambda w: w.get("PersistentVolumeClaim", "data")["status"].update(phase="Bound"),
    ),
    Row(
        "pvc-pending",
        "PersistentVolumeClaim/shop/data",
        claim("Pending", "FailedBinding", "no persistent volumes available"),
        lambda w: w.objects[-1].update(reason="WaitForFirstConsumer", type="Normal"),
    ),
    Row(
        "storage-class-missing",
        "PersistentVolumeClaim/shop/data",
        claim("Pending", storageClassName="fast"),
        lambda w: w.add("StorageClass", "", "fast"),
    ),
    Row(
        "pvc-missing",
        "PersistentVolumeClaim/shop/ledger",
        claim_is_not_there,
        lambda w: first(w)["spec"]["volumes"][0]["persistentVolumeClaim"].update(claimName="data"),
    ),
    Row("volume-mount-failed", PAY, attach_fails, events_were_long_ago),
    Row(
        "node-not-ready",
        "Node//worker-1",
        node("Ready", "Unknown", reason="NodeStatusUnknown", message="Kubelet stopped posting node status."),
        node_condition("Ready", "True"),
    ),
    Row(
        "node-pressure",
        "Node//worker-1",
        node("DiskPressure", "True", reason="KubeletHasDiskPressure"),
        node_condition("DiskPressure", "False"),
    ),
    Row("bad-rollout", PAY, rollout_fails, crash_is_over),
    Row("workload-unavailable", PAY, quiet_deployment, pods_are_young),
    Row("workload-unavailable", PAY, quiet_deployment, lambda w: w.get("Deployment", "payments")["spec"].update(replicas=0)),
    Row("crash-on-start", "CronJob/shop/reports", attempt_failed, attempt_was_repeated),
    Row("crash-on-start", "CronJob/shop/reports", attempt_failed, next_run_succeeded),
    Row("job-failed", "Job/shop/report", job(), lambda w: condition(w, "Job", "report").update(type="Complete")),
    Row("job-failed", "Job/shop/report", job(), lambda w: condition(w, "Job", "report").update(lastTransitionTime=ago(days=4))),
    Row(
        "hpa-cannot-scale",
        "HorizontalPodAutoscaler/shop/web",
        autoscaler,
        lambda w: condition(w, "HorizontalPodAutoscaler", "web").update(reason="ScalingDisabled"),
    ),
]


@pytest.mark.parametrize("row", TABLE, ids=[f"{n}-{row.code}" for n, row in enumerate(TABLE)])
def test_a_rule_fires_and_its_twin_does_not(row: Row) -> None:
    world = row.make()
    assert (row.code, row.target) in hits(world)

    row.twin(world)
    assert (row.code, row.target) not in hits(world)
