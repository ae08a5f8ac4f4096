"""Freeze windows: when they are open, in places that change their clocks."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from protocol.freeze import WINDOW, Once, Weekly, frozen_until, open_until


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


WEEKEND = Weekly(days=("fri",), starts="16:00", ends="08:00", until_day="mon", time_zone="Europe/Berlin")
NIGHT = Weekly(days=("mon", "tue", "wed", "thu", "fri"), starts="22:00", ends="06:00", time_zone="UTC")
NOON = Weekly(days=("wed",), starts="12:00", ends="13:00", time_zone="Asia/Tokyo")
ALL_WEEK = Weekly(days=("mon",), starts="09:00", ends="09:00", until_day="mon", time_zone="UTC")
RELEASE = Once(starts_at=at("2026-03-01T12:00"), ends_at=at("2026-03-02T12:00"))
EARLY = Weekly(days=("sun",), starts="02:30", ends="03:30", time_zone="Europe/Berlin")
UNTIL_EARLY = Weekly(days=("sat",), starts="22:00", ends="02:30", time_zone="Europe/Berlin")

# 2026-03-06 is a Friday. Berlin is at +01:00 until 2026-03-29 02:00, then at +02:00 until 2026-10-25 03:00.
OPEN: list[tuple[Once | Weekly, str, str | None]] = [
    (RELEASE, "2026-03-01T11:59", None),
    (RELEASE, "2026-03-01T12:00", "2026-03-02T12:00"),
    (RELEASE, "2026-03-02T11:59", "2026-03-02T12:00"),
    (RELEASE, "2026-03-02T12:00", None),
    (WEEKEND, "2026-03-06T14:59", None),
    (WEEKEND, "2026-03-06T15:00", "2026-03-09T07:00"),
    (WEEKEND, "2026-03-08T12:00", "2026-03-09T07:00"),
    (WEEKEND, "2026-03-09T06:59", "2026-03-09T07:00"),
    (WEEKEND, "2026-03-09T07:00", None),
    # Over the change to summer time it is an hour shorter; over the change back, an hour longer.
    (WEEKEND, "2026-03-28T12:00", "2026-03-30T06:00"),
    (WEEKEND, "2026-10-24T12:00", "2026-10-26T07:00"),
    (NIGHT, "2026-03-06T23:00", "2026-03-07T06:00"),
    (NIGHT, "2026-03-07T05:59", "2026-03-07T06:00"),
    (NIGHT, "2026-03-07T23:00", None),
    (NIGHT, "2026-03-09T21:59", None),
    (NOON, "2026-03-04T03:30", "2026-03-04T04:00"),
    (NOON, "2026-03-04T12:30", None),
    (ALL_WEEK, "2026-03-04T12:00", "2026-03-09T09:00"),
    # 02:30 does not exist in Berlin on 2026-03-29, and exists twice on 2026-10-25.
    (EARLY, "2026-03-29T01:15", None),
    (UNTIL_EARLY, "2026-03-29T00:45", "2026-03-29T01:30"),
    (UNTIL_EARLY, "2026-10-25T01:15", "2026-10-25T01:30"),
    (EARLY, "2026-10-25T00:30", "2026-10-25T02:30"),
    (EARLY, "2026-10-25T02:29", "2026-10-25T02:30"),
]


@pytest.mark.parametrize(("window", "now", "until"), OPEN)
def test_when_a_window_is_open(window: Once | Weekly, now: str, until: str | None) -> None:
    assert open_until(window, at(now)) == (at(until) if until else None)
    assert WINDOW.validate_json(window.model_dump_json()) == window


def test_windows_that_touch_are_one() -> None:
    second = Once(starts_at=RELEASE.ends_at, ends_at=at("2026-03-03T00:00"))
    apart = Once(starts_at=at("2026-03-03T00:01"), ends_at=at("2026-03-04T00:00"))
    assert frozen_until([apart, second, RELEASE], at("2026-03-01T13:00")) == at("2026-03-03T00:00")
    assert frozen_until([apart, second, RELEASE], at("2026-03-03T00:00")) is None
    assert frozen_until([], at("2026-03-01T13:00")) is None


def test_a_chain_without_end_comes_to_an_end() -> None:
    daily = Weekly(days=("mon", "tue", "wed", "thu", "fri", "sat", "sun"), starts="00:00", ends="00:00", time_zone="UTC")
    until = frozen_until([daily], at("2026-03-04T12:00"))
    assert until is not None
    assert until > at("2026-03-11T00:00")


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ({"kind": "once", "starts_at": "2026-03-02T00:00Z", "ends_at": "2026-03-01T00:00Z"}, "ends before it starts"),
        ({"kind": "once", "starts_at": "2026-03-02T00:00Z", "ends_at": "2028-03-01T00:00Z"}, "366 days"),
        ({"kind": "once", "starts_at": "2026-03-02T00:00", "ends_at": "2026-03-03T00:00"}, "without a zone"),
        ({"kind": "weekly", "days": ["mon"], "starts": "25:00", "ends": "06:00", "time_zone": "UTC"}, "pattern"),
        ({"kind": "weekly", "days": [], "starts": "20:00", "ends": "06:00", "time_zone": "UTC"}, "at least 1"),
        ({"kind": "weekly", "days": ["mon"], "starts": "20:00", "ends": "06:00", "time_zone": "../etc/passwd"}, "no time zone"),
        ({"kind": "weekly", "days": ["mon"], "starts": "20:00", "ends": "06:00", "time_zone": "UTC", "x": 1}, "Extra"),
        ({"kind": "yearly"}, "kind"),
    ],
)
def test_what_is_no_window(raw: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        WINDOW.validate_python(raw)
