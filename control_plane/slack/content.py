"""What a message shall look like, as a value: equal content has one hash, however it was built."""

import json
from typing import Any, cast

import orjson
from pydantic import ConfigDict, model_validator

from protocol.base import Value
from protocol.canonical import digest


class FileRef(Value):
    """A file that the sender makes when it sends: only what it is made from is kept."""

    source: str
    """What it shows: `chart:<conversation>:<seq>:<n>`, `answer:<turn>`."""
    name: str
    title: str = ""
    alt: str = ""


class Content(Value):
    model_config = ConfigDict(frozen=True, extra="ignore")

    text: str = ""
    """What notifications and screen readers are given beside blocks."""
    blocks: list[dict[str, Any]] = []
    ephemeral_to: str = ""
    """For the eyes of this person alone; never updated."""
    file: FileRef | None = None
    delete: bool = False
    reply_broadcast: bool = False

    @model_validator(mode="before")
    @classmethod
    def _whole_characters(cls, given: Any) -> Any:
        """Half of a surrogate pair, as a cut text may end in, has no bytes: it becomes a question mark."""
        if not isinstance(given, dict):
            return given
        plain = {key: value for key, value in cast(dict[str, Any], given).items() if key in ("text", "blocks")}
        try:
            orjson.dumps(plain)
        except TypeError:
            whole = json.loads(json.dumps(plain, ensure_ascii=False).encode("utf-8", "replace"))
            return {**cast(dict[str, Any], given), **whole}
        return cast(dict[str, Any], given)

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON: equal content is not sent twice."""
        return digest(self.model_dump(mode="json"))
