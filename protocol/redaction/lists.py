"""Lists below a key in the plural: `passwords: [a, b]`, `"api_keys": ["a", "b"]`, and the same as a YAML list."""

import re

from protocol.redaction.mark import MARK, Span
from protocol.redaction.names import Strength, is_harmless
from protocol.redaction.small import in_small_letters

_HEAD = re.compile(
    r"(?:passwords|passphrases|tokens|(?:api|access|private|secret|signing|encryption)[_-]?keys)"
    r"""\\{0,7}+["']?[ \t]{0,4}[:=][ \t]{0,4}"""
)
"""In small letters."""
_FLOW = re.compile(r"\[[^\[\]{}]{0,8000}+")
_ITEM = re.compile(r"""\\{0,7}+["'](?P<quoted>[^"'\\\n]{1,500}+)(?:\\{0,7}+["'])?|(?P<plain>[^\s"',\[\]\\]{1,500}+)""")
_LINE = re.compile(
    r"""\r?\n(?P<indent>[ \t]{0,60}+)-[ \t]{1,8}(?P<q>["']?)(?P<value>[^\s"':]{1,500}+)(?P=q)[ \t]*+(?=\r?\n|\Z)"""
)


def list_values(text: str) -> list[Span]:
    """Where the items are, in order."""
    spans: list[Span] = []
    small = in_small_letters(text)
    at = 0
    while (head := _HEAD.search(small, at)) is not None:
        at = head.end()
        if flow := _FLOW.match(text, at):
            items = [m.span("quoted" if m.group("quoted") else "plain") for m in _ITEM.finditer(text, at, flow.end())]
            at = flow.end()
        else:
            items: list[Span] = []
            while line := _LINE.match(text, at):
                items.append(line.span("value"))
                at = line.end()
        spans += [span for span in items if _is_secret(text[span[0] : span[1]])]
    return spans


def _is_secret(value: str) -> bool:
    return not value.startswith(MARK) and not is_harmless(value, Strength.WEAK, quoted=False)
