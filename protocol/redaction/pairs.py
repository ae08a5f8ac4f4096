"""The value that belongs to a key which sounds like a secret, in every notation that text from a cluster has."""

import base64
import binascii
import re
from dataclasses import dataclass, replace

from protocol.redaction.mark import MARK, Span
from protocol.redaction.names import Strength, is_harmless, is_prose, strength
from protocol.redaction.small import in_small_letters

_HIT = re.compile(
    r"pass|pwd|secret|token|key|cred|auth|cookie|jwt|bearer|docker|id_rsa|id_ed25519|id_ecdsa|signature|connection|connstr"
    r"|session|kennwort"
)
"""In small letters."""
_KEY_CHARS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
_KEY_REACH = 80
_KEY_REST = re.compile(r"[A-Za-z0-9_.-]{0,80}+")
# What a text program makes of quotes, and the marks of bold and slanted letters, are around keys that people write or paste.
_CLOSE_KEY = r"""(?:\\{0,7}+["'`]|[\u201c\u201d\u2018\u2019]|[*_~]{1,3}+)?"""
_SEPARATOR = re.compile(
    _CLOSE_KEY + r"[ \t]{0,8}+(?:=>|:=|[:=](?!=))(?:[*_~]{1,3}(?=[ \t]))?[ \t]{0,60}+(?:[A-Z]\w{2,20}\((?=[\"']))?"
)
# `<password>hunter2</password>`
_ELEMENT = re.compile(r">[ \t]{0,8}+(?=[^\s<])")
_ELEMENT_TEXT = re.compile(r"[^<\n]{1,2000}+")
# `ENV DB_PASSWORD hunter2` of a Dockerfile, `set -x TOKEN hunter2` of fish: the key and its value are two words.
_TWO_WORDS = re.compile(r"(?:\bENV|\bset -[a-zA-Z]{1,4})[ \t]{1,4}+\Z")
_TWO_WORDS_REACH = 16
# `?token%3Dhunter2%26a%3Db`: an address inside another one.
_PER_CENT = re.compile(r"%3[dD]")
_PER_CENT_VALUE = re.compile(r"(?:[^\s%&\"'<>]|%(?!26|0[aAdD]))++")
# `&anchor` and `!!tag` before a YAML value.
_PROPERTIES = re.compile(r"(?:[&!][\w!.:/-]{0,60}+[ \t]{1,8}+){1,3}+")
_CONTINUED = re.compile(r"[^:=#\-][^:=]*+")
_SAME_INDENT = re.compile(r"\r?\n(?P<indent>[ \t]{1,40}+)(?=[^\s-])")
# `- name: DB_PASSWORD` and its `value:`, on the next line or behind a comma.
_ENV_VALUE = re.compile(
    _CLOSE_KEY + r"""(?:\s|\\n){0,80}+,?(?:\s|\\n){0,80}+\\{0,7}+["']?[vV]alue""" + _CLOSE_KEY + r"[ \t]{0,8}+[:=][ \t]{0,8}+"
)
# `--password hunter2`, `["--password", "hunter2"]`, and the same as a YAML list.
_FLAG_VALUE = re.compile(r"""[ \t]{1,8}+(?!-)|\\{0,7}+["'][ \t]{0,8}+,\s{0,80}+|["']?\n[ \t]{0,40}+-[ \t]{1,8}+(?!-)""")
_SQL_VALUE = re.compile(r"[ \t]{1,8}+(?=')")

_QUOTE = re.compile(r"""(\\{0,7}+)(["'`])""")
_QUOTED_REACH = 65_536
_DOUBLE_QUOTED = re.compile(r'(?:[^"\\]|\\.){0,65536}+(?=")', re.DOTALL)
_SCHEME = re.compile(r"(?:bearer|basic|token|apikey|splunk)(?:[ \t]{1,8}+|%20|\+)(?=\S)", re.IGNORECASE)
_TO_QUOTE_OR_END = re.compile(r"[^\r\n\"'\\\])}]*+")
_PLAIN = re.compile(r"""(?:[^\s\0"'`,;&}\])\\]|,(?!\s|$|[\w.-]{1,40}["']?[=:])|[;&](?!\s|$|[\w.-]{1,40}=)|\\(?!["'nrt`]))++""")
_LINE = re.compile(r"[^\r\n]*+")
_BLOCK_SCALAR = re.compile(r"[|>][+-]?[0-9]?[+-]?[ \t]*+(?:\r?\n|\Z)")
_LINE_LEAD = re.compile(r"""[ \t]{0,60}+(?:-[ \t]{1,4})?(?:export[ \t]{1,4})?["']?""")
_LEAD_REACH = 80


