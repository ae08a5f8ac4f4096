"""The practice cluster: how soon it is ready, what it costs while nobody asks, how quickly it answers, what a restart takes.

Run: python -m tests.bench.bench_sandbox
"""

import asyncio
import json
import os
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from tests.bench.measure import median, percentile, report

IDLE_S, CALLS = 20.0, 300
SHOP = "/api/v1/namespaces/shop"


class Served:
    """`python -m sandbox` and how long it took to be ready."""

    def __init__(self, *more: str) -> None:
        began = time.perf_counter()
        self.child = subprocess.Popen([sys.executable, "-m", "sandbox", *more], stdout=subprocess.PIPE, text=True)
        assert self.child.stdout is not None
        self.ready: dict[str, Any] = json.loads(self.child.stdout.readline())
        self.took = time.perf_counter() - began
        self.process = psutil.Process(self.child.pid)

    def stop(self) -> None:
        self.child.terminate()
        self.child.wait(timeout=10)


def _cpu(process: psutil.Process) -> float:
    spent = process.cpu_times()
    return spent.user + spent.system


async def _timed(session: aiohttp.ClientSession, method: str, path: str, body: Any = None, kind: str = "") -> list[float]:
    taken: list[float] = []
    headers = {"Content-Type": kind} if kind else {}
    for n in range(CALLS):
        raw = json.dumps(body).replace("%n", str(n)) if body else None
        began = time.perf_counter()
        async with session.request(method, path, data=raw, headers=headers) as answer:
            await answer.read()
            assert answer.status < 300
        taken.append(time.perf_counter() - began)
    return taken


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "cluster.state"
        served = Served("--state", str(state))
        await asyncio.sleep(3)
        before = _cpu(served.process)
        await asyncio.sleep(IDLE_S)
        idle = 100 * (_cpu(served.process) - before) / IDLE_S
        memory = served.process.memory_info().rss / 2**20
        config = json.loads(await asyncio.to_thread(Path(served.ready["kubeconfigs"]["admin"]).read_text))
        trust = ssl.create_default_context(cafile=served.ready["certificate_authority"])
        headers = {"Authorization": f"Bearer {config['users'][0]['user']['token']}"}
        connector = aiohttp.TCPConnector(ssl=trust)
        async with aiohttp.ClientSession(served.ready["url"], headers=headers, connector=connector) as session:
            reads = await _timed(session, "GET", f"{SHOP}/pods")
            change = {"data": {"n": "%n"}}
            kind = "application/merge-patch+json"
            writes = await _timed(session, "PATCH", f"{SHOP}/configmaps/checkout-config", change, kind)
        served.stop()
        again = Served("--state", str(state))
        again.stop()
    rows = [
        ("ready, with 41 days of history played", f"{served.took:.2f} s", "< 3 s"),
        ("ready again from its file", f"{again.took:.2f} s", "< 3 s"),
        ("memory while idle", f"{memory:.0f} MiB", "< 90 MiB"),
        ("CPU while idle, of one core", f"{idle:.1f} %", "< 1 %"),
        ("list of the shop's pods, p50 / p99", f"{median(reads) * 1000:.1f} / {percentile(reads, 0.99) * 1000:.1f} ms", ""),
        ("patch of a ConfigMap, p50 / p99", f"{median(writes) * 1000:.1f} / {percentile(writes, 0.99) * 1000:.1f} ms", ""),
    ]
    report("sandbox", rows, {"ready_s": served.took, "idle_cpu": idle, "rss_mib": memory, "reads": reads, "writes": writes})


if __name__ == "__main__":
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # as on any machine where it is installed
    asyncio.run(main())
