"""Charts of what a conversation looked at: as data for tables and terminals, as SVG for pages, as PNG for everything else.

What is stored is the command's series; a picture is drawn when it is asked for. Who may read the conversation, and would have
been shown the command's result, may see its charts; for everybody else there is no such chart.
"""

from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Path, Query, Request, Response

from bot.api.access import Caller, Me, Plane
from bot.api.language import Reader
from bot.api.middleware import CSP_IN_SCOPE
from bot.charts.drawer import Drawer
from bot.charts.look import Format, Theme
from bot.charts.of_result import charts_of, described, order_of, table_of
from bot.charts.sparkline import sparkline
from control_plane.errors import Conflict, NotFound
from control_plane.services import ControlPlane
from knowledge.wording import translate
from protocol.base import Value
from protocol.charts import Chart
from protocol.events import Language

router = APIRouter(prefix="/api/v1/conversations/{conversation}/charts", tags=["charts"])

ConversationId = Annotated[str, Path(max_length=64)]
CommandId = Annotated[str, Path(max_length=64)]
Number = Annotated[str, Path(max_length=64, description="From 0, as listed")]
ThemeOf = Annotated[Theme, Query()]

PICTURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
"""Opened by itself an SVG is a document: it may style itself and nothing else."""


class _ChartRow(Value):
    label: str
    first: str
    min: str
    max: str
    last: str


class ChartView(Value):
    """One chart. `rows` say in words what the picture shows; `svg` and `png` are paths."""

    number: int
    title: str
    alt: str
    svg: str
    png: str
    rows: tuple[_ChartRow, ...]
    thresholds: dict[str, float]
    marks: tuple[dict[str, Any], ...]
    left_out: int
    note: str
    sparkline: str
    """Of the first line."""


class ChartList(Value):
    charts: tuple[ChartView, ...]


@router.get("/{command}")
async def list_charts(conversation: ConversationId, command: CommandId, me: Me, plane: Plane, reader: Reader) -> ChartList:
    """The charts of one command of this conversation; none for a command that has no series over time."""
    charts = await _charts(plane, me, conversation, command)
    base = f"/api/v1/conversations/{conversation}/charts/{command}"
    return ChartList(charts=tuple(_view(chart, number, f"{base}/{number}", reader) for number, chart in enumerate(charts)))


@router.get("/{command}/{number}/chart.svg", responses={200: {"content": {"image/svg+xml": {}}}}, response_class=Response)
async def chart_svg(
    conversation: ConversationId, command: CommandId, number: Number, me: Me, plane: Plane, reader: Reader,
    request: Request, theme: ThemeOf = "light",
) -> Response:  # fmt: skip
    """For `<img>`. Under a policy of its own, which runs no script even when it is opened by itself."""
    chart = await _chart(plane, me, conversation, command, number)
    return await _picture(request, chart, "svg", theme, reader)


@router.get("/{command}/{number}/chart.png", responses={200: {"content": {"image/png": {}}}}, response_class=Response)
async def chart_png(
    conversation: ConversationId, command: CommandId, number: Number, me: Me, plane: Plane, reader: Reader,
    request: Request, theme: ThemeOf = "light",
) -> Response:  # fmt: skip
    chart = await _chart(plane, me, conversation, command, number)
    return await _picture(request, chart, "png", theme, reader)


def drawer_of(request: Request) -> Drawer:
    return drawer_in(request.app)


def drawer_in(app: FastAPI) -> Drawer:
    """The one of this process."""
    drawer: Drawer = app.state.charts
    return drawer


async def _picture(request: Request, chart: Chart, form: Format, theme: Theme, reader: Language) -> Response:
    picture = await drawer_of(request).draw(order_of(chart, form=form, theme=theme, language=reader))
    request.scope[CSP_IN_SCOPE] = PICTURE_POLICY
    kind = "image/svg+xml" if form == "svg" else "image/png"
    headers = {
        "Content-Type": kind,
        "Content-Disposition": f'inline; filename="chart.{form}"',
        "Cache-Control": "private, no-store",
    }
    return Response(picture, headers=headers)


async def _charts(plane: ControlPlane, me: Caller, conversation: str, command: str) -> tuple[Chart, ...]:
    """Raises NotFound for what this person may not see, or what is of another conversation."""
    await plane.conversations.get(conversation, me.principal)
    row = await plane.commands.get(command, me.principal)
    if row.conversation != conversation:
        raise NotFound(f"there is no command {command!r}")
    try:
        return charts_of(await plane.commands.result(command, me.principal), row.title)
    except Conflict:
        return ()  # it still runs


async def _chart(plane: ControlPlane, me: Caller, conversation: str, command: str, number: str) -> Chart:
    charts = await _charts(plane, me, conversation, command)
    if not number.isascii() or not number.isdecimal() or int(number) >= len(charts):
        raise NotFound("There is no such chart.")
    return charts[int(number)]


def _view(chart: Chart, number: int, base: str, reader: Language) -> ChartView:
    return ChartView(
        number=number,
        title=translate(chart.title, reader),
        alt=described(chart, reader),
        svg=f"{base}/chart.svg",
        png=f"{base}/chart.png",
        rows=tuple(_ChartRow(**row) for row in table_of(chart)),
        thresholds={row.label: row.value for row in chart.thresholds},
        marks=tuple(mark.model_dump(mode="json") for mark in chart.marks),
        left_out=chart.left_out,
        note=translate(chart.note, reader),
        sparkline=sparkline(chart.lines[0].points) if chart.lines else "",
    )
