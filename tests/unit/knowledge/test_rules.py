"""Every rule: a cluster in which it fires, and a twin that differs in one thing and in which it must not."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from knowledge.diagnosis.catalogue import CATALOGUE
from knowledge.diagnosis.context import Context
from knowledge.diagnosis.engine import run_rules
from knowledge.diagnosis.rules import RULES
from knowledge.diagnosis.scope import scope_of_cluster
from tests.unit.knowledge.world import (
    World,
    ago,
    checkout_config,
    container,
    crashing,
    payments_oom,
    running_unready,
    shop,
    unready,
    waiting,
)


class Row(NamedTuple):
    code: str
    object: str
    make: Callable[[], World]
    twin: Callable[[World], object]


def hits(world: World) -> set[tuple[str, str]]:
    found, failed = run_rules(Context(world.view()), scope_of_cluster(), RULES)
    assert failed == []
    return {(hit.code, str(hit.object)) for hit in found}


def first(world: World, name: str = "payments") -> dict[str, Any]:
    return world.pods_named(name)[0]


def status(world: World, name: str = "payments") -> dict[str, Any]:
    return first(world, name)["status"]["containerStatuses"][0]


def edit(spec_change: Callable[[dict[str, Any]], object], name: str = "payments") -> Callable[[], World]:
    """The shop with payments' template and pods changed."""

    def make() -> World:
        world = shop()
        spec_change(world.get("Deployment", name)["spec"]["template"]["spec"])
        for pod in world.pods_named(name):
            spec_change(pod["spec"])
        return world

    return make


# containers


def oom_without_limit() -> World:
    world = shop()
    for owner in (world.get("Deployment", "payments")["spec"]["template"], first(world)):
        del owner["spec"]["containers"][0]["resources"]["limits"]
    crashing(first(world), 137, "OOMKilled")
    return world


def crash(code: int = 1, log: str = "", message: str = "", reason: str = "Error") -> Callable[[], World]:
    def make() -> World:
        world = shop()
        crashing(first(world), code, reason, message=message)
        if log:
            world.log(first(world), log, previous=True)
        return world

    return make


def set_status(**fields: Any) -> Callable[[World], object]:
    return lambda world: status(world).update(fields)


def well(world: World) -> None:
    """The crash is over: running and ready again for hours."""
    pod = first(world)
    state = status(world)
    state.update(ready=True, state={"running": {"startedAt": ago(hours=5)}})
    state["lastState"]["terminated"].update(startedAt=ago(hours=6), finishedAt=ago(hours=5))
    for row in pod["status"]["conditions"]:
        if row["type"] == "Ready":
            row["status"] = "True"


PROBE = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10, "failureThreshold": 3}


def liveness() -> World:
    world = edit(lambda spec: spec["containers"][0].update(livenessProbe=dict(PROBE)))()
    crashing(first(world), 137)
    world.event(
        first(world), "Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 404", container="payments"
    )
    world.event(
        first(world),
        "Killing",
        "Container payments failed liveness probe, will be restarted",
        warning=False,
        container="payments",
    )
    return world


def readiness(message: str) -> Callable[[], World]:
    def make() -> World:
        world = edit(lambda spec: spec["containers"][0].update(readinessProbe=dict(PROBE)))()
        running_unready(first(world))
        world.event(first(world), "Unhealthy", f"Readiness probe failed: {message}", container="payments")
        return world

    return make


def events_were_long_ago(world: World) -> None:
    for made in world.objects:
        if made["kind"] == "Event":
            made.update(firstTimestamp=ago(hours=3), lastTimestamp=ago(hours=2))


def ready_again(world: World) -> None:
    status(world).update(ready=True)
    for row in first(world)["status"]["conditions"]:
        row["status"] = "True"


