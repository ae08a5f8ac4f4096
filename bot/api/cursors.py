"""The id of an event of the stream: a map of conversation to the last seq that was sent, so that one id resumes a whole tab."""

import base64
import binascii
from collections.abc import Mapping, Sequence

import orjson
from pydantic import TypeAdapter, ValidationError

from control_plane.errors import Invalid
from protocol.ids import is_id

MAX_CONVERSATIONS = 8
_MAP: TypeAdapter[dict[str, int]] = TypeAdapter(dict[str, int])


def encode(cursors: Mapping[str, int]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(dict(cursors), option=orjson.OPT_SORT_KEYS)).decode().rstrip("=")


def parse(wanted: Sequence[str], last_event_id: str | None) -> dict[str, int]:
    """`c` parameters `<conversation>:<after>`, moved on by Last-Event-ID. Raises Invalid for what we never gave out."""
    if len(wanted) > MAX_CONVERSATIONS:
        raise Invalid(f"One stream follows at most {MAX_CONVERSATIONS} conversations.")
    cursors = dict(_parse_one(item) for item in wanted)
    for conversation, seq in _decode(last_event_id or "").items():
        if conversation in cursors:
            cursors[conversation] = max(cursors[conversation], seq)
    return cursors


def _parse_one(item: str) -> tuple[str, int]:
    conversation, _, after = item.partition(":")
    if not is_id(conversation) or not (after or "0").isdecimal() or len(after) > 12:
        raise Invalid("c must be <conversation>:<seq>, for example c=abcdefghijklmnop:12.")
    return conversation, int(after or "0")


def _decode(text: str) -> dict[str, int]:
    """An id that is not ours resumes from the parameters: nothing is lost, something may come twice."""
    if not text or len(text) > 2000:
        return {}
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return {key: seq for key, seq in _MAP.validate_json(raw).items() if seq >= 0}
    except (binascii.Error, ValidationError, ValueError):
        return {}