def pair_values(text: str) -> list[Span]:
    """Where the values of secret-sounding keys are, in order."""
    spans: list[Span] = []
    small = in_small_letters(text)
    at = 0
    while (hit := _HIT.search(small, at)) is not None:
        start, end = _key_around(text, hit, at)
        value = _value_of(text, start, end)
        at = end
        if value is not None and value[1] > value[0]:
            spans.append(value)
            at = max(at, value[1])
    return spans


def _key_around(text: str, hit: re.Match[str], floor: int) -> Span:
    """The whole key that holds the hit, looking at most _KEY_REACH characters either way."""
    before = text[max(floor, hit.start() - _KEY_REACH) : hit.start()]
    rest = _KEY_REST.match(text, hit.end())
    return hit.start() - len(before) + len(before.rstrip(_KEY_CHARS)), rest.end() if rest else hit.end()


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a value begins, and what is known of its surroundings."""

    at: int
    strong: Strength
    indent: int | None = None
    """The indentation of the key when the value is the rest of its line, as in YAML."""
    sentence: bool = False
    """The key and its colon may be words of a sentence."""


def _value_of(text: str, start: int, end: int) -> Span | None:
    """Where the secret that belongs to the key text[start:end] is; None when there is none."""
    key = text[start:end]
    strong = strength(key)
    if strong is Strength.NONE or text.startswith("://", start - 3):
        return None
    if separator := _SEPARATOR.match(text, end):
        colon = ":" in separator.group() and "=" not in separator.group()
        indent = _indent(text, start) if colon else None
        sentence = colon and indent is None and separator.group()[-1] in " \t"
        return _value_at(text, _Place(separator.end(), strong, indent, sentence))
    if value := _ENV_VALUE.match(text, end):
        return _value_at(text, _Place(value.end(), strong, _indent_in(value.group())))
    if key.startswith("-") and (value := _FLAG_VALUE.match(text, end)):
        return _value_at(text, _Place(value.end(), strong))
    if strong is Strength.STRONG and (value := _SQL_VALUE.match(text, end)):
        return _value_at(text, _Place(value.end(), strong))
    return _in_other_notations(text, start, end, strong)


def _in_other_notations(text: str, start: int, end: int, strong: Strength) -> Span | None:
    if text.startswith(("<", ":"), start - 1) and (element := _ELEMENT.match(text, end)):
        inside = _ELEMENT_TEXT.match(text, element.end())
        return _kept_unless_secret(text, _Place(element.end(), strong), inside.span()) if inside else None
    if equals := _PER_CENT.match(text, end):
        value = _PER_CENT_VALUE.match(text, equals.end())
        return _kept_unless_secret(text, _Place(equals.end(), strong), value.span()) if value else None
    if text.startswith((" ", "\t"), end) and _TWO_WORDS.search(text, max(0, start - _TWO_WORDS_REACH), start):
        return _value_at(text, _Place(end + 1, strong))
    below = _SAME_INDENT.match(text, end) if text.startswith("--", start) else None
    if below and _indent(text, start) == len(below.group("indent")):
        # `Args:` of describe: one a line, all at the same column.
        return _value_at(text, _Place(below.end(), strong))
    return None


def _indent(text: str, start: int) -> int | None:
    """How far in a key stands that begins its line; None when something comes before it."""
    floor = max(0, start - _LEAD_REACH)
    newline = text.rfind("\n", floor, start)
    if newline < 0 and floor > 0:
        return None
    lead = text[newline + 1 : start]
    return len(lead.rstrip("\"'")) if _LINE_LEAD.fullmatch(lead) else None


def _indent_in(between: str) -> int | None:
    """The same for `value:` when it stands on a line of its own."""
    if "\n" not in between:
        return None
    line = between[between.rindex("\n") + 1 :]
    return len(line) - len(line.lstrip(" \t"))


def _value_at(text: str, place: _Place) -> Span | None:
    at = place.at
    if text.startswith(MARK, at):
        return None
    if text.startswith("[", at) and (place.strong is Strength.HEADER or text[at + 1 : at + 2] in ('"', "\\")):
        return _value_at(text, replace(place, at=at + 1, indent=None))  # a list, as in Go's http.Header
    if quote := _QUOTE.match(text, at):
        return _inside_quotes(text, place, quote)
    if place.strong is Strength.HEADER:
        return _kept_unless_secret(text, place, _header(text, at))
    if place.indent is not None:
        return _rest_of_line(text, place, place.indent)
    plain = _PLAIN.match(text, at)
    return _kept_unless_secret(text, place, plain.span()) if plain else None


def _inside_quotes(text: str, place: _Place, quote: re.Match[str]) -> Span | None:
    start = quote.end()
    end = _closing(text, start, escapes=quote.group(1), mark=quote.group(2))
    if place.strong is Strength.HEADER and (scheme := _SCHEME.match(text, start, end)):
        start = scheme.end()
    return _kept_unless_secret(text, place, (start, end), quoted=True)


def _closing(text: str, start: int, *, escapes: str, mark: str) -> int:
    """Where the quote closes; without a close in reach, at the end of the line."""
    if not escapes and mark == '"':
        if inside := _DOUBLE_QUOTED.match(text, start):
            return inside.end()
    else:
        close = text.find(escapes + mark, start, start + _QUOTED_REACH)
        while close > 0 and text[close - 1] == "\\" and close > start:
            close = text.find(escapes + mark, close + 1, start + _QUOTED_REACH)
        if close >= 0:
            return close
    line = _LINE.match(text, start)
    return line.end() if line else start


def _header(text: str, at: int) -> Span:
    scheme = _SCHEME.match(text, at)
    start = scheme.end() if scheme else at
    rest = (_PLAIN if scheme else _TO_QUOTE_OR_END).match(text, start)
    return start, rest.end() if rest else start


def _rest_of_line(text: str, place: _Place, indent: int) -> Span | None:
    """A YAML scalar: the rest of the line without a comment, or the deeper lines below `|` and `>`."""
    if block := _BLOCK_SCALAR.match(text, place.at):
        end = _deeper_lines(text, block.end(), indent)
        return (place.at, end) if end > block.end() else None
    properties = _PROPERTIES.match(text, place.at)
    start = properties.end() if properties else place.at
    line = _LINE.match(text, start)
    whole = line.group() if line else ""
    value = whole.split(" #", 1)[0].rstrip()
    found = _kept_unless_secret(text, place, (start, start + len(value.rstrip(",\"'"))))
    if found is None or value != whole.rstrip() or value != value.rstrip(",\"'"):
        return found
    # A plain scalar goes on in deeper lines, none of which may be a key of its own.
    following = start + len(whole) + (2 if text.startswith("\r\n", start + len(whole)) else 1)
    end = _deeper_lines(text, following, indent, only=_CONTINUED)
    return found[0], end if end > following else found[1]


def _deeper_lines(text: str, at: int, indent: int, *, only: re.Pattern[str] | None = None) -> int:
    end = at
    while at < len(text):
        line = _LINE.match(text, at)
        stop = line.end() if line else at
        body = text[at:stop].lstrip(" \t")
        if body and stop - at - len(body) <= indent:
            break
        if only is not None and only.fullmatch(body) is None:
            break
        if body:
            end = stop
        at = stop + (2 if text.startswith("\r\n", stop) else 1)
    return end


def _kept_unless_secret(text: str, place: _Place, span: Span, *, quoted: bool = False) -> Span | None:
    value = text[span[0] : span[1]]
    if value.startswith(MARK) or is_harmless(value, place.strong, quoted=quoted):
        return None
    if place.sentence and not quoted and is_prose(value.split(" ", 1)[0]):
        return None
    if place.strong is Strength.DOCKER and not is_user_and_password(value):
        return None
    return span


def is_user_and_password(value: str) -> bool:
    try:
        return b":" in base64.b64decode(value[:1024], validate=True)
    except binascii.Error:
        return False


# Keys of an env entry in the other order: `{"value": "hunter2", "name": "DB_PASSWORD"}`.
_VALUE_THEN_NAME = re.compile(
    r"""(?<![\w:-])\\{0,7}+["']?value\\{0,7}+["']?[ \t]{0,4}+[:=][ \t]{0,4}+
    (?:(?P<e>\\{0,7}+)["'](?P<quoted>(?:(?!(?P=e)["'])[^\n]){0,2000}+)(?P=e)["']|(?P<plain>[^\s"',{}:-][^\s"',{}]{0,2000}+))
    \s{0,60}+,?\s{0,60}+\\{0,7}+["']?name\\{0,7}+["']?[ \t]{0,4}+[:=][ \t]{0,4}+\\{0,7}+["']?(?P<name>[\w.-]{1,120}+)""",
    re.VERBOSE,
)


def value_before_name(text: str) -> list[Span]:
    """Values of env entries whose name comes second and sounds like a secret."""
    spans: list[Span] = []
    for found in _VALUE_THEN_NAME.finditer(text):
        strong = strength(found.group("name"))
        which = "quoted" if found.group("quoted") is not None else "plain"
        value = found.group(which)
        if strong is not Strength.NONE and not value.startswith(MARK) and not is_harmless(value, strong, quoted=True):
            spans.append(found.span(which))
    return spans