def init_waits() -> World:
    world = shop()
    init = container(
        "wait", command=["sh", "-c", "until nc -z orders-db 5432; do echo waiting for orders-db:5432; sleep 2; done"]
    )
    pod = first(world)
    world.get("Deployment", "payments")["spec"]["template"]["spec"]["initContainers"] = [init]
    pod["spec"]["initContainers"] = [init]
    waiting(pod, "PodInitializing")
    pod["status"]["initContainerStatuses"] = [
        {"name": "wait", "ready": False, "restartCount": 0, "state": {"running": {"startedAt": ago(minutes=12)}}}
    ]
    world.log(pod, "waiting for orders-db:5432\n" * 9, container="wait")
    return world


def waits(reason: str, message: str = "") -> Callable[[], World]:
    def make() -> World:
        world = shop()
        waiting(first(world), reason, message)
        return world

    return make


def sandbox_fails() -> World:
    world = waits("ContainerCreating")()
    world.event(
        first(world),
        "FailedCreatePodSandBox",
        'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network: plugin type="calico" failed (add)',
    )
    return world


def evicted() -> World:
    world = shop()
    pod = first(world)
    pod["status"].update(
        phase="Failed", reason="Evicted", message="The node was low on resource: memory.", startTime=ago(minutes=30)
    )
    unready(pod, "Failed")
    return world


def stuck() -> World:
    world = shop()
    first(world)["metadata"].update(deletionTimestamp=ago(minutes=20), finalizers=["example.com/keep"])
    return world


# configuration


def mount_fails(message: str) -> Callable[[], World]:
    def make() -> World:
        world = waits("ContainerCreating")()
        first(world)["spec"]["volumes"] = [{"name": "conf", "configMap": {"name": "checkout-config"}}]
        world.event(first(world), "FailedMount", message)
        return world

    return make


def env_points_nowhere() -> World:
    world = shop()
    world.revise(
        "payments",
        lambda spec: spec["containers"][0].update(env=[{"name": "SEARCH_URL", "value": "http://serach:8080"}]),
        at=ago(minutes=9),
    )
    return world


# scheduling and storage


def pending(message: str) -> Callable[[], World]:
    def make() -> World:
        world = shop()
        pod = first(world)
        del pod["spec"]["nodeName"]
        pod["status"] = {
            "phase": "Pending",
            "conditions": [
                {
                    "type": "PodScheduled",
                    "status": "False",
                    "reason": "Unschedulable",
                    "message": message,
                    "lastTransitionTime": ago(minutes=8),
                }
            ],
        }
        return world

    return make


def scheduled(world: World) -> None:
    first(world)["status"]["conditions"][0]["status"] = "True"


def claim(phase: str, event: str = "", message: str = "", **spec: Any) -> Callable[[], World]:
    def make() -> World:
        world = shop()
        world.add("StorageClass", "", "standard", provisioner="example.com/disk")
        made = world.add(
            "PersistentVolumeClaim",
            "shop",
            "data",
            spec={"storageClassName": "standard", **spec},
            status={"phase": phase},
        )
        if event:
            world.event(made, event, message)
        return world

    return make


def claim_is_not_there() -> World:
    world = claim("Bound")()
    pod = first(world)
    pod["spec"]["volumes"] = [{"name": "d", "persistentVolumeClaim": {"claimName": "ledger"}}]
    waiting(pod, "ContainerCreating")
    return world


def attach_fails() -> World:
    world = waits("ContainerCreating")()
    world.event(
        first(world), "FailedAttachVolume", 'Multi-Attach error for volume "pvc-1" Volume is already used by pod(s) old-1'
    )
    return world


# network


def selector_is_wrong() -> World:
    world = shop()
    world.get("Service", "payments")["spec"]["selector"] = {"app": "payment"}
    return world


def port_name_is_wrong() -> World:
    world = shop()
    world.get("Service", "payments")["spec"]["ports"][0]["targetPort"] = "web"
    return world


def nothing_behind() -> World:
    world = shop()
    for pod in world.pods_named("payments"):
        running_unready(pod)
    return world


def one_behind(world: World) -> None:
    for row in first(world)["status"]["conditions"]:
        row["status"] = "True"


