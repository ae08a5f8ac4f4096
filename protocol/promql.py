"""May a PromQL expression be asked by somebody who may see only some namespaces?

A lexer and a walk over its tokens, not a parser: it recognises every place where series are selected and asks that each
carries a matcher that pins `namespace` to allowed values. What it does not recognise is refused, so a dialect's extension
(`or` in a selector, WITH templates) can't open a way around. Linear in the expression.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<comment>\#[^\n]*)
    |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)
    |(?P<number>(?:0[xX][0-9a-fA-F]+|(?:[0-9][0-9_]*(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?:[a-zA-Z]+(?:[0-9]+[a-z]+)*)?)
    |(?P<ident>[A-Za-z_][A-Za-z0-9_:]*)
    |(?P<op>=~|!~|==|!=|>=|<=|[-+*/%^=<>(){},@])
    |(?P<range>\[[^\]\[{}"'`\#]*\])""",
    re.VERBOSE,
)

_GROUPING = frozenset(("by", "without", "on", "ignoring", "group_left", "group_right"))
_OPERATORS = frozenset(("and", "or", "unless", "atan2", "bool", "offset"))
_COMPARISONS = frozenset(("==", "!=", ">=", "<=", ">", "<"))
_NUMBERS = frozenset(("inf", "nan"))
_FUNCTION_NAMES = """
sum avg count min max group stddev stdvar topk bottomk count_values quantile limitk limit_ratio
abs absent absent_over_time acos acosh asin asinh atan atanh avg_over_time ceil changes clamp clamp_max clamp_min cos
cosh count_over_time day_of_month day_of_week day_of_year days_in_month deg delta deriv double_exponential_smoothing exp
first_over_time floor histogram_avg histogram_count histogram_fraction histogram_quantile histogram_stddev
histogram_stdvar histogram_sum holt_winters hour idelta increase irate label_join label_replace last_over_time ln log10
log2 mad_over_time max_over_time min_over_time minute month pi predict_linear present_over_time quantile_over_time rad
rate resets round scalar sgn sin sinh sort sort_by_label sort_by_label_desc sort_desc sqrt stddev_over_time
stdvar_over_time sum_over_time tan tanh time timestamp vector year ts_of_max_over_time ts_of_min_over_time
start end step
"""
FUNCTIONS = frozenset(re.findall(r"\S+", _FUNCTION_NAMES))
"""`info` is not among them: it joins labels of series that the expression does not name."""

_LITERAL = re.compile(r"[a-z0-9-]+")
_ALTERNATIVES = re.compile(r"\(?[a-z0-9-]+(?:\|[a-z0-9-]+)*\)?")


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str


class NotConfined(ValueError):
    """The expression reaches, or may reach, series outside the namespaces. The message says which part."""


def confine(expression: str, namespaces: Collection[str]) -> None:
    """Raises NotConfined unless every vector selector pins `namespace` to one of `namespaces`."""
    tokens = _lex(expression)
    at = 0
    selectors = 0
    while at < len(tokens):
        token = tokens[at]
        following = tokens[at + 1].text if at + 1 < len(tokens) else ""
        if token.text == "{" and token.kind == "op":
            at = _selector(tokens, at, namespaces, "{...}")
            selectors += 1
        elif token.kind == "ident" and following == "{":
            at = _selector(tokens, at + 1, namespaces, token.text)
            selectors += 1
        elif token.kind == "ident":
            at = _word(tokens, at, following)
        else:
            _refuse_misplaced(tokens, at)
            at += 1


def shut_exported(expression: str, namespaces: Collection[str]) -> str:
    """The same expression, for series that name another namespace than their exporter's.

    A scrape that does not honour labels (kube-state-metrics by default settings of many charts) puts the exporter's namespace
    into `namespace`, and that of the measured object into `exported_namespace`. Each selector gets a matcher that lets through
    what has none, or an allowed one. For expressions that `confine` accepts; raises NotConfined as it does.
    """
    confine(expression, namespaces)
    allowed = "|".join(["", *sorted(namespaces)])
    return with_matchers(expression, f'exported_namespace=~"{allowed}"')


def with_matchers(expression: str, matchers: str) -> str:
    """The expression with `matchers` added to every selector of it. Raises NotConfined for what is not understood: a selector
    that was overlooked would answer for more than was meant."""
    tokens = _lex(expression)
    written: list[str] = []
    at = 0
    while at < len(tokens):
        token, following = tokens[at], tokens[at + 1].text if at + 1 < len(tokens) else ""
        word = token.text.lower() if token.kind == "ident" else ""
        end = at + 1
        if token.text == "{" and token.kind == "op":
            end, _ = _braces(tokens, at, "{...}")
            comma = "" if tokens[end - 2].text in ("{", ",") else ","
            written += [*(one.text for one in tokens[at : end - 1]), f"{comma}{matchers}", "}"]
        elif word in _GROUPING and following == "(":
            end = _grouping(tokens, at + 2)
            written += [one.text for one in tokens[at:end]]
        else:
            _refuse_misplaced(tokens, at)
            if word == "info" and following == "(":
                raise NotConfined("the function 'info' joins series that the expression does not name")
            written.append(token.text)
            if word and _is_bare_metric(token, following):
                written.append(f"{{{matchers}}}")
        at = end
    return " ".join(written)


