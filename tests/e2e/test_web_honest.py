"""What the page says when there is no proof, no safe fix, or a password that somebody pasted."""

import pytest
from playwright.async_api import expect

from protocol.diagnosis import Diagnosis
from protocol.events import DiagnosisMade, ModelMessage, TurnFinished, TurnStarted
from tests.e2e.browser import PHONE
from tests.e2e.conftest import Stage
from tests.e2e.test_web_pages import sound
from tests.integration.http_server import Here
from tests.integration.test_honest_answers import crash, outside

pytestmark = pytest.mark.e2e

WORDS = {
    "not enough evidence": (crash(), "Not enough evidence: this is possible, and not proven", None),
    "nothing to see": (
        Diagnosis(summary="I don't know: nothing about invoices can be seen.", healthy=False, checked=("1 pods",)),
        "Not enough evidence",
        None,
    ),
    "no safe fix": (outside(), "Root cause", "No safe fix: nothing that may be proposed here mends this. It takes a person."),
}


async def answered(here: Here, conversation: str, turn: str, diagnosis: Diagnosis) -> None:
    await here.plane.conversations.claim_turn(turn)
    for event in (
        TurnStarted(model="offline", offline=True),
        DiagnosisMade(stage="rules", diagnosis=diagnosis, took_ms=12),
        ModelMessage(text=diagnosis.summary, offline=True, final=True),
    ):
        await here.plane.conversations.append(conversation, event, turn=turn)
    await here.plane.conversations.end_turn(turn, "finished", TurnFinished(took_ms=40))


@pytest.mark.parametrize("size", [(1440, 1024), PHONE], ids=["wide", "phone"])
async def test_the_card_says_what_the_answer_amounts_to(stage: Stage, size: tuple[int, int]) -> None:
    here = stage.here
    for diagnosis, heading, note in WORDS.values():
        conversation = await here.plane.conversations.create(stage.dana.principal, cluster=here.cluster.id)
        asked = "it logs in with DB_PASSWORD=hunter2-tr0ub4dor, why does it crash?"
        turn = await here.plane.conversations.ask(conversation.id, stage.dana.principal, asked, door="web", language="en")
        await answered(here, conversation.id, turn.id, diagnosis)
        async with stage.page(stage.dana, f"/c/{conversation.id}", size=size) as view:
            card = view.page.locator("article.diagnosis")
            await expect(card.locator("h3").first).to_have_text(heading)
            told = card.locator(".no-safe-fix")
            await (expect(told).to_have_text(note) if note else expect(told).to_have_count(0))
            # Who pasted a password sees that it is gone.
            await expect(view.page.locator(".asked-redacted")).to_contain_text("Removed before it was stored: 1 piece")
            await expect(view.page.locator("body")).not_to_contain_text("tr0ub4dor")
            await sound(view.page)
            view.expect_silence()
        async with stage.page(stage.dana, f"/c/{conversation.id}", scripts=False) as view:
            await expect(view.page.locator("article.diagnosis h3").first).to_have_text(heading)