def ingress() -> World:
    world = shop()
    world.add(
        "Ingress",
        "shop",
        "front",
        spec={
            "rules": [{"http": {"paths": [{"path": "/", "backend": {"service": {"name": "website", "port": {"number": 80}}}}]}}]
        },
    )
    return world


def logs_errors(line: str, times: int = 6) -> Callable[[], World]:
    def make() -> World:
        world = shop()
        world.log(first(world, "web"), f"{line}\n" * times)
        return world

    return make


def only_once(world: World) -> None:
    for key, text in list(world.logs.items()):
        world.logs[key] = text.split("\n")[0] + "\n"


# nodes and workloads


def node_condition(kind: str, value: str, **more: str) -> Callable[[World], object]:
    def change(world: World) -> None:
        for row in world.get("Node", "worker-1", "")["status"]["conditions"]:
            if row["type"] == kind:
                row.update(status=value, lastTransitionTime=ago(minutes=6), **more)

    return change


def node(kind: str, value: str, **more: str) -> Callable[[], World]:
    def make() -> World:
        world = shop()
        node_condition(kind, value, **more)(world)
        return world

    return make


def refused(message: str) -> Callable[[], World]:
    def make() -> World:
        world = shop()
        world.objects = [o for o in world.objects if o not in world.pods_named("payments")]
        world.add("ResourceQuota", "shop", "compute", status={"hard": {"requests.cpu": "1"}})
        replicaset = world.get("ReplicaSet", "payments-7d9f8b6c5d")
        replicaset["status"] = {
            "replicas": 0,
            "conditions": [
                {
                    "type": "ReplicaFailure",
                    "status": "True",
                    "reason": "FailedCreate",
                    "message": message,
                    "lastTransitionTime": ago(minutes=3),
                }
            ],
        }
        return world

    return make


def replicas_are_there(world: World) -> None:
    world.get("ReplicaSet", "payments-7d9f8b6c5d")["status"]["replicas"] = 2


def quiet_deployment() -> World:
    world = shop()
    for pod in world.pods_named("payments"):
        running_unready(pod)
        pod["metadata"]["creationTimestamp"] = ago(minutes=30)
    world.get("Deployment", "payments")["status"] = {"replicas": 2, "unavailableReplicas": 2}
    return world


def pods_are_young(world: World) -> None:
    for pod in world.pods_named("payments"):
        pod["metadata"]["creationTimestamp"] = ago(seconds=20)


def rollout_fails() -> World:
    world = shop()
    made = world.revise("payments", lambda spec: spec["containers"][0].update(args=["--new"]), at=ago(minutes=30))
    crashing(world.pod(made), 2)
    return world


def zero() -> World:
    world = shop()
    world.get("Deployment", "payments")["spec"]["replicas"] = 0
    return world


def job(**condition: str) -> Callable[[], World]:
    def make() -> World:
        world = shop()
        row = {
            "type": "Failed",
            "status": "True",
            "reason": "BackoffLimitExceeded",
            "lastTransitionTime": ago(hours=1),
            **condition,
        }
        world.add("Job", "shop", "report", spec={}, status={"conditions": [row], "failed": 6})
        return world

    return make


def autoscaler() -> World:
    world = shop()
    row = {"type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric", "message": "unable to get metrics"}
    world.add(
        "HorizontalPodAutoscaler",
        "shop",
        "web",
        spec={"scaleTargetRef": {"kind": "Deployment", "name": "web"}},
        status={"conditions": [row]},
    )
    return world


def condition(world: World, kind: str, name: str) -> dict[str, Any]:
    return world.get(kind, name)["status"]["conditions"][0]


PAY, POD = "Deployment/shop/payments", "Pod/shop/payments-7d9f8b6c5d-x2k4q"
QUOTA = (
    'pods "payments-7d9f8b6c5d-" is forbidden: exceeded quota: compute, requested: requests.cpu=100m, used: requests.cpu=1, '
    "limited: requests.cpu=1"
)
PULL = "payments:9"


def pulls(message: str) -> Callable[[], World]:
    return waits("ImagePullBackOff", f'Back-off pulling image "{PULL}": ErrImagePull: {message}')


