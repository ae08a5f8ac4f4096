"""What the bot sends, drawn: every block of it, in a browser, without a complaint.

With OPSTHREAD_SCREENSHOTS=1 the real product tells a story over the fake Slack, and the pictures of docs/slack.md are made of
what it sent; without, the same pages are drawn of what the block builders make.
"""

import os
from pathlib import Path

import pytest
from playwright.async_api import Browser

from bot.slack.blocks.alert import alert
from bot.slack.blocks.answer import answer
from bot.slack.blocks.approval import card
from bot.slack.blocks.home import home
from bot.slack.blocks.modals import details_modal, feedback_modal, reject_modal
from bot.slack.blocks.notices import choose_cluster, unknown_user
from bot.slack.blocks.parts import Message
from tests.e2e.browser import chromium, picture, watched, window
from tests.e2e.slack_story import pages, working
from tests.fake_slack.picture import Drawer, Line
from tests.unit.bot.slack import made

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

HOSTILE = "<img src=x onerror=alert(1)> <!channel> *bold* `code` " + "x" * 300
DRAWER = Drawer({"U1": "Dana"})


def built() -> dict[str, str]:
    """One page of each kind, with text that is out to do harm."""
    url, text = made.URL, HOSTILE
    messages: list[Message] = [
        *answer(made.turn(text), language="en", url=url, feedback="f"),
        *answer(made.turn(), language="ja", url=url, feedback="f"),
        *answer(made.failed(text), language="en", url=url),
        card(made.approval(text), language="en", url=url, value=lambda action: action),
        *(card(made.approval(state=state), language="zh", url=url, value=lambda a: a) for state in ("succeeded", "expired")),
        alert(made.alert(text), language="en", url=url, value=lambda action: action),
        unknown_user("en", url),
        choose_cluster("en", [("c1", text), ("c2", "stage")], lambda cluster: cluster),
    ]
    steps = [
        {"type": "task_card", "task_id": one, "title": text, "status": one} for one in ("complete", "in_progress", "error")
    ]
    streamed = [{"type": "plan", "title": text, "tasks": steps}, *steps, {"type": "markdown", "text": text}]
    lines = [Line(who=text, at=made.AT.timestamp(), blocks=one.blocks, app=True) for one in messages]
    lines.append(Line(who="Opsthread", at=made.AT.timestamp(), blocks=streamed, app=True, only=True))
    tab = home(
        clusters=[made.cluster(text)], alerts=[made.alert(text)], approvals=[made.approval(text)], language="en",
        public_url=url, alert_url=lambda _: url, approval_url=lambda _: url, details=lambda _: "d",
    )  # fmt: skip
    return {
        "thread": DRAWER.thread(text, lines),
        "home": DRAWER.view("Opsthread", tab),
        "details": DRAWER.view("Details", details_modal(made.approval(text), language="en")),
        "reject": DRAWER.view("Reject", reject_modal("m", language="en", view=made.approval())),
        "feedback": DRAWER.view("Wrong", feedback_modal("m", language="en", causes={"Pods": [("oom", text)]})),
    }


async def test_what_the_bot_sends_can_be_drawn_and_does_nothing(tmp_path: Path) -> None:
    told = await _told(tmp_path) if os.environ.get("OPSTHREAD_SCREENSHOTS") == "1" else built()
    async with chromium() as browser:
        for name, page in told.items():
            await _draw(browser, name, page, tmp_path)


async def _told(folder: Path) -> dict[str, str]:
    return {**await pages(folder / "story"), "slack-working": await working(folder / "working")}


async def _draw(browser: Browser, name: str, shown: str, folder: Path) -> None:
    async with window(browser, size=(802, 100)) as context:
        view = await watched(context)
        await view.page.set_content(shown)
        main = view.page.locator("main")
        box = await main.bounding_box()
        assert box is not None
        wide, inside = await main.evaluate("one => [one.clientWidth, one.scrollWidth]")
        assert inside <= wide, f"{name} is wider than its page"
        await view.page.set_viewport_size({"width": int(box["width"]) + 40, "height": int(box["height"]) + 40})
        assert await view.page.locator("img:not([src^='data:image/png'])").count() == 0
        await picture(view.page, name, folder)
        view.expect_silence()
