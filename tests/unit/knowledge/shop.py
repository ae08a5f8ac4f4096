"""The shop, healthy and with each of its faults, and the states a pod can be put into."""

from tests.unit.knowledge.world import Obj, World, ago, container


def waiting(pod: Obj, reason: str, message: str = "", *, index: int = 0, phase: str = "Pending") -> None:
    """Put a container into a waiting state; the pod is not ready."""
    status = pod["status"]["containerStatuses"][index]
    status.update(
        ready=False, started=False, state={"waiting": {"reason": reason, **({"message": message} if message else {})}}
    )
    unready(pod, phase)


def crashing(pod: Obj, exit_code: int, reason: str = "Error", *, restarts: int = 6, ended: str = "", message: str = "") -> None:
    """Put the first container into CrashLoopBackOff after an end."""
    status = pod["status"]["containerStatuses"][0]
    name = status["name"]
    last: Obj = {
        "exitCode": exit_code,
        "reason": reason,
        "startedAt": ago(minutes=2, seconds=20),
        "finishedAt": ended or ago(minutes=2),
    }
    if message:
        last["message"] = message
    status.update(
        restartCount=restarts,
        lastState={"terminated": last},
        state={
            "waiting": {"reason": "CrashLoopBackOff", "message": f"back-off 2m40s restarting failed container={name} pod=x"}
        },
        ready=False,
    )
    unready(pod, "Running")


def running_unready(pod: Obj, *, since: str = "") -> None:
    status = pod["status"]["containerStatuses"][0]
    status.update(ready=False, state={"running": {"startedAt": since or ago(minutes=20)}})
    unready(pod, "Running")


def unready(pod: Obj, phase: str) -> None:
    pod["status"]["phase"] = phase
    for row in pod["status"]["conditions"]:
        if row["type"] == "Ready":
            row.update(status="False", reason="ContainersNotReady", lastTransitionTime=ago(minutes=15))


def shop() -> World:
    """web → checkout → payments, and search beside them; all healthy. Checkout's addresses stand in a ConfigMap."""
    world = World()
    world.configmap("checkout-config", {"PAYMENTS_URL": "http://payments:8080", "LOG_LEVEL": "info"})
    world.deployment(
        "web",
        container(
            "web",
            env=[
                {"name": "CHECKOUT_URL", "value": "http://checkout:8080"},
                {"name": "SEARCH_URL", "value": "http://search:8080"},
            ],
        ),
    )
    probe = {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 5, "failureThreshold": 3}
    world.deployment(
        "checkout", container("checkout", envFrom=[{"configMapRef": {"name": "checkout-config"}}], readinessProbe=probe)
    )
    world.deployment("payments")
    world.deployment("search")
    return world


def payments_oom() -> World:
    """The last revision lowered payments' memory limit; the kernel kills it again and again."""
    world = shop()
    deployment = world.revise(
        "payments", lambda spec: spec["containers"][0]["resources"]["limits"].update(memory="96Mi"), at=ago(minutes=40)
    )
    for n in range(2):
        pod = world.pod(deployment, n)
        pod["metadata"]["creationTimestamp"] = ago(minutes=40)
        crashing(pod, 137, "OOMKilled", restarts=8)
        world.event(
            pod,
            "BackOff",
            "Back-off restarting failed container payments in pod",
            first=ago(minutes=38),
            last=ago(minutes=1),
            count=120,
        )
        world.metric(
            "container_memory_working_set_bytes",
            [60e6, 95e6, 100e6, 30e6],
            namespace="shop",
            pod=pod["metadata"]["name"],
            container="payments",
        )
    world.metric(
        "container_memory_working_set_bytes",
        [180e6, 185e6, 182e6],
        namespace="shop",
        pod="payments-7d9f8b6c5d-x2k4q",
        container="payments",
    )
    return world


def checkout_config() -> World:
    """Somebody edited PAYMENTS_URL in checkout's ConfigMap to a Service that is not there; web shows it as 502s."""
    world = shop()
    world.remove("ConfigMap", "checkout-config")
    world.configmap(
        "checkout-config",
        {"PAYMENTS_URL": "http://payments-v2:8080", "LOG_LEVEL": "info"},
        applied={"PAYMENTS_URL": "http://payments:8080", "LOG_LEVEL": "info"},
        by="kubectl-edit",
        at=ago(minutes=30),
    )
    for pod in world.pods_named("checkout"):
        running_unready(pod, since=ago(minutes=29))
        world.event(
            pod,
            "Unhealthy",
            "Readiness probe failed: HTTP probe failed with statuscode: 503",
            first=ago(minutes=29),
            count=300,
            container="checkout",
        )
        world.log(
            pod,
            'level=error msg="payments check failed" err="dial tcp: lookup payments-v2: no such host" url=http://payments-v2:8080\n'
            * 4,
        )
    for pod in world.pods_named("web"):
        world.log(pod, "GET /cart 200 3ms\nGET /checkout 502 upstream=http://checkout:8080 bad gateway\n" * 5)
    return world


def search_healthy() -> World:
    """Four restarts six days ago, an old warning; fine since."""
    world = shop()
    for pod in world.pods_named("search"):
        pod["status"]["containerStatuses"][0].update(
            restartCount=4,
            lastState={
                "terminated": {
                    "exitCode": 1,
                    "reason": "Error",
                    "startedAt": ago(days=6, minutes=9),
                    "finishedAt": ago(days=6, minutes=5),
                }
            },
        )
        world.event(
            pod,
            "BackOff",
            "Back-off restarting failed container search in pod",
            first=ago(days=6, minutes=9),
            last=ago(days=6, minutes=5),
            count=4,
        )
    return world


def catalog_image() -> World:
    world = shop()
    made = world.revise(
        "search", lambda spec: spec["containers"][0].update(image="registry.example/shop/search:9.9"), at=ago(minutes=25)
    )
    message = (
        'Back-off pulling image "registry.example/shop/search:9.9": ErrImagePull: rpc error: code = NotFound desc = pull '
        "and unpack image: failed to resolve reference: registry.example/shop/search:9.9: not found"
    )
    waiting(world.pod(made), "ImagePullBackOff", message)
    return world


def worker_env() -> World:
    world = shop()
    world.deployment(
        "worker", container("worker", env=[{"name": "DEPLOY_ENV", "value": "production"}, {"name": "QUEUE", "value": "mail"}])
    )
    made = world.revise(
        "worker", lambda spec: spec["containers"][0].update(env=[{"name": "QUEUE", "value": "mail"}]), at=ago(minutes=25)
    )
    pod = world.pod(made)
    crashing(pod, 1)
    world.log(pod, "worker: reading configuration\nfatal: required environment variable DEPLOY_ENV is not set\n", previous=True)
    return world


def reports_cpu() -> World:
    world = shop()
    world.deployment("reports", replicas=1)
    made = world.revise(
        "reports", lambda spec: spec["containers"][0]["resources"]["requests"].update(cpu="64"), at=ago(minutes=25)
    )
    pod = world.pod(made)
    del pod["spec"]["nodeName"]
    message = "0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: 2 No preemption victims found."
    row = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": message,
        "lastTransitionTime": ago(minutes=25),
    }
    pod["status"] = {"phase": "Pending", "conditions": [row]}
    return world
