"""A conversation's page and its thread in Slack: the form that begins it, and the link that leads to it."""

from pathlib import Path

import pytest
from sqlalchemy import update

from control_plane.slack.channels import Reach
from control_plane.slack.installations import Facts
from control_plane.tables.slack import SlackThreadRow
from protocol.approval import Role
from tests.e2e.browser import PHONE, picture
from tests.e2e.conftest import Stage
from tests.e2e.test_web_pages import sound

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


async def test_a_page_begins_its_thread_and_leads_to_it(stage: Stage, tmp_path: Path) -> None:
    plane = stage.here.plane
    plane.settings.slack_mode = "http"
    root = await stage.here.person("root", Role.ADMIN, display="Root")
    cluster = (await plane.fleet.list())[0].id
    await plane.slack_workspaces.keep(Facts(team="T1", name="Payments", url="https://payments.slack.com/"), "")
    await plane.slack_channels.bind(root.principal, team="T1", channel="C1", name="<b>ops", reach=[Reach(cluster=cluster)])
    made = await plane.conversations.create(root.principal, cluster=cluster, title="why does payments crash since the release?")
    async with stage.page(root, f"/c/{made.id}", size=PHONE) as view:
        await sound(view.page)
    async with stage.page(root, f"/c/{made.id}") as view:
        page = view.page
        assert await page.locator("form.in-slack option").all_text_contents() == ["#<b>ops"]
        await picture(page, "web-in-slack", tmp_path)
        await page.get_by_role("button", name="Go on in Slack").click()
        await page.wait_for_load_state()
        thread = await plane.slack_threads.of_conversation(made.id)
        assert thread is not None
        assert (thread.team, thread.channel, thread.thread_ts) == ("T1", "C1", None)
        async with plane.database.transaction() as session:
            await session.execute(update(SlackThreadRow).values(thread_ts="1700000000.000100"))
        await page.reload()
        link = page.get_by_role("link", name="Open in Slack")
        assert await link.get_attribute("href") == "https://payments.slack.com/archives/C1/p1700000000000100"
        await sound(page)
        view.expect_silence()
    stranger = await stage.here.person("nora", Role.VIEWER, namespaces=("bank",))
    async with stage.page(stranger, f"/c/{made.id}") as view:
        assert await view.page.get_by_text("Slack", exact=False).count() == 0
