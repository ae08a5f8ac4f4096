"""The whole product on the practice cluster: time to ready, question to evidence, a command through the whole chain, memory.

Run: python -m tests.bench.bench_product
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, cast

import psutil

from bot.cli.client import Client
from bot.cli.connection import Connection
from tests.bench.measure import median, percentile, report
from tests.product import Process

STARTS = 3
QUESTIONS = 12
COMMANDS = 300
HELPS = 9


async def main() -> None:
    rows: list[tuple[str, str, str]] = []
    raw: dict[str, Any] = {}
    helps = [_help() for _ in range(HELPS)]
    raw["help_s"] = helps
    rows.append(("opsthread --help, median", f"{median(helps):.2f} s", "< 0.3 s"))
    with tempfile.TemporaryDirectory() as folder:
        serves = [
            await _start(["serve", "--port", "0", "--data-dir", f"{folder}/serve{i}"], Path(folder)) for i in range(STARTS)
        ]
        raw["serve_ready_s"] = serves
        rows.append(("serve ready, median", f"{median(serves):.2f} s", "< 3 s"))
        demos = [await _start(["demo", "--port", "0", "--data-dir", f"{folder}/demo{i}"], Path(folder)) for i in range(STARTS)]
        raw["demo_ready_s"] = demos
        rows.append(("demo ready (cluster, runner, cache), median", f"{median(demos):.2f} s", "< 5 s"))
        demo = await Process(["demo", "--port", "0", "--data-dir", f"{folder}/demo"], Path(folder)).start()
        try:
            async with Client(Connection(url=demo.url, token=demo.token("asker"))) as client:
                cluster = str((await client.get("/api/v1/clusters"))["clusters"][0]["id"])
                evidence = [await _evidence(client, cluster) for _ in range(QUESTIONS)]
                raw["evidence_s"] = evidence
                rows.append(("question to evidence on the stream, median", f"{median(evidence) * 1000:.0f} ms", ""))
                rows.append(
                    ("question to evidence on the stream, p95", f"{percentile(evidence, 0.95) * 1000:.0f} ms", "< 2000 ms")
                )
                commands = [await _command(client, cluster) for _ in range(COMMANDS)]
                raw["command_ms"] = commands
                rows.append(("REST to kubectl get pods and back, p50", f"{percentile(commands, 0.5):.1f} ms", ""))
                rows.append(("REST to kubectl get pods and back, p99", f"{percentile(commands, 0.99):.1f} ms", ""))
            for word, name in (("sandbox", "practice cluster"), ("runner", "runner"), ("nats-server", "nats-server")):
                memory = demo.child(word).memory_info().rss / 2**20
                raw[f"{word}_mib"] = memory
                rows.append((f"memory of the {name}", f"{memory:.0f} MiB", "< 90 MiB" if word == "runner" else ""))
            main_process = psutil.Process(cast(Any, demo.process).pid)
            raw["serve_mib"] = main_process.memory_info().rss / 2**20
            rows.append(("memory of the control plane", f"{raw['serve_mib']:.0f} MiB", ""))
        finally:
            await demo.stop()
    report("product", rows, raw)


def _help() -> float:
    began = time.perf_counter()
    subprocess.run([Path(sys.executable).with_name("opsthread"), "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


async def _start(args: list[str], folder: Path) -> float:
    process = Process(args, folder)
    began = time.perf_counter()
    await process.start()
    took = time.perf_counter() - began
    await process.stop()
    await process.no_orphans()
    return took


async def _evidence(client: Client, cluster: str) -> float:
    """From the POST of the question until its diagnosis by the rules is on the event stream."""
    began = time.perf_counter()
    opened = await client.post("/api/v1/conversations", {"cluster": cluster, "text": "why does payments keep restarting?"})
    conversation = str(cast(dict[str, Any], opened["conversation"])["id"])
    took = 0.0
    async for event in client.follow(conversation):
        kind = cast(dict[str, Any], event.data.get("event", {})).get("type")
        if kind == "diagnosis" and not took:
            took = time.perf_counter() - began
        if kind in ("turn_finished", "turn_failed"):
            break
    return took


async def _command(client: Client, cluster: str) -> float:
    """One POST that waits for its result, in milliseconds."""
    body = {"cluster_id": cluster, "type": "diagnostic", "tool": "kubectl", "action": "get", "args": ["pods", "-n", "shop"]}
    began = time.perf_counter()
    command = await client.post("/api/v1/commands", body)
    if command["status"] != "ok":
        raise RuntimeError(f"kubectl get pods said {command['status']}")
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # as on any machine where it is installed
    asyncio.run(main())
