"""A chart drawn by matplotlib: the same bytes for the same order, whatever its labels hold. Runs in the worker only.

Never pyplot (it keeps figures), never mathtext (`$…$` in a label is text), no dates or versions in the output.
"""

import math
import unicodedata
from datetime import UTC, datetime
from io import BytesIO
from itertools import pairwise
from statistics import median
from typing import Any

import matplotlib as mpl
from matplotlib import dates, font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bot.charts.look import Order, Theme
from protocol.charts import ChartLine
from protocol.text import clean, one_line

MAX_LINES = 8
MAX_POINTS = 500
LABEL_ROOM = 25
"""Latin characters of a line of the legend."""
_WIDE = 1.7
MAX_TITLE = 92
MAX_MARKS = 4
_SIZE = (8.0, 3.4)
_DPI = 110
_GAP = 5
"""A line is broken where the pause between two points is longer than this many usual ones."""

_FONTS = ("DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "IPAexGothic", "Noto Sans")
_LINES: dict[Theme, tuple[str, ...]] = {
    # Okabe and Ito's palette, darker on white and lighter on black, so that 3:1 holds against either.
    "light": ("#0063a6", "#b34700", "#00795a", "#9c4f80", "#8a6d00", "#2b7fb8", "#5a4fbf", "#4d4d4d"),
    "dark": ("#6cb8f0", "#f0a35c", "#4cc9a0", "#e39cc4", "#e6d04a", "#9ad1f5", "#b3a8ff", "#bdbdbd"),
}
_INK: dict[Theme, tuple[str, str, str, str]] = {
    # text, grid, threshold, mark
    "light": ("#1f2328", "#d8dee4", "#b42318", "#6e4bb5"),
    "dark": ("#e6edf3", "#30363d", "#ff8f85", "#c5a8ff"),
}
_PAPER: dict[Theme, str] = {"light": "#ffffff", "dark": "#171a20"}


def configure() -> None:
    """Once a process. Fonts that are not installed are left out: a missing one is a warning for each character."""
    there = {font.name for font in font_manager.fontManager.ttflist}
    mpl.rcParams.update(
        {
            "font.family": [name for name in _FONTS if name in there],
            "text.parse_math": False,
            "text.usetex": False,
            "svg.hashsalt": "opsthread",
            "svg.fonttype": "path",
            "axes.unicode_minus": False,
            "path.simplify": True,
            "date.epoch": "1970-01-01T00:00:00",
            "timezone": "UTC",
        }
    )


def draw(order: Order) -> bytes:
    """SVG or PNG. Lines, points and labels over the limits are left out or cut."""
    figure = _figure(order)
    out = BytesIO()
    canvas: Any
    if order.format == "svg":
        canvas = FigureCanvasSVG(figure)
        canvas.print_svg(out, metadata={"Date": None, "Creator": None, "Type": None, "Format": None})
    else:
        canvas = FigureCanvasAgg(figure)
        canvas.print_png(out, metadata={"Software": None})
    return out.getvalue()


def _figure(order: Order) -> Any:
    ink, grid, _, _ = _INK[order.theme]
    figure: Any = Figure(figsize=_SIZE, dpi=_DPI, facecolor=_PAPER[order.theme])
    axes: Any = figure.add_axes((0.085, 0.16, 0.67, 0.69), facecolor=_PAPER[order.theme])
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(grid)
    axes.tick_params(colors=ink, labelsize=8, length=3)
    axes.grid(visible=True, color=grid, linewidth=0.6)
    axes.set_axisbelow(True)
    figure.text(0.012, 0.925, _cut(order.chart.title, MAX_TITLE), color=ink, fontsize=10, fontweight="bold", parse_math=False)
    axes.set_ylabel(order.unit, color=ink, fontsize=8.5, parse_math=False)
    shown = _lines(axes, order)
    shown += _thresholds(axes, order)
    _marks(figure, axes, order)
    _time_axis(axes, order)
    _legend(figure, axes, order, shown)
    return figure


def _lines(axes: Any, order: Order) -> list[tuple[Any, str]]:
    shown: list[tuple[Any, str]] = []
    for index, line in enumerate(order.chart.lines[:MAX_LINES]):
        times, values = _with_gaps(line, order.scale)
        (artist,) = axes.plot(
            times, values, color=_LINES[order.theme][index], linewidth=1.5, marker="o" if len(times) == 1 else "", markersize=3
        )
        shown.append((artist, line.label))
    values = [v / order.scale for line in order.chart.lines[:MAX_LINES] for _, v in line.points]
    values += [row.value / order.scale for row in order.chart.thresholds]
    if values:
        low, high = min(values), max(values)
        room = (high - min(low, 0.0)) * 0.08 or abs(high) * 0.08 or 1.0
        axes.set_ylim(0 if low >= 0 else low - room, high + room)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, min_n_ticks=3))
    axes.yaxis.set_major_formatter(_plain)
    return shown


