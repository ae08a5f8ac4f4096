"""The practice cluster as a process: ready at once, spoken to over TLS, gone when told or when its parent is."""

import asyncio
import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

import sandbox
from sandbox.process import Running

GONE_WITHIN = 5.0


@pytest.fixture
async def served(tmp_path: Path) -> AsyncGenerator[Running]:
    async with sandbox.running(speed=5, directory=tmp_path) as running:
        yield running


@contextlib.asynccontextmanager
async def http(running: Running, identity: str = "admin") -> AsyncGenerator[aiohttp.ClientSession]:
    trust = ssl.create_default_context(cadata=running.authority)
    async with aiohttp.ClientSession(
        running.url,
        headers={"Authorization": f"Bearer {running.tokens[identity]}"},
        connector=aiohttp.TCPConnector(ssl=trust),
        timeout=aiohttp.ClientTimeout(total=20),
    ) as session:
        yield session


async def _json(session: aiohttp.ClientSession, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    async with session.request(method, path, json=body, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)


def _ready(child: subprocess.Popen[str]) -> dict[str, Any]:
    assert child.stdout is not None
    return json.loads(child.stdout.readline())


@contextlib.contextmanager
def _child(*more: str) -> Generator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "sandbox", *more]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_it_says_when_it_is_ready_and_ends_when_told(tmp_path: Path, name: signal.Signals) -> None:
    with _child("--kubeconfig-dir", str(tmp_path)) as child:
        line = _ready(child)
        assert line["pid"] == child.pid
        assert line["url"].startswith("https://127.0.0.1:")
        assert line["prometheus_url"].endswith("/prometheus")
        for identity in ("admin", "viewer", "runner"):
            path = Path(line["kubeconfigs"][identity])
            assert path.stat().st_mode & 0o077 == 0
            assert json.loads(path.read_text())["users"][0]["user"]["token"]
        child.send_signal(name)
        assert child.wait(timeout=GONE_WITHIN) == 0


def test_a_closed_pipe_ends_it() -> None:
    with _child("--exit-with-parent", "--no-faults") as child:
        _ready(child)
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(timeout=GONE_WITHIN) == 0


def test_it_does_not_outlive_a_parent_that_was_killed() -> None:
    parent_code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-m', 'sandbox', '--no-faults'], stdout=subprocess.PIPE, text=True)\n"
        "print(child.pid, child.stdout.readline(), flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent_code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        orphan = psutil.Process(int(parent.stdout.readline().split()[0]))
        parent.kill()
        with contextlib.suppress(psutil.NoSuchProcess):
            orphan.wait(timeout=GONE_WITHIN)
        assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE


async def test_the_story_over_tls_with_the_runners_rights(served: Running) -> None:
    path = "/apis/apps/v1/namespaces/shop/deployments/payments"
    body = {
        "spec": {"template": {"spec": {"containers": [{"name": "payments", "resources": {"limits": {"memory": "512Mi"}}}]}}}
    }
    async with http(served, "runner") as runner, http(served) as admin:
        kind = "application/strategic-merge-patch+json"
        code, _ = await _json(runner, "PATCH", f"{path}?dryRun=All", body, **{"Content-Type": kind})
        assert code == 200
        assert (await _json(admin, "GET", "/_sandbox/scenarios/payments-oom"))[1]["broken"]
        code, _ = await _json(runner, "PATCH", path, body, **{"Content-Type": kind})
        assert code == 200
        async with runner.get(
            "/apis/apps/v1/namespaces/shop/deployments?watch=1&fieldSelector=metadata.name=payments"
        ) as watch:
            async for line in watch.content:
                if json.loads(line)["object"]["status"].get("readyReplicas") == 2:
                    break
        assert (await _json(admin, "GET", "/_sandbox/scenarios/payments-oom"))[1]["healthy"]


