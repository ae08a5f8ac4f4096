"""Charts as people get them: the worker that draws, and REST's door to them."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio

from bot.api.charts import PICTURE_POLICY
from bot.charts.drawer import ChartFailed, Drawer
from bot.charts.look import Order, Theme
from bot.charts.of_result import order_of
from control_plane.conversations import Conversation
from control_plane.errors import Unavailable
from protocol.approval import Role
from protocol.charts import Chart, ChartLine, ChartMark, ChartThreshold
from protocol.commands import CommandResult, Diagnose, PromQuery, ScopeLimit
from tests.integration.agent_house import oom
from tests.integration.fake_runner import FakeRunner, Job
from tests.integration.http_server import Here, Person, http_server
from tests.integration.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOSTILE = (
    "<script>alert(1)</script>",
    "$\\frac{1}{0}$",
    "$\\undefined",
    "x" * 10_000,
    "\u202eevil\u2066\x1b[31m\x00",
    "_nolegend_",
    "--> ]]> &amp;",
    "%s %(a)s {0}",
)
KNOWN = {"svg", "defs", "style", "g", "path", "use", "rect", "clippath", "metadata", "rdf:rdf", "cc:work", "dc:type"}


class Tags(HTMLParser):
    """What a reader of markup finds in a picture."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: set[str] = set()
        self.targets: list[str] = []

    @classmethod
    def of(cls, svg: bytes) -> "Tags":
        found = cls()
        found.feed(svg.decode())
        return found

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.targets += [value or "" for name, value in attrs if name.endswith("href")]


def chart(*labels: str, title: str = "memory of container app of Deployment/shop/web") -> Chart:
    start = NOW.timestamp() - 3600
    lines = tuple(
        ChartLine(label=label, points=tuple((start + 12.0 * at, 80e6 + at * 1e5 * (n + 1)) for at in range(300)))
        for n, label in enumerate(labels)
    )
    return Chart(
        title=title,
        metric="container_memory_working_set_bytes",
        lines=lines,
        thresholds=(ChartThreshold(label="limit", value=2.0**27), ChartThreshold(label="request", value=2.0**26)),
        marks=(ChartMark(at=NOW - timedelta(minutes=20), label=title),),
        left_out=3,
    )


def order(value: Chart, form: Any = "svg", theme: Theme = "light") -> Order:
    return order_of(value, form=form, theme=theme)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def drawer(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Drawer]:
    drawing = Drawer(tmp_path_factory.mktemp("fonts"))
    yield drawing
    await drawing.close()
    assert drawing.pid is None


async def test_the_same_chart_is_the_same_bytes_from_another_worker(drawer: Drawer, tmp_path: Path) -> None:
    other = Drawer(tmp_path / "other")
    try:
        for form in ("svg", "png"):
            mine, theirs = await asyncio.gather(
                drawer.draw(order(chart("a", "b"), form)), other.draw(order(chart("a", "b"), form))
            )
            assert mine == theirs
            assert (await drawer.draw(order(chart("a", "b"), form, "dark"))) != mine
    finally:
        await other.close()


async def test_pictures_are_what_they_say(drawer: Drawer) -> None:
    assert (await drawer.draw(order(chart("a"), "png")))[:8] == b"\x89PNG\r\n\x1a\n"
    svg = await drawer.draw(order(chart("a")))
    assert Tags.of(svg).names[0] == "svg"
    assert b"date" not in svg.lower()
    assert len(svg) < 200_000


async def test_hostile_words_are_only_shapes(drawer: Drawer) -> None:
    """Text is drawn as paths: no element, attribute or reference in the picture comes from a label."""
    for title in HOSTILE:
        svg = await drawer.draw(order(chart(*HOSTILE, title=title)))
        found = Tags.of(svg)
        assert set(found.names) <= KNOWN, set(found.names) - KNOWN
        assert all(target.startswith("#") for target in found.targets)
        assert not [name for name in found.attributes if name.startswith("on")]
        assert b"<script" not in svg


async def test_letters_of_chinese_and_japanese_are_not_boxes(drawer: Drawer) -> None:
    """Two words of the same length differ; with a font that lacks them they would be the same boxes."""
    words = ("支付服务内存", "決済メモリ量")
    pictures = [await drawer.draw(order(chart("a", title=title))) for title in words]
    first, second = [re.sub(rb"<!--.*?-->", b"", picture) for picture in pictures]
    assert first != second


