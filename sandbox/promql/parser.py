"""From PromQL text to a tree, by precedence climbing. Refusals are QueryErrors in Prometheus' tone."""

import re
from dataclasses import dataclass

from sandbox.promql.functions import FUNCTIONS
from sandbox.promql.syntax import (
    AGGREGATIONS,
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

_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
    |(?P<duration>(?:\d+(?:ms|[smhdwy]))+)
    |(?P<number>0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)
    |(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
    |(?P<op>=~|!~|==|!=|>=|<=|[-+*/%^()\[\]{},=<>@:])""",
    re.VERBOSE,
)
_DURATION = re.compile(r"(\d+)(ms|[smhdwy])")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
_LEVELS: tuple[tuple[str, ...], ...] = (("or",), ("and", "unless"), COMPARISONS, ("+", "-"), ("*", "/", "%"), ("^",))
_MAX_DEPTH = 60


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    at: int


def parse(query: str) -> Node:
    """The tree of a query. Raises QueryError."""
    if not query.strip():
        raise QueryError('invalid parameter "query": unknown position: parse error: no expression found in input')
    parser = _Parser(_tokens(query))
    tree = parser.expression(0)
    parser.expect("end")
    return tree


def seconds(text: str) -> float:
    """Seconds of a PromQL duration such as 5m or 1h30m. Raises QueryError."""
    parts = _DURATION.findall(text)
    if not parts or "".join(n + u for n, u in parts) != text:
        raise QueryError(f'not a valid duration string: "{text}"')
    return sum(int(n) * _SECONDS[u] for n, u in parts)


def _tokens(query: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    while at < len(query):
        match = _TOKEN.match(query, at)
        if match is None:
            raise _error(at, f"unexpected character: {query[at]!r}")
        if match.lastgroup != "space":
            found.append(_Token(str(match.lastgroup), match[0], at))
        at = match.end()
    return [*found, _Token("end", "end of input", at)]


def _error(at: int, message: str) -> QueryError:
    return QueryError(f'invalid parameter "query": 1:{at + 1}: parse error: {message}')


class _Parser:
    def __init__(self, tokens: list[_Token]) -> None:
        self.tokens = tokens
        self.at = 0
        self.depth = 0

    @property
    def now(self) -> _Token:
        return self.tokens[self.at]

    def take(self) -> _Token:
        token = self.now
        self.at = min(self.at + 1, len(self.tokens) - 1)
        return token

    def sees(self, text: str) -> bool:
        token = self.now
        return token.kind in ("op", "name") and token.text.lower() == text

    def accept(self, text: str) -> bool:
        if self.sees(text):
            self.take()
            return True
        return False

    def expect(self, what: str) -> _Token:
        token = self.now
        if token.kind == what or (token.kind in ("op", "name") and token.text == what):
            return self.take()
        said = token.text if token.kind == "end" else f'"{token.text}"'
        raise _error(token.at, f"unexpected {said}, expected {what}" if what != "end" else f"unexpected {said}")

    def expression(self, level: int) -> Node:
        self.depth += 1
        if self.depth > _MAX_DEPTH * len(_LEVELS):
            raise _error(self.now.at, "expression is nested too deeply")
        tree = self._level(level)
        self.depth -= 1
        return tree

    def _level(self, level: int) -> Node:
        if level == len(_LEVELS):
            return self.unary()
        left = self.expression(level + 1)
        while (op := self.now.text.lower()) in _LEVELS[level] and self.now.kind in ("op", "name"):
            at = self.take().at
            boolean = op in COMPARISONS and self.accept("bool")
            matching = self.matching(op)
            right = self.expression(level if op == "^" else level + 1)
            if op in COMPARISONS and not boolean and isinstance(left, Number) and isinstance(right, Number):
                raise _error(at, "comparisons between scalars must use BOOL modifier")
            left = Binary(op, left, right, boolean, matching)
        return left

    def matching(self, op: str) -> Matching:
        on = self.sees("on")
        if not on and not self.sees("ignoring"):
            return Matching()
        self.take()
        labels = self.names()
        group = ""
        include: tuple[str, ...] = ()
        for word in ("group_left", "group_right"):
            if self.sees(word):
                if op in SETS:
                    raise _error(self.now.at, f'no grouping allowed for "{op}" operation')
                group = self.take().text.lower()
                include = self.names() if self.sees("(") else ()
        return Matching(on, labels, group, include)

    def names(self) -> tuple[str, ...]:
        self.expect("(")
        found: list[str] = []
        while not self.sees(")"):
            found.append(self.expect("name").text)
            if not self.accept(","):
                break
        self.expect(")")
        return tuple(found)

    def unary(self) -> Node:
        if self.accept("-"):
            inner = self.expression(len(_LEVELS) - 1)
            return Number(-inner.value) if isinstance(inner, Number) else Negative(inner)
        if self.accept("+"):
            return self.expression(len(_LEVELS) - 1)
        return self.suffixed(self.primary())

    def primary(self) -> Node:
        token = self.now
        if token.kind == "number":
            self.take()
            return Number(float(int(token.text, 16)) if token.text[:2] in ("0x", "0X") else float(token.text))
        if token.kind == "string":
            return Text(self.string())
        if self.accept("("):
            inner = self.expression(0)
            self.expect(")")
            return inner
        if token.kind == "op" and token.text == "{":
            return self.selector("")
        if token.kind != "name":
            raise _error(token.at, f"unexpected {token.text if token.kind == 'end' else repr(token.text)}")
        self.take()
        word = token.text.lower()
        if word in ("inf", "nan") and not self.sees("("):
            return Number(float(word))
        if word in AGGREGATIONS and (self.sees("(") or self.sees("by") or self.sees("without")):
            return self.aggregate(word)
        if self.sees("("):
            return self.call(token)
        return self.selector(token.text)

    def string(self) -> str:
        raw = self.expect("string").text
        if raw[0] == "`":
            return raw[1:-1]
        return re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t"}.get(m[1], m[1]), raw[1:-1])

    def call(self, token: _Token) -> Node:
        if token.text not in FUNCTIONS:
            raise _error(token.at, f"unknown function with name {token.text!r}".replace("'", '"'))
        args = self.arguments()
        least, most = FUNCTIONS[token.text].arity
        if not least <= len(args) <= most:
            raise _error(token.at, f'expected {least} argument(s) in call to "{token.text}", got {len(args)}')
        return Call(token.text, args)

    def arguments(self) -> tuple[Node, ...]:
        self.expect("(")
        found: list[Node] = []
        while not self.sees(")"):
            found.append(self.expression(0))
            if not self.accept(","):
                break
        self.expect(")")
        return tuple(found)

    def aggregate(self, op: str) -> Node:
        at = self.now.at
        labels, without = self.grouping()
        args = self.arguments()
        if not labels and not without:
            labels, without = self.grouping()
        wanted = 2 if op in ("topk", "bottomk", "quantile") else 1
        if len(args) != wanted:
            raise _error(at, f"wrong number of arguments for aggregate expression provided, expected {wanted}, got {len(args)}")
        return Aggregate(op, args[-1], labels, without, args[0] if wanted == 2 else None)

    def grouping(self) -> tuple[tuple[str, ...], bool]:
        if self.accept("by"):
            return self.names(), False
        if self.accept("without"):
            return self.names(), True
        return (), False

    def selector(self, name: str) -> Node:
        matchers = [Matcher("__name__", "=", name)] if name else []
        if self.accept("{"):
            while not self.sees("}"):
                label = self.expect("name").text
                op = self.take()
                if op.text not in ("=", "!=", "=~", "!~"):
                    raise _error(op.at, f'unexpected "{op.text}" in label matching, expected one of "=", "!=", "=~" or "!~"')
                value = self.string()
                if op.text in ("=~", "!~"):
                    try:
                        re.compile(value)
                    except re.error as error:
                        raise _error(op.at, f"error parsing regexp: {error}") from error
                matchers.append(Matcher(label, op.text, value))
                if not self.accept(","):
                    break
            self.expect("}")
        if all(m.op in ("!=", "!~") or m.value == "" or (m.op == "=~" and re.fullmatch(m.value, "")) for m in matchers):
            raise _error(self.now.at, "vector selector must contain at least one non-empty matcher")
        return Selector(tuple(matchers))

    def suffixed(self, tree: Node) -> Node:
        if self.sees("["):
            at = self.take().at
            span = seconds(self.expect("duration").text)
            if self.now.text.startswith(":"):
                raise _error(at, "the practice cluster's Prometheus has no subqueries")
            self.expect("]")
            if not isinstance(tree, Selector):
                raise _error(at, "ranges only allowed for vector selectors")
            tree = Selector(tree.matchers, span, tree.offset)
        if self.accept("offset"):
            sign = -1 if self.accept("-") else 1
            offset = sign * seconds(self.expect("duration").text)
            if not isinstance(tree, Selector):
                raise _error(self.now.at, "offset modifier must be preceded by an instant or range selector")
            tree = Selector(tree.matchers, tree.range, offset)
        if self.sees("@"):
            raise _error(self.now.at, "the practice cluster's Prometheus has no @ modifier")
        return tree
