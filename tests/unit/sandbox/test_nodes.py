"""A node that falls silent: given up, tainted, its pods evicted and stuck; and all is well after it is back."""

import pytest

from sandbox import logs
from sandbox.errors import ApiError
from sandbox.objects import being_deleted, condition, is_ready, name_of, rows, text
from tests.unit.sandbox.bench import DEPLOYMENTS, PODS, Bench

NODE = "/api/v1/nodes/worker-2"


def test_a_silent_node_from_first_to_last() -> None:
    bench = Bench()
    stage = bench.sandbox.scenarios.stage
    there = [name_of(p) for p in bench.get(PODS)["items"] if text(p, "spec", "nodeName") == "worker-2"]
    assert there
    stage.do({"node": {"name": "worker-2", "state": "silent"}})
    bench.pass_time(30)
    assert condition(bench.get(NODE), "Ready")["status"] == "True"
    bench.pass_time(15)
    ready = condition(bench.get(NODE), "Ready")
    assert (ready["status"], ready["message"]) == ("Unknown", "Kubelet stopped posting node status.")
    assert {t["effect"] for t in rows(bench.get(NODE), "spec", "taints")} == {"NoSchedule", "NoExecute"}
    pods = {name_of(p): p for p in bench.get(PODS)["items"]}
    assert not any(is_ready(pods[name]) for name in there)
    with pytest.raises(ApiError, match="containerLogs"):
        logs.run_of(bench.sandbox.kubelet, pods[there[0]], "any", previous=False)
    usage = bench.get("/apis/metrics.k8s.io/v1beta1/nodes")["items"]
    assert "worker-2" not in {name_of(row) for row in usage}
    bench.pass_time(310)
    pods = {name_of(p): p for p in bench.get(PODS)["items"]}
    assert all(being_deleted(pods[name]) for name in there)
    assert not any(text(p, "spec", "nodeName") == "worker-2" for name, p in pods.items() if name not in there)
    assert bench.get(f"{DEPLOYMENTS}/web")["status"]["readyReplicas"] == 2
    stage.do({"node": {"name": "worker-2", "state": "alive"}})
    bench.pass_time(30)
    node = bench.get(NODE)
    assert condition(node, "Ready")["status"] == "True"
    assert not rows(node, "spec", "taints")
    assert not set(there) & {name_of(p) for p in bench.get(PODS)["items"]}


def test_a_short_silence_costs_nothing() -> None:
    bench = Bench()
    before = {name_of(p) for p in bench.get(PODS)["items"]}
    stage = bench.sandbox.scenarios.stage
    stage.do({"node": {"name": "worker-2", "state": "silent"}})
    bench.pass_time(120)
    stage.do({"node": {"name": "worker-2", "state": "alive"}})
    bench.pass_time(30)
    pods = bench.get(PODS)["items"]
    assert {name_of(p) for p in pods} == before
    running = [p for p in pods if text(p, "status", "phase") == "Running"]
    assert all(is_ready(p) and rows(p, "status", "containerStatuses")[0]["restartCount"] == 0 for p in running)
