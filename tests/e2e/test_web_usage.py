"""Under an answer stands what it cost; an admin opens what the model saw, and nobody else is offered it."""

import hashlib
import json
from pathlib import Path

import pytest
from playwright.async_api import expect

from control_plane.model_requests import packed
from control_plane.spending import Sent, Spender, Used
from protocol.approval import Role
from protocol.events import LiveProgress, ModelMessage, TurnFinished
from tests.e2e.browser import PHONE, picture
from tests.e2e.conftest import Stage
from tests.e2e.story import ANSWER, HOSTILE, begin, look
from tests.e2e.test_web_pages import sound

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

BODY = json.dumps({"model": "big-1", "messages": [{"role": "user", "content": f"why? {HOSTILE}"}]}).encode()


async def answered(stage: Stage, *, models: tuple[str, ...], why: str = "") -> str:
    """A thread whose turn was answered by these; the conversation's id."""
    here, dana = stage.here, stage.dana
    conversation, turn = await begin(here, dana)
    await look(here, conversation, turn)
    who = Spender(cluster=here.cluster.id, account=dana.account.id, conversation=conversation.id, turn=turn.id)
    if models[0]:
        sent = Sent(
            models[0], "http://models.example/v1/chat/completions", hashlib.sha256(BODY).hexdigest(), len(BODY), packed(BODY)
        )
        call = await here.plane.spending.begin(who, sent, tokens=10, money=0)
        await here.plane.spending.end(call, Used("an answer", 3200, 210, 0.0012))
    add = here.plane.conversations.append
    await add(conversation.id, ModelMessage(text=ANSWER, final=True, model=models[0], offline=not models[0]), turn=turn.id)
    used = {"input_tokens": 3200, "output_tokens": 210, "money": 0.0012, "currency": "USD"} if models[0] else {}
    end = TurnFinished(took_ms=4100, model_calls=1, tool_calls=4, models=models, why=why).model_copy(update=used)
    await here.plane.conversations.end_turn(turn.id, "finished", end)
    return conversation.id


async def test_an_admin_opens_the_exact_bytes_and_a_hostile_one_stays_text(stage: Stage, tmp_path: Path) -> None:
    conversation = await answered(stage, models=("big-1", "small-1"), why="the endpoint failed (503)")
    root = await stage.here.person("root", Role.ADMIN, display="Root")
    async with stage.page(root, f"/c/{conversation}") as view:
        page = view.page
        await expect(page.locator("ot-usage .usage-line")).to_have_text(
            "3,410 tokens (3,200 in, 210 out) · 0.0012 USD · big-1 → small-1"
        )
        await page.get_by_text("What the model saw").click()
        await page.locator(".sent-list summary").click()
        await expect(page.locator(".sent-bytes")).to_contain_text("onerror=alert(1)")
        assert (await page.locator(".sent-bytes").text_content() or "").encode() == BODY
        await page.locator("ot-usage").scroll_into_view_if_needed()
        await picture(page, "usage", tmp_path)
        view.expect_silence()
    read = [row.action for row in await stage.here.plane.audit.list(root.principal)]
    assert read.count("model_requests.read") == 2


async def test_others_see_the_cost_alone_and_rules_cost_nothing(stage: Stage) -> None:
    with_model = await answered(stage, models=("big-1",))
    by_rules = await answered(stage, models=("",))
    async with stage.page(stage.dana, f"/c/{with_model}") as view:
        await expect(view.page.locator("ot-usage .usage-line")).to_contain_text("0.0012 USD · big-1")
        await expect(view.page.get_by_text("What the model saw")).to_have_count(0)
        view.expect_silence()
    async with stage.page(stage.dana, f"/c/{by_rules}", language="ja") as view:
        await expect(view.page.locator("ot-usage .usage-line")).to_have_text("0 トークン、ルールのみ")
        view.expect_silence()
    async with stage.page(stage.dana, f"/c/{with_model}", scripts=False) as view:
        await expect(view.page.locator(".usage-line")).to_contain_text("3,410 tokens (3,200 in, 210 out) · 0.0012 USD · big-1")


async def test_a_wait_for_the_model_is_shown_while_it_lasts(stage: Stage) -> None:
    here = stage.here
    conversation, turn = await begin(here, stage.dana)
    async with stage.page(stage.dana, f"/c/{conversation.id}") as view:
        await expect(view.page.locator(".note.waiting")).to_contain_text("Thinking")
        note = LiveProgress(turn=turn.id, note="The model asks us to wait 5 s: the endpoint is overloaded (529).")
        await here.plane.conversations.publish_live(conversation.id, note)
        await expect(view.page.locator(".note.waiting")).to_contain_text("wait 5 s")
        view.expect_silence()


async def test_an_admin_sees_who_spent_what_and_sets_a_budget(stage: Stage, tmp_path: Path) -> None:
    await answered(stage, models=("big-1",))
    root = await stage.here.person("root", Role.ADMIN, display="Root")
    async with stage.page(root, "/usage") as view:
        page = view.page
        await expect(page.locator("tbody tr")).to_have_count(4)
        await page.get_by_label("Who").select_option("person:dana")
        await page.get_by_label("Tokens").fill("3,000")
        await page.get_by_role("button", name="Set the budget").click()
        await expect(page.locator(".rows .row")).to_contain_text("Person dana · day: 3,000 Tokens")
        await expect(page.locator("tr.used-up")).to_contain_text("used up")
        await sound(page)
        await picture(page, "usage-page", tmp_path)
        await page.get_by_label("Who").select_option("person:dana")
        await page.get_by_role("button", name="Set the budget").click()
        await expect(page.locator(".rows .row")).to_have_count(0)
        view.expect_silence()
    async with stage.page(stage.dana, "/usage", language="zh", size=PHONE) as view:
        await sound(view.page)
        await expect(view.page.locator("tbody tr")).to_have_count(2)
        await expect(view.page.get_by_role("button", name="设置预算")).to_have_count(0)
        view.expect_silence()
