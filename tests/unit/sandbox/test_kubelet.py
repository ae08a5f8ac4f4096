"""The kubelet's faults on pods of one's own: missing configuration, bad images, init containers, jobs."""

import pytest

from sandbox import logs
from sandbox.errors import ApiError
from sandbox.objects import Obj, rows, text
from tests.unit.sandbox.bench import CONFIG_MAPS, DEPLOYMENTS, EVENTS, PODS, Bench, deployment


@pytest.fixture
def bench() -> Bench:
    return Bench()


def _state(bench: Bench, app: str) -> Obj:
    pod = bench.get(PODS, labelSelector=f"app={app}")["items"][0]
    return rows(pod, "status", "containerStatuses")[0]


def _reasons(bench: Bench, kind: str = "Pod") -> list[str]:
    return [e["reason"] for e in bench.get(EVENTS)["items"] if e["involvedObject"]["kind"] == kind]


def test_a_missing_configmap_holds_the_container_until_it_exists(bench: Bench) -> None:
    env = [{"configMapRef": {"name": "late"}}]
    bench.create(DEPLOYMENTS, deployment("waits", envFrom=env))
    bench.pass_time(5)
    waiting = _state(bench, "waits")["state"]["waiting"]
    assert waiting == {"reason": "CreateContainerConfigError", "message": 'configmap "late" not found'}
    bench.create(CONFIG_MAPS, {"metadata": {"name": "late"}, "data": {"a": "b"}})
    bench.pass_time(15)
    assert _state(bench, "waits")["ready"]


def test_a_missing_key_is_named(bench: Bench) -> None:
    bench.create(CONFIG_MAPS, {"metadata": {"name": "half"}, "data": {"a": "b"}})
    env = [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "half", "key": "x"}}}]
    bench.create(DEPLOYMENTS, deployment("keyless", env=env))
    bench.pass_time(5)
    assert _state(bench, "keyless")["state"]["waiting"]["message"] == "couldn't find key x in ConfigMap shop/half"


def test_a_missing_secret_volume_is_a_failed_mount(bench: Bench) -> None:
    wanted = deployment("mounts")
    wanted["spec"]["template"]["spec"]["volumes"] = [{"name": "s", "secret": {"secretName": "nope"}}]
    bench.create(DEPLOYMENTS, wanted)
    bench.pass_time(30)
    messages = [e["message"] for e in bench.get(EVENTS, fieldSelector="reason=FailedMount")["items"]]
    assert messages == ['MountVolume.SetUp failed for volume "s" : secret "nope" not found']


def test_an_image_that_is_not_there_backs_off(bench: Bench) -> None:
    bench.create(DEPLOYMENTS, deployment("typo", image="registry.shop.example/cart:9.9.9"))
    bench.pass_time(1.5)
    assert _state(bench, "typo")["state"]["waiting"]["reason"] == "ErrImagePull"
    bench.pass_time(3)
    assert _state(bench, "typo")["state"]["waiting"]["reason"] == "ImagePullBackOff"
    said = " ".join(e["message"] for e in bench.get(EVENTS, fieldSelector="reason=Failed")["items"])
    assert "registry.shop.example/cart:9.9.9: not found" in said


def test_the_image_cache_is_told_from_a_pull(bench: Bench) -> None:
    bench.create(DEPLOYMENTS, deployment("one", image="acme/one:1", replicas=1))
    bench.pass_time(5)
    assert [r for r in _reasons(bench) if r in ("Pulling", "Pulled", "Created", "Started")] != []
    node = bench.get(PODS, labelSelector="app=one")["items"][0]["spec"]["nodeName"]
    assert (node, "acme/one:1") in bench.sandbox.kubelet.machines.images


def test_an_image_change_on_a_living_pod_restarts_the_container(bench: Bench) -> None:
    bench.create(PODS, {"metadata": {"name": "solo"}, "spec": {"containers": [{"name": "app", "image": "acme/a:1"}]}})
    bench.pass_time(5)
    bench.patch(f"{PODS}/solo", {"spec": {"containers": [{"name": "app", "image": "acme/a:2"}]}})
    bench.pass_time(10)
    state = rows(bench.get(f"{PODS}/solo"), "status", "containerStatuses")[0]
    assert (state["image"], state["restartCount"], state["ready"]) == ("acme/a:2", 1, True)


