"""How a chart is to look: its format, theme, and the few words that are drawn into it."""

from typing import Literal

from protocol.base import Value
from protocol.charts import Chart

Theme = Literal["light", "dark"]
Format = Literal["svg", "png"]


class Order(Value):
    """What the worker is sent."""

    chart: Chart
    format: Format
    theme: Theme = "light"
    unit: str = ""
    """Drawn at the axis, with `scale`: values are divided by it first."""
    scale: float = 1.0
    time_label: str = "UTC"