@pytest.mark.parametrize(
    ("identity", "method", "path", "code"),
    [
        ("viewer", "GET", "/api/v1/namespaces/shop/pods", 200),
        ("viewer", "GET", "/api/v1/namespaces/shop/secrets", 403),
        ("viewer", "GET", "/api/v1/namespaces/shop/secrets/db-credentials", 403),
        ("viewer", "DELETE", "/api/v1/namespaces/shop/pods/db-0", 403),
        ("viewer", "GET", "/_sandbox/scenarios", 403),
        ("runner", "GET", "/api/v1/secrets", 403),
        ("runner", "DELETE", "/apis/apps/v1/namespaces/shop/deployments/web", 403),
        ("runner", "DELETE", "/api/v1/namespaces/shop", 403),
        ("runner", "DELETE", "/api/v1/namespaces/shop/pods/nope", 404),
        ("runner", "GET", "/apis/metrics.k8s.io/v1beta1/nodes", 200),
        ("admin", "GET", "/api/v1/namespaces/shop/secrets", 200),
    ],
)
async def test_who_may_what(served: Running, identity: str, method: str, path: str, code: int) -> None:
    async with http(served, identity) as session:
        assert (await _json(session, method, path))[0] == code


async def test_nobody_comes_in_without_a_token(served: Running) -> None:
    trust = ssl.create_default_context(cadata=served.authority)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as stranger:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {served.tokens['admin']}"}):
            async with stranger.get(f"{served.url}/api/v1/pods", headers=headers) as answer:
                assert (answer.status, (await answer.json())["reason"]) == (401, "Unauthorized")


async def test_faults_of_the_api_server_come_as_often_as_asked(served: Running) -> None:
    async with http(served) as admin:
        for status, reason in ((500, "InternalError"), (429, "TooManyRequests"), (403, "Forbidden"), (504, "Timeout")):
            await _json(admin, "POST", "/_sandbox/faults", {"match": "/pods$", "status": status, "count": 2})
            for _ in range(2):
                code, body = await _json(admin, "GET", "/api/v1/pods")
                assert (code, body["kind"], body["reason"]) == (status, "Status", reason)
            assert (await _json(admin, "GET", "/api/v1/pods"))[0] == 200
        await _json(admin, "POST", "/_sandbox/faults", {"match": ".*", "status": 500, "count": 99})
        await _json(admin, "DELETE", "/_sandbox/faults")
        assert (await _json(admin, "GET", "/api/v1/pods"))[0] == 200
        assert (await _json(admin, "POST", "/_sandbox/faults", {"match": "("}))[0] == 400


async def test_a_slow_api_server(served: Running) -> None:
    async with http(served) as admin:
        await _json(admin, "POST", "/_sandbox/faults", {"match": "/nodes$", "delay": 30})
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await _json(admin, "GET", "/api/v1/nodes")


async def test_a_cluster_without_metrics_server(served: Running) -> None:
    async with http(served) as admin:
        await _json(admin, "POST", "/_sandbox/metrics-server", {"present": False})
        assert (await _json(admin, "GET", "/apis/metrics.k8s.io/v1beta1/pods"))[0] == 404
        groups = [group["name"] for group in (await _json(admin, "GET", "/apis"))[1]["groups"]]
        assert "metrics.k8s.io" not in groups
        await _json(admin, "POST", "/_sandbox/metrics-server", {"present": True})
        assert (await _json(admin, "GET", "/apis/metrics.k8s.io/v1beta1/pods"))[1]["items"]


async def test_prometheus_answers_and_can_be_absent(served: Running) -> None:
    query = {"query": 'kube_pod_container_status_restarts_total{namespace="shop",pod=~"payments-.+"}'}
    async with http(served) as admin, aiohttp.ClientSession() as plain:
        async with plain.get(f"{served.prometheus_url}/api/v1/query", params=query) as answer:
            body = await answer.json()
            assert body["status"] == "success"
            assert all(float(row["value"][1]) >= 8 for row in body["data"]["result"])
            assert len(body["data"]["result"]) == 2
        async with plain.get(f"{served.prometheus_url}/api/v1/query", params={"query": "rate("}) as answer:
            body = await answer.json()
            assert (answer.status, body["status"], body["errorType"]) == (400, "error", "bad_data")
        await _json(admin, "POST", "/_sandbox/prometheus", {"present": False})
        async with plain.get(f"{served.prometheus_url}/api/v1/query", params=query) as answer:
            assert (answer.status, (await answer.json())["errorType"]) == (503, "unavailable")