@pytest.mark.parametrize(
    "odd",
    [
        Chart(title="nothing"),
        Chart(title="one point", lines=(ChartLine(label="a", points=((1.0, 5.0),)),)),
        Chart(title="flat zero", lines=(ChartLine(label="a", points=((1.0, 0.0), (2.0, 0.0))),)),
        Chart(title="negative", lines=(ChartLine(label="a", points=((1.0, -5.0), (2.0, 5.0))),)),
        Chart(title="huge", lines=(ChartLine(label="a", points=((1.0, 1e300), (2.0, -1e300))),)),
        Chart(title="years", lines=(ChartLine(label="a", points=((0.0, 1.0), (1.8e9, 2.0))),)),
        Chart(title="many", lines=tuple(ChartLine(label=str(n), points=((1.0, n), (2.0, n + 1.0))) for n in range(500))),
        Chart(
            title="late", lines=(ChartLine(label="a", points=((1.0, 1.0), (2.0, 2.0))),), marks=(ChartMark(at=NOW, label="x"),)
        ),
    ],
    ids=lambda value: value.title,
)
async def test_odd_series_are_drawn(drawer: Drawer, odd: Chart) -> None:
    assert len(await drawer.draw(order(odd))) > 1000


async def test_what_cannot_be_drawn_costs_that_picture_alone(drawer: Drawer) -> None:
    await drawer.draw(order(chart("before")))
    worker = drawer.pid
    with pytest.raises(ChartFailed):
        await drawer.draw(order(chart("a")).model_copy(update={"scale": 0.0}))
    assert drawer.pid == worker is not None
    assert await drawer.draw(order(chart("after")))


async def test_the_worker_has_none_of_our_secrets(drawer: Drawer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    monkeypatch.setenv("OPSTHREAD_DATABASE_URL", "postgresql://u:p@h/d")
    fresh = Drawer(tmp_path / "fonts")
    try:
        await fresh.draw(order(chart("a")))
        names = set(psutil.Process(fresh.pid).environ())
        assert not any(name.startswith(("OPENAI", "OPSTHREAD")) for name in names)
    finally:
        await fresh.close()


async def test_the_worker_takes_no_modules_from_where_serve_was_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "matplotlib.py").write_text("raise SystemExit('taken from the working directory')\n")
    monkeypatch.chdir(tmp_path)
    fresh = Drawer(tmp_path / "fonts")
    try:
        assert await fresh.draw(order(chart("a"), "png"))
    finally:
        await fresh.close()


async def test_a_crowd_is_turned_away_and_not_kept_waiting(tmp_path: Path) -> None:
    crowded = Drawer(tmp_path, waiting=2)
    try:
        asked = [crowded.draw(order(chart(f"pod-{n}"))) for n in range(5)]
        results = await asyncio.gather(*asked, return_exceptions=True)
    finally:
        await crowded.close()
    assert [isinstance(result, Unavailable) for result in results] == [False, False, True, True, True]


async def test_a_picture_that_nobody_waits_for_does_not_hold_the_stop_up(tmp_path: Path) -> None:
    stopped = Drawer(tmp_path)
    drawing = asyncio.create_task(stopped.draw(order(chart("a"))))
    await until(lambda: stopped.pid, "the worker has started")
    async with asyncio.timeout(5):
        await stopped.close()
    assert isinstance((await asyncio.gather(drawing, return_exceptions=True))[0], ChartFailed)
    assert stopped.pid is None


async def test_a_worker_that_dies_or_hangs_is_replaced(drawer: Drawer) -> None:
    await drawer.draw(order(chart("before")))
    first = drawer.pid
    assert first is not None
    os.kill(first, signal.SIGSTOP)
    usual, drawer.within_s = drawer.within_s, 0.2
    try:
        with pytest.raises(Unavailable, match="too long"):
            await drawer.draw(order(chart("while it hangs")))
    finally:
        drawer.within_s = usual
    assert not psutil.pid_exists(first)
    await drawer.draw(order(chart("with a new one")))
    assert drawer.pid not in (None, first)


# REST


@dataclass
class Room:
    here: Here
    runner: FakeRunner
    dana: Person
    eve: Person
    """An administrator of another namespace only."""
    conversation: Conversation

    async def command(self, conversation: str | None, ask: Any, scope: ScopeLimit | None = None) -> CommandResult:
        return await self.here.plane.commands.run(
            self.here.cluster.id,
            ask,
            principal=self.dana.principal,
            scope=scope or ScopeLimit(),
            correlation={"conversation": conversation} if conversation else {},
        )

    def path(self, command: str, rest: str = "", conversation: str = "") -> str:
        return f"/api/v1/conversations/{conversation or self.conversation.id}/charts/{command}{rest}"


async def _answer(job: Job) -> None:
    await job.accept()
    values = [[1_700_000_000 + 60 * at, str(2**20 * (at % 7 + 1))] for at in range(60)]
    match job.request.command:
        case PromQuery(start=None):
            await job.finish("1", data={"series": [{"metric": {}, "value": [1, "2"]}]})
        case PromQuery():
            rows = [{"metric": {"pod": HOSTILE[0], "namespace": "shop"}, "values": values}]
            await job.finish("a table", data={"series": rows, "series_total": 9}, cut="one point every 60 s instead of 1 s")
        case _:
            data = {"diagnosis": oom().model_dump(mode="json"), "charts": [chart("a").model_dump(mode="json")] * 2}
            await job.finish("diagnosed", data=data)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def room(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Room]:
    async with http_server(tmp_path_factory.mktemp("rest")) as here:
        dana = await here.person("dana", Role.OPERATOR)
        eve = await here.person("eve", Role.ADMIN, namespaces=("elsewhere",))
        runner = FakeRunner(here.plane.bus.url, answer=_answer)
        assert await runner.enrol(await here.plane.fleet.enrolment_token(here.cluster.id, by="system")) == ""
        assert (await runner.connect()).accepted

        async def online() -> bool:
            return (await here.plane.fleet.get(here.cluster.id)).online

        await until(online, "the cluster is online")
        try:
            yield Room(here, runner, dana, eve, await here.conversation(dana))
        finally:
            await runner.close()


