"""An answer of the Prometheus HTTP API, read: its data, what it left out, or why there is none. Pure."""

from dataclasses import dataclass
from typing import Any, cast

import orjson

from knowledge.diagnosis.fields import items
from protocol.commands import CommandStatus
from protocol.text import one_line
from runner.commands.answer import Refusal

_WRONG_CALL = frozenset({"bad_data", "execution", "422", "400"})
_MOST_WARNINGS = 3


class NoApi(Refusal):
    """Something answered that does not speak this API here: another base path may."""


@dataclass(frozen=True, slots=True)
class Reading:
    """`limits`: what the server says is missing, in words for people."""

    data: Any
    limits: tuple[str, ...] = ()

    def rows(self) -> list[dict[str, Any]]:
        """Series of a matrix or vector; a scalar is one row without labels. What is no series is left out."""
        data = cast(dict[str, Any], self.data) if isinstance(self.data, dict) else {}
        result: Any = data.get("result")
        if not isinstance(result, list):
            return []
        if data.get("resultType") in ("scalar", "string"):
            return [{"metric": {}, "value": result}]
        return [row for row in cast(list[Any], result) if _is_series(row)]


def _is_series(row: Any) -> bool:
    if not isinstance(row, dict):
        return False
    series = cast(dict[str, Any], row)
    sample: Any = series.get("value") or [0, "NaN"]
    return isinstance(series.get("metric", {}), dict) and isinstance(sample, list) and len(cast(list[Any], sample)) == 2


def read(status: int, raw: bytes) -> Reading:
    """Raises Refusal, with the server's own words; NoApi for what is no Prometheus API."""
    body = _object(raw)
    if body.get("status") == "success" and body.get("data") is not None:
        return Reading(body["data"], tuple(_limits(body)))
    if body.get("status") == "error":
        kind, message = str(body.get("errorType") or status), one_line(str(body.get("error") or ""), 1000)
        wrong = kind in _WRONG_CALL
        raise Refusal(CommandStatus.INVALID if wrong else CommandStatus.UNAVAILABLE, f"Prometheus: {kind}: {message}")
    text = one_line(raw[:300].decode("utf-8", "replace"), 200)
    if status == 401 and "org id" in text.lower():
        raise Refusal(CommandStatus.UNAVAILABLE, "The metrics server wants a tenant: set OPSTHREAD_RUNNER_PROMETHEUS_TENANT.")
    if status in (401, 403):
        message = f"The metrics server refused the runner's credentials (HTTP {status})."
        raise Refusal(CommandStatus.UNAVAILABLE, message)
    if status in (429, 502, 503, 504):
        raise Refusal(CommandStatus.UNAVAILABLE, f"The metrics server answers HTTP {status} now: {text}")
    raise NoApi(CommandStatus.UNAVAILABLE, f"What answers at the metrics URL is no Prometheus API (HTTP {status}).")


def _limits(body: dict[str, Any]) -> list[str]:
    """Thanos and Prometheus say `warnings`, VictoriaMetrics says `isPartial`."""
    warnings = [one_line(str(item), 200) for item in items(body, "warnings")]
    said = [f"the metrics server warns: {warning}" for warning in warnings[:_MOST_WARNINGS]]
    if len(warnings) > _MOST_WARNINGS:
        said.append(f"the metrics server has {len(warnings) - _MOST_WARNINGS} more warnings")
    if body.get("isPartial") is True:
        said.append("the metrics server answered in part: some of its storage does not answer")
    return said


def _object(raw: bytes) -> dict[str, Any]:
    try:
        parsed: Any = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}
    return cast(dict[str, Any], parsed) if isinstance(parsed, dict) else {}