async def test_a_watch_from_a_forgotten_version_is_gone(served: Running) -> None:
    async with http(served) as admin:
        version = (await _json(admin, "GET", "/api/v1/pods"))[1]["metadata"]["resourceVersion"]
        await _json(admin, "POST", "/_sandbox/faults", {"match": "^never$"})
        await _json(admin, "POST", "/api/v1/namespaces", {"metadata": {"name": "later"}})
        await _json(admin, "POST", "/_sandbox/forget")
        async with admin.get(f"/api/v1/pods?watch=1&resourceVersion={version}") as watch:
            event = json.loads(await watch.content.readline())
        assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")
        assert event["object"]["message"].startswith(f"too old resource version: {version} (")


async def test_a_watch_that_ends_says_where_to_go_on(served: Running) -> None:
    async with http(served) as admin:
        async with admin.get("/api/v1/namespaces?watch=1&allowWatchBookmarks=true&timeoutSeconds=1") as watch:
            events = [json.loads(line) async for line in watch.content]
        assert events[0]["type"] == "ADDED"
        assert events[-1]["type"] == "BOOKMARK"
        assert int(events[-1]["object"]["metadata"]["resourceVersion"]) >= int(
            events[0]["object"]["metadata"]["resourceVersion"]
        )


async def test_hostile_lines_reach_the_log_as_they_are(served: Running) -> None:
    async with http(served) as admin:
        written = (await _json(admin, "POST", "/_sandbox/logs", {"workload": "cart"}))[1]
        assert written["containers"] == 2
        pods = (await _json(admin, "GET", "/api/v1/namespaces/shop/pods?labelSelector=app%3Dcart"))[1]["items"]
        async with admin.get(f"/api/v1/namespaces/shop/pods/{pods[0]['metadata']['name']}/log?tailLines=20") as answer:
            text = await answer.text()
        for line in written["lines"]:
            assert line in text
        assert any("\x00" in line for line in written["lines"])


async def test_logs_come_without_nagles_delay(served: Running) -> None:
    async with http(served) as admin:
        pods = (await _json(admin, "GET", "/api/v1/namespaces/shop/pods?labelSelector=app%3Dweb"))[1]["items"]
        path = f"/api/v1/namespaces/shop/pods/{pods[0]['metadata']['name']}/log?tailLines=10"
        took: list[float] = []
        for _ in range(20):
            start = time.perf_counter()
            async with admin.get(path) as answer:
                assert len((await answer.text()).splitlines()) == 10
            took.append(time.perf_counter() - start)
        # Nagle with a delayed acknowledgement costs 40 ms on each call
        assert sorted(took)[5] < 0.030


async def test_a_followed_log_goes_on(served: Running) -> None:
    async with http(served) as admin:
        pods = (await _json(admin, "GET", "/api/v1/namespaces/shop/pods?labelSelector=app%3Dweb"))[1]["items"]
        path = f"/api/v1/namespaces/shop/pods/{pods[0]['metadata']['name']}/log?tailLines=0&follow=true"
        async with admin.get(path) as answer:
            assert await answer.content.readline()


def test_nothing_is_left_listening(tmp_path: Path) -> None:
    async def once() -> None:
        async with sandbox.running(scenarios=(), directory=tmp_path):
            pass

    before = {c.laddr.port for c in psutil.Process(os.getpid()).net_connections() if c.status == "LISTEN"}
    asyncio.run(once())
    assert {c.laddr.port for c in psutil.Process(os.getpid()).net_connections() if c.status == "LISTEN"} == before
