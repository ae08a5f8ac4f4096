"""PromQL against the configured Prometheus: at most 300 points a series, as a table for reading and as series for charts."""

import asyncio
import math
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import aiohttp
import orjson

from knowledge.diagnosis.fields import items, sub, text
from protocol.commands import CommandStatus, PromQuery, ScopeLimit
from protocol.text import one_line
from runner.commands.answer import Answer, Refusal, safe_tree
from runner.commands.render import columns

MAX_POINTS = 300
MAX_SERIES = 200
MAX_BODY = 32 * 1024 * 1024
_DEFAULT_RANGE = timedelta(hours=1)
_SMALLEST_STEP_S = 15

NOT_CONFIGURED = (
    "No Prometheus is configured for this cluster, so there are no metrics over time. "
    "Set OPSTHREAD_RUNNER_PROMETHEUS_URL for the runner; `kubectl top` may show the present usage."
)


class Prometheus:
    """A client of one Prometheus HTTP API; with no URL every query says what to configure."""

    def __init__(self, url: str | None, token_file: Path | None) -> None:
        self._url = url.rstrip("/") if url else None
        self._token_file = token_file
        self._session: aiohttp.ClientSession | None = None

    @property
    def configured(self) -> bool:
        return self._url is not None

    async def __aenter__(self) -> "Prometheus":
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=8))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def matrix(
        self, expr: str, start: datetime, end: datetime, step_s: int, timeout_s: float = 20
    ) -> list[dict[str, Any]]:
        """Rows of a range query. Raises Refusal."""
        form = {"query": expr, "start": _unix(start), "end": _unix(end), "step": str(step_s)}
        return _rows(await self._ask("query_range", form, timeout_s))

    async def vector(self, expr: str, at: datetime, timeout_s: float = 20) -> list[dict[str, Any]]:
        """Rows of an instant query, each with `value`; a scalar is one row without labels. Raises Refusal."""
        return _rows(await self._ask("query", {"query": expr, "time": _unix(at)}, timeout_s))

    async def _ask(self, what: str, form: dict[str, str], timeout_s: float) -> dict[str, Any]:
        if self._url is None or self._session is None:
            raise Refusal(CommandStatus.UNAVAILABLE, NOT_CONFIGURED)
        headers = {"Accept": "application/json"}
        if self._token_file is not None:
            token = await asyncio.to_thread(self._token_file.read_text)
            headers["Authorization"] = f"Bearer {token.strip()}"
        try:
            async with self._session.post(
                f"{self._url}/api/v1/{what}", data=form, headers=headers, timeout=aiohttp.ClientTimeout(total=timeout_s)
            ) as answer:
                raw = await answer.content.read(MAX_BODY + 1)
                while len(raw) <= MAX_BODY and (more := await answer.content.read(MAX_BODY + 1 - len(raw))):
                    raw += more
                status = answer.status
        except TimeoutError:
            message = f"Prometheus did not answer within {timeout_s:.0f} s: ask for a shorter range or fewer series."
            raise Refusal(CommandStatus.TIMEOUT, message) from None
        except aiohttp.ClientError as error:
            message = f"Prometheus at {self._url} cannot be reached ({error}): is it running, and is its URL right?"
            raise Refusal(CommandStatus.UNAVAILABLE, message) from error
        if len(raw) > MAX_BODY:
            raise Refusal(CommandStatus.INVALID, "The answer is too long: aggregate by labels, or ask for fewer series.")
        return _data(status, raw)


