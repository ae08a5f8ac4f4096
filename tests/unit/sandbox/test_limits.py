"""What bounds a workload: autoscaler, quota, limit range, disruption budget, claims, network policies."""

from typing import Any

import pytest

from sandbox import admin
from sandbox.errors import ApiError
from sandbox.netpolicy import allowed
from sandbox.objects import Obj, condition, first, name_of, rows
from sandbox.programs import Place
from sandbox.resources import NAMESPACE
from tests.unit.sandbox.bench import DEPLOYMENTS, EVENTS, PODS, Bench, deployment

SCALERS = "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers"
BUDGETS = "/apis/policy/v1/namespaces/shop/poddisruptionbudgets"
CLAIMS = "/api/v1/namespaces/shop/persistentvolumeclaims"


@pytest.fixture(scope="module")
def bench() -> Bench:
    """One shop for tests that leave it as they found it, or add objects of their own."""
    return Bench()


def _post(bench: Bench, path: str, body: Any) -> Any:
    return admin.handle(bench.sandbox, "POST", [path], body)


def test_an_autoscaler_follows_the_load_up_at_once_and_down_after_calm(bench: Bench) -> None:
    _post(bench, "load", {"workload": "web", "cores": 0.8, "for": "10m"})
    bench.pass_time(60)
    scaler = bench.get(f"{SCALERS}/web")
    assert bench.get(f"{DEPLOYMENTS}/web")["spec"]["replicas"] == 6
    assert condition(scaler, "ScalingLimited")["reason"] == "TooManyReplicas"
    assert scaler["status"]["currentMetrics"][0]["resource"]["current"]["averageUtilization"] > 100
    rescaled = bench.get(EVENTS, fieldSelector="involvedObject.name=web,reason=SuccessfulRescale")["items"]
    assert {e["message"].partition(";")[0] for e in rescaled} == {"New size: 6"}
    bench.pass_time(600 + 120)
    assert bench.get(f"{DEPLOYMENTS}/web")["spec"]["replicas"] == 6
    bench.pass_time(900)
    assert bench.get(f"{DEPLOYMENTS}/web")["spec"]["replicas"] == 2


def test_an_autoscaler_says_that_it_has_no_metrics(bench: Bench) -> None:
    _post(bench, "metrics-server", {"present": False})
    bench.pass_time(20)
    broken = condition(bench.get(f"{SCALERS}/web"), "ScalingActive")
    assert (broken["status"], broken["reason"]) == ("False", "FailedGetResourceMetric")
    _post(bench, "metrics-server", {"present": True})
    bench.pass_time(20)
    assert condition(bench.get(f"{SCALERS}/web"), "ScalingActive")["status"] == "True"


def test_a_budget_counts_and_an_eviction_obeys(bench: Bench) -> None:
    status = bench.get(f"{BUDGETS}/orders")["status"]
    assert (status["disruptionsAllowed"], status["currentHealthy"], status["desiredHealthy"]) == (1, 2, 1)
    names = [name_of(pod) for pod in bench.get(PODS, labelSelector="app=orders")["items"]]
    bench.answer("POST", f"{PODS}/{names[0]}/eviction", {"metadata": {"name": names[0]}})
    bench.pass_time(0.5)
    with pytest.raises(ApiError) as refused:
        bench.answer("POST", f"{PODS}/{names[1]}/eviction", {"metadata": {"name": names[1]}})
    assert refused.value.code == 429
    assert refused.value.details["causes"][0]["reason"] == "DisruptionBudget"
    bench.pass_time(60)
    assert bench.get(f"{BUDGETS}/orders")["status"]["disruptionsAllowed"] == 1


QUOTA: Obj = {
    "metadata": {"name": "small"},
    "spec": {"hard": {"configmaps": "4", "requests.cpu": "500m", "count/jobs.batch": "0"}},
}


def _pod(name: str, resources: Obj | None = None, **spec: Any) -> Obj:
    container = {"name": "c", "image": "i", **({"resources": resources} if resources else {})}
    return {"metadata": {"name": name}, "spec": {"containers": [container], **spec}}


