"""The practice cluster under pseudonyms, on the whole product: not one real name leaves, and the answer has them all."""

import json
import re
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest

from agent_runtime.pseudonyms import KEPT_NAMESPACES
from tests.integration.scripted_model import Calls, Reply, Say, scripted_model
from tests.integration.test_story import QUESTION, run_cli
from tests.product import Process

LOOKS = (
    "get pods -A -o wide",
    "get nodes -o wide",
    "get services,configmaps -A",
    "get deployments -A -o yaml",
    "get events -A",
    "describe nodes",
    "get ingress -A -o yaml",
)
KINDS = "namespaces,nodes"
NAMESPACED = "deployments,statefulsets,daemonsets,replicasets,pods,services,persistentvolumeclaims,horizontalpodautoscalers"


async def read(process: Process, line: str) -> str:
    """A kubectl read through REST, as the asker."""
    headers = {"Authorization": f"Bearer {process.token('asker')}"}
    action, *args = line.split(" ")
    async with aiohttp.ClientSession(headers=headers) as client:
        body = {"cluster_id": "practice", "tool": "kubectl", "action": action, "args": args}
        async with client.post(f"{process.url}/api/v1/commands", json=body) as answer:
            made = cast(dict[str, Any], await answer.json())
            assert answer.status == 201, made
            return json.dumps(made["result"])


@pytest.mark.timeout(240)
async def test_no_real_name_of_the_practice_cluster_leaves(tmp_path: Path) -> None:
    def report(body: bytes) -> Reply:
        found = re.search(r"Deployment/ns-[a-z2-7]{7}/[a-z0-9-]+", body.decode())
        assert found
        evidence = {"result": "r1", "excerpt": "256Mi", "source": "object", "object": found.group()}
        cause = {"code": "memory-limit-too-low", "object": found.group(), "explanation": "too little", "confidence": 0.9}
        causes = [{**cause, "evidence": [evidence]}]
        return Calls(("report", {"summary": "memory", "healthy": False, "root_causes": causes}))

    def say(body: bytes) -> Reply:
        found = re.search(r"Deployment/(ns-[a-z2-7]{7})/([a-z0-9-]+)", body.decode())
        assert found
        return Say(f"`{found.group(2)}` in {found.group(1)} needs more memory.")

    looks = [Calls(*(("kubectl", {"command": line}) for line in LOOKS)), Calls(("changes", {}), ("diagnose", {}))]
    async with scripted_model(*looks, report, say) as server:
        env = {
            "OPENAI_API_KEY": "sk-test",
            "OPENAI_BASE_URL": server.url,
            "OPSTHREAD_MODEL": "scripted-1",
            "OPSTHREAD_PSEUDONYMS": '["practice"]',
            "OPSTHREAD_MODEL_PRICES": '{"scripted-1": {"input": 1, "output": 2}}',
        }
        process = await Process(["demo", "--port", "0", "--data-dir", str(tmp_path / "data")], tmp_path, env).start()
        try:
            code, out, err = await run_cli("ask", QUESTION, "--json", "--url", process.url, "--token", process.token("asker"))
            listed = await read(process, f"get {KINDS} -o name") + await read(process, f"get {NAMESPACED} -A -o name")
            usage_code, usage, _ = await run_cli("usage", "--url", process.url, "--token", process.token("asker"))
        finally:
            await process.stop()
            await process.no_orphans()
    assert code in (0, 1), err
    told = json.loads(out)
    assert "`payments` in shop needs more memory." in told["answer"]
    assert told["diagnosis"]["diagnosis"]["root_causes"][0]["object"] == "Deployment/shop/payments"
    assert told["diagnosis"]["diagnosis"]["root_causes"][0]["confidence"] == 0.9, "the evidence holds against the log"
    assert told["usage"] == {
        "input_tokens": 40, "output_tokens": 40, "estimated": False, "money": 0.00012, "currency": "USD",
        "models": ["scripted-1"], "why": "",
    }  # fmt: skip
    assert usage_code == 0
    assert "0.0001" in usage, "a person sees what is their own"
    names = set(re.findall(r"(?:namespace|node|pod|service|[a-z]+\.[a-z.0-9]+|persistentvolumeclaim)/([a-z0-9.-]+)", listed))
    assert {"payments", "shop"} < names
    sent = b"\n".join(server.requests).decode()
    assert [len(request) < 12 * 1024 for request in server.requests[:1]] == [True]
    # Every cluster has these; they say nothing of whose it is.
    own = names - KEPT_NAMESPACES - {"kubernetes"}
    left = [name for name in own if re.search(rf"(?<![a-z0-9]){re.escape(name)}(?![a-z0-9])", sent)]
    assert left == [], sorted(left)
    assert not re.search(r"\b10\.\d+\.\d+\.\d+\b", sent), "addresses"
    assert "memory-limit-too-low" in sent
    assert "kube-system" in sent
