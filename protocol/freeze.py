"""Freeze windows: spans of time in which nothing is changed, once or each week. Pure; the time comes in by parameter.

A weekly window is said in a place's own clock: it follows that place's summer time. Where a local time happens twice, a
window opens at the first and closes at the second; where it does not happen, it moves with the clock.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Annotated, Literal, TypeAlias
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, Field, TypeAdapter, model_validator

from protocol.base import Strict, Utc

Day: TypeAlias = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LONGEST = timedelta(days=366)
"""Of a window that is open once: longer than that is a kill switch, or a mistake."""
_LINKED = 16
"""Windows that follow each other without a gap are told as one, this many at most."""

Clock = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _known_zone(value: str) -> str:
    if value not in _zones():
        raise ValueError(f"{value!r} is no time zone; write one such as Europe/Berlin, Asia/Tokyo or UTC")
    return value


class Once(Strict):
    kind: Literal["once"] = "once"
    starts_at: Utc
    ends_at: Utc

    @model_validator(mode="after")
    def _in_order(self) -> "Once":
        if self.ends_at <= self.starts_at:
            raise ValueError("the window ends before it starts")
        if self.ends_at - self.starts_at > LONGEST:
            raise ValueError(f"a window is open for {LONGEST.days} days at most")
        return self


class Weekly(Strict):
    """From `starts` on each of `days` until `ends` of the same day, of the next one where that is not later, or of the next
    `until_day` where one is named: Friday 16:00 until Monday 08:00."""

    kind: Literal["weekly"] = "weekly"
    days: Annotated[tuple[Day, ...], Field(min_length=1, max_length=7)]
    starts: Clock
    ends: Clock
    until_day: Day | None = None
    time_zone: Annotated[str, AfterValidator(_known_zone)]


Window: TypeAlias = Annotated[Once | Weekly, Field(discriminator="kind")]
WINDOW: TypeAdapter[Once | Weekly] = TypeAdapter(Window)


def open_until(window: Once | Weekly, now: datetime) -> datetime | None:
    """When it closes, if it is open now; its first moment belongs to it and its last does not."""
    return max((end for start, end in _spans(window, now) if start <= now < end), default=None)


def frozen_until(windows: Iterable[Once | Weekly], now: datetime) -> datetime | None:
    """When changes are possible again: windows that touch are one. None when none is open."""
    known = tuple(windows)
    until: datetime | None = None
    for _ in range(_LINKED):
        later = max((end for one in known if (end := open_until(one, until or now)) is not None), default=None)
        if later is None:
            return until
        until = later
    return until


def _spans(window: Once | Weekly, now: datetime) -> Iterable[tuple[datetime, datetime]]:
    if isinstance(window, Once):
        return ((window.starts_at, window.ends_at),)
    today = now.astimezone(ZoneInfo(window.time_zone)).date()
    # A window is shorter than eight days, so one that is open began on one of these.
    begun = (today - timedelta(days=back) for back in range(9))
    return [_span(window, day) for day in begun if DAYS[day.weekday()] in window.days]


def _span(window: Weekly, first: date) -> tuple[datetime, datetime]:
    starts, ends = time.fromisoformat(window.starts), time.fromisoformat(window.ends)
    days = 0 if window.until_day is None else (DAYS.index(window.until_day) - first.weekday()) % 7
    if days == 0 and ends <= starts:
        days = 1 if window.until_day is None else 7
    zone = ZoneInfo(window.time_zone)
    start = datetime.combine(first, starts, zone)
    end = datetime.combine(first + timedelta(days=days), ends, zone)
    # The later of its two readings, whichever that is: of a time that does not happen it is the first.
    return start.astimezone(UTC), max(end.astimezone(UTC), end.replace(fold=1).astimezone(UTC))
