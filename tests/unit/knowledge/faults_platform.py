"""Faults of scheduling, storage, network, nodes and controllers."""

from collections.abc import Callable
from typing import Any

from tests.unit.knowledge.faults import first, waits
from tests.unit.knowledge.shop import crashing, running_unready, shop, waiting
from tests.unit.knowledge.world import World, ago

QUOTA = (
    'pods "payments-7d9f8b6c5d-" is forbidden: exceeded quota: compute, requested: requests.cpu=100m, used: requests.cpu=1, '
    "limited: requests.cpu=1"
)


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


# network policies


def policy_admits(*apps: str, egress: bool = False) -> Callable[[], World]:
    """web logs that checkout times out; a policy of one end admits only pods with these labels `app`."""

    def make() -> World:
        world = logs_errors('Post "http://checkout:8080/cart": i/o timeout')()
        peers = [{"podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": list(apps)}]}}]
        holder, field, end = ("web", "egress", "to") if egress else ("checkout", "ingress", "from")
        spec: dict[str, Any] = {
            "podSelector": {"matchLabels": {"app": holder}},
            "policyTypes": [field.capitalize()],
            field: [{end: peers, "ports": [{"port": 8080}]}],
        }
        world.add("NetworkPolicy", "shop", "wall", spec=spec)
        return world

    return make


def policy_lets(app: str) -> Callable[[World], object]:
    """The same policy with one more label."""

    def change(world: World) -> None:
        spec = world.get("NetworkPolicy", "wall")["spec"]
        row = (spec.get("ingress") or spec["egress"])[0]
        peers = row.get("from") or row["to"]
        peers[0]["podSelector"]["matchExpressions"][0]["values"].append(app)

    return change


def attempt_failed() -> World:
    """A pod of Job report ended with exit code 1; the Job belongs to CronJob reports and is not over."""
    world = shop()
    cron = world.add("CronJob", "shop", "reports", spec={"schedule": "0 * * * *"})
    made = world.add("Job", "shop", "report", spec={}, status={"failed": 1}, meta={"creationTimestamp": ago(minutes=20)})
    _own(cron, made)
    ended = {"exitCode": 1, "reason": "Error", "startedAt": ago(minutes=12), "finishedAt": ago(minutes=11)}
    states = [{"name": "main", "restartCount": 0, "ready": False, "state": {"terminated": ended}}]
    spec = {"containers": [{"name": "main", "image": "registry.example/report:1"}], "restartPolicy": "Never"}
    pod = world.add("Pod", "shop", "report-x1", spec=spec, status={"phase": "Failed", "containerStatuses": states})
    _own(made, pod)
    return world


def _own(owner: dict[str, Any], owned: dict[str, Any]) -> None:
    meta = owner["metadata"]
    ref = {"kind": owner["kind"], "name": meta["name"], "uid": meta.get("uid", ""), "controller": True}
    owned["metadata"]["ownerReferences"] = [ref]


def attempt_was_repeated(world: World) -> None:
    """The Job's next pod succeeded."""
    world.get("Job", "report")["status"] = {
        "succeeded": 1, "failed": 1, "conditions": [{"type": "Complete", "status": "True"}],
    }  # fmt: skip


def next_run_succeeded(world: World) -> None:
    """The CronJob's next Job succeeded."""
    done = world.add("Job", "shop", "report-2", spec={}, status={"succeeded": 1, "completionTime": ago(minutes=2)})
    _own(world.get("CronJob", "reports"), done)
