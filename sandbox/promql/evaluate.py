"""Evaluates a PromQL tree at a moment, against anything that can select series."""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from sandbox.promql.functions import FUNCTIONS, Points
from sandbox.promql.syntax import (
    COMPARISONS,
    SETS,
    Aggregate,
    Binary,
    Call,
    Matcher,
    Matching,
    Negative,
    Node,
    Number,
    QueryError,
    Selector,
    Text,
)

Labels = dict[str, str]
NAME = "__name__"
INTERVAL = 15.0
_MAX_POINTS = 200_000


@dataclass(frozen=True)
class Series:
    """One time series; `at` gives its value at a moment, None where it has none."""

    labels: Labels
    at: Callable[[float], float | None]


class Source(Protocol):
    def select(self, matchers: tuple[Matcher, ...]) -> Iterable[Series]: ...


@dataclass(frozen=True)
class Sample:
    labels: Labels
    value: float


Value = float | str | list[Sample]


def matches(labels: Labels, matchers: Iterable[Matcher]) -> bool:
    """Do the labels fulfil all matchers? An absent label is ''."""
    for matcher in matchers:
        have = labels.get(matcher.label, "")
        equal = matcher.op in ("=", "!=")
        holds = have == matcher.value if equal else re.fullmatch(matcher.value, have) is not None
        if holds == matcher.op.startswith("!"):
            return False
    return True


