"""May this runner write at all now, whatever the plan? Only with a clock that is right, and as its cluster's active one."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from protocol.grant import CLOCK_TOLERANCE, GrantRefused

LEAST_S = 2.0
"""A write that can't be given so many seconds under the Lease isn't begun."""


def for_ever() -> float:
    """Where no Lease is used."""
    return float("inf")


@dataclass(frozen=True, slots=True)
class Fitness:
    clock_offset: Callable[[], timedelta | None]
    """The control plane's clock minus ours; None as long as it isn't known."""
    lease_left: Callable[[], float] = for_ever
    """Seconds for which no other runner can hold the Lease."""

    def check(self) -> float:
        """Seconds that a write may take from now on. Raises GrantRefused: `clock`, `not_active`."""
        offset = self.clock_offset()
        if offset is None or abs(offset) > CLOCK_TOLERANCE:
            seconds = "not known" if offset is None else f"{offset.total_seconds():+.0f} s"
            raise GrantRefused(
                "clock", f"this runner's clock differs from the control plane's ({seconds}): mend it (NTP) before writing"
            )
        left = self.lease_left()
        if left < LEAST_S:
            words = "this runner isn't sure to be its cluster's active one: its Lease ran out and could not be renewed"
            raise GrantRefused("not_active", words)
        return left

    def trouble(self) -> str:
        """Why no write would run now; "" when one would."""
        try:
            self.check()
        except GrantRefused as refusal:
            return str(refusal)
        return ""