MEMORY = PromQuery(expr="container_memory_working_set_bytes", start=NOW - timedelta(hours=1), end=NOW)


async def test_a_query_over_time_is_listed_and_drawn(room: Room) -> None:
    result = await room.command(room.conversation.id, MEMORY)
    status, body = await room.dana.call("GET", room.path(result.id))
    assert status == 200
    (view,) = body["charts"]
    assert view["rows"] == [
        {"label": "shop/<script>alert(1)</script>", "first": "1 MiB", "min": "1 MiB", "max": "7 MiB", "last": "4 MiB"}
    ]
    assert view["left_out"] == 8
    assert "instead of 1 s" in view["note"]
    for kind, start in (("svg", b"<?xml"), ("png", b"\x89PNG")):
        url = f"{room.here.url}{view[kind]}"
        async with room.here.client.get(url, headers={"Authorization": f"Bearer {room.dana.token}"}) as answer:
            assert answer.status == 200
            assert (await answer.read()).startswith(start)
            assert answer.headers["Content-Security-Policy"] == PICTURE_POLICY
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
            assert "no-store" in answer.headers["Cache-Control"]


async def test_a_diagnosis_brings_the_charts_of_its_evidence(room: Room) -> None:
    result = await room.command(room.conversation.id, Diagnose(words=("payments",)))
    _, body = await room.dana.call("GET", room.path(result.id) + "?lang=ja")
    assert [view["number"] for view in body["charts"]] == [0, 1]
    assert "メモリ" in body["charts"][0]["title"]
    assert body["charts"][0]["thresholds"] == {"limit": 2.0**27, "request": 2.0**26}
    assert len(body["charts"][0]["sparkline"]) == 40
    status, _ = await room.dana.call("GET", room.path(result.id, "/1/chart.svg") + "?theme=dark")
    assert status == 200
    assert (await room.dana.call("GET", room.path(result.id, "/2/chart.svg")))[0] == 404
    assert (await room.dana.call("GET", room.path(result.id, "/0/chart.svg") + "?theme=pink"))[0] == 422
    for odd in ("-1", "x", "٣", "9" * 60):
        assert (await room.dana.call("GET", room.path(result.id, f"/{odd}/chart.svg")))[0] == 404


async def test_an_instant_query_has_none(room: Room) -> None:
    result = await room.command(room.conversation.id, PromQuery(expr="up"))
    assert await room.dana.call("GET", room.path(result.id)) == (200, {"charts": []})
    assert (await room.dana.call("GET", room.path(result.id, "/0/chart.png")))[0] == 404


async def test_nobody_else_sees_a_chart(room: Room) -> None:
    """By another person, through another conversation, without one, and not signed in: there is no such chart."""
    result = await room.command(room.conversation.id, MEMORY)
    loose = await room.command(None, MEMORY)
    other = await room.here.conversation(room.dana)
    for rest in ("", "/0/chart.svg", "/0/chart.png"):
        asked = [
            (room.dana, room.path(result.id, rest), 200),
            (room.eve, room.path(result.id, rest), 404),
            (room.dana, room.path(result.id, rest, other.id), 404),
            (room.dana, room.path(loose.id, rest), 404),
            (room.dana, room.path("nothing", rest), 404),
            (None, room.path(result.id, rest), 401),
        ]
        for who, path, status in asked:
            headers = {"Authorization": f"Bearer {who.token}"} if who else {}
            async with room.here.client.get(room.here.url + path, headers=headers) as answer:
                assert answer.status == status, (who, path)


async def test_a_chart_of_the_whole_cluster_is_not_for_a_reader_of_one_namespace(room: Room) -> None:
    """Whatever a conversation's scope says: what the command was made for has the last word."""
    plane = room.here.plane
    mia = await room.here.person("mia", Role.VIEWER, namespaces=("shop",))
    hers = await plane.conversations.create(mia.principal, cluster=room.here.cluster.id, namespaces=("shop",))
    narrow = await room.command(
        hers.id, MEMORY.model_copy(update={"expr": 'm{namespace="shop"}'}), ScopeLimit(namespaces=("shop",))
    )
    wide = await room.command(hers.id, MEMORY)
    assert (await mia.call("GET", room.path(narrow.id, "/0/chart.svg", hers.id)))[0] == 200
    assert (await mia.call("GET", room.path(wide.id, "/0/chart.svg", hers.id)))[0] == 404