class Evaluation:
    """One query at one moment."""

    def __init__(self, source: Source, moment: float) -> None:
        self.source = source
        self.moment = moment

    def value(self, node: Node) -> Value:
        """A scalar, a string or an instant vector. Raises QueryError."""
        match node:
            case Number(value):
                return value
            case Text(value):
                return value
            case Selector():
                if node.range:
                    raise QueryError('invalid expression type "range vector" for range query, must be Scalar or instant Vector')
                return self._instant(node)
            case Negative(expr):
                inner = self.value(expr)
                if isinstance(inner, str):
                    raise QueryError("unary expression only allowed on expressions of type scalar or instant vector")
                if isinstance(inner, int | float):
                    return -inner
                return [Sample(_unnamed(s.labels), -s.value) for s in inner]
            case Call():
                return self._call(node)
            case Aggregate():
                return self._aggregate(node)
            case Binary():
                return self._binary(node)

    def matrix(self, node: Selector) -> list[tuple[Labels, Points]]:
        """The raw samples of a range selector, at the scrape times within it."""
        end = self.moment - node.offset
        first = math.floor((end - node.range) / INTERVAL) + 1
        last = math.floor(end / INTERVAL)
        if last - first > _MAX_POINTS:
            raise QueryError("query processing would load too many samples into memory in query execution", "execution")
        found: list[tuple[Labels, Points]] = []
        for series in self.source.select(node.matchers):
            points = [
                (step * INTERVAL, value) for step in range(first, last + 1) if (value := series.at(step * INTERVAL)) is not None
            ]
            if points:
                found.append((series.labels, points))
        return found

    def _instant(self, node: Selector) -> list[Sample]:
        moment = self.moment - node.offset
        return [
            Sample(series.labels, value)
            for series in self.source.select(node.matchers)
            if (value := series.at(moment)) is not None
        ]

    def _vector(self, node: Node, what: str) -> list[Sample]:
        value = self.value(node)
        if not isinstance(value, list):
            raise QueryError(f"expected type instant vector in {what}, got {'string' if isinstance(value, str) else 'scalar'}")
        return value

    def _scalar(self, node: Node, what: str) -> float:
        value = self.value(node)
        if not isinstance(value, float):
            raise QueryError(f"expected type scalar in {what}")
        return value

    def _call(self, node: Call) -> Value:
        function = FUNCTIONS[node.name]
        if function.kind == "range" and function.of_range is not None:
            selector = node.args[0]
            if not isinstance(selector, Selector) or not selector.range:
                raise QueryError(
                    'invalid parameter "query": parse error: expected type range vector in call to '
                    f'function "{node.name}", got instant vector'
                )
            end = self.moment - selector.offset
            made = [(labels, function.of_range(points, end - selector.range, end)) for labels, points in self.matrix(selector)]
            return [Sample(_unnamed(labels), value) for labels, value in made if value is not None]
        if function.of_value is not None:
            extra = [self._scalar(arg, f'call to function "{node.name}"') for arg in node.args[1:]]
            vector = self._vector(node.args[0], f'call to function "{node.name}"')
            return [Sample(_unnamed(s.labels), function.of_value([s.value, *extra])) for s in vector]
        return self._special(node)

    def _special(self, node: Call) -> Value:
        if node.name == "time":
            return self.moment
        if node.name == "vector":
            return [Sample({}, self._scalar(node.args[0], "vector()"))]
        if node.name == "label_replace":
            return self._label_replace(node)
        if node.name == "histogram_quantile":
            return _histogram(
                self._scalar(node.args[0], "histogram_quantile()"), self._vector(node.args[1], "histogram_quantile()")
            )
        vector = self._vector(node.args[0], f'call to function "{node.name}"')
        if node.name == "scalar":
            return vector[0].value if len(vector) == 1 else math.nan
        if node.name == "absent":
            first = node.args[0]
            labels = (
                {m.label: m.value for m in first.matchers if m.op == "=" and m.label != NAME}
                if isinstance(first, Selector)
                else {}
            )
            return [] if vector else [Sample(labels, 1.0)]
        return sorted(vector, key=lambda s: s.value, reverse=node.name == "sort_desc")

    def _label_replace(self, node: Call) -> list[Sample]:
        words = [self.value(arg) for arg in node.args[1:]]
        target, replacement, source, pattern = (word if isinstance(word, str) else "" for word in words)
        try:
            expression = re.compile(pattern)
        except re.error as error:
            raise QueryError(f"invalid regular expression in label_replace(): {pattern}") from error
        result: list[Sample] = []
        for sample in self._vector(node.args[0], "label_replace()"):
            found = expression.fullmatch(sample.labels.get(source, ""))
            labels = dict(sample.labels)
            if found is not None:
                labels[target] = found.expand(re.sub(r"\$\{?(\w+)\}?", r"\\g<\1>", replacement))
                if not labels[target]:
                    del labels[target]
            result.append(Sample(labels, sample.value))
        return result

    def _aggregate(self, node: Aggregate) -> list[Sample]:
        groups: dict[tuple[tuple[str, str], ...], list[Sample]] = {}
        for sample in self._vector(node.expr, f"aggregation {node.op}"):
            drop = {NAME, *node.labels} if node.without else set(sample.labels) - set(node.labels)
            key = tuple(sorted((k, v) for k, v in sample.labels.items() if k not in drop))
            groups.setdefault(key, []).append(sample)
        parameter = self._scalar(node.parameter, node.op) if node.parameter is not None else 0.0
        result: list[Sample] = []
        for key, samples in groups.items():
            if node.op in ("topk", "bottomk"):
                ranked = sorted(samples, key=lambda s: s.value, reverse=node.op == "topk")
                result += ranked[: max(int(parameter), 0)]
            else:
                result.append(Sample(dict(key), _reduced(node.op, [s.value for s in samples], parameter)))
        return result

    def _binary(self, node: Binary) -> Value:
        left, right = self.value(node.left), self.value(node.right)
        if isinstance(left, str) or isinstance(right, str):
            raise QueryError("binary expression must contain only scalar and instant vector types")
        if isinstance(left, float) and isinstance(right, float):
            if node.op in SETS:
                raise QueryError(f'set operator "{node.op}" not allowed in binary scalar expression')
            return _computed(node.op, left, right)
        if isinstance(left, list) and isinstance(right, list):
            if node.op in SETS:
                return _set(node.op, left, right, node.matching)
            return _joined(node, left, right)
        if node.op in SETS:
            raise QueryError(f'set operator "{node.op}" not allowed in binary scalar expression')
        return _with_scalar(node, left, right)


def _with_scalar(node: Binary, left: float | list[Sample], right: float | list[Sample]) -> list[Sample]:
    result: list[Sample] = []
    vector = left if isinstance(left, list) else right
    for sample in vector if isinstance(vector, list) else []:
        a = left if isinstance(left, float) else sample.value
        b = right if isinstance(right, float) else sample.value
        value = _computed(node.op, a, b)
        if node.op in COMPARISONS and not node.boolean:
            if value:
                result.append(sample)
            continue
        result.append(Sample(_unnamed(sample.labels), value))
    return result


