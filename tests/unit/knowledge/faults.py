"""Faults of the shop, one by one: what a rule must find, and the ways back that it must not take for a fault."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from knowledge.diagnosis.context import Context
from knowledge.diagnosis.engine import run_rules
from knowledge.diagnosis.rules import RULES
from knowledge.diagnosis.scope import scope_of_cluster
from tests.unit.knowledge.shop import crashing, running_unready, shop, unready, waiting
from tests.unit.knowledge.world import World, ago, container


@dataclass(frozen=True)
class Row:
    code: str
    target: str
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
        'Failed to create pod sandbox: rpc error: code = Unknown desc = plugin type="calico" failed (add)',
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


PAY = "Deployment/shop/payments"
POD = "Pod/shop/payments-7d9f8b6c5d-x2k4q"
PULL = "payments:9"


def pulls(message: str) -> Callable[[], World]:
    return waits("ImagePullBackOff", f'Back-off pulling image "{PULL}": ErrImagePull: {message}')


def pulled(world: World) -> None:
    status(world)["state"] = {"waiting": {"reason": "ContainerCreating"}}


def other_reason(text: str) -> Callable[[World], object]:
    return lambda world: status(world)["state"]["waiting"].update(message=text)


def crash_is_over(world: World) -> None:
    pod = world.pods_named("payments")[0]
    state = pod["status"]["containerStatuses"][0]
    state.update(ready=True, restartCount=0, lastState={}, state={"running": {"startedAt": ago(minutes=20)}})
    for row in pod["status"]["conditions"]:
        row["status"] = "True"
