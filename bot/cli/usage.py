"""Usage, budgets, models and what was sent to them, over REST."""

import json
import sys
from pathlib import Path
from typing import Any, cast

from rich.console import Console
from rich.table import Table

from bot.cli.calling import with_client
from bot.cli.client import Client
from bot.cli.costs import amount
from bot.cli.exits import Exit
from protocol.text import clean

Row = dict[str, Any]


def show_usage(*, url: str | None, token: str | None, data_dir: Path | None, as_json: bool) -> Exit:
    async def work(client: Client) -> None:
        found = await client.get("/api/v1/usage")
        if as_json:
            print(json.dumps(found, ensure_ascii=False, indent=2))
        else:
            _print_usage(found)

    return with_client(work, url=url, token=token, data_dir=data_dir)


def set_budget(
    kind: str,
    subject: str,
    *,
    per: str,
    tokens: int | None,
    money: float | None,
    configured: bool,
    url: str | None,
    token: str | None,
    data_dir: Path | None,
) -> Exit:
    async def work(client: Client) -> None:
        body = {"kind": kind, "subject": subject, "period": per, "tokens": tokens, "money": money, "configured": configured}
        _print_usage(await client.put("/api/v1/budgets", body))

    return with_client(work, url=url, token=token, data_dir=data_dir)


def show_requests(
    turn: str, *, request: str | None, url: str | None, token: str | None, data_dir: Path | None, as_json: bool
) -> Exit:
    async def work(client: Client) -> None:
        rows = cast(list[Row], (await client.get(f"/api/v1/turns/{turn}/requests"))["requests"])
        if request is not None:
            for wanted in [str(row["id"]) for row in rows if row["kept"]] if request == "all" else [request]:
                sys.stdout.buffer.write(await client.bytes(f"/api/v1/turns/{turn}/requests/{wanted}") + b"\n")
        elif as_json:
            print(json.dumps(rows, ensure_ascii=False, indent=2))
        else:
            table = Table("request", "at", "model", "bytes", "tokens", "ended with", "SHA-256")
            for row in rows:
                tokens = f"{row['input_tokens']:,} + {row['output_tokens']:,}"
                at = str(row["at"])[:19]
                table.add_row(
                    row["id"], at, clean(row["model"]), f"{row['size']:,}", tokens, clean(row["outcome"]), row["sha256"]
                )
            Console().print(table if rows else "This turn sent nothing to a model: the rules answered.")

    return with_client(work, url=url, token=token, data_dir=data_dir)


def show_models(*, url: str | None, token: str | None, data_dir: Path | None, as_json: bool) -> Exit:
    async def work(client: Client) -> None:
        rows = cast(list[Row], (await client.get("/api/v1/models"))["models"])
        if as_json:
            print(json.dumps(rows, ensure_ascii=False, indent=2))
            return
        table = Table("model", "endpoint", "price in / out", "context", "state")
        for row in rows:
            price = f"{row['price']['input']:g} / {row['price']['output']:g}" if row["price"] else "none configured"
            state = f"left alone for {row['left_alone_s']} s: {row['why']}" if row["left_alone_s"] else "asked"
            table.add_row(row["name"], row["endpoint"], price, f"{row['context_tokens']:,}", clean(state))
        Console().print(table if rows else "No model is configured: the rules answer.")

    return with_client(work, url=url, token=token, data_dir=data_dir)


def _print_usage(found: Row) -> None:
    console, currency = Console(), str(found["currency"])
    console.print(f"Day {found['day']}, month {found['month']} ({found['timezone']})", style="dim", markup=False)
    table = Table("who", "when", "calls", "tokens", "of", currency, "of")
    for line in cast(list[Row], found["lines"]):
        budget = line["budget"]
        table.add_row(
            f"{line['kind']} {clean(line['name'])}",
            line["period"],
            f"{line['calls']:,}",
            f"{line['tokens']:,}",
            "no limit" if budget["tokens"] is None else f"{budget['tokens']:,}",
            amount(line["money"]),
            "no limit" if budget["money"] is None else amount(budget["money"]),
        )
    console.print(table)
    for line in cast(list[Row], found["models"]):
        tokens = line["input_tokens"] + line["output_tokens"]
        words = f"{clean(line['model'])}: {line['calls']:,} calls, {line['failed']:,} failed, {tokens:,} tokens"
        console.print(f"{words}, {amount(line['money'])} {currency} this month", style="dim", markup=False)
    for line in cast(list[Row], found["budgets"]):
        budget = line["budget"]
        limits = [f"{budget['tokens']:,} tokens"] if budget["tokens"] is not None else []
        limits += [f"{amount(budget['money'])} {currency}"] if budget["money"] is not None else []
        whose = f"{line['kind']} {clean(line['name'])}" if line["subject"] != "*" else f"each {line['kind']}"
        console.print(f"Budget of {whose} a {line['period']}: {' and '.join(limits) or 'none'}", markup=False)
