"""The Prometheus HTTP API: query, query_range, labels, series, build information."""

import math
import time
from datetime import datetime
from typing import Any

import orjson
from starlette.datastructures import ImmutableMultiDict
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from sandbox.promql.evaluate import INTERVAL, Evaluation, Labels, Sample, Value, matches
from sandbox.promql.parser import parse, seconds
from sandbox.promql.series import SeriesSource
from sandbox.promql.syntax import QueryError, Selector

_MAX_STEPS = 11_000
_LOOK_BACK = 3600.0
_CODES = {"bad_data": 400, "execution": 422, "timeout": 503, "unavailable": 503, "not_found": 404}

Fields = dict[str, list[str]]


async def prometheus(series: SeriesSource, request: Request) -> Response:
    """Answer one request under /prometheus; refusals have Prometheus' own shape."""
    path = str(request.path_params["path"]).strip("/")
    if path in ("-/healthy", "-/ready"):
        word = "Healthy" if path == "-/healthy" else "Ready"
        return PlainTextResponse(f"Prometheus Server is {word}.\n", 200 if series.available else 503)
    try:
        if not series.available:
            raise QueryError("the practice cluster's Prometheus was switched off", "unavailable")
        fields = _fields(request.query_params)
        if request.method == "POST":
            form = await request.form()
            for key, value in form.multi_items():
                fields.setdefault(key, []).append(str(value))
        data = _answer(series, path.removeprefix("api/v1/"), fields)
    except QueryError as error:
        body = {"status": "error", "errorType": error.kind, "error": str(error)}
        return _json(body, _CODES.get(error.kind, 422))
    return _json({"status": "success", "data": data})


def _fields(params: ImmutableMultiDict[str, str]) -> Fields:
    found: Fields = {}
    for key, value in params.multi_items():
        found.setdefault(key, []).append(value)
    return found


def _answer(series: SeriesSource, path: str, fields: Fields) -> Any:
    now = time.time()
    match path.split("/"):
        case ["query"]:
            return _query(series, _one(fields, "query"), _moment(fields, "time", now))
        case ["query_range"]:
            return _query_range(series, fields)
        case ["labels"]:
            return sorted({name for labels in _selected(series, fields, now) for name in labels})
        case ["label", name, "values"]:
            return sorted({labels[name] for labels in _selected(series, fields, now) if name in labels})
        case ["series"]:
            if "match[]" not in fields:
                raise QueryError("no match[] parameter provided")
            return _selected(series, fields, now)
        case ["status", "buildinfo"]:
            return {"version": "2.53.0", "revision": "practice", "branch": "practice", "goVersion": "go1.22.4"}
        case ["metadata"] | ["rules"] | ["alerts"]:
            return {} if path == "metadata" else {"groups": []} if path == "rules" else {"alerts": []}
        case _:
            raise QueryError(f"no such endpoint: {path}", "not_found")


def _query(series: SeriesSource, query: str, moment: float) -> Any:
    tree = parse(query)
    evaluation = Evaluation(series, moment)
    if isinstance(tree, Selector) and tree.range:
        rows = [
            {"metric": labels, "values": [[at, _number(value)] for at, value in points]}
            for labels, points in evaluation.matrix(tree)
        ]
        return {"resultType": "matrix", "result": rows}
    value = evaluation.value(tree)
    if isinstance(value, str):
        return {"resultType": "string", "result": [moment, value]}
    if isinstance(value, int | float):
        return {"resultType": "scalar", "result": [moment, _number(value)]}
    _distinct(value)
    rows = [{"metric": sample.labels, "value": [moment, _number(sample.value)]} for sample in value]
    return {"resultType": "vector", "result": rows}


def _query_range(series: SeriesSource, fields: Fields) -> Any:
    start, end = _moment(fields, "start", None), _moment(fields, "end", None)
    step = _step(_one(fields, "step"))
    if end < start:
        raise QueryError('invalid parameter "end": end timestamp must not be before start time')
    if (end - start) / step > _MAX_STEPS:
        raise QueryError(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"
        )
    return {"resultType": "matrix", "result": matrix(series, _one(fields, "query"), start, end, step)}


def matrix(series: SeriesSource, query: str, start: float, end: float, step: float) -> list[Any]:
    """The series of a range query, in the shape of the HTTP API. Raises QueryError."""
    tree = parse(query)
    found: dict[tuple[tuple[str, str], ...], list[Any]] = {}
    for at in range(int((end - start) / step) + 1):
        moment = start + at * step
        value: Value = Evaluation(series, moment).value(tree)
        if isinstance(value, str):
            raise QueryError('invalid expression type "string" for range query, must be Scalar or instant Vector')
        samples = [Sample({}, value)] if isinstance(value, int | float) else value
        _distinct(samples)
        for sample in samples:
            found.setdefault(tuple(sorted(sample.labels.items())), []).append([moment, _number(sample.value)])
    return [{"metric": dict(key), "values": points} for key, points in found.items()]


def _distinct(samples: list[Sample]) -> None:
    keys = {tuple(sorted(sample.labels.items())) for sample in samples}
    if len(keys) != len(samples):
        raise QueryError("vector cannot contain metrics with the same labelset", "execution")


def _selected(series: SeriesSource, fields: Fields, now: float) -> list[Labels]:
    """The label sets of series with a sample in the time asked for, by match[] selectors."""
    selectors = [parse(text) for text in fields.get("match[]", [])]
    if any(not isinstance(selector, Selector) for selector in selectors):
        raise QueryError('invalid parameter "match[]": not a series selector')
    start, end = _moment(fields, "start", now - _LOOK_BACK), _moment(fields, "end", now)
    steps = [end - n * max((end - start) / 20, INTERVAL) for n in range(21)]
    found: list[Labels] = []
    for row in series.select(()):
        wanted = [s for s in selectors if isinstance(s, Selector) and matches(row.labels, s.matchers)]
        if (wanted or not selectors) and any(row.at(t) is not None for t in steps if t >= start):
            found.append(row.labels)
    return found


def _one(fields: Fields, name: str) -> str:
    return fields.get(name, [""])[0]


def _moment(fields: Fields, name: str, default: float | None) -> float:
    said = _one(fields, name)
    if not said and default is not None:
        return default
    try:
        return float(said)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(said).timestamp()
    except ValueError as error:
        raise QueryError(f'invalid parameter "{name}": cannot parse "{said}" to a valid timestamp') from error


def _step(said: str) -> float:
    try:
        step = float(said)
    except ValueError:
        try:
            step = seconds(said)
        except QueryError as error:
            raise QueryError(f'invalid parameter "step": cannot parse "{said}" to a valid duration') from error
    if step <= 0:
        raise QueryError(
            'invalid parameter "step": zero or negative query resolution step widths are not accepted. Try a positive integer'
        )
    return step


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def _json(value: Any, code: int = 200) -> Response:
    return Response(orjson.dumps(value), code, media_type="application/json")