def _is_bare_metric(token: Token, following: str) -> bool:
    """A name that is neither an operator nor a function nor followed by its own braces."""
    word = token.text.lower()
    if following in ("{", "("):
        return False
    grouped = following.lower() in ("by", "without") and word in FUNCTIONS
    return not grouped and word not in _OPERATORS and word not in _NUMBERS and word not in _GROUPING


def _refuse_misplaced(tokens: list[Token], at: int) -> None:
    """Raises NotConfined for a sign or keyword where PromQL has none: servers take a keyword there for the name of a metric."""
    token, before = tokens[at], tokens[at - 1] if at else Token("op", "(")
    word = token.text.lower()
    fits = True
    if token.kind == "op":
        fits = token.text not in ("}", "=~", "!~", "=")
    elif token.kind != "ident":
        return
    elif word == "bool":
        fits = before.text in _COMPARISONS
    elif word in _OPERATORS:
        fits = before.kind in ("number", "string", "range") or before.text in (")", "}") or _is_name(before)
    elif word in ("group_left", "group_right"):
        fits = before.text == ")"
    elif word in _GROUPING:
        fits = at + 1 < len(tokens) and tokens[at + 1].text == "("
    if not fits:
        raise NotConfined(f"{token.text!r} is not where PromQL has it")


def _is_name(token: Token) -> bool:
    return token.kind == "ident" and token.text.lower() not in _OPERATORS | _GROUPING


def _lex(expression: str) -> list[Token]:
    tokens: list[Token] = []
    at = 0
    while at < len(expression):
        match = _TOKEN.match(expression, at)
        if match is None or match.lastgroup is None:
            raise NotConfined(f"{expression[at : at + 20]!r} is not understood here")
        if match.lastgroup not in ("space", "comment"):
            tokens.append(Token(match.lastgroup, match.group()))
        at = match.end()
    return tokens


def _word(tokens: list[Token], at: int, following: str) -> int:
    """An identifier without braces: a grouping clause, an operator, a function, or a metric without matchers."""
    word = tokens[at].text.lower()
    _refuse_misplaced(tokens, at)
    if word in _GROUPING and following == "(":
        return _grouping(tokens, at + 2)
    if word in _OPERATORS or word in _NUMBERS or word in ("group_left", "group_right"):
        return at + 1
    if word in FUNCTIONS and (following == "(" or (following.lower() in ("by", "without") and _aggregates(tokens, at))):
        return at + 1
    if following == "(":
        raise NotConfined(f"the function {tokens[at].text!r} is not known")
    raise NotConfined(f"{tokens[at].text!r} has no namespace matcher")


def _aggregates(tokens: list[Token], at: int) -> bool:
    """`sum by (x) (...)`: the clause between an aggregation and its argument."""
    return at + 2 < len(tokens) and tokens[at + 2].text == "("


def _grouping(tokens: list[Token], at: int) -> int:
    """Label names up to the closing parenthesis."""
    while at < len(tokens):
        token = tokens[at]
        at += 1
        if token.text == ")" and token.kind == "op":
            return at
        if token.kind not in ("ident", "string") and token.text != ",":
            raise NotConfined(f"{token.text!r} is not a label name")
    raise NotConfined("a parenthesis is not closed")


def _selector(tokens: list[Token], at: int, namespaces: Collection[str], metric: str) -> int:
    """From the opening brace to behind the closing one."""
    end, matchers = _braces(tokens, at, metric)
    if not any(name == "namespace" and _pins(operator, value, namespaces) for name, operator, value in matchers):
        raise NotConfined(f"{metric!r} has no namespace matcher")
    return end


def _braces(tokens: list[Token], at: int, metric: str) -> tuple[int, list[tuple[str, str, str]]]:
    """Where they end, and the matchers in them: only `label op "value"` and a quoted metric name, with commas."""
    at += 1
    matchers: list[tuple[str, str, str]] = []
    while at < len(tokens):
        if _is(tokens, at, "}"):
            return at + 1, matchers
        first = tokens[at]
        if first.kind == "string" and (_is(tokens, at + 1, ",") or _is(tokens, at + 1, "}")):
            at += 1
        elif first.kind in ("ident", "string") and at + 2 < len(tokens) and tokens[at + 2].kind == "string":
            operator = tokens[at + 1].text
            if operator not in ("=", "!=", "=~", "!~"):
                raise NotConfined(f"{operator!r} is not a matcher")
            name = first.text[1:-1] if first.kind == "string" else first.text
            matchers.append((name, operator, tokens[at + 2].text[1:-1]))
            at += 3
        else:
            raise NotConfined(f"{first.text!r} in the braces of {metric!r} is not a matcher")
        if _is(tokens, at, ","):
            at += 1
        elif not _is(tokens, at, "}"):
            raise NotConfined(f"the matchers of {metric!r} are not separated by commas")
    raise NotConfined(f"the braces of {metric!r} are not closed")


def _is(tokens: list[Token], at: int, text: str) -> bool:
    return at < len(tokens) and tokens[at].kind == "op" and tokens[at].text == text


def _pins(operator: str, value: str, namespaces: Collection[str]) -> bool:
    """Values are compared as they are written: one with an escape matches no namespace."""
    if operator == "=":
        return _LITERAL.fullmatch(value) is not None and value in namespaces
    if operator == "=~" and _ALTERNATIVES.fullmatch(value) and value.startswith("(") == value.endswith(")"):
        return all(name in namespaces for name in value.strip("()").split("|"))
    return False
