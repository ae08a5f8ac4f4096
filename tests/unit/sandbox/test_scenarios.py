"""A fault looks old from the start, heals by each right fix, and by nothing else."""

from pathlib import Path

import pytest

from sandbox.clock import epoch
from sandbox.objects import Obj, annotations_of, condition, name_of, rows, sub, text
from sandbox.scenarios import load
from tests.unit.sandbox.bench import CONFIG_MAPS, DEPLOYMENTS, EVENTS, PODS, Bench
from tests.unit.sandbox.remedies import do

LONG_ENOUGH = 120.0
BROKEN = [scenario.id for scenario in load().values() if not scenario.truth.get("healthy")]


def _said(rows: list[Obj]) -> list[str]:
    return [" ".join(f"{k}={v}" for k, v in row.items() if k != "object") for row in rows]


FIXES = [
    pytest.param(s.id, fix, id=f"{s.id}: {said}")
    for s in load().values()
    for fix, said in list(zip(s.fixes, _said(s.fixes), strict=True))[1:]
]
"""The first one of each scenario is tried in test_told.py."""


def test_there_are_many_scenarios_and_each_says_what_is_true() -> None:
    assert len(load()) >= 21
    assert len([s for s in load().values() if s.truth.get("healthy")]) >= 3
    assert {s.truth.get("answer") for s in load().values()} >= {"no-safe-fix", "not-enough-evidence"}
    for scenario in load().values():
        assert set(scenario.questions) == {"en", "zh", "ja"}
        assert all(scenario.questions.values())
        assert text(scenario.truth, "code")
        assert text(scenario.truth, "object").count("/") == 2
        assert scenario.health


@pytest.mark.parametrize(("scenario", "fix"), FIXES)
def test_each_right_fix_heals(scenario: str, fix: Obj) -> None:
    bench = Bench(scenario)
    do(bench, fix)
    bench.pass_time(LONG_ENOUGH)
    assert bench.sandbox.scenarios.status(scenario)["healthy"], bench.sandbox.scenarios.status(scenario)


@pytest.mark.parametrize("scenario", BROKEN)
def test_what_is_not_the_fix_does_not_heal(scenario: str) -> None:
    """One after the other, on one cluster: at no moment of the minute after each may it look healed."""
    bench = Bench(scenario)
    for remedy in load()[scenario].wrong:
        do(bench, remedy)
        for _ in range(60):
            bench.pass_time(1)
            assert not bench.sandbox.scenarios.status(scenario)["healthy"], remedy


def test_scaling_to_nothing_is_no_cure() -> None:
    bench = Bench("payments-oom")
    bench.patch(f"{DEPLOYMENTS}/payments/scale", {"spec": {"replicas": 0}}, merge=True)
    bench.pass_time(LONG_ENOUGH)
    assert not bench.sandbox.scenarios.status("payments-oom")["healthy"]


@pytest.fixture(scope="module")
def shared() -> Bench:
    """A healthy shop, broken and healed by one scenario after the other."""
    return Bench()


@pytest.mark.parametrize("scenario", list(load()))
def test_break_and_heal_on_request(shared: Bench, scenario: str) -> None:
    assert shared.sandbox.scenarios.status(scenario)["healthy"]
    shared.sandbox.scenarios.start(scenario)
    shared.pass_time(600)
    assert shared.sandbox.scenarios.status(scenario)["broken"] is (scenario in BROKEN)
    shared.sandbox.scenarios.heal(scenario)
    shared.pass_time(120)
    assert shared.sandbox.scenarios.status(scenario)["healthy"], shared.sandbox.scenarios.status(scenario)


@pytest.mark.parametrize("scenario", ["rates-partner-down", "mailer-config-key", "recommend-gitops", "archive-storage-class"])
def test_breaking_what_is_broken_changes_nothing_that_runs(scenario: str) -> None:
    bench = Bench(scenario)
    pods = {name_of(pod) for pod in bench.get(PODS)["items"]}
    if scenario == "mailer-config-key":
        # its steps include a restart of the workload
        pods = {name for name in pods if not name.startswith("mailer")}
    bench.sandbox.scenarios.start(scenario)
    bench.pass_time(60)
    assert bench.sandbox.scenarios.status(scenario)["broken"]
    assert {name_of(pod) for pod in bench.get(PODS)["items"]} >= pods


