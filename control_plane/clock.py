"""Time has one door: services take a Clock, so that tests can move it."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Gives the present with a zone, in UTC."""


def utc_now() -> datetime:
    return datetime.now(UTC)
