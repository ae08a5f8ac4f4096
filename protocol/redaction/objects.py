"""The data of objects of kind Secret, in YAML and in JSON, also when that JSON is escaped inside another string.

`kind` comes behind `data` in sorted output, so each walk keeps the values of a mapping until the mapping ends.
"""

import re
from dataclasses import dataclass, field

from protocol.redaction.mark import MARK, Span

_MENTIONED = re.compile(r"""kind\\{0,7}["']?[ \t]{0,4}:[ \t]{0,4}\\{0,7}["']?Secret(?:List)?\b""")
_FIELDS = ("data", "stringData")
_LEVELS = 4
"""How deeply JSON may be escaped inside JSON."""


def secret_values(text: str) -> list[Span]:
    """Where the values of every Secret's data and stringData are, in order."""
    if _MENTIONED.search(text) is None:
        return []
    spans = _in_yaml(text)
    for level in range(_LEVELS):
        escapes = "\\" * (2**level - 1)
        if f'kind{escapes}"' in text:
            spans += _in_json(text, level)
    found: list[Span] = []
    for span in sorted(set(spans)):
        if not found or span[0] >= found[-1][1]:
            found.append(span)
    return found


@dataclass(slots=True)
class _Mapping:
    """A mapping while it is being read."""

    column: int = 0
    is_data: bool = False
    in_list: bool = False
    """Below a SecretList, whose items name no kind."""
    is_secret: bool = False
    key: str = ""
    values: list[Span] = field(default_factory=lambda: [])
    """Values of its data and stringData, or of itself when it is data."""

    def learn(self, key: str, value: str) -> None:
        if key == "kind":
            self.is_secret = self.is_secret or value == "Secret"
            self.in_list = self.in_list or value == "SecretList"


def _below(top: _Mapping, column: int = 0) -> _Mapping:
    """A mapping that begins as the value of `top`'s present key."""
    if top.is_data or top.key in _FIELDS:
        return _Mapping(column=column, is_data=True, values=top.values)
    return _Mapping(column=column, in_list=top.in_list)


def _end(stack: list[_Mapping], found: list[Span]) -> None:
    """The innermost mapping is over."""
    done = stack.pop()
    if not done.is_data and (done.is_secret or done.in_list):
        found += done.values


def _worth(text: str, span: Span) -> bool:
    value = text[span[0] : span[1]].strip()
    return not value.startswith(MARK) and value not in ("", '""', "''", "null", "~", "{}", "|", ">", "|-", ">-")


# JSON

_TOKENS = re.compile(r'(?P<escapes>\\*+)"|[{}:,\n]')


@dataclass(slots=True)
class _JsonWalk:
    """Brackets and strings of one level of escaping; everything else is passed over."""

    text: str
    stack: list[_Mapping] = field(default_factory=lambda: [_Mapping()])
    found: list[Span] = field(default_factory=lambda: [])
    opened: int | None = None
    """Where the string that is being read begins."""
    string: Span | None = None
    """The last whole string, until it is known whether it is a key or a value."""

    def take(self, what: str) -> None:
        if what == "{":
            self.stack.append(_below(self.stack[-1]))
            self.string = None
        elif what == ":":
            if self.string is not None:
                self.stack[-1].key = self.text[self.string[0] : self.string[1]]
            self.string = None
        else:
            self.value_ends()
            if what == "}" and len(self.stack) > 1:
                _end(self.stack, self.found)

    def value_ends(self) -> None:
        top = self.stack[-1]
        if self.string is not None and top.key:
            top.learn(top.key, self.text[self.string[0] : self.string[1]])
            if top.is_data and _worth(self.text, self.string):
                top.values.append(self.string)
        self.string = None
        top.key = ""


def _in_json(text: str, level: int) -> list[Span]:
    walk = _JsonWalk(text)
    for token in _TOKENS.finditer(text):
        what = token.group()
        if what == "\n":
            walk.opened = None  # no JSON string holds a line break: a stray quote spoils one line at most
        elif what.endswith('"'):
            # A quote with more backslashes belongs to a string inside; with a multiple more, it ends in escaped ones.
            if (token.end("escapes") - token.start("escapes")) % 2 ** (level + 1) != 2**level - 1:
                continue
            if walk.opened is None:
                walk.opened = token.end()
            else:
                walk.string = (walk.opened, token.end() - 2**level)
                walk.opened = None
        elif walk.opened is None:
            walk.take(what)
    if walk.opened is not None:
        walk.string = (walk.opened, len(text))
    walk.value_ends()
    while walk.stack:
        _end(walk.stack, walk.found)
    return walk.found


# YAML

_LINE = re.compile(r"^(?P<indent>[ \t]*+)(?P<dashes>(?:- +)*+)(?P<rest>[^\r\n]*+)", re.MULTILINE)
# A key in double quotes is JSON's: the other walk knows it better.
_KEY = re.compile(r"""(?P<q>'?)(?P<key>[\w.$/-]{1,253}+)(?P=q):(?:[ \t]++(?P<value>.*)|\Z)""")


def _in_yaml(text: str) -> list[Span]:
    stack: list[_Mapping] = []
    found: list[Span] = []
    for line in _LINE.finditer(text):
        rest = line.group("rest")
        if rest.startswith("---") and not line.group("indent"):
            while stack:
                _end(stack, found)
        elif rest.strip() and not rest.startswith("#"):
            _yaml_line(text, line, stack, found)
    while stack:
        _end(stack, found)
    return found


def _yaml_line(text: str, line: re.Match[str], stack: list[_Mapping], found: list[Span]) -> None:
    item = bool(line.group("dashes"))
    column = line.start("rest") - line.start()
    outer = len(line.group("indent"))
    while stack and (stack[-1].column > column or (item and stack[-1].column > outer)):
        _end(stack, found)
    if stack and stack[-1].is_data and column > stack[-1].column:
        if stack[-1].values:
            stack[-1].values[-1] = (stack[-1].values[-1][0], line.end())  # a block scalar's next line
        return
    key = _KEY.match(line.group("rest"))
    if key is None:
        return
    if not stack or stack[-1].column < column:
        stack.append(_below(stack[-1], column) if stack else _Mapping(column=column))
    top = stack[-1]
    top.key = key.group("key")
    value = key.group("value") or ""
    top.learn(top.key, value.strip().strip("\"'"))
    start = line.start("rest") + (key.start("value") if value else key.end())
    if top.is_data or (top.key in _FIELDS and value.startswith("{")):
        span = (start, start + len(value.rstrip()))
        if value.strip() in ("|", ">", "|-", ">-", "|+", ">+") or _worth(text, span):
            top.values.append(span)
