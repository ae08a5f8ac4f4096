"""A cluster that is kept goes on where it was: objects, versions, faults, tokens; a torn file is put aside."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from sandbox import state
from sandbox.objects import name_of, rows
from sandbox.world import Sandbox
from tests.unit.sandbox.asking import ask
from tests.unit.sandbox.bench import CONFIG_MAPS, DEPLOYMENTS, PODS, Bench

FAULTS = ("payments-oom", "recommend-gitops", "node-lost", "rates-partner-down")


@pytest.fixture(scope="module")
def broken() -> Bench:
    bench = Bench(*FAULTS)
    bench.create(CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine"}, "data": {"a": "1"}})
    return bench


def _restarted(bench: Bench) -> Bench:
    """A new process's cluster, with nothing of the old one but its file's content."""
    kept: Any = orjson.loads(orjson.dumps(state.taken(bench.sandbox)))
    fresh = Bench.__new__(Bench)
    fresh.sandbox = Sandbox(kept=kept)
    fresh.cluster = fresh.sandbox.cluster
    return fresh


def test_objects_versions_and_tokens_go_on(broken: Bench) -> None:
    before = {name_of(pod): pod["metadata"]["uid"] for pod in broken.get(PODS)["items"]}
    again = _restarted(broken)
    assert again.get(f"{CONFIG_MAPS}/mine")["data"] == {"a": "1"}
    assert again.cluster.store.version >= broken.cluster.store.version
    assert {name_of(pod): pod["metadata"]["uid"] for pod in again.get(PODS)["items"]}.items() >= before.items()
    assert again.sandbox.tokens.by_name == broken.sandbox.tokens.by_name
    made = again.create(CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "later"}})
    assert int(made["metadata"]["resourceVersion"]) > broken.cluster.store.version


def test_faults_stay_and_heal_after_a_restart(broken: Bench) -> None:
    again = _restarted(broken)
    again.pass_time(30)
    told = {(cause.code, str(cause.object)) for cause in ask(again).root_causes}
    assert ("memory-limit-too-low", "Deployment/shop/payments") in told
    assert ("node-not-ready", "Node//worker-2") in told
    for name in FAULTS:
        assert again.sandbox.scenarios.status(name)["broken"], name
        again.sandbox.scenarios.heal(name)
    again.pass_time(600)
    for name in FAULTS:
        assert again.sandbox.scenarios.status(name)["healthy"], again.sandbox.scenarios.status(name)


def test_what_ran_runs_on_without_a_restart() -> None:
    bench = Bench()
    again = _restarted(bench)
    again.pass_time(120)
    states = [row for pod in again.get(PODS)["items"] for row in rows(pod, "status", "containerStatuses")]
    running = [row for row in states if "running" in row["state"]]
    assert len(running) >= 15
    assert all(row["ready"] and row["restartCount"] == 0 for row in running)
    again.patch(f"{DEPLOYMENTS}/cart", {"spec": {"template": {"metadata": {"annotations": {"again": "1"}}}}})
    again.pass_time(60)
    assert again.get(f"{DEPLOYMENTS}/cart")["status"]["readyReplicas"] == 2


def test_a_torn_file_is_put_aside(tmp_path: Path, broken: Bench) -> None:
    path = tmp_path / "cluster.state"
    assert state.read(path) is None
    state.write(path, orjson.dumps(state.taken(broken.sandbox)))
    assert path.stat().st_mode & 0o077 == 0
    whole = path.read_bytes()
    assert state.read(path) is not None
    path.write_bytes(whole[: len(whole) // 2])
    assert state.read(path) is None
    assert not path.exists()
    assert path.with_name("cluster.state.torn").exists()