def test_payments_has_crashed_for_25_minutes_when_the_cluster_starts() -> None:
    bench = Bench("payments-oom")
    pod = bench.get(PODS, labelSelector="app=payments")["items"][0]
    state = rows(pod, "status", "containerStatuses")[0]
    assert state["restartCount"] >= 8
    assert state["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert state["state"]["waiting"]["message"].startswith("back-off 5m0s restarting failed container=payments pod=payments-")
    assert state["lastState"]["terminated"]["exitCode"] == 137
    assert state["lastState"]["terminated"]["reason"] == "OOMKilled"
    events = bench.get(EVENTS, fieldSelector=f"involvedObject.name={pod['metadata']['name']},reason=BackOff")["items"]
    assert events[0]["count"] > 50
    assert epoch(events[0]["lastTimestamp"]) - epoch(events[0]["firstTimestamp"]) > 1300


def test_who_lowered_the_limit_and_when_can_be_read() -> None:
    bench = Bench("payments-oom")
    target = bench.get(f"{DEPLOYMENTS}/payments")
    entry = next(e for e in rows(target, "metadata", "managedFields") if e["manager"] == "deploy-bot")
    assert bench.cluster.clock.now - epoch(entry["time"]) == pytest.approx(25 * 60, abs=3)
    assert "f:memory" in str(entry["fieldsV1"])
    limits = {
        annotations_of(s)["deployment.kubernetes.io/revision"]: s["spec"]["template"]["spec"]["containers"][0]["resources"][
            "limits"
        ]["memory"]
        for s in bench.get("/apis/apps/v1/namespaces/shop/replicasets", labelSelector="app=payments")["items"]
    }
    assert limits == {"1": "512Mi", "2": "512Mi", "3": "256Mi"}
    assert condition(target, "Progressing")["reason"] == "ProgressDeadlineExceeded"


def test_the_value_before_the_edit_is_still_written_where_apply_left_it() -> None:
    bench = Bench("checkout-configmap")
    config = bench.get(f"{CONFIG_MAPS}/checkout-config")
    assert config["data"]["PAYMENTS_URL"] == "http://payment:8080"
    last_applied = annotations_of(config)["kubectl.kubernetes.io/last-applied-configuration"]
    assert '"PAYMENTS_URL":"http://payments:8080"' in last_applied
    editor = next(e for e in rows(config, "metadata", "managedFields") if e["manager"] == "kubectl-edit")
    assert "f:PAYMENTS_URL" in sub(editor, "fieldsV1", "f:data")


def test_checkout_heals_without_a_restart_once_the_value_is_right() -> None:
    bench = Bench("checkout-configmap")
    before = {p["metadata"]["uid"] for p in bench.get(PODS, labelSelector="app=checkout")["items"]}
    bench.patch(f"{CONFIG_MAPS}/checkout-config", {"data": {"PAYMENTS_URL": "http://payments:8080"}}, merge=True)
    bench.pass_time(10)
    pods = bench.get(PODS, labelSelector="app=checkout")["items"]
    assert {p["metadata"]["uid"] for p in pods} == before
    assert bench.sandbox.scenarios.status("checkout-configmap")["healthy"]


def test_the_healthy_look_alike_has_a_past_and_is_well() -> None:
    bench = Bench("search-healthy")
    pod = bench.get(PODS, labelSelector="app=search")["items"][0]
    state = rows(pod, "status", "containerStatuses")[0]
    assert state["restartCount"] == 4
    assert state["ready"]
    assert bench.cluster.clock.now - epoch(state["lastState"]["terminated"]["finishedAt"]) > 5 * 86400
    warnings = bench.get(EVENTS, fieldSelector=f"involvedObject.name={pod['metadata']['name']},type=Warning")["items"]
    assert warnings
    assert all(bench.cluster.clock.now - epoch(e["lastTimestamp"]) > 40 * 60 for e in warnings)
    assert not bench.sandbox.scenarios.status("search-healthy")["broken"]


def test_the_image_that_does_not_exist_leaves_the_old_pods_serving() -> None:
    bench = Bench("catalog-image")
    pods = bench.get(PODS, labelSelector="app=catalog")["items"]
    reasons = [rows(p, "status", "containerStatuses")[0]["state"].get("waiting", {}).get("reason") for p in pods]
    assert reasons.count(None) >= 1
    assert {r for r in reasons if r} <= {"ImagePullBackOff", "ErrImagePull"}
    assert any(reasons)


def test_the_scheduler_says_why_nothing_fits() -> None:
    bench = Bench("reports-unschedulable")
    pod = bench.get(PODS, labelSelector="app=reports")["items"][0]
    message = condition(pod, "PodScheduled")["message"]
    assert message.startswith("0/3 nodes are available: 3 Insufficient cpu.")
    events = bench.get(EVENTS, fieldSelector=f"involvedObject.name={pod['metadata']['name']}")["items"]
    assert [e["reason"] for e in events] == ["FailedScheduling"]


def test_the_finished_import_has_a_failed_and_a_completed_pod() -> None:
    bench = Bench("import-finished")
    pods = bench.get(PODS, labelSelector="job-name=catalog-import")["items"]
    assert sorted(pod["status"]["phase"] for pod in pods) == ["Failed", "Succeeded"]
    job = bench.get("/apis/batch/v1/namespaces/shop/jobs/catalog-import")
    assert (job["status"]["succeeded"], job["status"]["failed"]) == (1, 1)


def test_the_guide_names_every_scenario_with_its_root_cause() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "practice.md").read_text()
    for scenario in load().values():
        row = next(line for line in guide.splitlines() if line.startswith(f"| `{scenario.id}` |"))
        assert f"{scenario.truth['code']} · {scenario.truth['object']}" in row