def test_init_containers_run_first(bench: Bench) -> None:
    spec = {
        "initContainers": [{"name": "first", "image": "acme/init:1"}],
        "containers": [{"name": "app", "image": "acme/app:1"}],
    }
    bench.create(PODS, {"metadata": {"name": "two"}, "spec": spec})
    bench.pass_time(1.2)
    assert text(bench.get(f"{PODS}/two"), "status", "phase") == "Pending"
    bench.pass_time(10)
    pod = bench.get(f"{PODS}/two")
    assert text(pod, "status", "phase") == "Running"
    assert rows(pod, "status", "initContainerStatuses")[0]["state"]["terminated"]["reason"] == "Completed"


def test_a_job_completes_and_its_owner_takes_the_pods_along(bench: Bench) -> None:
    jobs = "/apis/batch/v1/namespaces/shop/jobs"
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "app", "image": "acme/job:1"}]}}
    bench.create(jobs, {"metadata": {"name": "once"}, "spec": {"template": template}})
    bench.pass_time(10)
    assert bench.get(f"{jobs}/once")["status"]["succeeded"] == 1
    bench.answer("DELETE", f"{jobs}/once")
    assert bench.get(PODS, labelSelector="job-name=once")["items"] == []


def test_logs_of_a_container_that_waits_are_refused_in_the_api_servers_words(bench: Bench) -> None:
    bench.create(DEPLOYMENTS, deployment("typo", image="acme/does-not-exist:1"))
    bench.pass_time(5)
    pod = bench.get(PODS, labelSelector="app=typo")["items"][0]
    with pytest.raises(ApiError) as refused:
        logs.run_of(bench.sandbox.kubelet, pod, "app", previous=False)
    name = pod["metadata"]["name"]
    assert refused.value.message == f'container "app" in pod "{name}" is waiting to start: trying and failing to pull image'
    with pytest.raises(ApiError) as refused:
        logs.run_of(bench.sandbox.kubelet, pod, "app", previous=True)
    assert refused.value.message == f'previous terminated container "app" in pod "{name}" not found'


def test_logs_are_the_same_each_time_and_follow_what_happened() -> None:
    bench = Bench("checkout-configmap")
    pod = bench.get(PODS, labelSelector="app=web")["items"][0]
    trace, run = logs.run_of(bench.sandbox.kubelet, pod, "web", previous=False)
    now = bench.cluster.clock.now
    said = logs.lines(trace, run, now)
    assert said == logs.lines(trace, run, now)
    broken_since = now - 20 * 60
    bad = [at for at, line in said if '"POST /checkout HTTP/1.1" 502' in line]
    good = [at for at, line in said if '"POST /checkout HTTP/1.1" 200' in line]
    assert min(bad) > broken_since
    assert max(good) < broken_since + 30
    assert len(bad) > 60


def test_cordoned_nodes_take_no_new_pods(bench: Bench) -> None:
    for number in (1, 2, 3):
        bench.patch(f"/api/v1/nodes/worker-{number}", {"spec": {"unschedulable": True}})
    bench.create(DEPLOYMENTS, deployment("homeless"))
    bench.pass_time(2)
    pod = bench.get(PODS, labelSelector="app=homeless")["items"][0]
    assert "3 node(s) were unschedulable" in rows(pod, "status", "conditions")[0]["message"]
    bench.patch("/api/v1/nodes/worker-2", {"spec": {"unschedulable": False}})
    bench.pass_time(5)
    assert bench.get(PODS, labelSelector="app=homeless")["items"][0]["spec"]["nodeName"] == "worker-2"


def test_a_deleted_namespace_empties_and_goes(bench: Bench) -> None:
    bench.create("/api/v1/namespaces", {"metadata": {"name": "short"}})
    bench.create("/apis/apps/v1/namespaces/short/deployments", deployment("inside"))
    bench.pass_time(5)
    bench.answer("DELETE", "/api/v1/namespaces/short")
    bench.pass_time(10)
    with pytest.raises(ApiError) as gone:
        bench.get("/api/v1/namespaces/short")
    assert gone.value.code == 404
    assert bench.get("/api/v1/namespaces/short/pods")["items"] == []
