"""What a chart costs: the first one, one after another, and the worker's memory; and a range query against a real Prometheus.

.venv/bin/python -m tests.bench.bench_charts
"""

import asyncio
import math
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil

from bot.charts.drawer import Drawer
from bot.charts.look import Format
from bot.charts.of_result import order_of
from protocol.charts import Chart, ChartLine, ChartThreshold
from protocol.commands import PromQuery, ScopeLimit
from runner.commands.prometheus import query
from runner.config import RunnerConfig
from runner.metrics.client import Prometheus
from tests.bench.measure import median, percentile, report
from tests.integration.metrics_servers import NOW, servers

RUNS = 40


def chart(seed: int) -> Chart:
    lines = tuple(
        ChartLine(label=f"payments-7c9d8f6b5-{n}", points=tuple((60.0 * at, _level(at, n + seed)) for at in range(300)))
        for n in range(6)
    )
    limit = ChartThreshold(label="limit", value=2.0**27)
    return Chart(title=f"memory {seed}", metric="container_memory_working_set_bytes", lines=lines, thresholds=(limit,))


def _level(at: int, shift: int) -> float:
    return 8e7 + 1e7 * math.sin(at / 9 + shift)


async def timed(work: Callable[[], Awaitable[Any]]) -> float:
    began = time.perf_counter()
    await work()
    return (time.perf_counter() - began) * 1000


async def drawing(folder: Path) -> tuple[list[tuple[str, str, str]], dict[str, Any]]:
    first = Drawer(folder / "fonts")
    cold = await timed(lambda: first.draw(order_of(chart(0), form="svg", theme="light")))
    await first.close()
    drawer = Drawer(folder / "fonts")
    warm = await timed(lambda: drawer.draw(order_of(chart(0), form="svg", theme="light")))
    forms: dict[Format, list[float]] = {"svg": [], "png": []}
    for form, times in forms.items():
        for seed in range(1, RUNS):
            order = order_of(chart(seed), form=form, theme="dark")
            times.append(await timed(lambda order=order: drawer.draw(order)))
    kept = await timed(lambda: drawer.draw(order_of(chart(RUNS - 1), form="png", theme="dark")))
    memory = psutil.Process(drawer.pid).memory_info().rss / 2**20
    await drawer.close()
    rows = [
        ("the first chart ever: start, matplotlib, the list of fonts", f"{cold:.0f} ms", ""),
        ("the first chart of a worker", f"{warm:.0f} ms", ""),
        *(
            (f"a chart of 6 x 300 points as {form.upper()}, p50 / p95", f"{median(t):.0f} / {percentile(t, 0.95):.0f} ms", "")
            for form, t in forms.items()
        ),
        ("one that was drawn before", f"{kept:.1f} ms", ""),
        ("memory of the worker", f"{memory:.0f} MiB", ""),
    ]
    return rows, {"cold_ms": cold, "warm_ms": warm, "svg_ms": forms["svg"], "png_ms": forms["png"], "memory_mib": memory}


async def asking(folder: Path) -> list[tuple[str, str, str]]:
    async with servers(folder) as house, Prometheus(RunnerConfig(prometheus_url=house.prometheus)) as client:
        expr = PromQuery(expr="container_memory_working_set_bytes", start=NOW - timedelta(hours=6), end=NOW)
        times = [await timed(lambda: query(expr, client, ScopeLimit(), NOW, 20)) for _ in range(RUNS)]
    figure = f"{median(times):.0f} / {percentile(times, 0.95):.0f} ms"
    return [("6 h of 3 series from Prometheus, thinned to 300 points, p50 / p95", figure, "")]


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="opsthread-bench-") as folder:
        rows, raw = await drawing(Path(folder))
        rows += await asking(Path(folder))
    report("charts", rows, raw)


if __name__ == "__main__":
    asyncio.run(main())
