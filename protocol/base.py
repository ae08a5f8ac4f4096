"""The base of every message, event and dump: a version, tolerant readers, frozen values."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict

PROTOCOL_VERSION: Literal[1] = 1
"""Written into every message as `v`. Readers take this and the one before, and ignore fields they do not know."""


class Value(BaseModel):
    """A frozen value inside a message. Unknown fields are ignored, so that a newer writer can add some."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_timedelta="float")


class Message(Value):
    """Something that travels or is stored by itself, so it says its version."""

    v: int = PROTOCOL_VERSION


class Strict(BaseModel):
    """A frozen value that refuses unknown fields: what is hashed, signed or executed is known to the last field."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("time without a zone")
    return value.astimezone(UTC)


Utc = Annotated[datetime, AfterValidator(_aware)]
"""A time with a zone, kept in UTC."""