def _joined(node: Binary, left: list[Sample], right: list[Sample]) -> list[Sample]:
    matching = node.matching
    many, one = (right, left) if matching.group == "group_right" else (left, right)
    table: dict[tuple[tuple[str, str], ...], Sample] = {}
    for sample in one:
        key = _signature(sample.labels, matching)
        if key in table:
            raise QueryError(
                "found duplicate series for the match group "
                f"{dict(key)} on the {'left' if one is left else 'right'} hand-side of the operation;"
                "many-to-many matching not allowed: matching labels must be unique on one side",
                "execution",
            )
        table[key] = sample
    result: list[Sample] = []
    used: set[tuple[tuple[str, str], ...]] = set()
    for sample in many:
        key = _signature(sample.labels, matching)
        partner = table.get(key)
        if partner is None:
            continue
        if not matching.group and key in used:
            raise QueryError(
                "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)", "execution"
            )
        used.add(key)
        a, b = (sample, partner) if many is left else (partner, sample)
        value = _computed(node.op, a.value, b.value)
        if node.op in COMPARISONS and not node.boolean:
            if value:
                result.append(a)
            continue
        result.append(Sample(_join_labels(sample, partner, matching, key), value))
    return result


def _join_labels(many: Sample, one: Sample, matching: Matching, key: tuple[tuple[str, str], ...]) -> Labels:
    if not matching.group:
        return dict(key)
    labels = _unnamed(many.labels)
    for name in matching.include:
        if name in one.labels:
            labels[name] = one.labels[name]
    return labels


def _signature(labels: Labels, matching: Matching) -> tuple[tuple[str, str], ...]:
    if matching.on:
        return tuple(sorted((k, labels.get(k, "")) for k in matching.labels))
    return tuple(sorted((k, v) for k, v in labels.items() if k != NAME and k not in matching.labels))


def _set(op: str, left: list[Sample], right: list[Sample], matching: Matching) -> list[Sample]:
    there = {_signature(s.labels, matching) for s in right}
    if op == "and":
        return [s for s in left if _signature(s.labels, matching) in there]
    if op == "unless":
        return [s for s in left if _signature(s.labels, matching) not in there]
    here = {_signature(s.labels, matching) for s in left}
    return left + [s for s in right if _signature(s.labels, matching) not in here]


def _computed(op: str, a: float, b: float) -> float:
    if op in COMPARISONS:
        holds = {"==": a == b, "!=": a != b, ">": a > b, "<": a < b, ">=": a >= b, "<=": a <= b}[op]
        return 1.0 if holds else 0.0
    if op in ("/", "%") and b == 0:
        return math.nan if a == 0 or op == "%" else math.copysign(math.inf, a)
    try:
        return float(
            {
                "+": lambda: a + b,
                "-": lambda: a - b,
                "*": lambda: a * b,
                "/": lambda: a / b,
                "%": lambda: math.fmod(a, b),
                "^": lambda: math.pow(a, b),
            }[op]()
        )
    except (OverflowError, ValueError):
        return math.nan


def _reduced(op: str, values: list[float], parameter: float) -> float:
    if op == "quantile":
        ranked = sorted(values)
        rank = max(min(parameter, 1.0), 0.0) * (len(ranked) - 1)
        low = math.floor(rank)
        high = min(low + 1, len(ranked) - 1)
        return ranked[low] + (ranked[high] - ranked[low]) * (rank - low)
    mean = sum(values) / len(values)
    return {
        "sum": lambda: sum(values),
        "avg": lambda: mean,
        "max": lambda: max(values),
        "min": lambda: min(values),
        "count": lambda: float(len(values)),
        "group": lambda: 1.0,
        "stddev": lambda: math.sqrt(sum((v - mean) ** 2 for v in values) / len(values)),
    }[op]()


def _histogram(quantile: float, vector: list[Sample]) -> list[Sample]:
    groups: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
    for sample in vector:
        key = tuple(sorted((k, v) for k, v in sample.labels.items() if k not in (NAME, "le")))
        bound = sample.labels.get("le", "").replace("+Inf", "inf")
        groups.setdefault(key, []).append((float(bound or "nan"), sample.value))
    result: list[Sample] = []
    for key, buckets in groups.items():
        buckets.sort()
        total = buckets[-1][1]
        if not math.isinf(buckets[-1][0]) or total <= 0:
            result.append(Sample(dict(key), math.nan))
            continue
        rank, below, low = quantile * total, 0.0, 0.0
        for bound, count in buckets:
            if count >= rank:
                if math.isinf(bound):
                    bound = low
                share = (rank - below) / (count - below) if count > below else 0.0
                result.append(Sample(dict(key), low + (bound - low) * share))
                break
            below, low = count, bound
    return result


def _unnamed(labels: Labels) -> Labels:
    return {k: v for k, v in labels.items() if k != NAME}
