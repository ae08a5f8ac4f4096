"""Alerts on the web: what fires is listed, taken in hand, silenced and said to be wrong, with and without scripts."""

from pathlib import Path

import pytest
from playwright.async_api import expect

from agent_runtime.alert_words import opening
from control_plane.alerts.intake import alertmanager
from control_plane.alerts.routes import NewRoute, Target
from protocol.approval import Role
from tests.e2e.browser import PHONE, picture
from tests.e2e.conftest import Stage
from tests.e2e.test_web_pages import sound
from tests.integration.alert_rows import alert, resolved, webhook

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

NOON = "2026-03-01T12:00:00Z"
HOSTILE = "<img src=x onerror=alert(1)> payments-1 restarts"


async def test_what_fires_is_seen_and_taken_in_hand(stage: Stage, tmp_path: Path) -> None:
    plane, cluster = stage.here.plane, stage.here.cluster.id
    root = await stage.here.person("root", Role.ADMIN, display="Root")
    one, two = alert(starts=NOON, severity="critical"), alert("cart-1", starts=NOON, alertname="KubePodNotReady")
    one["annotations"] = {"summary": HOSTILE}
    bodies = [webhook(one, alert("payments-2", starts=NOON), key="one"), webhook(two, key="two")]
    bodies.append(webhook(resolved(alert("old-1", starts=NOON, alertname="OldOne"), NOON), key="three"))
    taken = [(await plane.alerts.take(alertmanager(body, cluster=cluster, clusters={}).reports)).groups[0] for body in bodies]
    await plane.alert_routes.add(root.principal, NewRoute(clusters=(cluster,), matchers=('team="payments"',)))
    await plane.alert_tokens.create(root.principal, "alertmanager of practice", cluster=cluster)
    async with stage.page(root, "/alerts") as view:
        page = view.page
        row = page.locator(".row", has_text="KubePodCrashLooping")
        await expect(row).to_contain_text("2 firing, 0 resolved")
        await sound(page)
        await picture(page, "alerts", tmp_path)
        await row.get_by_role("button", name="I have it in hand").click()
        await expect(page).to_have_url(f"{stage.here.url}/alerts/{taken[0]}")
        await expect(page.locator("main")).to_contain_text("Root has it in hand.")
        await expect(page.locator("main")).to_contain_text(HOSTILE)
        await page.get_by_label("Silence").select_option("resolved")
        await page.get_by_role("button", name="Silence", exact=True).click()
        await expect(page.locator("main")).to_contain_text("Silenced by Root until it is resolved.")
        await page.get_by_label("What is wrong about").fill("it is the deploy")
        await page.get_by_role("button", name="This is wrong").click()
        await expect(page.locator("main")).to_contain_text("Root says that this is wrong: it is the deploy")
        await sound(page)
        await picture(page, "alert", tmp_path)
        view.expect_silence()
    assert (await plane.alerts.get(taken[0])).silenced_until_resolved
    async with stage.page(stage.dana, "/alerts", language="ja", size=PHONE) as view:
        await expect(view.page.locator("main")).to_contain_text("発生中")
        assert await view.page.get_by_text("ルート", exact=True).count() == 0, "routes are for administrators"
        await sound(view.page)
        await picture(view.page, "alerts-phone", tmp_path)
        view.expect_silence()


async def test_what_an_alert_asked_is_shown_as_its_text(stage: Stage, tmp_path: Path) -> None:
    plane, cluster = stage.here.plane, stage.here.cluster.id
    one = alert("till-1", starts=NOON, namespace="till", alertname="TillIsSlow")
    one["annotations"] = {"summary": HOSTILE}
    group = (await plane.alerts.take(alertmanager(webhook(one, key="told"), cluster=cluster, clusters={}).reports)).groups[0]
    speaker = await plane.alert_threads.speaker(cluster)
    opened = await plane.alert_threads.open(group, Target(), speaker, opening)
    root = await stage.here.person("rita", Role.ADMIN, display="Rita")
    async with stage.page(root, f"/c/{opened}") as view:
        page = view.page
        await expect(page.locator(".bubble")).to_have_text("Why is an alert firing for Pod/till/till-1 in namespace till?")
        await page.get_by_text("What the alert says", exact=True).click()
        await expect(page.locator(".as-told")).to_contain_text(HOSTILE)
        await sound(page)
        await picture(page, "alert-asked", tmp_path)
        await page.get_by_role("link", name="Firing").click()
        await expect(page).to_have_url(f"{stage.here.url}/alerts/{group}")
        await page.get_by_role("link", name="Thread", exact=True).click()
        await expect(page).to_have_url(f"{stage.here.url}/c/{opened}")
        view.expect_silence()