def _fresh(bench: Bench, name: str) -> str:
    bench.create("/api/v1/namespaces", {"metadata": {"name": name}})
    return f"/api/v1/namespaces/{name}"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (None, "failed quota: small: must specify requests.cpu for: c"),
        (
            {"cpu": "600m"},
            "exceeded quota: small, requested: requests.cpu=600m, used: requests.cpu=0, limited: requests.cpu=500m",
        ),
    ],
)
def test_a_quota_refuses_in_upstreams_words(bench: Bench, asked: Obj | None, said: str) -> None:
    if bench.cluster.store.get(NAMESPACE, "", "quotas") is None:
        bench.create(f"{_fresh(bench, 'quotas')}/resourcequotas", QUOTA)
    with pytest.raises(ApiError) as refused:
        bench.create("/api/v1/namespaces/quotas/pods", _pod("p", {"requests": asked} if asked else None))
    assert (refused.value.code, refused.value.message) == (403, f'pods "p" is forbidden: {said}')


def test_a_quota_counts_objects_and_tells_what_is_used(bench: Bench) -> None:
    home = _fresh(bench, "counted")
    bench.create(f"{home}/resourcequotas", QUOTA)
    for n in range(3):  # besides kube-root-ca.crt, which every namespace has
        bench.create(f"{home}/configmaps", {"metadata": {"name": f"c{n}"}})
    assert bench.get(f"{home}/resourcequotas/small")["status"]["used"] == {
        "configmaps": "4", "requests.cpu": "0", "count/jobs.batch": "0",
    }  # fmt: skip
    with pytest.raises(ApiError, match="exceeded quota: small, requested: configmaps=1, used: configmaps=4"):
        bench.create(f"{home}/configmaps", {"metadata": {"name": "c3"}})
    job = {"metadata": {"name": "j"}, "spec": {"template": {"spec": _pod("x", restartPolicy="Never")["spec"]}}}
    with pytest.raises(ApiError, match=r"requested: count/jobs.batch=1"):
        bench.create("/apis/batch/v1/namespaces/counted/jobs", job)
    bench.answer("DELETE", f"{home}/configmaps/c0")
    bench.create(f"{home}/configmaps", {"metadata": {"name": "c3"}})


def test_pods_of_a_deployment_come_when_the_quota_grows(bench: Bench) -> None:
    home = _fresh(bench, "growing")
    bench.create(f"{home}/resourcequotas", {"metadata": {"name": "two"}, "spec": {"hard": {"pods": "2"}}})
    made = deployment("many", replicas=4)
    bench.create("/apis/apps/v1/namespaces/growing/deployments", made)
    bench.pass_time(30)
    sets = bench.get("/apis/apps/v1/namespaces/growing/replicasets")["items"]
    assert len(bench.get(f"{home}/pods")["items"]) == 2
    assert "exceeded quota: two, requested: pods=1, used: pods=2" in condition(sets[0], "ReplicaFailure")["message"]
    events = bench.get(f"{home}/events", fieldSelector="reason=FailedCreate")["items"]
    assert events
    bench.patch(f"{home}/resourcequotas/two", {"spec": {"hard": {"pods": "9"}}}, merge=True)
    bench.pass_time(30)
    assert len(bench.get(f"{home}/pods")["items"]) == 4
    assert not rows(bench.get("/apis/apps/v1/namespaces/growing/replicasets")["items"][0], "status", "conditions")


def test_a_limit_range_fills_in_and_bounds(bench: Bench) -> None:
    home = _fresh(bench, "ranged")
    row = {"type": "Container", "default": {"cpu": "200m"}, "defaultRequest": {"cpu": "100m"}, "max": {"cpu": "1"}}
    bench.create(f"{home}/limitranges", {"metadata": {"name": "r"}, "spec": {"limits": [row]}})
    pod = bench.create(f"{home}/pods", _pod("p"))
    assert pod["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "200m"}, "requests": {"cpu": "100m"}}
    big = _pod("big", {"limits": {"cpu": "2"}})
    with pytest.raises(ApiError, match="maximum cpu usage per Container is 1, but limit is 2"):
        bench.create(f"{home}/pods", big)


def _claim(name: str, **spec: Any) -> Obj:
    asked = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}}
    return {"metadata": {"name": name}, "spec": {**asked, **spec}}


def _phase(bench: Bench, name: str) -> str:
    return bench.get(f"{CLAIMS}/{name}")["status"]["phase"]


