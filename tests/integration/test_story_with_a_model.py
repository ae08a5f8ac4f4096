"""The same story with a language model behind the real client: streamed, checked against its tool results, and without it."""

import json
from pathlib import Path
from typing import Any, cast

import pytest

from tests.integration.scripted_model import Calls, Fail, Reply, Say, scripted_model
from tests.integration.test_story import QUESTION, run_cli
from tests.product import Process

PAYMENTS = "Deployment/shop/payments"
REPORT = {
    "summary": "payments is killed for memory",
    "healthy": False,
    "root_causes": [
        {
            "code": "memory-limit-too-low",
            "object": PAYMENTS,
            "explanation": "its limit of 256Mi is less than it needs",
            "confidence": 0.95,
            "evidence": [
                {"result": "r1", "excerpt": "256Mi", "source": "object", "object": PAYMENTS},
                {"result": "r2", "excerpt": "payments", "source": "object", "object": PAYMENTS},
                {"result": "r2", "excerpt": "this line is in no tool result", "source": "log", "object": PAYMENTS},
            ],
        }
    ],
}


async def told(tmp_path: Path, url: str, *more: str) -> tuple[int, dict[str, Any]]:
    process = Process(
        ["demo", "--port", "0", "--data-dir", str(tmp_path / "data")],
        tmp_path,
        {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": url, "OPSTHREAD_MODEL": "scripted-1"},
    )
    await process.start()
    try:
        code, out, err = await run_cli(
            "ask", QUESTION, "--json", "--url", process.url, "--token", process.token("asker"), *more
        )
    finally:
        await process.stop()
        await process.no_orphans()
    assert out.strip(), err
    return code, cast(dict[str, Any], json.loads(out))


async def test_a_model_looks_further_and_what_it_invents_is_dropped(tmp_path: Path) -> None:
    script: list[Reply] = [
        Calls(("kubectl", {"command": "get deployments -n shop"}), text="Looking at the workload."),
        Calls(("report", REPORT)),
        Say("The memory limit of payments is too low."),
    ]
    async with scripted_model(*script) as server:
        code, story = await told(tmp_path, server.url)

    assert code == 0
    assert story["offline"] is False
    assert story["answer"] == "The memory limit of payments is too low."
    assert "kubectl get deployments -n shop" in [step["title"] for step in story["steps"]]
    made = story["diagnosis"]
    assert made["stage"] == "model"
    assert made["dropped_evidence"] == 2, "the name alone proves nothing, and the invented line is nowhere"
    excerpts = [piece["excerpt"] for piece in made["diagnosis"]["root_causes"][0]["evidence"]]
    assert excerpts == ["256Mi"]


@pytest.mark.parametrize("reply", [Fail(500), Fail(401), None], ids=["failing", "refusing the key", "not there"])
async def test_without_the_model_it_still_answers_and_says_so_by_exit_4(tmp_path: Path, reply: Reply | None) -> None:
    async with scripted_model(reply or Fail(500)) as server:
        code, story = await told(tmp_path, server.url if reply is not None else "http://127.0.0.1:9/v1")

    assert code == 4
    assert story["diagnosis"]["diagnosis"]["root_causes"][0]["code"] == "memory-limit-too-low"
    assert story["offline"] is True
    assert "without a language model" in story["answer"].lower()
