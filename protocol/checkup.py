"""CheckRow: one thing that was looked at in an installation, how it is, and what to do about it."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from protocol.base import Value


class Health(StrEnum):
    OK = "ok"
    WARN = "warn"  # it works, and something is worth mending
    FAIL = "fail"  # something does not work
    SKIP = "skip"  # it was not looked at; `found` says why


MAX_WORDS, MAX_NAME = 1000, 120
Words = Annotated[str, Field(max_length=MAX_WORDS)]


class CheckRow(Value):
    area: Annotated[str, Field(max_length=40)]
    """configuration, data, database, bus, clock, cluster, rights, metrics, model, ..."""
    name: Annotated[str, Field(max_length=MAX_NAME)]
    health: Health
    found: Words = ""
    """What was seen."""
    mend: Words = ""
    """The command or the line that mends it. Empty when there is nothing to mend."""
    cluster: Annotated[str, Field(max_length=200)] = ""
    """The cluster that it is about, by name."""


def ok(area: str, name: str, found: str = "") -> CheckRow:
    return CheckRow(area=area, name=_cut(name, MAX_NAME), health=Health.OK, found=_cut(found))


def warn(area: str, name: str, found: str, mend: str) -> CheckRow:
    return CheckRow(area=area, name=_cut(name, MAX_NAME), health=Health.WARN, found=_cut(found), mend=_cut(mend))


def fail(area: str, name: str, found: str, mend: str) -> CheckRow:
    return CheckRow(area=area, name=_cut(name, MAX_NAME), health=Health.FAIL, found=_cut(found), mend=_cut(mend))


def skip(area: str, name: str, why: str) -> CheckRow:
    return CheckRow(area=area, name=_cut(name, MAX_NAME), health=Health.SKIP, found=_cut(why))


def _cut(text: str, most: int = MAX_WORDS) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