async def query(command: PromQuery, prometheus: Prometheus, scope: ScopeLimit, now: datetime, timeout_s: float) -> Answer:
    """Raises Refusal. Series of a namespace outside the scope are dropped, whatever the expression was."""
    cut: list[str] = []
    if command.start is None:
        rows = await prometheus.vector(command.expr, command.end or now, timeout_s)
        step = None
    else:
        end = command.end or now
        step, note = choose_step(command.start, end, command.step_s)
        cut += [note] if note else []
        rows = await prometheus.matrix(command.expr, command.start, end, step, timeout_s)
    rows = [row for row in rows if _visible(row, scope)]
    if len(rows) > MAX_SERIES:
        cut.append(f"{MAX_SERIES} of {len(rows):,} series; aggregate or select by labels")
        rows = rows[:MAX_SERIES]
    rows, redacted = safe_tree(rows)
    if not rows:
        return Answer(text=f"No series for {one_line(command.expr)}.\n", empty=True, data={"series": []}, cut="; ".join(cut))
    words = _range_text(rows, step) if step is not None else _instant_text(rows)
    return Answer(text=words, data={"series": rows}, cut="; ".join(cut), redacted=redacted)


def choose_step(start: datetime, end: datetime, wanted: int | None) -> tuple[int, str]:
    """A step (seconds) that gives at most 300 points, and a note when it is coarser than was asked for."""
    span = (end - start).total_seconds()
    if span <= 0:
        raise Refusal(CommandStatus.INVALID, "The range ends before it starts.")
    least = max(1, math.ceil(span / (MAX_POINTS - 1)))
    if wanted is None:
        return max(least, _SMALLEST_STEP_S if span >= _DEFAULT_RANGE.total_seconds() / 2 else least), ""
    if wanted >= least:
        return wanted, ""
    return least, f"one point every {least} s instead of {wanted} s"


def _data(status: int, raw: bytes) -> dict[str, Any]:
    try:
        parsed: Any = orjson.loads(raw)
    except orjson.JSONDecodeError:
        parsed = {}
    if isinstance(parsed, dict):
        body = cast(dict[str, Any], parsed)
        if body.get("status") == "success" and isinstance(body.get("data"), dict):
            return cast(dict[str, Any], body["data"])
        if body.get("status") == "error":
            kind, message = str(body.get("errorType")), str(body.get("error"))
            wrong = kind in ("bad_data", "execution")
            raise Refusal(CommandStatus.INVALID if wrong else CommandStatus.UNAVAILABLE, f"Prometheus: {kind}: {message}")
    hint = " Its token was refused." if status in (401, 403) else ""
    raise Refusal(CommandStatus.UNAVAILABLE, f"What answers at the Prometheus URL is no Prometheus API (HTTP {status}).{hint}")


def _rows(data: dict[str, Any]) -> list[dict[str, Any]]:
    kind, result = data.get("resultType"), data.get("result")
    if kind in ("scalar", "string"):
        return [{"metric": {}, "value": result}]
    return [row for row in cast(list[Any], result or []) if isinstance(row, dict)]


def _visible(row: dict[str, Any], scope: ScopeLimit) -> bool:
    namespace = sub(row, "metric").get("namespace")
    return namespace is None or scope.allows(str(namespace))


def _labels(row: dict[str, Any]) -> str:
    metric = {key: value for key, value in sub(row, "metric").items() if key != "__name__"}
    name = text(row, "metric", "__name__")
    inside = ", ".join(f'{key}="{value}"' for key, value in sorted(metric.items()))
    return f"{name}{{{inside}}}" if inside or not name else name


def _instant_text(rows: list[dict[str, Any]]) -> str:
    return columns(["Series", "Value"], [[_labels(row), number(_float((row.get("value") or [0, "NaN"])[1]))] for row in rows])


def _range_text(rows: list[dict[str, Any]], step: int) -> str:
    table: list[list[Any]] = []
    for row in rows:
        values = [v for v in (_float(pair[1]) for pair in items(row, "values")) if not math.isnan(v)]
        if values:
            table.append(
                [
                    _labels(row),
                    *(number(v) for v in (values[0], min(values), max(values), sum(values) / len(values), values[-1])),
                    len(values),
                ]
            )
    return columns(["Series", "First", "Min", "Max", "Avg", "Last", "Points"], table) + f"One point every {step} s.\n"


def number(value: float) -> str:
    """Six significant digits; whole numbers below 1e15 in full, so that bytes stay exact."""
    if math.isfinite(value) and value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.6g}"


def _float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _unix(moment: datetime) -> str:
    return f"{moment.timestamp():.3f}"
