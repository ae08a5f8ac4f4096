"""Slack on the web: an administrator binds a channel and maps a group; a person links themselves, and sees when it is done."""

from pathlib import Path

import pytest
from playwright.async_api import expect

from control_plane.slack.installations import Facts
from protocol.approval import Role
from tests.e2e.browser import PHONE, picture
from tests.e2e.conftest import Stage
from tests.e2e.test_web_pages import sound

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

TEAM = "T0001"
HOSTILE = "Dana <img src=x onerror=alert(1)>"


async def test_an_administrator_binds_a_channel_and_a_person_links_themselves(stage: Stage, tmp_path: Path) -> None:
    plane, dana = stage.here.plane, stage.dana
    root = await stage.here.person("root", Role.ADMIN, display="Root")
    await plane.slack_workspaces.keep(Facts(team=TEAM, name="Payments", url="https://payments.slack.com/"), "")
    async with stage.page(root, "/slack") as view:
        page = view.page
        await page.get_by_text("Bind a channel").first.click()
        await page.get_by_label("Channel: its name").fill("C0001")
        await page.get_by_label("What people call it").first.fill(HOSTILE)
        await page.get_by_label("May see (").fill("practice:payments,shop")
        await page.get_by_role("button", name="Bind a channel").click()
        await expect(page.locator(".row", has_text="C0001")).to_contain_text("payments, shop")
        await page.get_by_text("Give a role").first.click()
        await page.get_by_label("User group: its handle").fill("S0001")
        await page.locator("#map-role").select_option("approver")
        assert await page.locator("#map-role option").all_text_contents() == ["viewer", "operator", "approver"]
        await page.get_by_role("button", name="Give a role").click()
        await expect(page.locator(".row", has_text="S0001")).to_contain_text("approver")
        await sound(page)
        await picture(page, "slack-admin", tmp_path)
        view.expect_silence()
    token = await plane.slack_people.offer(TEAM, "U0001", HOSTILE)
    async with stage.page(dana, f"/slack/link/{token}") as view:
        page = view.page
        await expect(page.locator("body")).to_contain_text("onerror=alert(1)> in the Slack workspace Payments")
        await picture(page, "slack-link", tmp_path)
        await page.get_by_role("button", name="is me").click()
        said = await page.locator(".link-code code").text_content() or ""
        await sound(page)
        await picture(page, "slack-link-code", tmp_path)
        await plane.slack_people.confirm(TEAM, "U0001", said.removeprefix("link "))
        # The page finds out by itself.
        await expect(page.locator("body")).to_contain_text("U0001 in Slack acts as Dana (on call)", timeout=15_000)
        view.expect_silence("404")
    async with stage.page(dana, "/slack/link", language="ja", size=PHONE) as view:
        await expect(view.page.get_by_role("button", name="連携を解除")).to_be_visible()
        await sound(view.page)
        await picture(view.page, "slack-link-phone", tmp_path)
        view.expect_silence()
