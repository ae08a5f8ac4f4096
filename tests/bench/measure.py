"""What the benchmarks share: percentiles, a table on the screen, JSON beside it, and what machine this is."""

import json
import os
import platform
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def percentile(values: Sequence[float], part: float) -> float:
    """Nearest-rank percentile, `part` in 0..1."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(part * (len(ordered) - 1))))]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def machine() -> str:
    """Processor, cores, memory, Python: a figure without its machine says nothing."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores of {model}, {memory:.0f} GiB, Python {platform.python_version()}"


def report(name: str, rows: Sequence[tuple[str, str, str]], raw: dict[str, Any]) -> None:
    """Print (what, figure, aim) and write tests/bench/results/<name>.json."""
    print(f"{name} on {machine()}")
    width = max(len(row[0]) for row in rows)
    for what, figure, aim in rows:
        print(f"  {what:<{width}}  {figure:>16}  {('aim ' + aim) if aim else ''}")
    RESULTS.mkdir(exist_ok=True)
    content = {"name": name, "machine": machine(), "at": datetime.now(UTC).isoformat(), "rows": rows, "raw": raw}
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=2))
