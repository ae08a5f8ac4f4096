"""The runner alone: memory, time until its cache is warm, commands over a real NATS server.

Run: python -m tests.bench.bench_runner [--kubeconfig FILE]   (without: the practice cluster)
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from protocol.commands import Diagnose
from tests.bench.measure import median, percentile, report
from tests.integration.runner_rig import Bus, Plane, practice_cluster, runner_process, settings
from tests.integration.waiting import until

ROUNDS = 200


async def main(kubeconfig: Path | None, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bus = Bus(Path(folder) / "jetstream")
        await bus.start()
        plane = await Plane.connect(bus.url)
        try:
            async with practice_cluster(Path(folder) / "practice", "payments-oom", speed=1) as cluster:
                values = settings(plane, bus, cluster, Path(folder) / "data")
                if kubeconfig is not None:
                    values |= {"kubeconfig": kubeconfig}
                await measure(plane, values, name)
        finally:
            await plane.client.close()
            await bus.stop()


async def measure(plane: Plane, values: dict[str, Any], name: str) -> None:
    started = time.perf_counter()
    async with runner_process(plane, values) as process:
        warm = time.perf_counter() - started
        pods = plane.beats[-1].summary.pods
        child = psutil.Process(process.pid)
        await until(lambda: len(plane.beats) >= 4, "a heartbeat after the warm one", 60)
        idle = child.memory_info().rss / 2**20
        rows = [
            ("pods", str(pods), ""),
            ("start to warm cache", f"{warm:.1f} s", ""),
            ("memory, idle", f"{idle:.0f} MiB", _aim(pods)),
        ]
        raw: dict[str, Any] = {"pods": pods, "warm_s": warm, "idle_mib": idle}
        for what, command in COMMANDS.items():
            times = [await _timed(plane, command) for _ in range(ROUNDS if what != "diagnose the cluster" else 5)]
            raw[what] = times
            rows.append((f"{what}, p50 / p99", f"{median(times):.1f} / {percentile(times, 0.99):.1f} ms", ""))
        after = child.memory_info().rss / 2**20
        rows.append(("memory, after the commands", f"{after:.0f} MiB", _aim(pods)))
        raw["after_mib"] = after
    report(name, rows, raw)


def _aim(pods: int) -> str:
    return "< 90 MiB" if pods < 500 else "< 250 MiB at 5,000 pods"


async def _timed(plane: Plane, command: str) -> float:
    started = time.perf_counter()
    result = await (plane.ask(Diagnose(), deadline_s=60) if not command else plane.kubectl(command))
    assert result.good, result.error
    return (time.perf_counter() - started) * 1000


COMMANDS = {
    "kubectl version": "version",
    "kubectl get pods -n kube-system": "get pods -n kube-system",
    "kubectl get nodes -o wide": "get nodes -o wide",
    "diagnose the cluster": "",
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kubeconfig", type=Path)
    parser.add_argument("--name", default="runner")
    options = parser.parse_args()
    asyncio.run(main(options.kubeconfig, options.name))
