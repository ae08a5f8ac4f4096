"""`opsthread sandbox …` against a practice cluster that runs as a process and keeps its state."""

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bot.cli.exits import Exit
from bot.cli.sandbox_commands import sandbox_app
from sandbox.scenarios import DEFAULT_SCENARIOS
from tests.contract.cluster import Cluster, practice_cluster, until


@pytest.fixture(scope="module")
def practice(tmp_path_factory: pytest.TempPathFactory) -> Generator[Cluster]:
    home = tmp_path_factory.mktemp("practice")
    with practice_cluster(home, "--state", str(home / "cluster.state")) as running:
        yield running


def say(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(sandbox_app, words)
    return done.exit_code, done.output


def _json(*words: str) -> Any:
    code, out = say(*words, "--json")
    assert code == Exit.ANSWERED, out
    return json.loads(out)


def test_the_list_needs_no_cluster_and_keeps_the_answers_back() -> None:
    code, out = say("list")
    assert code == Exit.ANSWERED
    assert "payments-oom" in out
    assert "memory-limit-too-low" not in out
    rows = _json("list")
    assert {"payments-oom", "recommend-gitops"} <= {row["id"] for row in rows}
    assert all(row["questions"]["en"] and row["truth"]["code"] for row in rows)


def test_break_status_heal(practice: Cluster) -> None:
    here = ("--kubeconfig", practice.kubeconfig)
    standing = _json("status", *here)
    assert {row["id"] for row in standing["scenarios"] if row["broken"]} == set(DEFAULT_SCENARIOS) - {"search-healthy"}
    assert _json("break", "cart-selector", *here)["broken"]
    code, out = say("status", "cart-selector", *here)
    assert code == Exit.ANSWERED
    assert "Service/shop/cart has no ready endpoint" in out
    assert _json("heal", "cart-selector", *here)["healthy"]
    assert _json("status", "cart-selector", *here)["started"]


def test_what_is_wrong_is_said_with_its_exit_code(practice: Cluster, tmp_path: Path) -> None:
    code, out = say("break", "nonsense", "--kubeconfig", practice.kubeconfig)
    assert (code, "no scenario 'nonsense'" in out) == (Exit.USAGE, True)
    code, out = say("status", "--kubeconfig", practice.viewer)
    assert (code, "not the admin" in " ".join(out.split())) == (Exit.FAILED, True)
    nowhere = json.loads(Path(practice.kubeconfig).read_text())
    nowhere["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
    (tmp_path / "gone.kubeconfig").write_text(json.dumps(nowhere))
    code, out = say("status", "--kubeconfig", str(tmp_path / "gone.kubeconfig"))
    assert (code, "does not answer" in out) == (Exit.CLUSTER_UNREACHABLE, True)
    (tmp_path / "other.yaml").write_text("kind: Config\n")
    code, out = say("status", "--kubeconfig", str(tmp_path / "other.yaml"))
    assert (code, "is no kubeconfig of a practice cluster" in " ".join(out.split())) == (Exit.USAGE, True)


@pytest.mark.parametrize("name", ["a b", "订单", "payments-oom?x"])
def test_a_scenario_that_nobody_knows_is_said_to_be_none(practice: Cluster, name: str) -> None:
    code, out = say("break", name, "--kubeconfig", practice.kubeconfig)
    assert (code, "no scenario" in out) == (Exit.USAGE, True), out


def test_a_restarted_cluster_knows_what_was_changed(practice: Cluster, tmp_path: Path) -> None:
    """The fixture's cluster writes its file within seconds; a second one begins with it."""
    practice.kubectl("-n", "shop", "create", "configmap", "kept", "--from-literal=a=b")
    kept = Path(practice.home / "cluster.state")
    before = kept.stat().st_mtime_ns
    version = int(practice.kubectl("-n", "shop", "get", "cm", "kept", "-o", "jsonpath={.metadata.resourceVersion}").out)

    def written() -> bool:
        return kept.stat().st_mtime_ns > before and b'"name":"kept"' in kept.read_bytes()

    until(written, "the state file has the new ConfigMap")
    copy = tmp_path / "copy.state"
    copy.write_bytes(kept.read_bytes())
    (tmp_path / "home").mkdir()
    with practice_cluster(tmp_path / "home", "--state", str(copy)) as again:
        found = again.kubectl("-n", "shop", "get", "cm", "kept", "-o", "json").json
        assert found["data"] == {"a": "b"}
        assert int(found["metadata"]["resourceVersion"]) == version
        again.kubectl("-n", "shop", "label", "cm", "kept", "x=y")
        newer = again.kubectl("-n", "shop", "get", "cm", "kept", "-o", "jsonpath={.metadata.resourceVersion}").out
        assert int(newer) > version