def _plain(value: float, _position: int | None) -> str:
    return f"{value:.6g}"


def _with_gaps(line: ChartLine, scale: float) -> tuple[list[datetime], list[float]]:
    """Points as matplotlib takes them, with a hole where the series was silent."""
    points = [point for point in line.points[:MAX_POINTS] if math.isfinite(point[1])]
    usual = median([later[0] - earlier[0] for earlier, later in pairwise(points)]) if len(points) > 2 else math.inf
    times: list[datetime] = []
    values: list[float] = []
    last = math.inf
    for at, value in points:
        if at - last > usual * _GAP:
            times.append(_moment((at + last) / 2))
            values.append(math.nan)
        times.append(_moment(at))
        values.append(value / scale)
        last = at
    return times, values


def _thresholds(axes: Any, order: Order) -> list[tuple[Any, str]]:
    colour = _INK[order.theme][2]
    shown: list[tuple[Any, str]] = []
    for row, style in zip(order.chart.thresholds[:2], ((0, (6, 3)), (0, (2, 2))), strict=False):
        artist = axes.axhline(row.value / order.scale, color=colour, linewidth=1.3, linestyle=style)
        shown.append((artist, f"{row.label} {row.value / order.scale:.4g} {order.unit}"))
    return shown


def _marks(figure: Any, axes: Any, order: Order) -> None:
    """A line for each, numbered; their words are under the chart, where they have room."""
    colour = _INK[order.theme][3]
    place = {"color": colour, "fontsize": 8, "parse_math": False}
    marks = order.chart.marks[:MAX_MARKS]
    for number, mark in enumerate(marks, 1):
        axes.axvline(mark.at, color=colour, linewidth=1.1, linestyle=(0, (1, 2)))
        axes.text(mark.at, 1.01, f"▼{number}", transform=axes.get_xaxis_transform(), ha="center", **place)
    words = [f"▼{number} {_cut(mark.label, 100 // len(marks))}" for number, mark in enumerate(marks, 1)]
    figure.text(0.085, 0.035, "   ".join(words), **place)


def _cut(text: str, most: int) -> str:
    text = " ".join(clean(text[:2000]).split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _time_axis(axes: Any, order: Order) -> None:
    ink = _INK[order.theme][0]
    points = [at for line in order.chart.lines for at, _ in line.points]
    if points:
        end = max(points) if order.chart.until is None else max(*points, order.chart.until.timestamp())
        axes.set_xlim(_moment(min(points)), _moment(max(end, min(points) + 1)))
    axes.margins(x=0)
    locator = dates.AutoDateLocator(tz=UTC, minticks=3, maxticks=8)
    formatter = dates.ConciseDateFormatter(locator, tz=UTC, show_offset=False)
    formatter.formats = ["%Y", "%b", "%b %d", "%H:%M", "%H:%M", "%H:%M:%S"]
    formatter.zero_formats = ["%Y", "%b", "%b %d", "%b %d", "%H:%M", "%H:%M"]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(formatter)
    axes.set_xlabel(one_line(order.time_label, 40), color=ink, fontsize=8, loc="right", parse_math=False)


def _legend(figure: Any, axes: Any, order: Order, shown: list[tuple[Any, str]]) -> None:
    """Beside the axes. A label may begin with an underscore, which matplotlib takes for "leave me out"."""
    ink = _INK[order.theme][0]
    rows = [(artist, " " + _short(label)) for artist, label in shown]
    if not rows:
        axes.text(0.5, 0.5, "—", transform=axes.transAxes, ha="center", va="center", color=ink, fontsize=14)
        return
    legend = axes.legend(
        [artist for artist, _ in rows], [label for _, label in rows], loc="upper left", bbox_to_anchor=(1.01, 1.02),
        frameon=False, fontsize=7, labelcolor=ink, handlelength=1.6, borderaxespad=0.0, handletextpad=0.4,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)
    if order.chart.left_out:
        figure.text(0.772, 0.17, f"+ {order.chart.left_out:,}", color=ink, fontsize=7, parse_math=False)


def _short(label: str) -> str:
    """On one or two lines of equal room. The ends of a name tell more than its middle."""
    text = " ".join(clean(label if len(label) <= 2000 else f"{label[:1000]}{label[-1000:]}").split())
    room = [_WIDE if unicodedata.east_asian_width(character) in "WF" else 1.0 for character in text]
    if sum(room) <= LABEL_ROOM:
        return text
    head = _fitting(room, LABEL_ROOM)
    if sum(room[head:]) <= LABEL_ROOM:
        return f"{text[:head]}\n {text[head:]}"
    tail = _fitting(room[::-1], LABEL_ROOM - 1)
    return f"{text[:head]}\n …{text[len(text) - tail :]}"


def _fitting(room: list[float], most: float) -> int:
    """How many characters fit."""
    used = 0.0
    for count, width in enumerate(room):
        used += width
        if used > most:
            return count
    return len(room)


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, tz=UTC)
