"""`opsthread cases …` and `opsthread weights …`: what was learnt, over REST."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO, cast

from rich.console import Console
from rich.table import Table

from bot.cli.calling import with_client
from bot.cli.client import ApiError, Client
from bot.cli.exits import Exit
from protocol.text import clean, one_line

BATCH_CASES, BATCH_BYTES = 100, 300_000
LINE_BYTES = 262_144
"""A case is capped far below this when it is stored."""
MOST_LINES = 20_000

_OUTCOMES = {
    "held": "held",
    "provisional": "not yet proven",
    "relapsed": "did not hold",
    "unsolved": "unsolved",
}

Where = dict[str, Any]
"""url, token and data_dir, as `with_client` takes them."""


def list_cases(*, filters: dict[str, str], limit: int, as_json: bool, where: Where) -> Exit:
    async def work(client: Client) -> None:
        query = "&".join(f"{key}={value}" for key, value in filters.items() if value)
        body = await client.get(f"/api/v1/cases?limit={limit}" + (f"&{query}" if query else ""))
        cases = cast(list[dict[str, Any]], body["cases"])
        if as_json:
            print(json.dumps(cases, ensure_ascii=False, indent=2))
            return
        table = Table()
        for name in ("id", "cause", "object", "where", "outcome", "from"):
            table.add_column(name, no_wrap=name == "id", overflow="fold")
        for case in cases:
            table.add_row(*(cell(text) for text in _row(case)))
        console = Console()
        console.print(table)
        if body["next"]:
            console.print(f"There are more: --limit {min(200, limit * 2)}, or narrow it down.", style="dim", markup=False)

    return with_client(work, **where)


def show_case(case: str, *, as_json: bool, where: Where) -> Exit:
    async def work(client: Client) -> None:
        found = await client.get(f"/api/v1/cases/{case}")
        if as_json:
            print(json.dumps(found, ensure_ascii=False, indent=2))
            return
        console = Console(highlight=False)
        console.print(clean(str(found["title"])), style="bold", markup=False)
        for name, value in _facts(found):
            console.print(f"{name:<12}", style="dim", end="", markup=False)
            console.print(value, markup=False, soft_wrap=True)

    return with_client(work, **where)


def import_cases(source: str, *, cluster: str | None, general: bool, where: Where) -> Exit:
    """JSON lines from a file or, with "-", from the standard input. In batches; a line that is no JSON stops it, named."""

    async def work(client: Client) -> Exit | None:
        imported = forgotten = 0
        console = Console(stderr=True)
        try:
            with _open(source) as lines, console.status("Importing …") as status:
                for batch in batches(lines):
                    body = {"cases": batch, "cluster": cluster, "general": general}
                    done = await client.post("/api/v1/cases/import", body)
                    imported += int(done["imported"])
                    forgotten += int(done["forgotten"])
                    status.update(f"Importing … {imported}")
        except (OSError, ValueError) as error:
            console.print(f"{error} {imported} cases were imported before.", style="red", markup=False, soft_wrap=True)
            return Exit.USAGE
        except ApiError as error:
            raise ApiError(error.status, error.code, f"{error} {imported} cases were imported before.") from None
        print(f"{imported} imported" + (f", {forgotten} left out: somebody had them forgotten" if forgotten else ""))
        return None

    return with_client(work, **where)


def export_cases(target: str, *, seeds: bool, where: Where) -> Exit:
    async def work(client: Client) -> Exit | None:
        count = 0
        console = Console(stderr=True)
        try:
            with _create(target) as out, console.status("Exporting …"):
                async for line in client.lines(f"/api/v1/cases/export?seeds={str(seeds).lower()}"):
                    if line:
                        out.write(line + "\n")
                        count += 1
        except OSError as error:
            console.print(f"{target} can't be written: {error.strerror or error}.", style="red", markup=False)
            return Exit.FAILED
        console.print(f"{count} cases", style="dim", markup=False)
        return None

    return with_client(work, **where)


def forget_case(case: str, *, yes: bool, where: Where) -> Exit:
    async def work(client: Client) -> Exit | None:
        if not yes and not _sure(f"Forget {case} for good? Its words are gone, and no import brings it back."):
            return Exit.USAGE
        await client.delete(f"/api/v1/cases/{case}")
        print(f"{case} is forgotten")
        return None

    return with_client(work, **where)


def show_weights(*, history: bool, as_json: bool, where: Where) -> Exit:
    async def work(client: Client) -> None:
        body = await client.get("/api/v1/weights/history" if history else "/api/v1/weights")
        if as_json:
            print(json.dumps(body, ensure_ascii=False, indent=2))
            return
        console = Console(highlight=False)
        rows = cast(list[dict[str, Any]], body["changes" if history else "weights"])
        if not rows:
            console.print("Nothing has moved a weight: all are 1.", markup=False)
            return
        table = (
            Table("version", "what", "before", "after", "why", "when") if history else Table("what", "cause", "weight", "votes")
        )
        for row in rows:
            table.add_row(*(cell(text) for text in (_change(row) if history else _weight(row))))
        console.print(table)

    return with_client(work, **where)


def reset_weights(*, yes: bool, where: Where) -> Exit:
    async def work(client: Client) -> Exit | None:
        if not yes and not _sure("Reset all weights to 1? What people and outcomes have said so far no longer counts."):
            return Exit.USAGE
        done = await client.post("/api/v1/weights/reset")
        print(f"all weights are 1 (version {done['version']})")
        return None

    return with_client(work, **where)


def batches(lines: Iterator[str]) -> Iterator[list[dict[str, Any]]]:
    """Rows of a JSON lines file in requests of a bounded size. Raises ValueError, naming the line."""
    batch: list[dict[str, Any]] = []
    size = 0
    for number, line in enumerate(lines, 1):
        if number > MOST_LINES:
            raise ValueError(f"The file has more than {MOST_LINES:,} lines; import it in parts.")
        if not line.strip():
            continue
        if len(line) > LINE_BYTES:
            raise ValueError(f"Line {number} is over {LINE_BYTES // 1024} KiB: no case is that long.")
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise ValueError(f"Line {number} is not JSON; the export writes one case a line.") from None
        if not isinstance(row, dict):
            raise ValueError(f"Line {number} is not a case.")
        if batch and (len(batch) >= BATCH_CASES or size + len(line) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(cast(dict[str, Any], row))
        size += len(line.encode())
    if batch:
        yield batch


def _open(source: str) -> TextIO:
    if source == "-":
        return sys.stdin
    return Path(source).open(encoding="utf-8", errors="replace")


def _create(target: str) -> TextIO:
    if target == "-":
        return sys.stdout
    return Path(target).open("w", encoding="utf-8")


def _sure(question: str) -> bool:
    if not sys.stdin.isatty():
        Console(stderr=True).print("Say --yes: there is nobody here to ask.", style="red", markup=False)
        return False
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def _row(case: dict[str, Any]) -> tuple[str, ...]:
    place = f"{case['cluster_name'] or case['cluster']}/{case['namespace'] or '*'}" if case["cluster"] else "everywhere"
    return case["id"], case["cause"] or "-", case["object"] or "-", place, _OUTCOMES[case["outcome"]], case["origin"]


def _facts(case: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "id", case["id"]
    yield "cause", f"{case['cause']} ({case['code']})" if case["code"] else "-"
    yield "object", case["object"] or "-"
    yield "where", _row(case)[3]
    yield "outcome", _OUTCOMES[case["outcome"]] + (f", from {case['origin']}")
    for key in ("symptoms", "evidence"):
        for line in case[key]:
            yield key, clean(str(line))
    for key in ("explanation", "fix"):
        if case[key]:
            yield key, clean(str(case[key]))
    if case["took_s"]:
        yield "took", f"{case['took_s']} s"
    soak = case.get("soak")
    if soak:
        when = f", next look {soak['next_at']}" if soak["next_at"] else ""
        yield "soak", f"{soak['state']}, {soak['looks']} of {soak['of']} looks{when}. {clean(str(soak['message']))}".strip()


def _weight(row: dict[str, Any]) -> tuple[str, ...]:
    return row["key"], row["cause"], f"{row['weight']:g}", f"+{row['votes_for']} -{row['votes_against']}"


def _change(row: dict[str, Any]) -> tuple[str, ...]:
    return str(row["version"]), row["key"], f"{row['before']:g}", f"{row['after']:g}", row["why"], row["at"]


def cell(text: object) -> str:
    """Anybody's text in a table, on one line and without its markup."""
    return one_line(str(text), 200).replace("[", "\\[")
