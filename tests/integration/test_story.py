"""The main job through the command line, on real processes: ask, see, approve, healed."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio

from tests.product import Api, Process

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT = Path(__file__).parent.parent.parent
QUESTION = "why does payments keep restarting?"


async def run_cli(*args: str, timeout_s: float = 110) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot.cli", *args, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        out, err = await asyncio.wait_for(process.communicate(), timeout_s)
    except TimeoutError:
        process.kill()
        raise
    return cast(int, process.returncode), out.decode(), err.decode()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def demo(tmp_path_factory: Any) -> AsyncGenerator[Process]:
    folder = cast(Path, tmp_path_factory.mktemp("story"))
    process = await Process(["demo", "--port", "0", "--data-dir", str(folder / "data")], folder).start()
    yield process
    await process.stop()
    await process.no_orphans()


async def ask(demo: Process, question: str, *more: str, who: str = "asker") -> tuple[int, dict[str, Any]]:
    code, out, err = await run_cli("ask", question, "--json", "--url", demo.url, "--token", demo.token(who), *more)
    assert out.strip(), err
    return code, cast(dict[str, Any], json.loads(out))


async def test_the_demo_heals_payments_without_a_person_and_says_so_by_its_exit_code(tmp_path: Path) -> None:
    code, out, err = await run_cli(
        "demo", "--ask", QUESTION, "--approve", "--solo", "--json", "--data-dir", str(tmp_path / "data")
    )

    assert code == 0, err + out
    story = cast(dict[str, Any], json.loads(out))
    diagnosis = story["diagnosis"]["diagnosis"]
    assert diagnosis["root_causes"][0]["code"] == "memory-limit-too-low"
    assert diagnosis["root_causes"][0]["object"] == "Deployment/shop/payments"
    assert diagnosis["root_causes"][0]["evidence"]
    assert "limit 256 MiB" in story["charts"][0]["alt"], "the metric of the evidence, against the limit that was too low"
    assert story["healed"] is True
    assert story["actions"][-1]["state"] == "succeeded"
    assert story["actions"][-1]["took_s"] > 0
    assert story["cases"], "the healed incident is stored as a case"
    assert story["offline"] is True
    assert "without a language model" in story["answer"].lower()
    assert story["approvals"][-1]["four_eyes"] is False


async def test_the_three_questions_of_the_shop_have_three_different_answers(demo: Process) -> None:
    code, checkout = await ask(demo, "checkout fails, what is going on?")
    assert code == 0
    cause = checkout["diagnosis"]["diagnosis"]["root_causes"][0]
    assert (cause["code"], cause["object"]) == ("configmap-wrong-value", "ConfigMap/shop/checkout-config")
    assert checkout["approvals"][-1]["action"]["type"] == "patch_configmap"

    code, search = await ask(demo, "is something wrong with search?")
    assert code == 0
    assert search["diagnosis"]["diagnosis"]["healthy"] is True
    assert search["diagnosis"]["diagnosis"]["root_causes"] == []
    assert search["approvals"] == []

    code, payments = await ask(demo, QUESTION)
    assert code == 0
    assert payments["diagnosis"]["diagnosis"]["root_causes"][0]["code"] == "memory-limit-too-low"


async def test_the_requester_may_not_approve_and_the_approver_may(demo: Process) -> None:
    code, story = await ask(demo, QUESTION, "--approve")

    assert code == 5
    card = story["approvals"][-1]
    assert card["state"] == "pending"
    assert card["you"]["may_approve"] is False
    assert card["risk"] == "medium"
    assert card["diff"]
    assert card["undo_line"]
    async with Api(demo.url, demo.token("approver")) as approver:
        status, decided = await approver.approve(card)
        assert status == 200, decided
        again, _ = await approver.approve(card)
        assert again in (200, 409)
        view = await approver.ended(card["id"], 90)
        assert view["state"] == "succeeded", view["outcome"]


async def test_questions_that_cannot_be_answered_end_with_their_own_exit_code(demo: Process) -> None:
    code, _, err = await run_cli("ask", "why?", "--cluster", "nowhere", "--url", demo.url, "--token", demo.token("asker"))
    assert code == 2
    assert "practice" in err

    code, _, err = await run_cli("ask", "why?", "--url", demo.url, "--token", "not-a-token")
    assert code == 1
    assert "OPSTHREAD_TOKEN" in err

    code, _, err = await run_cli("ask", " ", "--url", demo.url, "--token", demo.token("asker"))
    assert code == 2

    code, story = await ask(demo, "why does paymentz-nonexistent-thing crash?")
    assert code == 0
    assert story["diagnosis"] is None or not story["diagnosis"]["diagnosis"]["root_causes"]


async def test_the_demo_is_well_and_whoever_sits_at_it_may_look_after_it(demo: Process) -> None:
    """Nobody of its people is an administrator; the commands for one work on this machine, and not with an asker's token."""
    here = ("--data-dir", str(demo.folder / "data"))
    code, out, err = await run_cli("doctor", "--json", *here)
    found = json.loads(out)
    assert (code, found["serving"], found["counts"]["fail"]) == (0, True, 0), (found, err)
    assert [row for row in found["rows"] if row["area"] == "rights" and row["health"] != "ok"] == []
    code, out, err = await run_cli("cluster", "add", "x", *here)
    assert (code, out.startswith("curl ")) == (0, True), err
    code, _, err = await run_cli("cluster", "add", "y", "--token", demo.token("asker"), *here)
    assert (code, "administrators" in err) == (1, True)


async def test_a_cluster_whose_runner_is_gone_is_exit_3(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: c, cluster: {server: 'http://127.0.0.1:9'}}]\n"
        "users: [{name: u, user: {token: x}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n"
    )
    process = Process(
        ["serve", "--port", "0", "--data-dir", str(tmp_path / "data"), "--with-runner"],
        tmp_path,
        {"KUBECONFIG": str(kubeconfig)},
    )
    await process.start()
    try:
        code, _, err = await run_cli("ask", QUESTION, "--url", process.url, "--token", process.token("admin"))
    finally:
        await process.stop()
    assert code == 3, err
    await process.no_orphans()
