"""Feedback under an answer, the picker of the actual cause and the notice of a relapse, in Chromium, in three languages."""

from pathlib import Path

import pytest
from playwright.async_api import expect

from knowledge.wording import title
from protocol.events import ApprovalRequested, CaseEnded, Language
from tests.e2e import story
from tests.e2e.browser import PHONE, picture
from tests.e2e.conftest import Stage
from tests.e2e.test_web_pages import sound

pytestmark = pytest.mark.e2e
LANGUAGES: tuple[Language, ...] = ("en", "zh", "ja")


async def answered(stage: Stage) -> tuple[str, str]:
    conversation, turn = await story.begin(stage.here, stage.dana)
    await story.look(stage.here, conversation, turn)
    await story.conclude(stage.here, conversation, turn)
    return conversation.id, turn.id


def ended(end: str, message: str) -> CaseEnded:
    return CaseEnded.model_validate(
        {
            "case": "approval.x",
            "approval": "x",
            "end": end,
            "object": "Deployment/shop/payments",
            "code": "memory-limit-too-low",
            "message": message,
            "after_s": 1860,
        }
    )


@pytest.mark.timeout(180)
async def test_an_answer_can_be_called_wrong_with_its_actual_cause(stage: Stage, tmp_path: Path) -> None:
    for language in LANGUAGES:
        await say_wrong(stage, language, tmp_path)


async def say_wrong(stage: Stage, language: Language, folder: Path) -> None:
    conversation, turn = await answered(stage)
    relapse = ended("relapsed", "Container app needs more memory than its limit of 256Mi.")
    await stage.here.plane.conversations.append(conversation, relapse)
    async with stage.page(stage.alex, f"/c/{conversation}", language=language) as view:
        page = view.page
        feedback = page.locator("ot-feedback").first
        await expect(page.locator("article.relapse")).to_be_visible()
        await expect(page.locator("article.relapse code.object")).to_have_text("Deployment/shop/payments")
        await feedback.locator(".feedback-wrong").click()
        picker = feedback.locator("select")
        await expect(picker).to_be_focused()
        await expect(feedback.locator("optgroup")).to_have_count(7)
        await picker.select_option("node-pressure")
        assert await picker.evaluate("e => e.selectedOptions[0].textContent") == title("node-pressure", language)
        await feedback.locator("textarea").fill("the node was full, password=hunter2-hunter2")
        await sound(page)
        await picture(page, f"feedback-{language}", folder)
        await feedback.locator("button[type=submit]").click()
        await expect(feedback.locator(".feedback-note")).to_be_visible()
        await expect(feedback.locator(".feedback-wrong")).to_have_attribute("aria-pressed", "true")
        (given,) = await stage.here.plane.feedback.of_conversation(conversation)
        assert (given.turn, given.verdict, given.actual, given.counted) == (turn, "wrong", "node-pressure", True)
        assert "hunter2" not in given.note
        text = await page.inner_text("body")
        assert not [word for word in text.split() if word.startswith(("feedback.", "soak.", "case."))]
        await page.reload()
        again = page.locator("ot-feedback").first
        await expect(again.locator(".feedback-wrong")).to_have_attribute("aria-pressed", "true")
        await again.locator(".feedback-right").click()
        await expect(again.locator(".feedback-right")).to_have_attribute("aria-pressed", "true")
        view.expect_silence()
    (given,) = await stage.here.plane.feedback.of_conversation(conversation)
    assert given.verdict == "right"


async def test_ends_of_a_soak_on_a_phone_and_without_scripts(stage: Stage, tmp_path: Path) -> None:
    conversation, turn = await answered(stage)
    add = stage.here.plane.conversations.append
    await add(conversation, ApprovalRequested(approval="x"), turn=turn)
    await add(conversation, ended("held", "Nothing is wrong."), turn=turn)
    await add(conversation, ended("void", "Deployment/shop/payments is not there any more."), turn=turn)
    await add(conversation, ended("relapsed", "<b>It is back</b>"))
    async with stage.page(stage.dana, f"/c/{conversation}", language="ja", size=PHONE, dark=True) as view:
        await expect(view.page.locator(".soak-held")).to_be_visible()
        await expect(view.page.locator("article.relapse")).to_contain_text("<b>It is back</b>")
        # Where it was said to be healed, it is said as well.
        await expect(view.page.locator("p.soak-relapsed")).to_be_visible()
        await expect(view.page.locator("article.relapse")).to_have_count(1)
        await expect(view.page.locator("[data-stop]")).to_be_hidden()
        await sound(view.page)
        await picture(view.page, "relapse-phone", tmp_path)
        view.expect_silence()
    async with stage.page(stage.dana, f"/c/{conversation}", scripts=False) as view:
        text = await view.page.inner_text("body")
        assert "The fix did not hold" in text
        assert "<b>It is back</b>" in text
