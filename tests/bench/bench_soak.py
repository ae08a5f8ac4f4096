"""A long watch: the demo under steady use and steady trouble, with a memory curve of each of its processes.

Some people ask all the time, one of them leaves streams open and does not read them; the bus and the runner are killed now and
then; faults break the API server's answers. At the end every turn must have finished, and memory must have stopped growing:
the median of the last fifth is compared with that of the second.

Run: python -m tests.bench.bench_soak [minutes, default 30] [people, default 3]
"""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, cast

import aiohttp
import psutil

from tests.bench.measure import RESULTS, median, report
from tests.practice_admin import PracticeAdmin
from tests.product import Api, Process

SAMPLE_S = 5.0
TROUBLE_S = 60.0
QUESTIONS = (
    "why does payments keep restarting?",
    "is anything wrong in the shop?",
    "what is wrong with catalog?",
    "kubectl get pods -n shop",
    "payments 为什么一直重启？",
    "show me the logs of payments",
)
TROUBLES = ("nats-server", "fault", "runner", "fault")
FAULTS = (
    {"match": "/api/v1/", "status": 500, "count": 3},
    {"match": "/api/v1/", "status": 429, "count": 5},
    {"match": "/log", "delay": 2, "count": 3},
    {"match": "watch", "status": 410, "count": 2},
)


class Soak:
    """The demo, what it was asked, and what became of it."""

    def __init__(self, demo: Process, until: float) -> None:
        self.demo = demo
        self.until = until
        self.ended: Counter[str] = Counter()
        self.memory: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self.troubles: Counter[str] = Counter()
        self.began = time.monotonic()

    @property
    def over(self) -> bool:
        return time.monotonic() >= self.until

    async def person(self, number: int) -> None:
        asked = number
        async with Api(self.demo.url, self.demo.token("asker")) as api:
            cluster = (await api.get("/api/v1/clusters"))["clusters"][0]["id"]
            while not self.over:
                conversation = await self._ask(api, cluster, QUESTIONS[asked % len(QUESTIONS)])
                asked += 1
                if conversation is None:
                    await asyncio.sleep(1)
                    continue
                self.ended[await self._end_of(api, conversation)] += 1
                await asyncio.sleep(0.5 + number / 2)

    async def _ask(self, api: Api, cluster: str, question: str) -> str | None:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            status, body = await api.call("POST", "/api/v1/conversations", {"cluster": cluster, "text": question})
            if status == 201:
                return str(body["conversation"]["id"])
            self.ended[f"refused {status}"] += 1
        return None

    async def _end_of(self, api: Api, conversation: str) -> str:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, AssertionError):
                log = await api.get(f"/api/v1/conversations/{conversation}/log?limit=1000")
                kinds = [entry["event"]["type"] for entry in log["entries"]]
                if found := {"turn_finished", "turn_failed", "turn_cancelled"} & set(kinds):
                    return found.pop()
            await asyncio.sleep(0.25)
        return "lost"

    async def slow_reader(self) -> None:
        """Opens streams and reads nothing of them; the server must let go of them and not keep what they did not take."""
        headers = {"Authorization": f"Bearer {self.demo.token('asker')}"}
        while not self.over:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with aiohttp.ClientSession(headers=headers, read_bufsize=1024) as http:
                    open_streams = [await http.get(f"{self.demo.url}/api/v1/stream") for _ in range(4)]
                    await asyncio.sleep(20)
                    for stream in open_streams:
                        stream.close()

    async def trouble(self) -> None:
        for number in itertools.count():
            await asyncio.sleep(TROUBLE_S)
            what = TROUBLES[number % len(TROUBLES)]
            self.troubles[what] += 1
            if what == "fault":
                await self._fault(FAULTS[number % len(FAULTS)])
                continue
            for process in self.processes():
                with contextlib.suppress(psutil.Error):
                    if _role(process) == what:
                        process.send_signal(signal.SIGKILL)

    async def _fault(self, fault: dict[str, Any]) -> None:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, AssertionError, OSError):
            await PracticeAdmin(cast(dict[str, Any], self.demo.ready["sandbox"])).post("faults", fault)

    def processes(self) -> list[psutil.Process]:
        assert self.demo.process is not None
        root = psutil.Process(self.demo.process.pid)
        return [root, *root.children(recursive=True)]

    async def watch_memory(self) -> None:
        while not self.over:
            for process in self.processes():
                with contextlib.suppress(psutil.Error):
                    at = time.monotonic() - self.began
                    self.memory[_role(process)].append((at, process.memory_info().rss / 2**20))
            await asyncio.sleep(SAMPLE_S)


def _role(process: psutil.Process) -> str:
    line = " ".join(process.cmdline())
    for word, role in (("nats-server", "nats-server"), ("-m runner", "runner"), ("-m sandbox", "practice cluster")):
        if word in line:
            return role
    return "control plane"


def size_of(folder: Path) -> float:
    """MiB of the files in it."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 2**20


def growth(samples: list[tuple[float, float]]) -> tuple[float, float, float]:
    """Median of the second fifth and of the last, and the most, in MiB. A role whose process was killed starts anew."""
    values = [value for _, value in samples]
    fifth = max(1, len(values) // 5)
    return median(values[fifth : 2 * fifth] or values), median(values[-fifth:]), max(values)


def curve(memory: dict[str, list[tuple[float, float]]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.add_subplot()
    for role, samples in sorted(memory.items()):
        axes.plot([at / 60 for at, _ in samples], [value for _, value in samples], label=role, linewidth=1)
    axes.set_xlabel("minutes")
    axes.set_ylabel("MiB resident")
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper left", frameon=False, ncols=4)
    figure.savefig(path, dpi=110)


async def main(minutes: float = 30, people: float = 3) -> None:
    with tempfile.TemporaryDirectory() as folder:
        demo = await Process(["demo", "--port", "0", "--data-dir", f"{folder}/data"], Path(folder)).start()
        soak = Soak(demo, time.monotonic() + minutes * 60)
        helpers = [asyncio.create_task(part) for part in (soak.slow_reader(), soak.trouble(), soak.watch_memory())]
        try:
            await asyncio.gather(*(soak.person(number) for number in range(int(people))))
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            disk = size_of(Path(folder))
            await demo.stop()
    rows = [("turns", f"{sum(soak.ended.values())}", ""), ("how they ended", json.dumps(dict(soak.ended)), "none lost")]
    rows.append(("killed, faults", json.dumps(dict(soak.troubles)), ""))
    for role, samples in sorted(soak.memory.items()):
        early, late, most = growth(samples)
        rows.append((f"memory of the {role}: second fifth, last fifth, most", f"{early:.0f}, {late:.0f}, {most:.0f} MiB", ""))
    rows.append(("data directory", f"{disk:.0f} MiB", ""))
    report("soak", rows, {"minutes": minutes, "ended": soak.ended, "memory": soak.memory, "troubles": soak.troubles})
    curve(soak.memory, RESULTS / "soak.png")


if __name__ == "__main__":
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # as on any machine where it is installed
    asyncio.run(main(*map(float, sys.argv[1:])))
