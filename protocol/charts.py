"""Chart: a few series with what they are to be read against. Data only: every surface draws it in its own way."""

from typing import Annotated

from pydantic import Field, FiniteFloat

from protocol.base import Utc, Value

LAST_MOMENT = 253_402_300_799
"""The end of the year 9999, after which there are no dates."""
Moment = Annotated[float, Field(ge=0, le=LAST_MOMENT)]
"""Unix seconds."""


class ChartLine(Value):
    label: str
    """Untrusted, like every label."""
    points: tuple[tuple[Moment, FiniteFloat], ...]
    """(unix seconds, value), oldest first, finite."""


class ChartThreshold(Value):
    label: str
    """`limit`, `request`."""
    value: FiniteFloat


class ChartMark(Value):
    """A moment that the lines are read against: a change, the first sign of trouble."""

    at: Utc
    label: str


class Chart(Value):
    title: str
    metric: str = ""
    """The metric's name or the expression: tells the unit where `unit` does not."""
    lines: tuple[ChartLine, ...] = ()
    thresholds: tuple[ChartThreshold, ...] = ()
    marks: tuple[ChartMark, ...] = ()
    until: Utc | None = None
    """Where the time axis ends: series that stopped before are seen to have stopped. None: with the last point."""
    left_out: int = 0
    """How many further series there are that are not drawn."""
    note: str = ""
    """How the points were chosen, when not all are shown."""
