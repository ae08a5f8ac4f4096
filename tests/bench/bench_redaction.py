"""How fast redaction reads, and that a line of 20 MB takes twenty times as long as one of 1 MB.

    python tests/bench/bench_redaction.py

Prints a table and writes tests/bench/results/redaction.json. CPU time, so that other processes of the machine count little.
`log` is an ordinary log without secrets, in many lines and in one; `dense` has a row of the redaction tables in every line, all
of them secrets or what looks like one.
"""

import re
import sys
import time
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from protocol.redaction import redact
from tests.bench.measure import report

TABLES = Path(__file__).resolve().parents[1] / "unit" / "protocol"
LINE = (
    '2026-03-01T12:00:00Z level=info msg="handled request" path=/cart status=200 took=12ms token_count=12 '
    "trace_id=4bf92f3577b34da6a3ce929d0e0e4736 pod=payments-7d4b9c6f5d-x2k4z\n"
)
MB = 1_000_000


def dense() -> str:
    rows: list[str] = []
    for name in ("connections", "contexts", "keys", "innocents"):
        table: dict[str, str] = yaml.safe_load((TABLES / f"redaction_{name}.yaml").read_text(encoding="utf-8"))
        rows += [re.sub("[‹›¦]", "", row) for row in table.values()]
    return "\n".join(rows) + "\n"


def seconds(text: str) -> float:
    began = time.process_time()
    redact(text)
    return time.process_time() - began


def main() -> None:
    units = {"log, many lines": LINE, "log, one line": LINE.replace("\n", " "), "dense": dense()}
    rows: list[tuple[str, str, str]] = []
    raw: dict[str, float] = {}
    for name, unit in units.items():
        took = {size: seconds((unit * (size * MB // len(unit) + 1))[: size * MB]) for size in (1, 20)}
        raw |= {f"{name}, {size} MB, s": round(value, 3) for size, value in took.items()}
        rows.append((f"{name}, 20 MB", f"{20 / took[20]:.1f} MB/s", ""))
        rows.append((f"{name}, 20 MB over 1 MB", f"{took[20] / took[1]:.1f} x", "20 x"))
    report("redaction", rows, raw)


if __name__ == "__main__":
    main()
