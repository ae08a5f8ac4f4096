"""Time has one door: services take a Clock, so that tests can move it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]
"""Gives the present with a zone, in UTC."""

CLOCKS_APART = timedelta(seconds=30)
"""How far the clocks of two replicas may be apart. What is further ahead was written before a clock was set back."""


def utc_now() -> datetime:
    return datetime.now(UTC)
