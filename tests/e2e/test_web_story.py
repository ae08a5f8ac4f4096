"""The whole story on the whole product: ask, see, the requester is refused, the approver decides, it heals.

With OPSTHREAD_SCREENSHOTS=1 the pictures of the documentation are made on the way.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
from playwright.async_api import Browser, expect

from tests.e2e.browser import PHONE, WIDE, Watched, chromium, picture, watched, window
from tests.integration.http_server import COOKIE
from tests.product import Process
from tests.unit.knowledge.source_texts import left_in_english

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

HEALED_S = 120_000
SEEN_S = 20_000
OURS = ".summary, .explanation, .recommendations p, .rail-notes li, .why, .facts dd, .notice, .step-title"
"""Where a reader finds our own sentences. The answer is not among them: it is in the language of its question."""
TALL = (WIDE[0], 1240)


@pytest.fixture
async def product(tmp_path: Path) -> AsyncGenerator[Process]:
    process = await Process(("demo", "--port", "0", "--data-dir", str(tmp_path / "data")), tmp_path).start()
    try:
        yield process
    finally:
        await process.stop()
        await process.no_orphans()


@asynccontextmanager
async def signed_in(
    browser: Browser, product: Process, who: str, *, size: tuple[int, int] = TALL, dark: bool = False
) -> AsyncGenerator[Watched]:
    """A browser of their own, through the one-time link that the start printed."""
    async with window(browser, size=size, dark=dark) as context:
        view = await watched(context)
        await view.page.goto(cast(dict[str, str], product.ready["links"])[who])
        await view.page.get_by_role("button", name="Sign in with this link").click()
        await view.page.wait_for_selector("html[data-ready]")
        yield view


async def test_ask_see_refused_approved_healed(product: Process, tmp_path: Path) -> None:
    async with (
        chromium() as browser,
        signed_in(browser, product, "asker") as hers,
        signed_in(browser, product, "approver", dark=True) as his,
    ):
        await picture(hers.page, "start", tmp_path)
        await hers.page.fill("textarea", "why does payments keep restarting?")
        await hers.page.keyboard.press("Enter")
        await hers.page.wait_for_url("**/c/*")

        card = hers.page.locator("ot-diagnosis article")
        await expect(card).to_contain_text("memory-limit-too-low", timeout=SEEN_S)
        await expect(card.locator(".excerpt").first).to_contain_text("OOMKilled")
        assert await card.locator(".excerpt").count() >= 3
        assert await hers.page.locator(".step[data-status=good]").count() >= 1

        approval = hers.page.locator("ot-approval")
        await expect(approval.locator(".diff .added")).to_contain_text("memory", timeout=SEEN_S)
        await expect(approval).to_contain_text("Your approval would not count")
        await expect(approval.get_by_role("button", name="Approve and run")).to_have_count(0)
        await expect(hers.page.locator(".answer-label")).to_contain_text("made without a language model")

        await his.page.goto(hers.page.url)
        await expect(his.page.get_by_role("button", name="Approve and run")).to_be_enabled(timeout=SEEN_S)
        await expect(his.page.locator(".turn-meta")).to_be_visible(timeout=SEEN_S)
        await in_every_light(browser, his, tmp_path)
        await his.page.get_by_role("button", name="Approve and run").click()

        for view in (hers, his):
            state = view.page.locator("ot-approval .card-head .state")
            await expect(state).to_have_text("Healed", timeout=HEALED_S)
            await expect(view.page.locator("ot-approval .outcome")).to_contain_text("took")
            await expect(view.page.locator(".healed-yes")).to_be_visible(timeout=SEEN_S)
            await expect(view.page.locator(".by-action")).to_be_visible(timeout=SEEN_S)
        await expect(hers.page.locator("ot-turn").last.locator(".turn-meta")).to_be_visible(timeout=SEEN_S)
        await picture(hers.page, "healed", tmp_path)
        for view in (hers, his):
            view.expect_silence()


async def in_every_light(browser: Browser, his: Watched, folder: Path) -> None:
    """The same card, waiting for its decision: dark and light, on a phone, in Chinese and Japanese."""
    await picture(his.page, "chat-dark", folder)
    cookies = await his.page.context.cookies()
    url = his.page.url
    for name, size, language in (
        ("chat-light", TALL, "en"),
        ("chat-phone", PHONE, "en"),
        ("chat-zh", TALL, "zh"),
        ("chat-ja", TALL, "ja"),
    ):
        async with window(browser, size=size) as context:
            kept = {str(c.get("name")): str(c.get("value")) for c in cookies if c.get("name") == COOKIE}
            base = url.split("/c/")[0]
            await context.add_cookies(
                [{"name": n, "value": v, "url": base} for n, v in {**kept, "opsthread_language": language}.items()]
            )
            view = await watched(context)
            await view.page.goto(url)
            await expect(view.page.locator("ot-approval article")).to_be_visible(timeout=SEEN_S)
            await expect(view.page.locator(".turn-meta")).to_be_visible(timeout=SEEN_S)
            await expect(view.page.locator("html")).to_have_attribute("lang", language)
            await picture(view.page, name, folder)
            if language != "en":
                assert left_in_english(await view.page.locator(OURS).all_inner_texts()) == []
            if name == "chat-phone":
                await view.page.locator("ot-approval").evaluate("card => card.scrollIntoView()")
                await picture(view.page, "chat-phone-approval", folder)
            view.expect_silence()


async def test_the_cause_shows_elsewhere_and_a_healthy_look_alike(product: Process) -> None:
    async with chromium() as browser, signed_in(browser, product, "asker") as view:
        await view.page.fill("textarea", "checkout fails, what is going on?")
        await view.page.keyboard.press("Enter")
        first = view.page.locator("ot-diagnosis article").first
        await expect(first).to_contain_text("ConfigMap/shop/", timeout=SEEN_S)
        await view.page.fill("textarea", "is something wrong with search?")
        await view.page.keyboard.press("Enter")
        second = view.page.locator("ot-turn").nth(1).locator("ot-diagnosis h3")
        await expect(second).to_have_text("Nothing is wrong", timeout=SEEN_S)
        view.expect_silence()
