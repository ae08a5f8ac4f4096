"""Alertmanager's label matchers: `team="payments"`, `severity=~"critical|warning"`, `env!=dev`. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from control_plane.alerts.patterns import NoPattern, pattern
from control_plane.errors import Invalid
from protocol.text import clean, one_line

MOST = 20
MOST_CHARS = 400
Sign = Literal["=", "!=", "=~", "!~"]
_MATCHER = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]{0,99})\s*(=~|!~|!=|=)\s*(.*?)\s*", re.DOTALL)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}


@dataclass(frozen=True, slots=True)
class Matcher:
    name: str
    sign: Sign
    value: str

    def fits(self, labels: Mapping[str, str]) -> bool:
        """A label that is not there is "", as in Alertmanager."""
        told = labels.get(self.name, "")
        same = told == self.value if self.sign in ("=", "!=") else pattern(self.value).fits(told)
        return same != self.sign.startswith("!")


def matcher(text: str) -> Matcher:
    """Raises Invalid, naming what is wrong with it."""
    shown = one_line(text, 80)
    found = _MATCHER.fullmatch(text) if len(text) <= MOST_CHARS and text == clean(text) else None
    if found is None:
        raise Invalid(f'{shown!r} is no matcher; write team="payments", team!="payments", team=~"pay.*" or team!~"pay.*"')
    name, sign, value = found.groups()
    if value.startswith('"'):
        quoted = _QUOTED.fullmatch(value)
        if quoted is None:
            raise Invalid(f"the value of {shown!r} is not closed, or something stands behind it")
        value = _ESCAPED.sub(lambda hit: _ESCAPES.get(hit[1], hit[0]), quoted[1])
    elif re.search(r'[\s"{},]', value):
        raise Invalid(f"the value of {shown!r} needs quotation marks")
    if sign in ("=~", "!~"):
        try:
            pattern(value)
        except NoPattern as error:
            raise Invalid(f"the pattern of {shown!r} can't be used: {error}") from None
    return Matcher(name, cast(Sign, sign), value)


def matchers(texts: Sequence[str]) -> tuple[Matcher, ...]:
    """All of them must fit. Raises Invalid."""
    if len(texts) > MOST:
        raise Invalid(f"a route has {MOST} matchers at most; this one has {len(texts)}")
    return tuple(matcher(text) for text in texts)