def pulled(world: World) -> None:
    status(world)["state"] = {"waiting": {"reason": "ContainerCreating"}}


def other_reason(text: str) -> Callable[[World], object]:
    return lambda world: status(world)["state"]["waiting"].update(message=text)


TABLE = [
    Row("memory-limit-too-low", PAY, payments_oom, lambda w: [p["status"]["containerStatuses"][0]["lastState"]["terminated"].update(reason="Error") for p in w.pods_named("payments")]),
    Row("memory-limit-too-low", PAY, crash(137, reason="OOMKilled"), well),
    Row("out-of-memory-on-node", PAY, oom_without_limit, lambda w: first(w)["spec"]["containers"][0]["resources"].update(limits={"memory": "64Mi"})),
    Row("crash-on-start", PAY, crash(1), well),
    Row("crash-on-start", PAY, crash(0, reason="Completed"), set_status(ready=True, state={"running": {"startedAt": ago(minutes=2)}})),
    Row("command-not-found", PAY, crash(127, message='exec: "payd": executable file not found in $PATH: unknown', reason="StartError"), lambda w: status(w)["lastState"]["terminated"].update(message="", exitCode=1)),
    Row("env-variable-missing", PAY, crash(1, "fatal: environment variable API_TOKEN is not set"), lambda w: first(w)["spec"]["containers"][0].update(env=[{"name": "API_TOKEN", "value": "x"}])),
    Row("liveness-probe-wrong", PAY, liveness, lambda w: status(w)["lastState"]["terminated"].update(reason="OOMKilled")),
    Row("liveness-probe-wrong", PAY, liveness, events_were_long_ago),
    Row("readiness-probe-failing", PAY, readiness("HTTP probe failed with statuscode: 503"), ready_again),
    Row("readiness-probe-wrong", PAY, readiness("HTTP probe failed with statuscode: 404"), lambda w: w.objects[-1].update(message="Readiness probe failed: HTTP probe failed with statuscode: 503")),
    Row("init-container-waiting", PAY, init_waits, lambda w: first(w)["status"]["initContainerStatuses"][0]["state"]["running"].update(startedAt=ago(seconds=50))),
    Row("init-container-waiting", PAY, init_waits, lambda w: first(w)["spec"]["initContainers"][0].update(restartPolicy="Always")),
    Row("container-create-error", PAY, waits("CreateContainerError", "context deadline exceeded"), set_status(state={"waiting": {"reason": "ContainerCreating"}})),
    Row("sandbox-failed", PAY, sandbox_fails, events_were_long_ago),
    Row("pod-evicted", PAY, evicted, lambda w: first(w)["status"].update(startTime=ago(days=3))),
    Row("pod-stuck-terminating", POD, stuck, lambda w: first(w)["metadata"].update(deletionTimestamp=ago(seconds=20))),
    Row("configmap-wrong-value", "ConfigMap/shop/checkout-config", checkout_config, lambda w: w.service("payments-v2", {"app": "payments"})),
    Row("env-wrong-value", PAY, env_points_nowhere, lambda w: w.service("serach", {"app": "search"})),
    Row("service-missing", "Service/shop/ledger", edit(lambda s: s["containers"][0].update(env=[{"name": "LEDGER_URL", "value": "http://ledger:80"}])), lambda w: w.service("ledger", {"app": "x"})),
    Row("configmap-missing", "ConfigMap/shop/app-config", waits("CreateContainerConfigError", 'configmap "app-config" not found'), lambda w: w.configmap("app-config", {})),
    Row("configmap-missing", "ConfigMap/shop/tls-conf", mount_fails('MountVolume.SetUp failed for volume "conf" : configmap "tls-conf" not found'), lambda w: w.configmap("tls-conf", {})),
    Row("configmap-key-missing", "ConfigMap/shop/checkout-config", waits("CreateContainerConfigError", "couldn't find key MODE in ConfigMap shop/checkout-config"), lambda w: w.get("ConfigMap", "checkout-config")["data"].update(MODE="a")),
    Row("configmap-key-missing", "ConfigMap/shop/checkout-config", mount_fails('MountVolume.SetUp failed for volume "conf" : references non-existent config key: nginx.conf'), lambda w: w.get("ConfigMap", "checkout-config")["data"].update({"nginx.conf": "a"})),
    Row("secret-missing", "Secret/shop/db", waits("CreateContainerConfigError", 'secret "db" not found'), other_reason('configmap "db" not found')),
    Row("secret-key-missing", "Secret/shop/db", waits("CreateContainerConfigError", "couldn't find key PASSWORD in Secret shop/db"), other_reason("couldn't find key PASSWORD in ConfigMap shop/db")),
    Row("image-tag-not-found", PAY, pulls(f'failed to pull and unpack image "{PULL}": {PULL}: not found'), pulled),
    Row("image-pull-unauthorized", PAY, pulls("failed to authorize: failed to fetch anonymous token: unexpected status: 401 Unauthorized"), other_reason("dial tcp 10.0.0.9:443: i/o timeout")),
    Row("image-pull-rate-limited", PAY, pulls("toomanyrequests: You have reached your pull rate limit"), other_reason("manifest unknown")),
    Row("image-registry-unreachable", PAY, pulls("dial tcp: lookup registry.example on 10.0.0.2:53: no such host"), other_reason("manifest unknown")),
    Row("image-architecture-mismatch", PAY, pulls("no match for platform in manifest: not found"), other_reason(f"{PULL}: not found")),
    Row("image-name-invalid", PAY, waits("InvalidImageName", 'Failed to apply default image tag "Pay:1": couldn\'t parse image name'), pulled),
    Row("image-pull-failed", PAY, waits("ImagePullBackOff", f'Back-off pulling image "{PULL}"'), pulled),
    Row("insufficient-cpu", PAY, pending("0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod."), scheduled),
    Row("insufficient-memory", PAY, pending("0/2 nodes are available: 2 Insufficient memory."), scheduled),
    Row("node-selector-unmatched", PAY, pending("0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector."), scheduled),
    Row("taint-not-tolerated", PAY, pending("0/2 nodes are available: 2 node(s) had untolerated taint {gpu: true}."), scheduled),
    Row("pod-affinity-unsatisfied", PAY, pending("0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules."), scheduled),
    Row("volume-node-conflict", PAY, pending("0/2 nodes are available: 2 node(s) had volume node affinity conflict."), scheduled),
    Row("unschedulable", PAY, pending("no nodes available to schedule pods"), scheduled),
    Row("quota-exceeded", "ResourceQuota/shop/compute", refused(QUOTA), replicas_are_there),
    Row("service-account-missing", "ServiceAccount/shop/payer", refused('pods "payments-" is forbidden: error looking up service account shop/payer: serviceaccount "payer" not found'), replicas_are_there),
    Row("pods-not-created", PAY, refused('admission webhook "policy.example" denied the request'), replicas_are_there),
    Row("service-selector-mismatch", "Service/shop/payments", selector_is_wrong, lambda w: w.get("Service", "payments")["spec"].update(selector={"app": "payments"})),
    Row("service-port-mismatch", "Service/shop/payments", port_name_is_wrong, lambda w: w.get("Service", "payments")["spec"]["ports"][0].update(targetPort="http")),
    Row("service-no-endpoints", "Service/shop/payments", nothing_behind, one_behind),
    Row("ingress-backend-missing", "Ingress/shop/front", ingress, lambda w: w.service("website", {"app": "web"})),
    Row("dependency-unreachable", "Deployment/shop/web", logs_errors("dial tcp: connect: connection refused http://checkout:8080/cart"), only_once),
    Row("upstream-errors", "Deployment/shop/web", logs_errors('GET /checkout HTTP/1.1" 502 157 upstream=checkout:8080'), lambda w: w.logs.update({k: v.replace(" 502 ", " 200 ") for k, v in w.logs.items()})),
    Row("scaled-to-zero", PAY, zero, lambda w: w.get("Deployment", "payments")["spec"].update(replicas=1)),
    Row("pvc-pending", "PersistentVolumeClaim/shop/data", claim("Pending", "ProvisioningFailed", "storageclass quota reached"), lambda w: w.get("PersistentVolumeClaim", "data")["status"].update(phase="Bound")),
    Row("pvc-pending", "PersistentVolumeClaim/shop/data", claim("Pending", "FailedBinding", "no persistent volumes available"), lambda w: w.objects[-1].update(reason="WaitForFirstConsumer", type="Normal")),
    Row("storage-class-missing", "PersistentVolumeClaim/shop/data", claim("Pending", storageClassName="fast"), lambda w: w.add("StorageClass", "", "fast")),
    Row("pvc-missing", "PersistentVolumeClaim/shop/ledger", claim_is_not_there, lambda w: first(w)["spec"]["volumes"][0]["persistentVolumeClaim"].update(claimName="data")),
    Row("volume-mount-failed", PAY, attach_fails, events_were_long_ago),
    Row("node-not-ready", "Node//worker-1", node("Ready", "Unknown", reason="NodeStatusUnknown", message="Kubelet stopped posting node status."), node_condition("Ready", "True")),
    Row("node-pressure", "Node//worker-1", node("DiskPressure", "True", reason="KubeletHasDiskPressure"), node_condition("DiskPressure", "False")),
    Row("bad-rollout", PAY, rollout_fails, lambda w: crash_is_over(w)),
    Row("workload-unavailable", PAY, quiet_deployment, pods_are_young),
    Row("workload-unavailable", PAY, quiet_deployment, lambda w: w.get("Deployment", "payments")["spec"].update(replicas=0)),
    Row("job-failed", "Job/shop/report", job(), lambda w: condition(w, "Job", "report").update(type="Complete")),
    Row("job-failed", "Job/shop/report", job(), lambda w: condition(w, "Job", "report").update(lastTransitionTime=ago(days=4))),
    Row("hpa-cannot-scale", "HorizontalPodAutoscaler/shop/web", autoscaler, lambda w: condition(w, "HorizontalPodAutoscaler", "web").update(reason="ScalingDisabled")),
    Row("permission-denied", PAY, crash(1, "open /data/x: permission denied"), well),
    Row("certificate-invalid", PAY, crash(1, "x509: certificate has expired or is not yet valid"), well),
    Row("authentication-failed", PAY, crash(1, 'FATAL: password authentication failed for user "app"'), well),
    Row("disk-full", PAY, crash(1, "write /data/wal: no space left on device"), well),
    Row("port-in-use", PAY, crash(1, "listen tcp :8080: bind: address already in use"), well),
]  # fmt: skip


def crash_is_over(world: World) -> None:
    pod = world.pods_named("payments")[0]
    state = pod["status"]["containerStatuses"][0]
    state.update(ready=True, restartCount=0, lastState={}, state={"running": {"startedAt": ago(minutes=20)}})
    for row in pod["status"]["conditions"]:
        row["status"] = "True"


@pytest.mark.parametrize("row", TABLE, ids=[f"{n}-{row.code}" for n, row in enumerate(TABLE)])
def test_a_rule_fires_and_its_twin_does_not(row: Row) -> None:
    world = row.make()
    assert (row.code, row.object) in hits(world)

    row.twin(world)
    assert (row.code, row.object) not in hits(world)


def test_every_code_has_a_row() -> None:
    assert {row.code for row in TABLE} == CATALOGUE.keys()


def test_a_healthy_shop_has_no_hit() -> None:
    assert hits(shop()) == set()


def test_hits_carry_evidence_and_facts_are_plain() -> None:
    for row in TABLE:
        found, _ = run_rules(Context(row.make().view()), scope_of_cluster(), RULES)
        for hit in found:
            assert hit.evidence, hit.code
            assert hit.code in CATALOGUE
            for quote in hit.evidence:
                assert quote.evidence().excerpt
