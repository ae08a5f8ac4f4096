"""Charts in Chromium: seen under the diagnosis, in the page's theme, with their values in a table; no label becomes markup."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from playwright.async_api import Page, expect

from control_plane.clock import utc_now
from control_plane.conversations import Conversation, Turn
from protocol.charts import Chart, ChartLine, ChartMark, ChartThreshold
from protocol.commands import Command, Diagnose, PromQuery, ScopeLimit
from protocol.diagnosis import Diagnosis, Evidence, RootCause
from protocol.events import DiagnosisMade, ToolFinished, ToolStarted
from protocol.objects import ObjectRef
from tests.e2e import story
from tests.e2e.browser import PHONE, picture
from tests.e2e.conftest import Stage
from tests.integration.fake_runner import FakeRunner, Job
from tests.integration.waiting import until

pytestmark = pytest.mark.e2e

METRIC = 'container_memory_working_set_bytes{namespace="shop",pod="web-1",container="web"}'
HOSTILE = "<img src=x onerror=alert(1)>"
INLINE = """() => [...document.querySelectorAll('ot-charts [style], ot-charts style, ot-charts svg')]
    .map((e) => e.outerHTML.slice(0, 120))"""
DRAWN = """([n, theme]) => {
    const all = [...document.querySelectorAll('img.chart-image')];
    return all.length === n && all.every((i) => i.complete && i.naturalWidth > 0 && i.src.includes(`theme=${theme}`));
}"""


def found() -> tuple[Diagnosis, Chart]:
    pod, web = ObjectRef.parse("Pod/shop/web-1"), ObjectRef.parse("Deployment/shop/web")
    item = Evidence(source="metric", object=pod, field=METRIC, excerpt="120000000")
    cause = RootCause(code="memory-limit-too-low", object=web, explanation="It needs more.", confidence=0.9, evidence=(item,))
    now = utc_now()
    points = tuple((now.timestamp() - 60.0 * (120 - at), 60e6 + 5e5 * at) for at in range(120))
    chart = Chart(
        title="memory of container web of Deployment/shop/web",
        metric="container_memory_working_set_bytes",
        lines=(ChartLine(label="web-1", points=points), ChartLine(label=HOSTILE, points=points[30:])),
        thresholds=(ChartThreshold(label="limit", value=2.0**27),),
        marks=(ChartMark(at=now - timedelta(minutes=40), label="memory: 256Mi → 128Mi"),),
        until=now,
    )
    return Diagnosis(summary="It needs more memory.", root_causes=(cause,), healthy=False), chart


async def _answer(job: Job) -> None:
    await job.accept()
    diagnosis, chart = found()
    if isinstance(job.request.command, Diagnose):
        data = {"diagnosis": diagnosis.model_dump(mode="json"), "charts": [chart.model_dump(mode="json")]}
        await job.finish("diagnosed", data=data)
        return
    rows = [{"metric": {"job": HOSTILE}, "values": [[at, str(value)] for at, value in chart.lines[0].points]}]
    await job.finish("a table", data={"series": rows, "series_total": 3}, cut="one point every 60 s instead of 1 s")


@asynccontextmanager
async def looked_at(stage: Stage) -> AsyncGenerator[Conversation]:
    """A turn that diagnosed, looked at the quoted metric again, and at another one."""
    here = stage.here
    runner = FakeRunner(here.plane.bus.url, answer=_answer)
    assert await runner.enrol(await here.plane.fleet.enrolment_token(here.cluster.id, by="system")) == ""
    assert (await runner.connect()).accepted

    async def online() -> bool:
        return (await here.plane.fleet.get(here.cluster.id)).online

    await until(online, "the cluster is online")
    try:
        conversation, turn = await story.begin(here, stage.dana)
        start, end = utc_now() - timedelta(hours=2), utc_now()
        await _step(stage, conversation, turn, "diagnose", "diagnose web", Diagnose(words=("web",)))
        diagnosis, _ = found()
        made = DiagnosisMade(stage="rules", diagnosis=diagnosis, took_ms=12)
        await here.plane.conversations.append(conversation.id, made, turn=turn.id)
        for expr in (METRIC, "rate(x_total[5m])"):
            asked = PromQuery(expr=expr, start=start, end=end)
            await _step(stage, conversation, turn, "prometheus", f"{expr} for 120 min", asked)
        await _step(stage, conversation, turn, "kubectl", "kubectl get pods", None)
        yield conversation
    finally:
        await runner.close()


async def _step(stage: Stage, conversation: Conversation, turn: Turn, name: str, title: str, command: Command | None) -> None:
    plane, call = stage.here.plane, f"call-{title[:30]}"
    ran: str | None = None
    if command is not None:
        result = await plane.commands.run(
            stage.here.cluster.id,
            command,
            principal=stage.dana.principal,
            scope=ScopeLimit(),
            correlation={"conversation": conversation.id},
        )
        assert result.good, result.error
        ran = result.id
    await plane.conversations.append(conversation.id, ToolStarted(call=call, name=name, title=title), turn=turn.id)
    finished = ToolFinished(call=call, name=name, status="ok", text="a table", duration_ms=5, command=ran)
    await plane.conversations.append(conversation.id, finished, turn=turn.id)


async def drawn(page: Page, count: int, theme: str) -> None:
    async def all_there() -> Any:
        return await page.evaluate(DRAWN, [count, theme])

    await until(all_there, f"{count} pictures in {theme}", 20)


async def test_charts_of_a_turn(stage: Stage, tmp_path: Any) -> None:
    async with looked_at(stage) as conversation, stage.page(stage.dana, f"/c/{conversation.id}") as view:
        page = view.page
        await drawn(page, 2, "light")
        charts = page.locator("figure.chart")
        await expect(charts).to_have_count(2)  # the diagnosis' own, and the query that it does not rest on
        alt = await charts.nth(0).locator("img").get_attribute("alt")
        assert alt is not None
        assert alt.startswith("memory of container web of Deployment/shop/web: 57.22 MiB")
        assert "limit 128 MiB" in alt
        await charts.nth(0).locator("summary").click()
        await expect(charts.nth(0).locator("tbody tr")).to_have_count(2)
        await expect(charts.nth(0).locator("tbody")).to_contain_text(HOSTILE)
        await expect(charts.nth(1)).to_contain_text("one point every 60 s instead of 1 s")
        await charts.nth(0).scroll_into_view_if_needed()
        await picture(page, "charts", tmp_path)
        await page.get_by_role("button", name="Dark").click()
        await drawn(page, 2, "dark")
        assert await page.evaluate(INLINE) == []
        view.expect_silence()


async def test_charts_on_a_telephone_in_japanese_and_the_picture_by_itself(stage: Stage) -> None:
    async with (
        looked_at(stage) as conversation,
        stage.page(stage.dana, f"/c/{conversation.id}", size=PHONE, dark=True, language="ja") as view,
    ):
        page = view.page
        await drawn(page, 2, "dark")
        alt = await page.locator("img.chart-image").first.get_attribute("alt")
        assert alt is not None
        assert "のメモリ" in alt
        assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        src = await page.locator("img.chart-image").nth(1).get_attribute("src")
        await page.goto(f"{stage.here.url}{src}")
        assert await page.evaluate("() => document.documentElement.localName") == "svg"
        assert await page.evaluate("() => document.querySelectorAll('script, foreignObject, image, a, text').length") == 0
        view.expect_silence()


async def test_without_scripts_the_picture_is_there_too(stage: Stage) -> None:
    async with (
        looked_at(stage) as conversation,
        stage.page(stage.dana, f"/c/{conversation.id}", scripts=False, dark=True) as view,
    ):
        image = view.page.locator("noscript img.chart-image, img.chart-image")
        await expect(image).to_have_count(1)
        await expect(image).to_have_js_property("complete", True)
        assert "theme=dark" in await image.evaluate("(i) => i.currentSrc")
        assert await image.evaluate("(i) => i.naturalWidth") > 0
        view.expect_silence()
