"""Names in a question: tokens that may name an object, the namespace, how far back. English, Chinese and Japanese. Pure.

Names in a cluster are ASCII, so in Chinese and Japanese whatever is ASCII and no known term may be one. In English the
common words of such questions are taken away; what is left is for the runner, which knows the objects, to resolve.
"""

import re
import unicodedata
from collections.abc import Collection

from agent_runtime.models.keywords import keywords
from protocol.objects import valid_namespace
from tools.targets import kind_of

MAX_WORDS = 6

_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*[A-Za-z0-9]|[A-Za-z0-9]")
_NS = r"([a-z0-9][a-z0-9-]*)"
_NAMESPACE = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?:^|\s)(?:-n|--namespace)[ =]{_NS}",
        rf"\b(?:namespace|ns)s?[ :/=]+(?:called |named )?[\"'`]?{_NS}",
        rf"(?<![a-z0-9-]){_NS}[\"'`]? (?:namespace|ns)\b",
        rf"(?:命名空间|名字空间|名前空間|ネームスペース)[ 「『“\"'`]*{_NS}",
        rf"(?<![a-z0-9-]){_NS}[ 」』”\"'`]*(?:的|の|这个)?(?:命名空间|名字空间|名前空間|ネームスペース)",
    )
)
_SPAN = re.compile(
    r"(?<![a-z0-9])(\d+(?=\D)|an?(?= )|one(?= )|一|半)\s*(?:个|個)?\s*"
    r"(minutes?|mins?|m\b|hours?|hrs?|h\b|days?|d\b|分钟|分|小时|時間|天|日)"
)


def fold(text: str) -> str:
    """Full-width letters and digits as ASCII, lower case: what the patterns are written for."""
    return unicodedata.normalize("NFKC", text).lower()


def names_in(text: str, *, namespaces: Collection[str] = ()) -> tuple[tuple[str, ...], str | None]:
    """(words that may name objects, namespace). Known `namespaces` are seen without the word "namespace" beside them."""
    folded = fold(text)
    namespace = _namespace(folded)
    tokens = [token for token in _TOKEN.findall(folded) if token != namespace]
    words = [token for token in dict.fromkeys(tokens) if _may_name(token)]
    if namespace is None:
        found = [word for word in words if word in namespaces]
        if found:
            namespace = found[0]
            words = [word for word in words if word != namespace]
    return tuple(words[:MAX_WORDS]), namespace


def minutes_in(text: str) -> int | None:
    """How far back the question looks, in minutes."""
    folded = fold(text)
    for word, minutes in keywords().days.items():
        if word in folded:
            return minutes
    span = _SPAN.search(folded)
    if span is None:
        return None
    count = float(span.group(1)) if span.group(1).isdigit() else 0.5 if span.group(1) == "半" else 1.0
    unit = span.group(2)
    scale = 1 if unit[0] == "m" or unit.startswith("分") else 60 if unit[0] == "h" or unit in ("小时", "時間") else 1440
    return min(max(1, int(count * scale)), 14 * 1440)


def _namespace(folded: str) -> str | None:
    for pattern in _NAMESPACE:
        for found in pattern.finditer(folded):
            name = found.group(1)
            if valid_namespace(name) and name not in keywords().stop and kind_of(name) is None:
                return name
    return None


def _may_name(token: str) -> bool:
    parts = token.split("/")
    if len(parts) in (2, 3) and kind_of(parts[0]) is not None:
        return True
    return (
        token not in keywords().stop and kind_of(token) is None and not token.isdigit() and len(token) > 1 and len(token) <= 253
    )
