"""Cluster text is data: what people and models are shown of it is cleaned, capped and fenced here.

Every function is linear in its input and pure.
"""

import re

# CSI/OSC/other escape sequences (ECMA-48), then C0/C1 controls but tab and newline, NUL among them.
_ANSI = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)?|[PX^_][^\x1b]{0,4096}(?:\x1b\\)?|[@-Z\\-_])"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# Bidirectional overrides and isolates, zero-width and blank characters, BOM, tag characters, variation selectors (which can
# smuggle bytes), line and paragraph separators: "Trojan Source".
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


_SURROGATE = re.compile("[\ud800-\udfff]")

# Below this there is no room to say what was cut.
_NOTE_ROOM = 60


def clean(text: str) -> str:
    """Remove ANSI sequences, control, bidi and invisible characters; CRLF becomes LF. Lone surrogates become U+FFFD."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _INVISIBLE.sub("", _CONTROL.sub("", _ANSI.sub("", text)))
    return _SURROGATE.sub("\ufffd", text)


def hides(text: str) -> bool:
    """Does it hold characters that a reader is not shown: escape sequences, controls, bidi and invisible ones?"""
    return clean(text) != text.replace("\r\n", "\n")


def cap(text: str, limit: int) -> str:
    """At most `limit` characters; what was cut is said at the cut."""
    if len(text) <= limit:
        return text
    if limit < _NOTE_ROOM:
        return text[: max(0, limit)]
    note = f"… [cut: {len(text) - limit} more characters]"
    return text[: max(0, limit - len(note))] + note


def cap_middle(text: str, limit: int) -> str:
    """At most `limit` characters, cut between lines where there are some: a third from the head, where columns are named, the
    rest from the end, where logs and events are newest. What was cut is said at the cut."""
    if len(text) <= limit:
        return text
    if limit < 3 * _NOTE_ROOM:
        return cap(text, limit)
    room = limit - _NOTE_ROOM
    head, tail = text[: room // 3], text[-(room - room // 3) :]
    head = head[: head.rfind("\n") + 1] or head
    whole = tail[tail.find("\n") + 1 :] if "\n" in tail[:-1] else tail
    return f"{head}… [cut: {len(text) - len(head) - len(whole)} characters here]\n{whole}"


def one_line(text: str, limit: int = 300) -> str:
    """Cleaned, white space folded, capped: for titles, table cells and log fields."""
    return cap(" ".join(clean(text).split()), limit)