def test_claims_bind_by_class_size_and_access_mode(bench: Bench) -> None:
    def volume(name: str, size: str, mode: str) -> None:
        spec = {"capacity": {"storage": size}, "accessModes": [mode], "storageClassName": "manual",
                "persistentVolumeReclaimPolicy": "Retain"}  # fmt: skip
        bench.create("/api/v1/persistentvolumes", {"metadata": {"name": name}, "spec": spec})

    volume("small", "1Gi", "ReadWriteOnce")
    volume("once", "10Gi", "ReadWriteOnce")
    volume("many", "10Gi", "ReadWriteMany")
    bench.create(CLAIMS, _claim("one", storageClassName="manual"))
    bench.create(CLAIMS, _claim("shared", storageClassName="manual", accessModes=["ReadWriteMany"]))
    bench.create(CLAIMS, _claim("none-left", storageClassName="manual"))
    assert bench.get(f"{CLAIMS}/one")["spec"]["volumeName"] == "once"
    assert bench.get(f"{CLAIMS}/shared")["spec"]["volumeName"] == "many"
    assert _phase(bench, "none-left") == "Pending"
    said = bench.get(EVENTS, fieldSelector="involvedObject.name=none-left")["items"]
    assert [e["reason"] for e in said] == ["ProvisioningFailed"]
    bench.answer("DELETE", f"{CLAIMS}/one")
    assert bench.get("/api/v1/persistentvolumes/once")["status"]["phase"] == "Released"


def test_a_claim_that_waits_for_its_first_consumer_says_so_and_binds_with_the_pod(bench: Bench) -> None:
    late = {"metadata": {"name": "late"}, "provisioner": "p", "volumeBindingMode": "WaitForFirstConsumer"}
    bench.create("/apis/storage.k8s.io/v1/storageclasses", late)
    bench.create(CLAIMS, _claim("waits", storageClassName="late"))
    bench.pass_time(30)
    assert _phase(bench, "waits") == "Pending"
    events = bench.get(EVENTS, fieldSelector="involvedObject.name=waits")["items"]
    assert [e["reason"] for e in events] == ["WaitForFirstConsumer"]
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "waits"}}]
    bench.create(
        PODS, {"metadata": {"name": "eats"}, "spec": {"containers": [{"name": "c", "image": "i"}], "volumes": volumes}}
    )
    bench.pass_time(10)
    assert _phase(bench, "waits") == "Bound"
    assert bench.get(f"{PODS}/eats")["status"]["phase"] == "Running"


def _policy(spec: Obj) -> Obj:
    return {"metadata": {"name": "p", "namespace": "shop"}, "spec": spec}


SPACES = {"shop": {"team": "a"}, "other": {"team": "b"}}
PAYMENTS = {"podSelector": {"matchLabels": {"app": "payments"}}}
FROM_WEB: Obj = {"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}


POLICIES: list[tuple[Obj, tuple[str, str], int, bool]] = [
    ({"podSelector": {"matchLabels": {"app": "cart"}}, "ingress": []}, ("shop", "web"), 8080, True),
    ({**PAYMENTS, "ingress": []}, ("shop", "web"), 8080, False),
    ({**PAYMENTS, "ingress": [{}]}, ("other", "web"), 8080, True),
    ({**PAYMENTS, "ingress": [FROM_WEB]}, ("shop", "web"), 8080, True),
    ({**PAYMENTS, "ingress": [FROM_WEB]}, ("shop", "cart"), 8080, False),
    ({**PAYMENTS, "ingress": [FROM_WEB]}, ("other", "web"), 8080, False),
    ({**PAYMENTS, "ingress": [{**FROM_WEB, "ports": [{"port": 9090}]}]}, ("shop", "web"), 8080, False),
    ({**PAYMENTS, "ingress": [{**FROM_WEB, "ports": [{"port": 8000, "endPort": 8090}]}]}, ("shop", "web"), 8080, True),
    ({**PAYMENTS, "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"team": "b"}}}]}]}, ("other", "x"), 1, True),
    ({**PAYMENTS, "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"team": "b"}}}]}]}, ("shop", "x"), 1, False),
    ({"podSelector": {}, "policyTypes": ["Egress"]}, ("shop", "web"), 8080, False),
    ({"podSelector": {}, "policyTypes": ["Egress"]}, ("other", "web"), 8080, True),
    ({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [PAYMENTS]}]}, ("shop", "web"), 8080, True),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "source", "port", "open_"), POLICIES)
def test_network_policies(spec: Obj, source: tuple[str, str], port: int, open_: bool) -> None:
    caller, target = Place(source[0], {"app": source[1]}), Place("shop", {"app": "payments"})
    assert allowed([_policy(spec)], SPACES, caller, target, port) is open_


def test_every_service_has_its_slice(bench: Bench) -> None:
    path = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices"
    slices = bench.get(path, labelSelector="kubernetes.io/service-name=cart")
    found = first(slices["items"])
    assert len(found["endpoints"]) == 2
    assert all(row["conditions"]["ready"] for row in found["endpoints"])
